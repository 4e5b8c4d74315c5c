//! What a connection is to Engine.IO, without its socket.
//!
//! A client's Engine.IO session is one [`Connection`](super::Connection): with a socket of its own once it speaks over
//! a WebSocket, without one while it polls. Then its packets travel in requests over other connections, its carriers,
//! which come and go. Its conversation in one namespace is that connection's; each further namespace is a connection
//! without a socket, whose queue empties into the session's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use smallvec::SmallVec;

use super::http::Refusal;
use crate::id::{ConnectionId, ShardId};
use crate::protocol::socketio::Namespace;

/// What answers a session's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// The gateway.
    Gateway,
    /// The echo that the Socket.IO conformance suite expects.
    SocketIoEcho,
    /// The echo that the Engine.IO conformance suite expects.
    EngineEcho,
}

/// The part that a connection plays.
#[derive(Debug)]
pub enum Role {
    /// A client's session.
    Session(Session),
    /// A namespace of the session that this connection is.
    Child(ConnectionId),
    /// A connection that brought a polling request, until that is answered.
    Carrier(Carrier),
    /// A WebSocket that wants to take over a polling session, and whether it has proved to work.
    Probe {
        /// The session.
        session: ConnectionId,
        /// Whether the client's probe was answered.
        answered: bool,
        /// When it is given up, in milliseconds.
        deadline_ms: u64,
    },
}

/// What the connection of a session is to the namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// In none yet.
    None,
    /// In that of its variant.
    Connected,
    /// In none any more; answers that still come are nobody's.
    Left,
}

/// An Engine.IO session.
#[derive(Debug)]
pub struct Session {
    /// What answers.
    pub app: App,
    /// How it polls; `None` when it speaks over a WebSocket.
    pub polling: Option<Box<Polling>>,
    /// The token that its first request brought.
    pub token: Option<Box<str>>,
    /// When the next ping is due, in milliseconds.
    pub ping_due_ms: u64,
    /// When the answer to one is overdue.
    pub pong_due_ms: Option<u64>,
    /// When it must have connected to a namespace; `u64::MAX` once it has.
    pub connect_due_ms: u64,
    /// Refused attempts to connect to a namespace.
    pub failures: u8,
    /// Whether this connection is itself in a namespace, or was: the next one is a child's.
    pub own: Own,
    /// The further namespaces, and the connections that are in them.
    pub children: SmallVec<[(&'static Namespace, ConnectionId); 1]>,
    /// The namespaces of the echo that it is in, one bit each.
    pub echo: u8,
    /// An event whose attachments are yet to come.
    pub assembly: Option<Box<Assembly>>,
}

/// How a session polls.
#[derive(Debug)]
pub struct Polling {
    /// What its id says beside the shard.
    pub secret: Secret,
    /// The connection whose request waits for packets.
    pub poll: Option<ConnectionId>,
    /// The connection whose request brought packets that are not read yet.
    pub post: Option<ConnectionId>,
    /// The WebSocket that wants to take over.
    pub probe: Option<ConnectionId>,
    /// Bytes of the queue that the client has certainly got, as it asked for more.
    pub got: u64,
}

/// A polling request that waits for its answer.
#[derive(Debug)]
pub struct Carrier {
    /// The session that it is about.
    pub session: ConnectionId,
    /// What the answer says beside its body.
    pub terms: Terms,
}

/// What an answer to a request must observe.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The value of `Access-Control-Allow-Origin`.
    pub allow_origin: Option<Box<str>>,
    /// Whether the client reads an answer with its cookies.
    pub credentials: bool,
    /// Whether the connection stays for another request.
    pub keep_alive: bool,
}

impl Terms {
    /// A refusal that a browser may read.
    #[must_use]
    pub fn on(&self, refusal: Refusal) -> Refusal {
        match &self.allow_origin {
            Some(origin) => refusal.header(format!("Access-Control-Allow-Origin: {origin}")),
            None => refusal,
        }
    }
}

/// An event of which attachments are missing.
#[derive(Debug)]
pub struct Assembly {
    /// The packet, with its namespace and id.
    pub packet: Box<str>,
    /// Attachments so far.
    pub attachments: Vec<Bytes>,
    /// All that it must have.
    pub wanted: usize,
    /// Bytes of all together.
    pub bytes: usize,
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub fn new(app: App, polling: Option<Box<Polling>>, token: Option<Box<str>>) -> Self {
        Self {
            app,
            polling,
            token,
            ping_due_ms: u64::MAX,
            pong_due_ms: None,
            connect_due_ms: u64::MAX,
            failures: 0,
            own: Own::None,
            children: SmallVec::new(),
            echo: 0,
            assembly: None,
        }
    }

    /// When something is due for it.
    #[must_use]
    pub fn next_due_ms(&self) -> u64 {
        self.pong_due_ms.unwrap_or(self.ping_due_ms).min(self.connect_due_ms)
    }
}

impl Polling {
    /// Nothing is under way.
    #[must_use]
    pub fn new(secret: Secret) -> Box<Self> {
        Box::new(Self { secret, poll: None, post: None, probe: None, got: 0 })
    }
}

/// What makes the id of a polling session unguessable.
pub type Secret = u128;

/// Bytes of a session's id: the shard, and the secret.
const SID_BYTES: usize = 18;

/// The id of a session that polls: its shard, so that every request finds it, and a secret.
#[must_use]
pub fn sid(shard: ShardId, secret: Secret) -> String {
    let mut bytes = [0; SID_BYTES];
    bytes[..2].copy_from_slice(&shard.0.to_be_bytes());
    bytes[2..].copy_from_slice(&secret.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads the id of a session; `None` for what can be none.
#[must_use]
pub fn read_sid(text: &str) -> Option<(ShardId, Secret)> {
    let bytes: [u8; SID_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (shard, secret) = bytes.split_at(2);
    Some((
        ShardId(u16::from_be_bytes(shard.try_into().ok()?)),
        Secret::from_be_bytes(secret.try_into().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_shard() {
        let text = sid(ShardId(3), 0x0123_4567_89ab_cdef);
        assert_eq!((text.len(), read_sid(&text)), (24, Some((ShardId(3), 0x0123_4567_89ab_cdef))));
        for bad in ["", "x", "AAAA", &text[1..], &format!("{text}A"), "é", "AAAAAAAAAAAAAAAAAAAAAAA="] {
            assert_eq!(read_sid(bad), None, "{bad}");
        }
    }
}
