//! What a client asks for, whatever the dialect it asked in.

use bytes::Bytes;

use super::catalog::Event;
use super::error_code::CommandError;
use super::json::Value;
use super::message::{MessageType, Metadata};
use crate::id::{Epoch, Offset};
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
}
