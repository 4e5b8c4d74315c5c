//! Answers to commands, outbound in both dialects (protocol §1, §5, §6).

use std::sync::Arc;

use super::error_code::CommandError;
use super::message::Publication;
use super::profile::{Dialect, Variant};
use super::write::{self, display, key, list, name, string, time};
use crate::access::permission::Identity;
use crate::access::token::UserType;
use crate::id::{Epoch, MessageId, Offset, SessionId};

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
    /// Left a room.
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
    /// The connection's rooms, each already written.
    List(Vec<Vec<u8>>),
    /// One result for each part of a command, each already written.
    Results(&'static str, Vec<Vec<u8>>),
    /// A room described.
    Info(RoomInfo),
    /// A page of a room's users.
    Online(OnlinePage),
    /// A page of a room's messages.
    History(HistoryPage),
    /// A message was accepted.
    Sent(Sent),
}

/// Where a room's stream stood when somebody entered, and what they missed.
#[derive(Debug)]
pub struct Joined {
    /// The room.
    pub room: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// The stream's last offset.
    pub offset: Offset,
    /// Users in the room, this one included.
    pub members: usize,
    /// Whether recovery succeeded; `None` when it was not asked for.
    pub recovered: Option<bool>,
    /// What was missed or asked for, oldest first; `None` when neither was.
    pub messages: Option<Vec<Arc<Publication>>>,
}

/// A room described.
#[derive(Debug)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<str>,
    /// When it was created.
    pub created_unix_ms: u64,
    /// Users in the room, those within the grace of a lost connection included.
    pub members: usize,
    /// Users in the room with a connection.
    pub online: usize,
    /// Its stream.
    pub epoch: Epoch,
    /// The stream's last offset.
    pub offset: Offset,
}

/// A page of a room's users.
#[derive(Debug)]
pub struct OnlinePage {
    /// The room.
    pub room: Arc<str>,
    /// Users of this page, in order.
    pub users: Vec<Arc<str>>,
    /// Users in all.
    pub total: usize,
    /// Whether there are more; then the last user is the cursor.
    pub more: bool,
}

/// A page of a room's messages.
#[derive(Debug)]
pub struct HistoryPage {
    /// The room.
    pub room: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// Messages of this page, oldest first.
    pub messages: Vec<Arc<Publication>>,
    /// Whether the room has more in the direction that was asked for.
    pub more: bool,
}

/// An accepted message.
#[derive(Debug)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// The room.
    pub room: Arc<str>,
    /// The room's stream.
    pub epoch: Epoch,
    /// Its offset.
    pub offset: Offset,
    /// When it was accepted.
    pub unix_ms: u64,
    /// The sender's own name for it.
    pub client_id: Option<Box<str>>,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

impl Reply {
    /// Writes the frame's text; nothing when the dialect has no such reply.
    ///
    /// `event` is the reply's name in the event dialect.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        variant: Variant,
        event: &'static str,
        id: Option<&str>,
        unix_ms: u64,
    ) {
        match variant.dialect {
            Dialect::Event => {
                let event = variant.profile.outbound(event);
                write::envelope(out, event, id, |out| self.write_data(out, unix_ms));
            }
            Dialect::Topic => self.write_topic(out, unix_ms),
        }
    }

    fn write_data(&self, out: &mut Vec<u8>, unix_ms: u64) {
        out.push(b'{');
        match self {
            Self::AuthOk { identity, session } => write_auth(out, identity, *session),
            Self::Pong => {
                key(out, "timestamp");
                time(out, unix_ms);
            }
            Self::Joined(joined) => joined.write(out),
            Self::Left { room } => {
                key(out, "roomId");
                name(out, room);
            }
            Self::Pattern { pattern, .. } => {
                key(out, "pattern");
                name(out, pattern);
            }
            Self::List(rooms) => write_parts(out, "rooms", rooms),
            Self::Results(field, results) => write_parts(out, field, results),
            Self::Info(info) => info.write(out),
            Self::Online(page) => page.write(out),
            Self::History(page) => page.write(out),
            Self::Sent(sent) => sent.write(out),
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
            Self::AuthOk { identity, .. } => {
                key(out, "userId");
                name(out, &identity.user);
            }
            Self::Joined(joined) => {
                key(out, "topic");
                name(out, &joined.room);
                joined.write_position(out);
            }
            Self::Left { room: topic } | Self::Pattern { pattern: topic, .. } => {
                key(out, "topic");
                name(out, topic);
            }
            _ => {}
        }
        key(out, "timestamp");
        time(out, unix_ms);
        out.push(b'}');
    }
}

fn write_auth(out: &mut Vec<u8>, identity: &Identity, session: SessionId) {
    key(out, "userId");
    name(out, &identity.user);
    key(out, "userType");
    name(
        out,
        match identity.user_type {
            UserType::Employee => "employee",
            UserType::Guest => "guest",
            UserType::Supervisor => "supervisor",
        },
    );
    key(out, "permissions");
    list(out, &identity.permissions, |out, permission| string(out, permission));
    key(out, "sessionId");
    out.push(b'"');
    display(out, session);
    out.push(b'"');
    if let Some(expires) = identity.expires_unix_ms {
        key(out, "expiresAt");
        time(out, expires);
    }
}

fn write_parts(out: &mut Vec<u8>, field: &str, parts: &[Vec<u8>]) {
    key(out, field);
    list(out, parts, |out, part| out.extend_from_slice(part));
}

fn write_stream(out: &mut Vec<u8>, epoch: Epoch, offset: Offset) {
    key(out, "epoch");
    out.push(b'"');
    display(out, epoch);
    out.push(b'"');
    key(out, "offset");
    display(out, offset);
}

impl Joined {
    fn write_position(&self, out: &mut Vec<u8>) {
        write_stream(out, self.epoch, self.offset);
        if let Some(recovered) = self.recovered {
            key(out, "recovered");
            display(out, recovered);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        if let Some(recovered) = self.recovered {
            key(out, "recovered");
            display(out, recovered);
        }
        if let Some(messages) = &self.messages {
            key(out, "messages");
            list(out, messages, |out, message| write::message(out, message, true));
        }
    }

    /// Writes the room as one entry of a list.
    pub fn write_entry(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        key(out, "roomId");
        name(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        out.push(b'}');
    }
}

impl RoomInfo {
    fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "visibility");
        name(out, "public");
        key(out, "createdAt");
        time(out, self.created_unix_ms);
        key(out, "members");
        display(out, self.members);
        key(out, "online");
        display(out, self.online);
        write_stream(out, self.epoch, self.offset);
        key(out, "metadata");
        out.extend_from_slice(b"{}");
    }
}

impl OnlinePage {
    fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "users");
        list(out, &self.users, |out, user| {
            out.push(b'{');
            key(out, "userId");
            name(out, user);
            key(out, "status");
            name(out, "online");
            out.push(b'}');
        });
        key(out, "total");
        display(out, self.total);
        if let Some(last) = self.users.last().filter(|_| self.more) {
            key(out, "next");
            name(out, last);
        }
    }
}

impl HistoryPage {
    fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "epoch");
        out.push(b'"');
        display(out, self.epoch);
        out.push(b'"');
        key(out, "messages");
        list(out, &self.messages, |out, message| write::message(out, message, true));
        key(out, "hasMore");
        display(out, self.more);
    }
}

impl Sent {
    fn write(&self, out: &mut Vec<u8>) {
        key(out, "id");
        out.push(b'"');
        display(out, self.id);
        out.push(b'"');
        key(out, "roomId");
        name(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "timestamp");
        time(out, self.unix_ms);
        if let Some(client_id) = &self.client_id {
            key(out, "clientId");
            string(out, client_id);
        }
        if self.duplicate {
            key(out, "duplicate");
            out.extend_from_slice(b"true");
        }
    }

    /// Writes the message as one result of a batch.
    pub fn write_result(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        key(out, "ok");
        out.extend_from_slice(b"true");
        self.write(out);
        out.push(b'}');
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
    name(out, text);
    key(out, "ok");
    out.extend_from_slice(b"true");
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
