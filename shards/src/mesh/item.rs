//! What crosses from one shard to another: ids and owned bytes, nothing that is shared but immutable data.
//!
//! A home shard asks a room's owner; the owner answers and publishes. Both travel the same ring in the same
//! order, so that a join's answer and the room's live messages meet without gap or duplicate. A user's owner is asked
//! through that user's room.

use std::sync::Arc;

use bytes::Bytes;

use super::operation::Operation;
use super::outcome::Outcome;
use crate::id::{ConnectionId, SessionId};
use crate::protocol::catalog::Event;
use crate::protocol::command::{RequestId, Status};
use crate::protocol::error_code::CommandError;
use crate::protocol::message::Publication;
use crate::protocol::push::{News, Notice, PresenceChange};
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
    /// Owner shard → each interested shard: something about a room or its members.
    Notice(Box<Notice>),
    /// Any shard → the owner of another room: something that the members of that room are to be told.
    Relay(Box<Notice>),
    /// Home shard → every shard: this shard has, or has no more, subscribers of a pattern.
    Interest(Box<Interest>),
    /// A user's owner → each shard with watchers: how the user's presence has changed.
    Presence(Arc<PresenceChange>),
    /// Home shard → every shard: this shard has, or has no more, watchers of presence.
    Watching(bool),
    /// A user's owner → the owner of a room that the user is in: what the user says of itself.
    Status(Box<MemberStatus>),
    /// A session's owner → the session's home shard: another connection wants it.
    Evict(Box<Evict>),
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

/// What a user who is in a room says of itself.
#[derive(Debug)]
pub struct MemberStatus {
    /// The room.
    pub room: Arc<str>,
    /// The user.
    pub user: Arc<str>,
    /// The status.
    pub status: Status,
}

/// That a connection must give up its session.
#[derive(Debug)]
pub struct Evict {
    /// The connection that has it.
    pub connection: ConnectionId,
    /// Whose it is.
    pub user: Arc<str>,
    /// Which.
    pub session: SessionId,
}

impl Item {
    /// Bytes that the item holds while it waits: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 128;
        BASE + match self {
            Self::Ask(ask) => match &ask.operation {
                Operation::Publish { draft, .. } | Operation::UserSend { draft, .. } => draft.content.len(),
                Operation::Revise { content, .. } => content.as_ref().map_or(0, Bytes::len),
                Operation::Park { progress, .. } => progress.cost(),
                Operation::Push { event, .. } => event.data.len(),
                Operation::Emit(emission) => emission.cost(),
                _ => 0,
            },
            Self::Publish(publication) => publication.content.len(),
            Self::Answer(answer) => match &answer.outcome {
                Ok(Outcome::Joined(entry)) => {
                    let messages = entry.joined.messages.as_ref().map_or(0, Vec::len);
                    (messages + entry.kept.len()) * 8
                }
                _ => 0,
            },
            Self::Presence(change) => change.rooms.len() * 16,
            Self::Notice(notice) => match &notice.news {
                News::Custom(event) => event.data.len(),
                _ => 0,
            },
            Self::Relay(_) | Self::Interest(_) | Self::Watching(_) | Self::Status(_) | Self::Evict(_) => 0,
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
    /// It says whether a connection with a new token may stay in this room.
    Check(Arc<str>),
    /// It says whether a connection that came with `?session=` may have it.
    Session,
    /// It says whether the first in a connection's line has leave.
    Leave,
    /// A user whom the connection watches has perhaps come into its sight.
    Sight,
    /// To the client, as a push: the control plane has put it into a room.
    Placed,
    /// To the control plane, which called its request so.
    Api(u64),
}

/// Something that only a room's owner can do, or that every shard is asked.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// The room; empty when every shard is asked.
    pub room: Arc<str>,
    /// What to do.
    pub operation: Operation,
}

impl Ask {
    /// What the control plane asks: of the owner of a room, or of a shard if the room is empty. Its answer bears the
    /// token.
    #[must_use]
    pub fn of_api(token: u64, room: Arc<str>, operation: Operation) -> Self {
        let caller = Caller { connection: ConnectionId::NOBODY, reply: ReplyTo::Api(token) };
        Self { caller, room, operation }
    }
}

/// An owner's answer.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub caller: Caller,
    /// What became of it.
    pub outcome: Result<Outcome, CommandError>,
}
