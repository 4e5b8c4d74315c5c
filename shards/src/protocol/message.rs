//! A message in a room: what the owner accepted, shared by all shards that deliver it.

use std::sync::Arc;

use bytes::Bytes;

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
    /// A JSON object, byte for byte as sent.
    pub metadata: Option<Bytes>,
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
        let metadata = self.metadata.as_ref().map_or(0, Bytes::len);
        let client_id = self.client_id.as_ref().map_or(0, |id| id.len());
        self.content.len() + metadata + client_id + size_of::<Self>()
    }
}
