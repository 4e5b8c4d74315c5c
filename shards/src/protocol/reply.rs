//! Answers to commands, outbound in both dialects (protocol §1, §5, §6).

mod connection;
mod messages;
mod presence;
mod rooms;

use std::sync::Arc;

use super::error_code::CommandError;
use super::message::Publication;
use super::profile::{Dialect, Variant};
use super::socketio::write as socketio;
use super::write::{self, display, key, list, name, parts, quoted, string, time};
use crate::access::permission::Identity;
use crate::access::token::UserType;
use crate::id::{Epoch, Offset, SessionId};
use crate::room::name::local;

pub use connection::{RecoveryStats, SessionError, SessionInfo};
pub use messages::{DeliveryStatus, HistoryPage, MessageStats, ReceiptStatus, Sent};
pub use presence::{Presence, PresenceCounts};
pub use rooms::{Joined, OnlinePage, RoomCard, RoomInfo, Standing};

/// The answer to a command.
#[derive(Debug)]
pub enum Reply {
    /// Authenticated.
    AuthOk {
        /// Who.
        identity: Arc<Identity>,
        /// As which session.
        session: SessionId,
    },
    /// To a ping.
    Pong,
    /// Entered a room.
    Joined(Joined),
    /// Left a room, or closed it.
    Left {
        /// The room.
        room: Arc<str>,
    },
    /// Subscribed to a pattern, or gave it up.
    Pattern {
        /// The pattern.
        pattern: Arc<str>,
        /// Which of the two.
        subscribed: bool,
    },
    /// An array under the name of its field, each entry already written.
    Parts(&'static str, Vec<Vec<u8>>),
    /// Created a room.
    Created(Arc<RoomCard>),
    /// A room described.
    Info(RoomInfo),
    /// A page of a room's users.
    Online(OnlinePage),
    /// How a subscription stands.
    Standing {
        /// How.
        standing: Box<Standing>,
        /// Whether to describe the room too.
        details: bool,
    },
    /// A page of a room's messages.
    History(HistoryPage),
    /// A message was accepted.
    Sent(Sent),
    /// A message was changed.
    Revised(Arc<Publication>),
    /// A receipt was accepted.
    Receipt(ReceiptStatus),
    /// Who got a message, and who read it.
    DeliveryStatus(DeliveryStatus),
    /// A typing user was noted.
    Typing {
        /// The room.
        room: Arc<str>,
        /// Whether the user writes.
        typing: bool,
    },
    /// Who writes in a room.
    TypingUsers {
        /// The room.
        room: Arc<str>,
        /// The users.
        users: Vec<Arc<str>>,
    },
    /// A room's messages, counted.
    MessageStats(MessageStats),
    /// The user's own status was changed.
    StatusUpdated(Presence),
    /// A user's presence.
    UserStatus(Presence),
    /// A page of the users who are online.
    OnlineUsers {
        /// In order.
        users: Vec<Presence>,
        /// Users in all.
        total: usize,
        /// Whether there are more.
        more: bool,
    },
    /// Users by status.
    PresenceStats(PresenceCounts),
    /// A session can be resumed.
    Session {
        /// With this token.
        token: String,
        /// Until then at least.
        expires_unix_ms: u64,
    },
    /// A connection, to its own client.
    SessionInfo(SessionInfo),
    /// Recoveries, counted.
    RecoveryStats(RecoveryStats),
    /// The members of an object, already written.
    Written(Vec<u8>),
}

impl Reply {
    /// Writes the frame's text; nothing when the dialect has no such reply. For a Socket.IO client that did not ask for
    /// an answer it is an event, whose end is yet to be written.
    ///
    /// `event` is the reply's name in the event dialect.
    pub fn write(&self, out: &mut Vec<u8>, variant: Variant, event: &str, id: Option<&str>, unix_ms: u64) {
        match variant.dialect {
            Dialect::Event => {
                let event = variant.profile.outbound(event);
                write::envelope(out, event, id, |out| self.write_data(out, unix_ms));
            }
            Dialect::Topic => self.write_topic(out, unix_ms),
            Dialect::SocketIo => match id {
                Some(id) => socketio::ack(out, variant.namespace, id, |out| self.write_data(out, unix_ms)),
                None => {
                    let event = variant.profile.outbound(event);
                    socketio::open_event(out, variant.namespace, event, |out| self.write_data(out, unix_ms));
                }
            },
        }
    }

    /// Writes the `data` alone, as every dialect but the topic one has it.
    pub fn write_data(&self, out: &mut Vec<u8>, unix_ms: u64) {
        if let Self::Revised(publication) = self {
            return write::revision(out, publication);
        }
        out.push(b'{');
        match self {
            Self::Revised(_) => {}
            Self::AuthOk { identity, session } => write_auth(out, identity, *session),
            Self::Pong => {
                key(out, "timestamp");
                time(out, unix_ms);
            }
            Self::Joined(joined) => joined.write(out),
            Self::Left { room } => write::room(out, room),
            Self::Pattern { pattern, .. } => {
                key(out, "pattern");
                name(out, pattern);
            }
            Self::Parts(field, entries) => parts(out, field, entries),
            Self::Created(card) => card.write(out),
            Self::Info(info) => info.write(out),
            Self::Online(page) => page.write(out),
            Self::Standing { standing, details } => standing.write(out, *details),
            Self::History(page) => page.write(out),
            Self::Sent(sent) => sent.write(out),
            Self::Receipt(receipt) => receipt.write(out),
            Self::DeliveryStatus(status) => status.write(out),
            Self::Typing { room, typing } => {
                write::room(out, room);
                key(out, "isTyping");
                display(out, typing);
            }
            Self::TypingUsers { room, users } => {
                write::room(out, room);
                key(out, "users");
                list(out, users, |out, user| name(out, local(user)));
            }
            Self::MessageStats(stats) => stats.write(out),
            Self::StatusUpdated(presence) => presence.write(out),
            Self::UserStatus(presence) => presence.write_details(out),
            Self::OnlineUsers { users, total, more } => presence::write_page(out, users, *total, *more),
            Self::PresenceStats(counts) => counts.write(out),
            Self::Session { token, expires_unix_ms } => {
                key(out, "token");
                name(out, token);
                key(out, "expiresAt");
                time(out, *expires_unix_ms);
            }
            Self::SessionInfo(info) => info.write(out),
            Self::RecoveryStats(stats) => stats.write(out),
            Self::Written(members) => out.extend_from_slice(members),
        }
        out.push(b'}');
    }

    fn write_topic(&self, out: &mut Vec<u8>, unix_ms: u64) {
        let kind = match self {
            Self::AuthOk { .. } => "auth_success",
            Self::Pong => "pong",
            Self::Joined(_) | Self::Pattern { subscribed: true, .. } => "subscribed",
            Self::Left { .. } | Self::Pattern { .. } => "unsubscribed",
            _ => return,
        };
        out.push(b'{');
        key(out, "type");
        name(out, kind);
        match self {
            Self::AuthOk { identity, .. } => write::user(out, &identity.user),
            Self::Joined(joined) => {
                key(out, "topic");
                name(out, local(&joined.room));
                joined.write_position(out);
            }
            Self::Left { room: topic } | Self::Pattern { pattern: topic, .. } => {
                key(out, "topic");
                name(out, local(topic));
            }
            _ => {}
        }
        key(out, "timestamp");
        time(out, unix_ms);
        out.push(b'}');
    }
}

fn write_stream(out: &mut Vec<u8>, epoch: Epoch, offset: Offset) {
    key(out, "epoch");
    quoted(out, epoch);
    key(out, "offset");
    display(out, offset);
}

/// A role as it travels.
#[must_use]
pub fn user_type_name(user_type: UserType) -> &'static str {
    match user_type {
        UserType::Employee => "employee",
        UserType::Guest => "guest",
        UserType::Supervisor => "supervisor",
    }
}

fn write_auth(out: &mut Vec<u8>, identity: &Identity, session: SessionId) {
    write::user(out, &identity.user);
    key(out, "userType");
    name(out, user_type_name(identity.user_type));
    key(out, "permissions");
    list(out, identity.permissions(), |out, permission| string(out, permission));
    key(out, "sessionId");
    quoted(out, session);
    if let Some(expires) = identity.expires_unix_ms() {
        key(out, "expiresAt");
        time(out, expires);
    }
}

/// Writes a failed part of a command; `subject` is what it was about.
pub fn write_failure(
    out: &mut Vec<u8>,
    variant: Variant,
    subject: Option<(&str, &str)>,
    error: &CommandError,
) {
    out.push(b'{');
    if let Some((field, text)) = subject {
        key(out, field);
        string(out, text);
    }
    key(out, "ok");
    out.extend_from_slice(b"false");
    key(out, "error");
    write::error_data(out, variant.profile, error);
    out.push(b'}');
}

/// Writes a part of a command that succeeded, with nothing more to say.
pub fn write_success(out: &mut Vec<u8>, field: &str, text: &str) {
    out.push(b'{');
    key(out, field);
    name(out, local(text));
    key(out, "ok");
    out.extend_from_slice(b"true");
    out.push(b'}');
}

/// Writes a room of a session that could not be entered again.
pub fn write_unrecovered(out: &mut Vec<u8>, room: &str, error: &CommandError) {
    out.push(b'{');
    write::room(out, room);
    key(out, "recovered");
    out.extend_from_slice(b"false");
    key(out, "reason");
    name(out, error.code.name());
    key(out, "messages");
    out.extend_from_slice(b"[]");
    out.push(b'}');
}

/// Writes a refused authentication of the topic dialect.
pub fn write_topic_auth_error(out: &mut Vec<u8>, error: &CommandError, unix_ms: u64) {
    out.extend_from_slice(b"{\"type\":\"auth_error\"");
    key(out, "message");
    string(out, &error.message);
    key(out, "code");
    display(out, error.code.number());
    key(out, "timestamp");
    time(out, unix_ms);
    out.push(b'}');
}
