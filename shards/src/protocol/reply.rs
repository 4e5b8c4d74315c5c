//! Answers to commands, outbound in both dialects (protocol §1, §5, §6).

mod parts;

use std::sync::Arc;

use super::error_code::CommandError;
use super::profile::{Dialect, Variant};
use super::write::{self, display, key, list, name, quoted, string, time};
use crate::access::permission::Identity;
use crate::access::token::UserType;
use crate::id::SessionId;

pub use parts::{HistoryPage, Joined, OnlinePage, RoomInfo, Sent};

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
    quoted(out, session);
    if let Some(expires) = identity.expires_unix_ms {
        key(out, "expiresAt");
        time(out, expires);
    }
}

fn write_parts(out: &mut Vec<u8>, field: &str, parts: &[Vec<u8>]) {
    key(out, field);
    list(out, parts, |out, part| out.extend_from_slice(part));
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
