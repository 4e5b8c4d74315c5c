//! What happens in the gateway, for those who listen behind it.
//!
//! A shard notes an event only when [`Config::events`](crate::config::Config::events) says that somebody wants its
//! kind: where nobody listens, each place costs the test of one bit. Events leave through
//! [`Effects::events`](crate::effect::Effects::events); whoever takes them may drop them, so they are told at most once.

use std::net::IpAddr;
use std::sync::Arc;

use crate::id::SessionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::message::{Publication, Revised};
use crate::protocol::reply::{ReceiptStatus, RoomCard};

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A connection authenticated.
    Connected,
    /// A connection that had authenticated is gone.
    Disconnected,
    /// A user came into a room.
    Joined,
    /// A user left a room.
    Left,
    /// A user's first socket came.
    UserOnline,
    /// A user's last socket has been gone for the grace.
    UserOffline,
    /// A room accepted a message.
    MessagePublished,
    /// A message says something else.
    MessageEdited,
    /// A message says nothing any more.
    MessageDeleted,
    /// A user began to write.
    TypingStarted,
    /// A user no longer writes.
    TypingStopped,
    /// Messages arrived at a user.
    MessageDelivered,
    /// A user read messages.
    MessageRead,
    /// A client was refused because it asked too often.
    RateLimited,
    /// Somebody created a room.
    RoomCreated,
    /// A room was closed.
    RoomClosed,
}

impl EventKind {
    /// All kinds, in the order of their bits.
    pub const ALL: [Self; 16] = [
        Self::Connected,
        Self::Disconnected,
        Self::Joined,
        Self::Left,
        Self::UserOnline,
        Self::UserOffline,
        Self::MessagePublished,
        Self::MessageEdited,
        Self::MessageDeleted,
        Self::TypingStarted,
        Self::TypingStopped,
        Self::MessageDelivered,
        Self::MessageRead,
        Self::RateLimited,
        Self::RoomCreated,
        Self::RoomClosed,
    ];

    /// The name that listeners know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "gateway.connected",
            Self::Disconnected => "gateway.disconnected",
            Self::Joined => "gateway.joined",
            Self::Left => "gateway.left",
            Self::UserOnline => "gateway.user.online",
            Self::UserOffline => "gateway.user.offline",
            Self::MessagePublished => "gateway.message.published",
            Self::MessageEdited => "gateway.message.edited",
            Self::MessageDeleted => "gateway.message.deleted",
            Self::TypingStarted => "gateway.typing.started",
            Self::TypingStopped => "gateway.typing.stopped",
            Self::MessageDelivered => "gateway.message.delivered",
            Self::MessageRead => "gateway.message.read",
            Self::RateLimited => "gateway.rate_limited",
            Self::RoomCreated => "gateway.room.created",
            Self::RoomClosed => "gateway.room.closed",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventKinds(u32);

impl EventKinds {
    /// The same set with one more.
    #[must_use]
    pub fn with(self, kind: EventKind) -> Self {
        Self(self.0 | 1 << kind as u32)
    }

    /// Whether a kind is in it.
    #[must_use]
    pub fn has(self, kind: EventKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

/// A connection that has a user.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its user.
    pub user: Arc<str>,
    /// The user's account.
    pub account: Option<Arc<str>>,
    /// Its session.
    pub session: SessionId,
    /// Where it comes from.
    pub peer: IpAddr,
}

/// Why a connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A close frame went out, or came in.
    Closed(CloseCode),
    /// Its socket went without one.
    Lost,
    /// Its namespace was left, or ended with the transport that it shared.
    NamespaceLeft,
}

impl Ended {
    /// The reason's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed(code) => code.name(),
            Self::Lost => "lost",
            Self::NamespaceLeft => "namespace_left",
        }
    }
}

/// Something that happened in the turn in which the shard leaves it.
#[derive(Debug, Clone)]
pub enum GatewayEvent {
    /// A connection authenticated.
    Connected(Client),
    /// It is gone.
    Disconnected {
        /// Which.
        client: Client,
        /// Why.
        ended: Ended,
        /// How long it lasted.
        lasted_ms: u64,
    },
    /// A user came into a room, or left it; its own rooms, which it is in without asking, are not told of.
    Membership {
        /// The room.
        room: Arc<str>,
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        joined: bool,
    },
    /// A user's first socket came, or the last has been gone for the grace.
    Presence {
        /// The user.
        user: Arc<str>,
        /// Its account.
        account: Option<Arc<str>>,
        /// Which of the two.
        online: bool,
    },
    /// A room accepted a message, or the change of one.
    Message(Arc<Publication>),
    /// A user began to write, or no longer does.
    Typing {
        /// The room.
        room: Arc<str>,
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        typing: bool,
    },
    /// Messages arrived at a user, or were read.
    Receipt(Box<ReceiptStatus>),
    /// A client was refused because it asked too often.
    RateLimited {
        /// Which.
        client: Client,
        /// What it asked, if that could be read.
        asked: Option<&'static str>,
    },
    /// Somebody created a room.
    RoomCreated(Arc<RoomCard>),
    /// A room was closed.
    RoomClosed {
        /// The room.
        room: Arc<str>,
        /// Who closed it.
        user: Arc<str>,
    },
}

impl GatewayEvent {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        let either = |is_first, first, second| if is_first { first } else { second };
        match self {
            Self::Connected(_) => EventKind::Connected,
            Self::Disconnected { .. } => EventKind::Disconnected,
            Self::Membership { joined, .. } => either(*joined, EventKind::Joined, EventKind::Left),
            Self::Presence { online, .. } => either(*online, EventKind::UserOnline, EventKind::UserOffline),
            Self::Message(publication) => kind_of(publication),
            Self::Typing { typing, .. } => {
                either(*typing, EventKind::TypingStarted, EventKind::TypingStopped)
            }
            Self::Receipt(status) => either(status.read, EventKind::MessageRead, EventKind::MessageDelivered),
            Self::RateLimited { .. } => EventKind::RateLimited,
            Self::RoomCreated(_) => EventKind::RoomCreated,
            Self::RoomClosed { .. } => EventKind::RoomClosed,
        }
    }

    /// Bytes that it holds while it waits: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 256;
        match self {
            Self::Message(publication) => BASE + publication.cost(),
            _ => BASE,
        }
    }
}

/// The kind of event that a publication is.
#[must_use]
pub fn kind_of(publication: &Publication) -> EventKind {
    match publication.change().map(|change| change.kind) {
        None => EventKind::MessagePublished,
        Some(Revised::Edited) => EventKind::MessageEdited,
        Some(Revised::Deleted) => EventKind::MessageDeleted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let kinds: EventKinds = [EventKind::Connected, EventKind::RoomClosed].into_iter().collect();
        let had: Vec<_> = EventKind::ALL.into_iter().filter(|kind| kinds.has(*kind)).collect();
        assert_eq!(had, [EventKind::Connected, EventKind::RoomClosed]);
        assert!(EventKinds::default().is_empty() && !kinds.is_empty());
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::ALL.len());
    }
}
