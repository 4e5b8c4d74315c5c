//! What crosses from one shard to another: ids and owned bytes, nothing that is shared but immutable data.
//!
//! A home shard asks a room's owner; the owner answers and publishes. Both travel the same ring in the same
//! order, so that a join's answer and the room's live messages meet without gap or duplicate.

use std::sync::Arc;

use crate::access::limits::SharedBucket;
use crate::id::{ConnectionId, SessionId};
use crate::protocol::catalog::Event;
use crate::protocol::command::{Draft, Position, RequestId};
use crate::protocol::error_code::CommandError;
use crate::protocol::message::Publication;
use crate::protocol::push::Notice;
use crate::protocol::reply::{HistoryPage, Joined, OnlinePage, RoomInfo, Sent};
use crate::room::pattern::Pattern;

/// One entry of a ring.
#[derive(Debug)]
pub enum Item {
    /// Home shard → owner shard.
    Ask(Box<Ask>),
    /// Owner shard → home shard: the answer to an [`Item::Ask`].
    Answer(Box<Answer>),
    /// Owner shard → each interested shard: one for all members there.
    Publish(Arc<Publication>),
    /// Owner shard → each interested shard: something about a room's members.
    Notice(Box<Notice>),
    /// Home shard → every shard: this shard has, or has no more, subscribers of a pattern.
    Interest(Box<Interest>),
}

/// That a shard has, or has no more, subscribers of a pattern.
#[derive(Debug)]
pub struct Interest {
    /// The pattern.
    pub pattern: Pattern,
    /// Which of the two.
    pub subscribed: bool,
    /// To whom to confirm it.
    pub caller: Option<Caller>,
}

impl Item {
    /// Bytes that the item holds while it waits: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 128;
        BASE + match self {
            Self::Ask(ask) => match &ask.operation {
                Operation::Publish { draft, .. } | Operation::UserSend { draft, .. } => draft.content.len(),
                _ => 0,
            },
            Self::Publish(publication) => publication.content.len(),
            Self::Answer(answer) => match &answer.outcome {
                Ok(Outcome::Joined { joined, .. }) => {
                    joined.messages.as_ref().map_or(0, |list| list.len() * 8)
                }
                _ => 0,
            },
            Self::Notice(_) | Self::Interest(_) => 0,
        }
    }
}

/// Who asked, on the shard that the item comes from, and what becomes of the answer there.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The connection.
    pub connection: ConnectionId,
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// Where an answer goes on the home shard. It travels along, so that nothing has to be remembered there.
#[derive(Debug, Clone)]
pub enum ReplyTo {
    /// Nowhere.
    Nobody,
    /// To the client.
    Client {
        /// What it asked.
        event: Event,
        /// Echoed.
        id: RequestId,
    },
    /// Into one part of a reply that several owners contribute to.
    Part {
        /// The gathering on the home shard.
        gather: u32,
        /// Which part.
        index: u32,
    },
    /// It completes one of the forced rooms of a connection that just authenticated.
    Attach,
}

/// Something that only a room's owner can do.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// The room.
    pub room: Arc<str>,
    /// What to do.
    pub operation: Operation,
}

/// What an owner is asked to do.
#[derive(Debug)]
pub enum Operation {
    /// Let a connection in.
    Join {
        /// The user.
        user: Arc<str>,
        /// The session, whose own excluded messages stay hidden.
        session: SessionId,
        /// Tells apart the subscriptions of one connection to one room.
        sequence: u32,
        /// Whether the connection is in the room already; then only the answer is wanted.
        again: bool,
        /// Newest messages to answer with.
        history: usize,
        /// From where to catch up.
        recover: Option<Position>,
        /// For the user's own room: its account.
        account: Option<Arc<str>>,
    },
    /// Let a connection out.
    Leave {
        /// The user.
        user: Arc<str>,
        /// Whether the connection was lost, so that the user stays for a while.
        lost: bool,
    },
    /// Accept a message.
    Publish {
        /// The user.
        sender: Arc<str>,
        /// The session.
        session: SessionId,
        /// The message.
        draft: Draft,
        /// Whether the sender waits for more than errors.
        confirm: bool,
    },
    /// Accept a message into a user's own room, if the sender may reach that user.
    UserSend {
        /// The user.
        sender: Arc<str>,
        /// The session.
        session: SessionId,
        /// The sender's account.
        account: Option<Arc<str>>,
        /// Whether it was established already that the sender may.
        allowed: bool,
        /// The message.
        draft: Draft,
        /// Whether the sender waits for more than errors.
        confirm: bool,
    },
    /// Say whether a user is in the room.
    Contains {
        /// The user.
        user: Arc<str>,
    },
    /// Describe the room.
    Info,
    /// Describe the room as one entry of a list.
    Entry,
    /// Page through its users.
    Online {
        /// Users a page.
        limit: usize,
        /// The last user of the page before.
        cursor: Option<String>,
    },
    /// Page through its messages.
    History {
        /// The session that asks.
        session: SessionId,
        /// Exclusive upper bound.
        before: Option<u64>,
        /// Exclusive lower bound.
        after: Option<u64>,
        /// Messages a page.
        limit: usize,
    },
}

/// An owner's answer.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub caller: Caller,
    /// What became of it.
    pub outcome: Result<Outcome, CommandError>,
}

/// What an owner did.
#[derive(Debug)]
pub enum Outcome {
    /// Let a connection in.
    Joined {
        /// Where the stream stands, and what was missed.
        joined: Joined,
        /// Which subscription this answers.
        sequence: u32,
        /// For the user's own room: the bucket that all of the user's connections share.
        bucket: Option<Arc<SharedBucket>>,
    },
    /// Let a connection out.
    Left {
        /// The room.
        room: Arc<str>,
    },
    /// Accepted a message.
    Sent(Sent),
    /// Could not tell whether the sender may reach the user: the home shard must find a room that both are in.
    Unacquainted {
        /// The message, given back.
        draft: Box<Draft>,
        /// Whether the sender waits for more than errors.
        confirm: bool,
    },
    /// Whether a user is in the room.
    Contains(bool),
    /// Described a room.
    Info(RoomInfo),
    /// Described a room for a list.
    Entry(Joined),
    /// A page of users.
    Online(OnlinePage),
    /// A page of messages.
    History(HistoryPage),
    /// A shard knows of a pattern.
    Interested,
}
