//! What crosses from one shard to another: ids and owned bytes, nothing that is shared but immutable data.
//!
//! A home shard asks a room's owner; the owner answers and publishes. Both travel the same ring in the same
//! order, so that a join's answer and the room's live messages meet without gap or duplicate. A user's owner is asked
//! through that user's room.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::limits::SharedBucket;
use crate::id::{ConnectionId, Epoch, MessageId, Offset, SessionId};
use crate::protocol::catalog::Event;
use crate::protocol::command::{Creation, Draft, Position, RequestId, Status, StatusUpdate, UpTo};
use crate::protocol::error_code::CommandError;
use crate::protocol::message::Publication;
use crate::protocol::push::{Notice, PresenceChange};
use crate::protocol::reply::{
    DeliveryStatus, HistoryPage, Joined, MessageStats, OnlinePage, Presence, PresenceCounts, ReceiptStatus,
    RecoveryStats, RoomCard, RoomInfo, Sent, SessionError, Standing,
};
use crate::room::pattern::Pattern;
use crate::user::session::SessionRoom;
use crate::user::users::Viewer;

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
                Operation::Park { rooms, .. } => size_of_val(&**rooms),
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
            Self::Notice(_)
            | Self::Relay(_)
            | Self::Interest(_)
            | Self::Watching(_)
            | Self::Status(_)
            | Self::Evict(_) => 0,
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
    /// It says whether a connection that came with `?session=` may have it.
    Session,
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

/// Who reads a room, for the owner of one that may be private.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The user.
    pub user: Arc<str>,
    /// Whether it may read the room whoever was named for it: it is in it, or has a right of its own.
    pub entitled: bool,
}

/// What an owner must know to let a connection in.
#[derive(Debug)]
pub struct Joining {
    /// The user, and whether it may enter a private room without being named.
    pub reader: Reader,
    /// The session, whose own excluded messages stay hidden.
    pub session: SessionId,
    /// What the subscription is called on the home shard, for as long as it lasts.
    pub number: u32,
    /// Tells apart the answers of one subscription.
    pub sequence: u32,
    /// Whether the connection is in the room already; then only the answer is wanted.
    pub again: bool,
    /// Newest messages to answer with.
    pub history: usize,
    /// From where to catch up.
    pub recover: Option<Position>,
    /// Up to where, when what is behind it came live.
    pub until: Option<Offset>,
    /// Its account.
    pub account: Option<Arc<str>>,
    /// Whether the user has no name of its own, so that nothing is kept for it.
    pub anonymous: bool,
}

/// What an owner is asked to do.
#[derive(Debug)]
pub enum Operation {
    /// Let a connection in.
    Join(Box<Joining>),
    /// Let a connection out.
    Leave {
        /// The user.
        user: Arc<str>,
        /// What the subscription was called on the home shard.
        number: u32,
        /// Whether the connection was lost, so that the user stays for a while.
        lost: bool,
        /// The last offset that was queued for it; `None` when it was never let in, as far as is known.
        seen: Option<Offset>,
        /// Whether the user has no name of its own, so that nothing is kept for it.
        anonymous: bool,
    },
    /// Note that a connection that is gone had got everything up to an offset only.
    Undelivered {
        /// The user.
        user: Arc<str>,
        /// The stream.
        epoch: Epoch,
        /// Up to where.
        offset: Offset,
    },
    /// Create the room, and let its creator in.
    Create {
        /// The creator.
        joining: Box<Joining>,
        /// What it wants.
        creation: Box<Creation>,
    },
    /// Close the room.
    Close {
        /// The user.
        user: Arc<str>,
        /// Whether it may close rooms of others.
        supervisor: bool,
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
        /// When the sender is not in the room: whether it may enter it even if it is private.
        outside: Option<bool>,
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
    /// Change a message, or delete it.
    Revise {
        /// The user.
        user: Arc<str>,
        /// Whether it may change messages of others.
        moderator: bool,
        /// The message.
        message: MessageId,
        /// What it says from now on; `None` deletes it.
        content: Option<Bytes>,
    },
    /// Note that messages arrived or were read.
    Receipt {
        /// The user.
        user: Arc<str>,
        /// The session that says so.
        session: SessionId,
        /// Up to where.
        upto: UpTo,
        /// Whether they were read.
        read: bool,
    },
    /// Note that a user writes, or no longer does.
    Typing {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        typing: bool,
    },
    /// Say whether a user is in the room.
    Contains {
        /// The user.
        user: Arc<str>,
    },
    /// Say something about the room.
    Tell {
        /// Who asks.
        reader: Reader,
        /// What.
        question: Question,
    },
    /// Something of the user whose own room this is.
    User(UserOperation),
    /// The rooms of a session whose connection is gone.
    Park {
        /// The session.
        session: SessionId,
        /// The connection that had it.
        connection: ConnectionId,
        /// What it had.
        rooms: Arc<[SessionRoom]>,
    },
    /// Something that every shard knows a part of.
    Everywhere(ShardQuestion),
}

/// What an owner may say about a room.
#[derive(Debug)]
pub enum Question {
    /// Describe it.
    Info,
    /// Describe it as one entry of a list.
    Entry,
    /// Say how the reader's subscription stands.
    Standing,
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
    /// Say who got a message, and who read it.
    DeliveryStatus(MessageId),
    /// List who writes.
    TypingUsers,
    /// Count its messages.
    MessageStats,
}

/// What a user's owner is asked to do.
#[derive(Debug)]
pub enum UserOperation {
    /// One of the user's connections entered a room, or left it.
    Moved {
        /// The room.
        room: Arc<str>,
        /// Which of the two.
        entered: bool,
        /// Whether the connection was lost.
        lost: bool,
    },
    /// Change the user's status.
    UpdateStatus {
        /// To this.
        update: StatusUpdate,
        /// How often it may be.
        rate: Option<crate::config::Rate>,
    },
    /// Describe the user's presence to somebody.
    Presence(Viewer),
    /// Open a session for a connection.
    OpenSession {
        /// The session.
        session: SessionId,
    },
    /// Give a session to the connection that asks.
    Resume {
        /// The session.
        session: SessionId,
    },
}

/// What every shard is asked.
#[derive(Debug, Clone)]
pub enum ShardQuestion {
    /// Page through the users who are online.
    OnlineUsers {
        /// Who asks.
        viewer: Viewer,
        /// Users a page.
        limit: usize,
        /// The last user of the page before.
        cursor: Option<Arc<str>>,
    },
    /// Count the users by status.
    PresenceStats(Viewer),
    /// Count the recoveries of sessions.
    RecoveryStats,
    /// The latest events of connections.
    ConnectionEvents {
        /// At most so many.
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

/// That a connection was let in.
#[derive(Debug)]
pub struct Entry {
    /// Where the stream stands, and what was missed.
    pub joined: Joined,
    /// Messages that were kept for the user and are not among those.
    pub kept: Vec<Arc<Publication>>,
    /// Whether some of them could not be kept.
    pub resync: bool,
    /// From where on the client has yet to get everything.
    pub base: Offset,
    /// Which answer of the subscription this is.
    pub sequence: u32,
    /// For the user's own room: the bucket that all of the user's connections share.
    pub bucket: Option<Arc<SharedBucket>>,
}

/// What an owner did.
#[derive(Debug)]
pub enum Outcome {
    /// Let a connection in.
    Joined(Box<Entry>),
    /// Did not let a connection in.
    Refused {
        /// The room.
        room: Arc<str>,
        /// Which answer of the subscription this is.
        sequence: u32,
        /// Why.
        error: CommandError,
    },
    /// Let a connection out, or closed the room.
    Left {
        /// The room.
        room: Arc<str>,
    },
    /// Created the room.
    Created(Arc<RoomCard>),
    /// Accepted a message.
    Sent(Sent),
    /// Changed a message.
    Revised(Arc<Publication>),
    /// Noted a receipt.
    Receipt(ReceiptStatus),
    /// Noted a typing user.
    Typing {
        /// The room.
        room: Arc<str>,
        /// Whether the user writes.
        typing: bool,
    },
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
    /// Said how a subscription stands.
    Standing(Box<Standing>),
    /// A page of users.
    Online(OnlinePage),
    /// A page of messages.
    History(HistoryPage),
    /// Who got a message, and who read it.
    DeliveryStatus(DeliveryStatus),
    /// Who writes.
    TypingUsers {
        /// The room.
        room: Arc<str>,
        /// The users.
        users: Vec<Arc<str>>,
    },
    /// A room's messages, counted.
    MessageStats(MessageStats),
    /// Changed the user's status.
    StatusUpdated(Presence),
    /// A user's presence.
    Presence(Presence),
    /// Opened a session.
    SessionOpened(SessionId),
    /// Gave a session, or says why not.
    Resumed {
        /// The session.
        session: SessionId,
        /// The user whose it is.
        user: Arc<str>,
        /// What it had.
        rooms: Result<Arc<[SessionRoom]>, SessionError>,
    },
    /// A shard knows of a pattern.
    Interested,
    /// A shard's users who are online, and how many they are.
    OnlineUsers(Vec<Presence>, usize),
    /// A shard's users by status.
    PresenceStats(PresenceCounts),
    /// A shard's recoveries.
    RecoveryStats(RecoveryStats),
    /// A shard's latest events of connections: when, and the event already written.
    ConnectionEvents(Vec<(u64, Vec<u8>)>),
}
