//! What the server says unasked, outbound in both dialects (protocol §5).

use std::sync::Arc;

use bytes::Bytes;

use super::frame;
use super::message::Publication;
use super::profile::{Dialect, Variant};
use super::write::{self, display, key, name, time};

/// A push to a client or to the members of a room.
#[derive(Debug, Clone)]
pub enum Push {
    /// A message in a room.
    Message(Arc<Publication>),
    /// Something about a room's members.
    Room(Notice),
    /// A room of the token is no longer allowed.
    Lost {
        /// The room.
        room: Arc<str>,
        /// Why.
        reason: &'static str,
    },
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
}

/// Something about a room's members, for those of them who are on a shard.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A user came or left; not for that user's own connections.
    Edge {
        /// The room.
        room: Arc<str>,
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        joined: bool,
    },
    /// How many users a large room has.
    Count {
        /// The room.
        room: Arc<str>,
        /// Users in it.
        members: usize,
    },
}

impl Notice {
    /// The room.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        match self {
            Self::Edge { room, .. } | Self::Count { room, .. } => room,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, self.room());
        match self {
            Self::Edge { user, .. } => {
                key(out, "userId");
                name(out, user);
            }
            Self::Count { members, .. } => {
                key(out, "members");
                display(out, members);
            }
        }
    }

    /// The user who knows it already.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Edge { user, .. } => Some(user),
            Self::Count { .. } => None,
        }
    }
}

impl Push {
    /// Encodes the push as a frame, once for all who speak the variant; `None` when its dialect has no such push.
    #[must_use]
    pub fn encode(&self, scratch: &mut Vec<u8>, variant: Variant) -> Option<Bytes> {
        scratch.clear();
        match (variant.dialect, self) {
            (Dialect::Topic, Self::Message(publication)) => write::topic_message(scratch, publication),
            (Dialect::Topic, _) => return None,
            (Dialect::Event, push) => {
                let event = variant.profile.outbound(push.event());
                write::envelope(scratch, event, None, |out| push.write_data(out));
            }
        }
        Some(frame::text(scratch))
    }

    fn event(&self) -> &'static str {
        match self {
            Self::Message(_) => "message:received",
            Self::Room(Notice::Edge { joined: true, .. }) => "room:member-joined",
            Self::Room(Notice::Edge { .. }) => "room:member-left",
            Self::Room(Notice::Count { .. }) => "room:count",
            Self::Lost { .. } => "room:left",
            Self::Expiring { .. } => "auth:expiring",
            Self::Draining { .. } => "server:draining",
        }
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        if let Self::Message(publication) = self {
            return write::message(out, publication, false);
        }
        out.push(b'{');
        match self {
            Self::Message(_) => {}
            Self::Room(notice) => notice.write(out),
            Self::Lost { room, reason } => {
                key(out, "roomId");
                name(out, room);
                key(out, "reason");
                name(out, reason);
            }
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
}
