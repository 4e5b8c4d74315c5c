//! A message in a room: what the owner accepted, shared by all shards that deliver it.

use std::sync::Arc;

use bytes::Bytes;

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
    const ALL: [Self; 6] = [Self::Chat, Self::Robot, Self::System, Self::File, Self::Image, Self::Graph];

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

/// One accepted message; never changes.
#[derive(Debug)]
pub struct Publication {
    /// Sorts by time.
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
    /// The session that must not get it.
    pub exclude: Option<SessionId>,
}

impl Publication {
    /// Bytes that it takes in a history: what varies, and a fair share of what does not.
    #[must_use]
    pub fn cost(&self) -> usize {
        let metadata = self.metadata.as_ref().map_or(0, |metadata| metadata.raw.len());
        let client_id = self.client_id.as_ref().map_or(0, |id| id.len());
        self.content.len() + metadata + client_id + size_of::<Self>()
    }
}
