//! What a client asks for, whatever the dialect it asked in.

use std::sync::Arc;

use bytes::Bytes;

use super::catalog::Event;
use super::error_code::CommandError;
use super::json::Value;
use super::message::{Lane, MessageType, Metadata};
use crate::backend::Forwarded;
use crate::id::{Epoch, MessageId, Offset};
use crate::room::name::qualify;
use crate::room::pattern::Pattern;

/// The `requestId` of a command as it was sent: a JSON string or number, echoed verbatim.
pub type RequestId = Option<Box<str>>;

/// A decoded frame.
#[derive(Debug)]
pub struct Request {
    /// The event that it names; a topic client's frames name the event that they amount to.
    pub event: Event,
    /// To be echoed in the reply.
    pub id: RequestId,
    /// What to do.
    pub command: Command,
}

/// A frame that is no command, and what to answer.
#[derive(Debug)]
pub struct Rejection {
    /// Whether it could be read as a frame of the dialect at all.
    pub legible: bool,
    /// The event, when it named one.
    pub event: Option<Event>,
    /// To be echoed, when it could be read.
    pub id: RequestId,
    /// Why.
    pub error: CommandError,
}

impl Rejection {
    /// A frame that cannot be read; it is answered without `requestId`.
    #[must_use]
    pub fn illegible(reason: &'static str) -> Self {
        Self { legible: false, event: None, id: None, error: CommandError::protocol(reason) }
    }
}

/// A position in a room's stream, as a client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `None` when the text can be no epoch of ours.
    pub epoch: Option<Epoch>,
    /// The last offset that the client has.
    pub offset: Offset,
}

impl Position {
    /// Reads the `recover` member of a frame, if it has one.
    ///
    /// # Errors
    /// When it is no object with an epoch and an offset.
    pub fn read(value: Option<Value<'_>>) -> Result<Option<Self>, CommandError> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let epoch = value.get("epoch").and_then(|epoch| epoch.as_str());
        let offset = value.get("offset").and_then(|offset| offset.as_u64());
        let (Some(epoch), Some(offset)) = (epoch, offset) else {
            return Err(CommandError::invalid("recover", "must be an object with an epoch and an offset"));
        };
        Ok(Some(Self { epoch: Epoch::parse(epoch), offset }))
    }
}

/// A command of any dialect.
#[derive(Debug)]
pub enum Command {
    /// Present a token.
    Auth {
        /// The token.
        token: String,
    },
    /// Answer with a `pong`.
    Ping,
    /// Enter a room.
    Join {
        /// The room.
        room: String,
        /// How many of the newest messages to answer with.
        history: usize,
        /// From where to catch up; wins over `history`.
        recover: Option<Position>,
    },
    /// Leave a room.
    Leave {
        /// The room.
        room: String,
    },
    /// Subscribe to a pattern (topic dialect).
    SubscribePattern(Pattern),
    /// Give a pattern up (topic dialect).
    UnsubscribePattern(Pattern),
    /// List the connection's rooms.
    List,
    /// Describe a room.
    Info {
        /// The room.
        room: String,
    },
    /// Page through a room's users.
    Online {
        /// The room.
        room: String,
        /// Users a page.
        limit: usize,
        /// The last user of the page before.
        cursor: Option<String>,
    },
    /// Enter rooms and patterns, or leave them; each has its own result.
    Multiple {
        /// Whether to enter.
        subscribe: bool,
        /// Rooms, valid or not.
        rooms: Vec<Result<String, Invalid>>,
        /// Patterns, valid or not.
        patterns: Vec<Result<Pattern, Invalid>>,
    },
    /// Page through a room's messages.
    History {
        /// The room.
        room: String,
        /// Exclusive upper bound.
        before: Option<Offset>,
        /// Exclusive lower bound.
        after: Option<Offset>,
        /// Messages a page.
        limit: usize,
    },
    /// Send a message.
    Send(Draft),
    /// Send several messages.
    SendBatch(Vec<Result<Draft, CommandError>>),
    /// Send into a user's own room.
    UserSend {
        /// The user.
        user: String,
        /// The message; its room is that user's.
        draft: Draft,
    },
    /// Create a room.
    Create(Creation),
    /// Close a room for good.
    CloseRoom {
        /// The room.
        room: String,
    },
    /// Say how a subscription stands, or how all of the connection's do.
    Subscription {
        /// The room; `None` for all.
        room: Option<String>,
        /// Whether to describe the room too.
        details: bool,
    },
    /// Change a message, or delete it.
    Revise {
        /// The room.
        room: String,
        /// The message.
        message: MessageId,
        /// What it says from now on; `None` deletes it.
        content: Option<Bytes>,
        /// Whether that came with attachments.
        binary: bool,
    },
    /// Confirm that messages arrived or were read.
    Receipt {
        /// The room.
        room: String,
        /// Up to where.
        upto: UpTo,
        /// Whether they were read, and not only delivered.
        read: bool,
    },
    /// Say who got a message, and who read it.
    DeliveryStatus {
        /// The room.
        room: String,
        /// The message.
        message: MessageId,
    },
    /// Say that the user writes, or no longer does.
    Typing {
        /// The room.
        room: String,
        /// Which of the two.
        typing: bool,
    },
    /// List who writes.
    TypingUsers {
        /// The room.
        room: String,
    },
    /// Count a room's messages.
    MessageStats {
        /// The room.
        room: String,
    },
    /// Change the user's own status.
    UpdateStatus(StatusUpdate),
    /// Watch statuses, or do so no longer.
    Watch {
        /// Which of the two.
        watch: bool,
        /// The users named.
        users: Vec<String>,
        /// The room whose members are meant.
        room: Option<String>,
    },
    /// Page through the visible users who are online.
    OnlineUsers {
        /// Users a page.
        limit: usize,
        /// The last user of the page before.
        cursor: Option<String>,
    },
    /// Describe a user's presence.
    UserStatus {
        /// The user.
        user: String,
    },
    /// Count the visible users by status.
    PresenceStats,
    /// Make the session recoverable.
    CreateSession,
    /// Resume a session.
    RecoverSession {
        /// Its token.
        token: String,
        /// Where the client knows to have been, by room.
        positions: Vec<(String, Position)>,
    },
    /// Describe the connection.
    SessionInfo,
    /// Count recoveries.
    RecoveryStats,
    /// The gateway about itself.
    Monitor {
        /// Which part.
        topic: Monitoring,
        /// Entries at most, where there are any.
        limit: usize,
    },
    /// For a backend.
    Forward(Forwarded),
}

impl Command {
    /// The command came with attachments, which stand in it in base64.
    pub fn mark_binary(&mut self) {
        match self {
            Self::Send(draft) | Self::UserSend { draft, .. } => draft.binary = true,
            Self::SendBatch(drafts) => drafts.iter_mut().flatten().for_each(|draft| draft.binary = true),
            Self::Revise { binary, .. } => *binary = true,
            _ => {}
        }
    }

    /// Moves every room and user that the command names into a namespace.
    pub fn enter_namespace(&mut self, namespace: &str) {
        let enter = |name: &mut String| *name = qualify(Some(namespace), name).into_owned();
        match self {
            Self::Auth { .. }
            | Self::Ping
            | Self::List
            | Self::SubscribePattern(_)
            | Self::UnsubscribePattern(_)
            | Self::PresenceStats
            | Self::CreateSession
            | Self::SessionInfo
            | Self::RecoveryStats
            | Self::Monitor { .. }
            | Self::UpdateStatus(_) => {}
            Self::Join { room, .. }
            | Self::Leave { room }
            | Self::Info { room }
            | Self::Online { room, .. }
            | Self::History { room, .. }
            | Self::CloseRoom { room }
            | Self::Revise { room, .. }
            | Self::Receipt { room, .. }
            | Self::DeliveryStatus { room, .. }
            | Self::Typing { room, .. }
            | Self::TypingUsers { room }
            | Self::MessageStats { room } => enter(room),
            Self::Subscription { room, .. } | Self::Forward(Forwarded { room, .. }) => {
                room.iter_mut().for_each(enter);
            }
            Self::Multiple { rooms, .. } => rooms.iter_mut().flatten().for_each(enter),
            Self::Send(draft) => enter(&mut draft.room),
            Self::SendBatch(drafts) => {
                drafts.iter_mut().flatten().for_each(|draft| enter(&mut draft.room));
            }
            Self::UserSend { user, draft } => {
                enter(user);
                enter(&mut draft.room);
            }
            Self::Create(creation) => {
                enter(&mut creation.room);
                creation.members.iter_mut().for_each(enter);
            }
            Self::Watch { users, room, .. } => users.iter_mut().chain(room).for_each(enter),
            Self::OnlineUsers { cursor, .. } => cursor.iter_mut().for_each(enter),
            Self::UserStatus { user } => enter(user),
            Self::RecoverSession { positions, .. } => {
                positions.iter_mut().for_each(|(room, _)| enter(room));
            }
        }
    }
}

/// A room as its creator wants it.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its name; empty for one that the server makes.
    pub room: String,
    /// Whether only those named may enter.
    pub private: bool,
    /// Users who may enter a private room, beside its creator.
    pub members: Vec<String>,
    /// The application's own: an object.
    pub metadata: Option<Bytes>,
    /// Users that it holds at most.
    pub members_max: Option<usize>,
}

/// Up to where a receipt reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpTo {
    /// Up to this message.
    Message(MessageId),
    /// Up to this offset.
    Offset(Offset),
}

/// What a user says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// There.
    #[default]
    Online,
    /// There, but not looking.
    Away,
    /// There, but not to be disturbed.
    Busy,
    /// Not there, or not to be seen.
    Offline,
}

impl Status {
    /// Every status; its position is its index in counts.
    pub const ALL: [Self; 4] = [Self::Online, Self::Away, Self::Busy, Self::Offline];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::Offline => "offline",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A status and the user's own words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The status.
    pub status: Status,
    /// The words.
    pub text: Option<Box<str>>,
}

/// What of itself the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitoring {
    /// All metrics.
    Metrics,
    /// The latest events of connections.
    Events,
    /// Sums.
    Stats,
    /// What is near a limit.
    Health,
}

/// A name that is none: as sent, shortened, and why it is refused.
#[derive(Debug)]
pub struct Invalid {
    /// The text, at most 128 bytes of it.
    pub text: String,
    /// Why.
    pub error: CommandError,
}

/// A message as its sender wrote it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room.
    pub room: String,
    /// Its kind.
    pub kind: MessageType,
    /// The content, byte for byte.
    pub content: Bytes,
    /// The application's own.
    pub metadata: Option<Metadata>,
    /// Makes the send idempotent.
    pub client_id: Option<Box<str>>,
    /// Whether the sender's own session is left out.
    pub exclude_sender: bool,
    /// A user who is left out; only the server API names one.
    pub exclude_user: Option<Arc<str>>,
    /// Whether it may wait to share a write.
    pub lane: Lane,
    /// Whether it came with attachments, which stand in it in base64.
    pub binary: bool,
    /// Whether recipients that can are asked to confirm that it arrived.
    pub ack_requested: bool,
}
