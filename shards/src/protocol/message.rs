//! A message in a room: what the owner accepted, shared by all shards that deliver it.

use std::sync::Arc;

use bytes::Bytes;

use super::command::Draft;
use super::json::Value;
use super::write;
use crate::id::{Epoch, MessageId, Offset, SessionId};

/// The kinds of messages (protocol §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// From a person.
    Chat,
    /// From a program.
    Robot,
    /// From the application itself.
    System,
    /// Names a file.
    File,
    /// Names an image.
    Image,
    /// Holds a graph.
    Graph,
}

impl MessageType {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Chat, Self::Robot, Self::System, Self::File, Self::Image, Self::Graph];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Robot => "robot",
            Self::System => "system",
            Self::File => "file",
            Self::Image => "image",
            Self::Graph => "graph",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether only `message:send-as` may send it.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        matches!(self, Self::Robot | Self::System)
    }
}

/// How soon a message must go out (protocol §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lane {
    /// At once.
    #[default]
    Streaming,
    /// It may wait a little to share a write with others, but no later message of its room overtakes it.
    BatchDelay,
}

impl Lane {
    /// The lane of a kind of message whose sender names none.
    #[must_use]
    pub fn of(kind: MessageType) -> Self {
        if matches!(kind, MessageType::File | MessageType::Robot) {
            Self::BatchDelay
        } else {
            Self::Streaming
        }
    }

    /// The `deliveryStatus` of a live message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::BatchDelay => "batch-delay",
        }
    }
}

/// What became of a message after it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revised {
    /// It says something else now.
    Edited,
    /// It says nothing any more.
    Deleted,
}

/// A change of a message, or the mark that one left on it.
#[derive(Debug, Clone)]
pub struct Revision {
    /// Which of the two.
    pub kind: Revised,
    /// When.
    pub unix_ms: u64,
    /// Who did it.
    pub by: Arc<str>,
    /// The change's own offset.
    pub offset: Offset,
    /// The offset of the message that it changes.
    pub of: Offset,
}

/// What an application says about a message: a JSON object, byte for byte as sent.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The object.
    pub raw: Bytes,
    /// Where it differs, the object without the members that the topic dialect's frames add to it, so that nobody
    /// can speak for the server there.
    pub for_topics: Option<Bytes>,
}

/// Members that a topic frame's metadata gets from the server.
const RESERVED_METADATA: [&str; 4] = ["id", "senderId", "epoch", "offset"];

impl Metadata {
    /// Takes an object that was parsed.
    #[must_use]
    pub fn read(value: Value<'_>) -> Self {
        let raw = Bytes::copy_from_slice(value.raw());
        let for_topics = Self::names_reserved(value).then(|| {
            let mut out = vec![b'{'];
            for (name, member) in value.members().filter(|(name, _)| !RESERVED_METADATA.contains(name)) {
                write::key_escaped(&mut out, name);
                out.extend_from_slice(member.raw());
            }
            out.push(b'}');
            out.into()
        });
        Self { raw, for_topics }
    }

    /// Whether an object has a member of the server's.
    #[must_use]
    pub fn names_reserved(value: Value<'_>) -> bool {
        value.members().any(|(name, _)| RESERVED_METADATA.contains(&name))
    }
}

/// Who does not get something that everybody else in a room gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Except {
    /// Everybody gets it.
    Nobody,
    /// A user, on all of its connections.
    User(Arc<str>),
    /// A session.
    Session(SessionId),
}

/// Somebody who reads: as which user and session.
#[derive(Debug, Clone, Copy)]
pub struct Eyes<'a> {
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: &'a str,
}

impl Except {
    /// Whether it is hidden from somebody.
    #[must_use]
    pub fn hides_from(&self, eyes: Eyes<'_>) -> bool {
        match self {
            Self::Nobody => false,
            Self::User(user) => **user == *eyes.user,
            Self::Session(session) => *session == eyes.session,
        }
    }

    /// The session, if it is one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(session) => Some(*session),
            _ => None,
        }
    }
}

/// One entry of a room's stream: a message, or a change of one; itself it never changes.
///
/// A change bears the id and everything else of the message as it is afterwards, and the change's own offset. In a
/// history the message itself is replaced by one in its final state, at its own offset.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The message's id; sorts by time.
    pub id: MessageId,
    /// The room.
    pub room: Arc<str>,
    /// The stream that the offset counts in.
    pub epoch: Epoch,
    /// Position in the stream.
    pub offset: Offset,
    /// The user who sent it.
    pub sender: Arc<str>,
    /// Its kind.
    pub kind: MessageType,
    /// JSON, byte for byte as sent.
    pub content: Bytes,
    /// The application's own.
    pub metadata: Option<Metadata>,
    /// The sender's own name for it.
    pub client_id: Option<Box<str>>,
    /// When the owner accepted it.
    pub unix_ms: u64,
    /// Who must not get it.
    pub exclude: Except,
    /// How soon it must go out.
    pub lane: Lane,
    /// The last change of the message.
    pub revision: Option<Box<Revision>>,
    /// For a room that not everybody may enter: who may.
    pub audience: Option<Arc<Audience>>,
    /// Whether it came with attachments, which stand in it in base64.
    pub binary: bool,
    /// Whether its sender wants to know that it arrived.
    pub ack_requested: bool,
}

/// The users who may enter a private room without a right of their own.
#[derive(Debug, Default)]
pub struct Audience(pub ahash::HashSet<Arc<str>>);

impl Publication {
    /// A message for tests, of nobody in particular.
    #[cfg(test)]
    pub(crate) fn sample(room: &str, offset: Offset, unix_ms: u64) -> Self {
        Self {
            id: crate::id::MessageIds::default().next(unix_ms, &mut rand::rng()),
            room: room.into(),
            epoch: Epoch(1),
            offset,
            sender: "s".into(),
            kind: MessageType::Chat,
            content: Bytes::from_static(b"1"),
            metadata: None,
            client_id: None,
            unix_ms,
            exclude: Except::Nobody,
            lane: Lane::Streaming,
            revision: None,
            audience: None,
            binary: false,
            ack_requested: false,
        }
    }

    /// Bytes that it takes in a history: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        let metadata = self.metadata.as_ref().map_or(0, |metadata| metadata.raw.len());
        let client_id = self.client_id.as_ref().map_or(0, |id| id.len());
        self.content.len() + metadata + client_id + size_of::<Self>()
    }

    /// The change of an earlier message that this is, if it is no message itself.
    #[must_use]
    pub fn change(&self) -> Option<&Revision> {
        self.revision.as_deref().filter(|revision| revision.offset == self.offset)
    }

    /// Whether the message was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.revision.as_ref().is_some_and(|revision| revision.kind == Revised::Deleted)
    }
}

impl Draft {
    /// A message that has content and nothing else.
    #[must_use]
    pub fn new(room: String, kind: MessageType, content: Bytes) -> Self {
        Self {
            room,
            kind,
            content,
            metadata: None,
            client_id: None,
            exclude_sender: false,
            exclude_user: None,
            lane: Lane::Streaming,
            binary: false,
            ack_requested: false,
        }
    }
}
