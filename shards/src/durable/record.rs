//! What a shard leaves behind of a change.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::revocations::Revocation;
use crate::id::{Epoch, Offset, SessionId};
use crate::protocol::message::Publication;
use crate::room::dedupe::Accepted;
use crate::user::progress::Progress;

/// A change of what outlives the process, or a part of the state told anew. Whole by itself: what a record needs to be
/// understood is in it, or in records before it of the same room or user.
#[derive(Debug, Clone)]
pub enum Record {
    /// An entry of a room's stream: a message, or a change of one.
    Entry(Arc<Publication>),
    /// A room told anew: nothing that was said of it before counts, and what follows is all of it.
    Room(Box<RoomRecord>),
    /// A room is gone. Names at the same place get other epochs from now on: this is how many streams have ended there.
    Gone {
        /// The room.
        room: Arc<str>,
        /// The place of its name.
        place: u64,
        /// Streams that have ended at that place.
        ended: u64,
    },
    /// A stream goes on under another epoch, because its end may be missing.
    Renewed {
        /// The room.
        room: Arc<str>,
        /// Its epoch from now on.
        epoch: Epoch,
    },
    /// A member of a queued room, for whom messages are kept.
    Member {
        /// The room.
        room: Arc<str>,
        /// Its stream.
        epoch: Epoch,
        /// The member.
        user: Arc<str>,
        /// Up to where it has certainly got everything.
        offset: Offset,
        /// Since when it is away; `None` while it is there.
        away_since_unix_ms: Option<u64>,
    },
    /// A member of a queued room left for good.
    MemberGone {
        /// The room.
        room: Arc<str>,
        /// The member.
        user: Arc<str>,
    },
    /// Up to where a user has got and read a room.
    Receipt {
        /// The room.
        room: Arc<str>,
        /// The user.
        user: Arc<str>,
        /// Up to where messages have arrived.
        delivered: Cursor,
        /// Up to where they were read.
        read: Cursor,
    },
    /// A sender's own name for a message that is no longer kept, but must be recognised.
    Name {
        /// The room.
        room: Arc<str>,
        /// The sender.
        sender: Arc<str>,
        /// The name.
        client_id: Box<str>,
        /// What became of the first message of that name.
        accepted: Accepted,
    },
    /// A session that can be resumed.
    Session(Box<SessionRecord>),
    /// A session that has a connection has entered a room, or left it.
    SessionRoom {
        /// The user.
        user: Arc<str>,
        /// The session.
        session: SessionId,
        /// The room.
        room: Arc<str>,
        /// Its stream, and from where on the client has yet to get everything; `None` when it has left.
        entered: Option<(Epoch, Offset)>,
    },
    /// A session is over.
    SessionGone {
        /// The user.
        user: Arc<str>,
        /// The session.
        session: SessionId,
    },
    /// When a user was last seen.
    Seen {
        /// The user.
        user: Arc<str>,
        /// Its account.
        account: Option<Arc<str>>,
        /// When.
        unix_ms: u64,
        /// Whether it is there now.
        online: bool,
    },
    /// A user or a token is refused, or no longer.
    Revoked(Revocation),
    /// How many streams have ended at a place.
    Place {
        /// The place.
        place: u64,
        /// Streams.
        ended: u64,
    },
    /// A value of a key space is set, or removed.
    Value {
        /// The key space.
        space: Space,
        /// The key.
        key: Bytes,
        /// The value; `None` removes it.
        value: Option<Bytes>,
    },
    /// All key spaces are told anew.
    Values,
    /// A shard has told all of its state anew, as it was asked to.
    Told {
        /// By which request.
        round: u64,
    },
}

/// What is kept beside rooms and users, as bytes by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// The store's own: secrets that must stay the same.
    Meta = 0,
    /// Events for backends that are yet to be delivered.
    Outbox = 1,
    /// Events for backends that could not be delivered.
    DeadLetters = 2,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Outbox, Self::DeadLetters];
}

/// A room, without what was sent in it.
#[derive(Debug, Clone)]
pub struct RoomRecord {
    /// Its name.
    pub name: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// The last offset that was given out.
    pub offset: Offset,
    /// When it was created.
    pub created_unix_ms: u64,
    /// Messages, edits and deletions ever made in it.
    pub counts: (u64, u64, u64),
    /// When something was last sent in it.
    pub active_unix_ms: u64,
    /// What its creator decided, if somebody created it.
    pub card: Option<Card>,
}

/// What the creator of a room decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The creator.
    pub owner: Arc<str>,
    /// Those who may enter a private room; `None` for a public one.
    pub audience: Option<Vec<Arc<str>>>,
    /// The application's own.
    pub metadata: Option<Bytes>,
    /// Users that it holds at most.
    pub members_max: Option<usize>,
}

/// A user's way through a room: offsets reached and when, ascending; the last is where the user is.
pub type Cursor = Vec<(Offset, u64)>;

/// A session that can be resumed.
#[derive(Debug, Clone)]
pub struct SessionRecord {
    /// Whose it is.
    pub user: Arc<str>,
    /// Which.
    pub session: SessionId,
    /// Until when it can be resumed; `None` while it has a connection.
    pub until_unix_ms: Option<u64>,
    /// How far its client has certainly got.
    pub progress: Progress,
}

/// What one shard leaves behind in a turn: kept together, or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Its number among the shard's.
    pub number: u64,
    /// Oldest first.
    pub records: Vec<Record>,
    /// What they hold, about.
    pub bytes: usize,
}

impl Record {
    /// Bytes that it holds while it waits: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 96;
        BASE + match self {
            Self::Entry(entry) => entry.cost(),
            Self::Session(session) => session.progress.cost(),
            Self::Value { key, value, .. } => key.len() + value.as_ref().map_or(0, Bytes::len),
            Self::Receipt { delivered, read, .. } => 16 * (delivered.len() + read.len()),
            Self::Room(room) => room.card.as_ref().map_or(0, |card| {
                let named = card.audience.as_ref().map_or(0, |users| 32 * users.len());
                named + card.metadata.as_ref().map_or(0, Bytes::len)
            }),
            _ => 0,
        }
    }
}
