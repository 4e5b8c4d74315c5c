//! What owners answer.

use std::sync::Arc;

use super::administration::Listed;
use crate::access::limits::SharedBucket;
use crate::id::{Offset, SessionId};
use crate::protocol::command::Draft;
use crate::protocol::error_code::CommandError;
use crate::protocol::message::Publication;
use crate::protocol::push::PresenceChange;
use crate::protocol::reply::{
    DeliveryStatus, HistoryPage, Joined, MessageStats, OnlinePage, Presence, PresenceCounts, ReceiptStatus,
    RecoveryStats, Reply, RoomCard, RoomInfo, Sent, SessionError, Standing,
};
use crate::user::progress::Progress;

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
    /// Told the members of something.
    Pushed {
        /// Users who are in the room, told or not.
        members: usize,
    },
    /// Did something with so many connections.
    Administered {
        /// Connections of the shard.
        connections: usize,
    },
    /// Described connections.
    Listed(Listed),
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
    /// The user has come into sight.
    Appeared(Arc<PresenceChange>),
    /// Opened a session.
    SessionOpened(SessionId),
    /// Gave a session, or says why not.
    Resumed {
        /// The session.
        session: SessionId,
        /// The user whose it is.
        user: Arc<str>,
        /// What it had.
        progress: Result<Progress, SessionError>,
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

impl Outcome {
    /// What it is for whoever asked for nothing else.
    #[must_use]
    pub fn into_reply(self) -> Option<Reply> {
        Some(match self {
            Self::Left { room } => Reply::Left { room },
            Self::Created(card) => Reply::Created(card),
            Self::Sent(sent) => Reply::Sent(sent),
            Self::Revised(publication) => Reply::Revised(publication),
            Self::Receipt(receipt) => Reply::Receipt(receipt),
            Self::Typing { room, typing } => Reply::Typing { room, typing },
            Self::Info(info) => Reply::Info(info),
            Self::Online(page) => Reply::Online(page),
            Self::History(page) => Reply::History(page),
            Self::DeliveryStatus(status) => Reply::DeliveryStatus(status),
            Self::TypingUsers { room, users } => Reply::TypingUsers { room, users },
            Self::MessageStats(stats) => Reply::MessageStats(stats),
            Self::StatusUpdated(presence) => Reply::StatusUpdated(presence),
            Self::Presence(presence) => Reply::UserStatus(presence),
            _ => return None,
        })
    }
}
