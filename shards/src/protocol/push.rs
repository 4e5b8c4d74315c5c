//! What the server says unasked, outbound in both dialects (protocol §5).

use std::sync::Arc;

use bytes::Bytes;

use super::app_event::AppEvent;
use super::command::Status;
use super::emission::Emitted;
use super::error_code::{CommandError, Detail, ErrorCode};
use super::frame;
pub use super::message::Except;
use super::message::{Publication, Revised};
use super::profile::{Dialect, Variant};
use super::reply::{ReceiptStatus, RoomCard};
use super::socketio::write::OpenEvent;
use super::write::{self, display, key, name, quoted, string, time};
use crate::id::{Epoch, Offset};
use crate::room::name::local;

/// A push to a client or to the members of a room.
#[derive(Debug, Clone)]
pub enum Push {
    /// A message in a room, or a change of one.
    Message(Arc<Publication>),
    /// A message that was kept for an absent member.
    Kept(Arc<Publication>),
    /// Something about a room or its members.
    Room(Notice),
    /// A user's presence has changed.
    Presence(Arc<PresenceChange>),
    /// A room of the token is no longer allowed.
    Lost {
        /// The room.
        room: Arc<str>,
        /// Why.
        reason: &'static str,
    },
    /// Something went wrong in a room.
    RoomError {
        /// The room.
        room: Arc<str>,
        /// The code.
        code: ErrorCode,
        /// Why.
        reason: &'static str,
        /// When.
        unix_ms: u64,
    },
    /// A session was resumed: the rooms, already written.
    Recovered(Arc<[Vec<u8>]>),
    /// The token ends soon.
    Expiring {
        /// When.
        expires_unix_ms: u64,
    },
    /// The server restarts: when this client should come back.
    Draining {
        /// Milliseconds to wait.
        reconnect_ms: u64,
    },
    /// Something that a backend emitted.
    Emitted(Arc<Emitted>),
}

/// News for the members of a room who are on a shard.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The room whose members are told.
    pub room: Arc<str>,
    /// Who of them is not.
    pub except: Except,
    /// What they are told.
    pub news: News,
}

/// What the members of a room are told.
#[derive(Debug, Clone)]
pub enum News {
    /// A user came or left.
    Edge {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        joined: bool,
    },
    /// How many users a large room has.
    Count {
        /// Users in it.
        members: usize,
    },
    /// A user writes, or no longer does.
    Typing {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        typing: bool,
    },
    /// The room is closed, and everybody out of it.
    Closed,
    /// Another room was created.
    Created(Arc<RoomCard>),
    /// Somebody got or read messages of another room.
    Receipt(Arc<ReceiptStatus>),
    /// Something of the application's.
    Custom(Arc<AppEvent>),
    /// The room's order is in trouble.
    Trouble {
        /// What it means to its members.
        kind: Trouble,
        /// The stream that they are in from now on.
        epoch: Epoch,
        /// Its last entry.
        offset: Offset,
        /// When.
        unix_ms: u64,
    },
}

/// What became of a room's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The engine cannot be reached: only members on this node hear each other.
    Degraded,
    /// Another stream has begun: what came between is missing.
    Resync,
}

impl Trouble {
    /// The code and the reason of `room:error`.
    #[must_use]
    pub fn reason(self) -> (ErrorCode, &'static str) {
        match self {
            Self::Degraded => (ErrorCode::ServerError, "degraded"),
            Self::Resync => (ErrorCode::ChannelError, "resync"),
        }
    }
}

/// How a user's presence has changed, and who may know.
#[derive(Debug)]
pub struct PresenceChange {
    /// The user.
    pub user: Arc<str>,
    /// The account, whose users may know.
    pub account: Option<Arc<str>>,
    /// The rooms, whose members may know.
    pub rooms: Box<[Arc<str>]>,
    /// The status.
    pub status: Status,
    /// The user's own words for it.
    pub text: Option<Box<str>>,
    /// When the user was last there.
    pub last_seen_unix_ms: u64,
    /// Whether it is the first socket that came, or the last that went.
    pub edge: bool,
    /// What the user shared before: whoever shares that has been told.
    pub told: Option<Shared>,
}

/// What users may share.
#[derive(Debug)]
pub struct Shared {
    /// The account.
    pub account: Option<Arc<str>>,
    /// Rooms.
    pub rooms: Box<[Arc<str>]>,
}

impl Push {
    /// Encodes the push as a frame, once for all who speak the variant; `None` when its dialect has no such push.
    #[must_use]
    pub fn encode(&self, scratch: &mut Vec<u8>, variant: Variant) -> Option<Bytes> {
        scratch.clear();
        match (variant.dialect, self) {
            (Dialect::Topic, Self::Message(publication) | Self::Kept(publication)) => {
                write::topic_message(scratch, publication);
            }
            (Dialect::Topic, Self::RoomError { room, code, reason, unix_ms }) => {
                let error = CommandError::new(*code, *reason)
                    .with("topic", Detail::Text(local(room).to_owned().into()));
                write::topic_error(scratch, &error, *unix_ms);
            }
            (Dialect::Topic, Self::Room(Notice { room, news: News::Trouble { kind, unix_ms, .. }, .. })) => {
                let (code, reason) = kind.reason();
                let error = CommandError::new(code, reason)
                    .with("topic", Detail::Text(local(room).to_owned().into()));
                write::topic_error(scratch, &error, *unix_ms);
            }
            (Dialect::Topic, _) => return None,
            (Dialect::Event, push) => {
                let event = variant.profile.outbound(push.event(variant.profile.presence_edges));
                write::envelope(scratch, event, None, |out| {
                    push.write_data(out, variant.profile.presence_edges)
                });
            }
            (Dialect::SocketIo, push) => return Some(push.open(variant, None)?.close(None)),
        }
        Some(frame::text(scratch))
    }

    /// Encodes the push for Socket.IO clients, but for the place that ends it; `ack` is the number for an answer. `None`
    /// when they have no such push: what a session missed comes to them event by event.
    #[must_use]
    pub fn open(&self, variant: Variant, ack: Option<u64>) -> Option<OpenEvent> {
        if matches!(self, Self::Recovered(_)) {
            return None;
        }
        if let Self::Emitted(event) = self {
            return Some(OpenEvent::emitted(variant.namespace, event));
        }
        let edges = variant.profile.presence_edges;
        let event = variant.profile.outbound(self.event(edges));
        let binary = match self {
            Self::Message(publication) | Self::Kept(publication) => publication.binary,
            _ => false,
        };
        Some(OpenEvent::new(variant.namespace, event, (binary, ack), |out| self.write_data(out, edges)))
    }

    fn event(&self, presence_edges: bool) -> &str {
        match self {
            Self::Message(publication) => match publication.change().map(|change| change.kind) {
                None => "message:received",
                Some(Revised::Edited) => "message:edited",
                Some(Revised::Deleted) => "message:deleted",
            },
            Self::Kept(_) => "message:received",
            Self::Room(notice) => notice.news.event(),
            Self::Presence(change) => match change.status {
                Status::Offline if presence_edges && change.edge => "user:offline",
                _ if presence_edges && change.edge => "user:online",
                _ => "presence:changed",
            },
            Self::Lost { .. } => "room:left",
            Self::RoomError { .. } => "room:error",
            Self::Recovered(_) => "connection:recovered",
            Self::Expiring { .. } => "auth:expiring",
            Self::Draining { .. } => "server:draining",
            Self::Emitted(event) => &event.name,
        }
    }

    fn write_data(&self, out: &mut Vec<u8>, presence_edges: bool) {
        match self {
            Self::Message(publication) if publication.change().is_some() => {
                return write::revision(out, publication);
            }
            Self::Message(publication) => return write::message(out, publication, false),
            Self::Kept(publication) => return write::message(out, publication, true),
            Self::Room(Notice { news: News::Custom(event), .. }) => {
                return out.extend_from_slice(&event.data);
            }
            Self::Emitted(event) => return out.extend_from_slice(&event.data),
            _ => {}
        }
        out.push(b'{');
        match self {
            Self::Message(_) | Self::Kept(_) | Self::Emitted(_) => {}
            Self::Room(notice) => notice.write(out),
            Self::Presence(change) if presence_edges && change.edge => write::user(out, &change.user),
            Self::Presence(change) => change.write(out),
            Self::Lost { room, reason } => {
                write::room(out, room);
                key(out, "reason");
                name(out, reason);
            }
            Self::RoomError { room, code, reason, .. } => {
                write::room(out, room);
                key(out, "code");
                name(out, code.name());
                key(out, "reason");
                name(out, reason);
            }
            Self::Recovered(rooms) => write::parts(out, "rooms", rooms),
            Self::Expiring { expires_unix_ms } => {
                key(out, "expiresAt");
                time(out, *expires_unix_ms);
            }
            Self::Draining { reconnect_ms } => {
                key(out, "reconnectMs");
                display(out, reconnect_ms);
            }
        }
        out.push(b'}');
    }

    /// Bytes that it holds while it waits.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 64;
        BASE + match self {
            Self::Message(publication) | Self::Kept(publication) => publication.content.len(),
            Self::Recovered(rooms) => rooms.iter().map(Vec::len).sum(),
            Self::Room(Notice { news: News::Custom(event), .. }) => event.data.len(),
            Self::Emitted(event) => event.arguments.len() + event.data.len(),
            _ => 0,
        }
    }
}

impl Notice {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.news {
            News::Created(card) => return card.write(out),
            News::Receipt(receipt) => return receipt.write(out),
            _ => write::room(out, &self.room),
        }
        match &self.news {
            News::Edge { user, .. } => write::user(out, user),
            News::Count { members } => {
                key(out, "members");
                display(out, members);
            }
            News::Typing { user, typing } => {
                write::user(out, user);
                key(out, "isTyping");
                display(out, typing);
            }
            News::Trouble { kind, epoch, offset, .. } => {
                let (code, reason) = kind.reason();
                key(out, "code");
                name(out, code.name());
                key(out, "reason");
                name(out, reason);
                // From here on: the next message is the one behind it.
                key(out, "epoch");
                quoted(out, epoch);
                key(out, "offset");
                display(out, offset);
            }
            News::Closed | News::Created(_) | News::Receipt(_) | News::Custom(_) => {}
        }
    }

    /// Whether it may be dropped when its reader is slow: what comes later says it again, or does without.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        !matches!(self.news, News::Closed | News::Created(_) | News::Custom(_) | News::Trouble { .. })
    }
}

impl News {
    fn event(&self) -> &str {
        match self {
            Self::Edge { joined: true, .. } => "room:member-joined",
            Self::Edge { .. } => "room:member-left",
            Self::Count { .. } => "room:count",
            Self::Typing { .. } => "user:typing",
            Self::Closed => "room:closed",
            Self::Created(_) => "room:created",
            Self::Receipt(_) => "message:status",
            Self::Custom(event) => &event.name,
            Self::Trouble { .. } => "room:error",
        }
    }
}

impl PresenceChange {
    fn write(&self, out: &mut Vec<u8>) {
        write::user(out, &self.user);
        key(out, "status");
        name(out, self.status.name());
        if let Some(text) = &self.text {
            key(out, "statusText");
            string(out, text);
        }
        if self.status == Status::Offline {
            key(out, "lastSeen");
            time(out, self.last_seen_unix_ms);
        }
    }
}
