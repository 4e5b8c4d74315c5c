//! What a home shard asks of the owner of a room or of a user, or of every shard.

use std::sync::Arc;

use bytes::Bytes;

use super::administration::Administration;
use crate::config::Rate;
use crate::id::{ConnectionId, Epoch, MessageId, Offset, SessionId};
use crate::protocol::app_event::AppEvent;
use crate::protocol::command::{Creation, Draft, Position, StatusUpdate, UpTo};
use crate::protocol::emission::Emission;
use crate::protocol::push::Except;
use crate::room::seats::Seat;
use crate::user::progress::Progress;
use crate::user::users::Viewer;

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
    /// Whose session it is, if it can be resumed and a store is to know.
    pub session_user: Option<Arc<str>>,
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
        /// The session that leaves for good, and whose it is, if a store is to know.
        session: Option<Box<(Arc<str>, SessionId)>>,
    },
    /// Note up to where a connection that is gone had got everything in the end.
    Settle {
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
    /// Tell the members of something that is no message: it has no offset, and nobody gets it later.
    Push {
        /// What.
        event: Arc<AppEvent>,
        /// Who of them is not told.
        except: Except,
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
        /// Whether that came with attachments.
        binary: bool,
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
        progress: Progress,
    },
    /// Do something with the connections of the shard that is asked.
    Administer(Administration),
    /// Create the room for somebody who does not enter it by that.
    Found {
        /// Whose it is to be.
        owner: Arc<str>,
        /// Whose account is told of it, if it is public.
        account: Option<Arc<str>>,
        /// What it is to be.
        creation: Box<Creation>,
    },
    /// Something that every shard knows a part of.
    Everywhere(ShardQuestion),
    /// Something for connections of the shard that is asked.
    Emit(Arc<Emission>),
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
        rate: Option<Rate>,
    },
    /// The user is in a room by another node, or no longer.
    Elsewhere {
        /// What its seat there is to its presence.
        seat: Seat,
        /// The room.
        room: Arc<str>,
        /// Its account, as far as that is known.
        account: Option<Arc<str>>,
        /// What it says of itself.
        said: StatusUpdate,
        /// Whether it is there.
        there: bool,
        /// Whether its connection was lost.
        lost: bool,
    },
    /// Describe the user's presence to somebody.
    Presence(Viewer),
    /// Show the user, if it is in this room and was out of sight before.
    Appear {
        /// Who came into the room, as it was before.
        viewer: Viewer,
        /// The room.
        room: Arc<str>,
    },
    /// Open a session for a connection.
    OpenSession {
        /// The session.
        session: SessionId,
        /// How far its client has got, if a store is to know.
        progress: Option<Box<Progress>>,
    },
    /// Note how far the client of a session has got, while it has its connection: this process may end without notice.
    Checkpoint {
        /// The session.
        session: SessionId,
        /// How far.
        progress: Box<Progress>,
    },
    /// Give a session to the connection that asks.
    Resume {
        /// The session.
        session: SessionId,
    },
    /// Forget a session: its client has left for good.
    CloseSession {
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
