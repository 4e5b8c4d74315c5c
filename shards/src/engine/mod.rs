//! Where rooms are ordered when one process is not enough: what a shard asks of it, and what it hears.
//!
//! Alone, a room's owner shard is its sequencer, and nothing here is on a message's path. Several nodes that share rooms
//! share an engine, which knows rooms only as this: a stream of entries that it orders, fields that it remembers, and
//! words that it passes on. What entries, fields and words mean is the shards' affair (`codec`), so that an engine is
//! small, and every rule stands in one place whatever the engine. [`memory`] is one in this process; the binary has one
//! on Redis.

pub mod codec;
pub mod memory;

use std::sync::Arc;

use bytes::Bytes;

use crate::id::{Epoch, Offset, ShardId};

/// A process among those that share an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// Tells apart what a shard waits for.
pub type Ticket = u64;

/// What the engine remembers of a room beside its stream: one field of a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Who is in the room, by node and user.
    Members,
    /// Up to where absent members of a queued room have got it, by user.
    Cursors,
    /// Up to where users have got and read it, by user.
    Receipts,
    /// Sessions of the user whose own room it is, by session.
    Sessions,
    /// What its creator decided; one field.
    Card,
}

/// A field and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The table.
    pub table: Table,
    /// Its name there.
    pub name: String,
    /// What it holds.
    pub value: Bytes,
}

/// What a shard asks of the engine about a room that it owns on its node.
#[derive(Debug, Clone)]
pub enum Request {
    /// Follow the room: [`Event::Opened`] says how it stands, and behind it comes, without gap, what happens in it.
    Open {
        /// The room.
        room: Arc<str>,
        /// Its stream up to now, when that is to end here: messages were given out that never got into it. If it is still
        /// that one, the room begins a new stream.
        ended: Option<Epoch>,
    },
    /// Follow the room no more.
    Release {
        /// The room.
        room: Arc<str>,
    },
    /// Give the entry the next offset, keep it, and tell it to every follower: [`Event::Appended`] answers, unless
    /// something of that name was appended before.
    Append {
        /// The room.
        room: Arc<str>,
        /// Names the answer.
        ticket: Ticket,
        /// The entry.
        entry: Bytes,
        /// Within so many milliseconds a second entry of this name is not appended, and what it said instead is given
        /// back.
        once: Option<Once>,
        /// How long it is kept.
        keep: Keep,
    },
    /// Set a field, or forget it, and tell every other follower a word.
    Note {
        /// The room.
        room: Arc<str>,
        /// The field; a value of `None` forgets it.
        field: Option<(Table, String, Option<Bytes>)>,
        /// The word.
        word: Option<Bytes>,
    },
    /// Set a field and say what it held: [`Event::Taken`] answers.
    Take {
        /// The room.
        room: Arc<str>,
        /// Names the answer.
        ticket: Ticket,
        /// The table.
        table: Table,
        /// The field's name.
        name: String,
        /// What it holds from now on.
        value: Bytes,
        /// Whether it is set only if there was none.
        only_new: bool,
        /// What every other follower is told if it is set.
        word: Option<Bytes>,
    },
    /// Forget all of the room, and tell every other follower a word.
    Close {
        /// The room.
        room: Arc<str>,
        /// The word.
        word: Bytes,
    },
}

/// The name of an entry that is to be appended once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The name, one of the room's.
    pub name: String,
    /// What a second one of that name is answered, beside the offset.
    pub says: Bytes,
    /// For how long, in milliseconds.
    pub window_ms: u64,
}

/// How much of a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Entries; 0 keeps none, and the entry has its place all the same.
    pub entries_max: usize,
    /// Milliseconds after the last entry or follower for which the stream, and all that is remembered, outlives them.
    pub ttl_ms: u64,
}

/// What a shard hears from the engine.
#[derive(Debug, Clone)]
pub enum Event {
    /// The room is followed from here on.
    Opened {
        /// The room.
        room: Arc<str>,
        /// How it stands.
        state: RoomState,
    },
    /// An entry, in the order of the stream; of whichever node, this one's too.
    Entry {
        /// The room.
        room: Arc<str>,
        /// The stream.
        epoch: Epoch,
        /// The entry's place in it.
        offset: Offset,
        /// The entry.
        entry: Bytes,
    },
    /// Another stream has begun, at 0.
    Restarted {
        /// The room.
        room: Arc<str>,
        /// The stream.
        epoch: Epoch,
    },
    /// An entry has its place, or had it before.
    Appended {
        /// Which.
        ticket: Ticket,
        /// Where.
        place: Result<Appended, Unavailable>,
    },
    /// A field was taken.
    Taken {
        /// Which.
        ticket: Ticket,
        /// What it held.
        held: Result<Option<Bytes>, Unavailable>,
    },
    /// A word of another node.
    Word {
        /// The room.
        room: Arc<str>,
        /// The node.
        from: NodeId,
        /// The word.
        word: Bytes,
    },
    /// A node is gone: what its fields say of it holds no longer.
    NodeGone(NodeId),
    /// The engine cannot be reached. What was asked for and not answered has perhaps happened.
    Down,
    /// It can again: every room must be opened anew.
    Up,
}

/// How a room stands.
#[derive(Debug, Clone)]
pub struct RoomState {
    /// The stream.
    pub epoch: Epoch,
    /// The last entry's place.
    pub offset: Offset,
    /// The newest entries, consecutive, the last one at `offset`.
    pub entries: Vec<(Offset, Bytes)>,
    /// What is remembered.
    pub fields: Vec<Field>,
}

/// Where an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The stream.
    pub epoch: Epoch,
    /// Its place.
    pub offset: Offset,
    /// What the first entry of that name said, if this was not the first.
    pub first: Option<Bytes>,
}

/// The engine was not reached, or did not answer: whether it did what it was asked is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine is not available")]
pub struct Unavailable;

/// What orders the rooms that several nodes share.
///
/// The contract, which one suite of tests checks on every engine:
///
/// - **Order.** The entries of a room have consecutive offsets from 1 within an epoch. Every follower hears them in that
///   order, each once, as long as the engine is up; so does the node that appended them. An append is answered with the
///   place at which its entry is heard.
/// - **Opening.** What [`Event::Opened`] says and what follows it meet without gap or duplicate. A room that nobody has
///   opened before begins at offset 0 of an epoch that no other stream has, and that all who open it hear.
/// - **Atomicity.** An append is kept, ordered and told, or none of it. A repeat of a name within its window is answered
///   with the first's epoch, offset and words, and appended no second time, whichever node asks.
/// - **Words and fields.** A word comes to every other follower of its room, behind what happened before it, and to
///   nobody else; the field is set before it is heard. Words are not kept.
/// - **Loss.** [`Event::Down`] is heard before anything is missed. From then on until [`Event::Up`] nothing else comes,
///   and what was asked for and not answered is answered with [`Unavailable`], whether it happened or not. After
///   [`Event::Up`] nothing is followed; a room that has lost its stream meanwhile opens with another epoch.
/// - **Nodes.** A node that ends without a word is told of with [`Event::NodeGone`] when its lease is over, at most a
///   third of it later.
/// - **Requests of one shard** about one room take effect in the order in which they were made.
pub trait Engine {
    /// Takes requests of a shard, and leaves `requests` empty; events come in their own time. Never blocks.
    ///
    /// # Errors
    /// What could not be taken stays in `requests`, in order: the shard keeps it, and asks its clients for nothing more
    /// until there is room.
    fn submit(&self, shard: ShardId, requests: &mut Vec<Request>) -> Result<(), Full>;
}

/// There is no room for more requests now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Event {
    /// The question that it answers, if it answers one.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Appended { ticket, .. } | Self::Taken { ticket, .. } => Some(*ticket),
            _ => None,
        }
    }
}

impl Request {
    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        match self {
            Self::Open { room, .. }
            | Self::Release { room }
            | Self::Append { room, .. }
            | Self::Note { room, .. }
            | Self::Take { room, .. }
            | Self::Close { room, .. } => room,
        }
    }

    /// The answer of an engine that cannot be reached, if one is waited for.
    #[must_use]
    pub fn unanswered(&self) -> Option<Event> {
        match self {
            Self::Append { ticket, .. } => Some(Event::Appended { ticket: *ticket, place: Err(Unavailable) }),
            Self::Take { ticket, .. } => Some(Event::Taken { ticket: *ticket, held: Err(Unavailable) }),
            _ => None,
        }
    }

    /// Bytes that it holds while it waits.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 128;
        BASE + match self {
            Self::Append { entry, .. } => entry.len(),
            Self::Note { field, word, .. } => {
                let value = field.as_ref().and_then(|(.., value)| value.as_ref());
                value.map_or(0, Bytes::len) + word.as_ref().map_or(0, Bytes::len)
            }
            Self::Take { value, .. } => value.len(),
            Self::Open { .. } | Self::Release { .. } | Self::Close { .. } => 0,
        }
    }
}
