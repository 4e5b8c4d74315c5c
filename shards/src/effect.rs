//! What a shard wants done: everything that the pure core cannot do itself. The rim empties it once a turn.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::backend::{Forward, HookCall};
use crate::connection::http::TurnAway;
use crate::durable::Batch;
use crate::engine::Request;
use crate::gateway_event::GatewayEvent;
use crate::id::{ConnectionId, ShardId};
use crate::mesh::item::{Caller, Item};
use crate::mesh::outcome::Outcome;
use crate::protocol::command::Monitoring;
use crate::protocol::error_code::CommandError;

/// How a socket is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Closed; what was sent arrives.
    Close,
    /// Reset; nothing more of it is wanted, on either side.
    Reset,
}

/// A socket's end, or its departure for the control plane.
#[derive(Debug, PartialEq, Eq)]
pub enum SocketEffect {
    /// All is sent: tell the client, and wait for it to close.
    ShutdownWrite(ConnectionId),
    /// The connection is gone; [`crate::shard::Shard::on_released`] must follow with what the kernel knows of it.
    Release(ConnectionId, Release),
    /// Plain HTTP: the control plane takes the socket and the bytes read so far.
    HandOver(ConnectionId, Vec<u8>),
    /// It may be read again.
    Resume(ConnectionId),
    /// Another shard takes the socket.
    Move {
        /// The connection, which is gone from here.
        id: ConnectionId,
        /// The other shard.
        shard: ShardId,
        /// What goes with it.
        moved: Moved,
    },
    /// The socket of a connection that is gone from here is another's from now on.
    Rebind {
        /// Whose it was.
        from: ConnectionId,
        /// Whose it is.
        to: ConnectionId,
    },
}

/// What goes with a socket to another shard.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    /// The bytes read so far.
    pub received: Vec<u8>,
    /// How the acceptor wants it turned away, if so.
    pub turn_away: Option<TurnAway>,
    /// Whether the acceptor counts it as pending.
    pub pending: bool,
}

/// What the acceptor must know to count connections by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The client's address.
    pub peer: IpAddr,
    /// What happened.
    pub event: AdmissionEvent,
}

/// What happened to an admitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionEvent {
    /// It authenticated and is no longer pending.
    Authenticated,
    /// It was refused, and brought a request of a session that is authenticated: it counts as admitted.
    Recognised,
    /// It failed to authenticate, or to become a WebSocket in time.
    Failed,
    /// It is gone; whether it was still pending.
    Closed {
        /// Whether it counted as pending.
        pending: bool,
        /// Whether the acceptor had refused it.
        refused: bool,
    },
}

/// Items for one other shard: a queue in front of the ring, empty but for a turn's batch unless the ring is full.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Oldest first.
    pub items: VecDeque<Item>,
    /// What they hold, by [`Item::cost`].
    pub bytes: usize,
}

impl Outbox {
    /// Adds an item behind all others.
    pub fn push(&mut self, item: Item) {
        self.bytes += item.cost();
        self.items.push_back(item);
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.cost();
        Some(item)
    }

    /// Puts back an item that the ring did not take.
    pub fn unpop(&mut self, item: Item) {
        self.bytes += item.cost();
        self.items.push_front(item);
    }
}

/// What a client asks that only the control plane can answer.
#[derive(Debug)]
pub struct Inquiry {
    /// Who asks.
    pub caller: Caller,
    /// What.
    pub question: Question,
}

/// What the control plane is asked.
#[derive(Debug)]
pub enum Question {
    /// The gateway about itself.
    Monitoring(Monitoring),
    /// A backend.
    Forward(Box<Forward>),
    /// A hook.
    Hook(Box<HookCall>),
}

impl Question {
    /// Bytes that it holds while it waits.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BASE: usize = 1024;
        BASE + match self {
            Self::Monitoring(_) => 0,
            Self::Forward(forward) => forward.data.len(),
            Self::Hook(call) => call.asks.cost(),
        }
    }
}

/// What became of a request of the control plane, and what it called it.
pub type ApiAnswer = (u64, Result<Outcome, CommandError>);

/// All that a shard wants done.
#[derive(Debug)]
pub struct Effects {
    /// Connections with something to send, each once, in the order in which it came up.
    pub dirty: VecDeque<ConnectionId>,
    /// The same for recipients of large fan-outs, which are flushed in slices so that others do not wait.
    pub bulk: VecDeque<ConnectionId>,
    /// Sockets to end, hand over or read again.
    pub sockets: Vec<SocketEffect>,
    /// News for the acceptor.
    pub admissions: Vec<Admission>,
    /// Questions for the control plane.
    pub inquiries: Vec<Inquiry>,
    /// What happened, of the kinds in [`Config::events`](crate::config::Config::events).
    pub events: Vec<GatewayEvent>,
    /// What became of the control plane's own requests, by what it called them.
    pub api_answers: Vec<ApiAnswer>,
    /// What is to outlive the process; stays empty without a store.
    pub store: Batch,
    /// What the engine is asked that several nodes share.
    pub engine: Vec<Request>,
    /// Items for the other shards, by shard.
    pub outboxes: Vec<Outbox>,
}

impl Effects {
    /// Nothing to do, among so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            dirty: VecDeque::new(),
            bulk: VecDeque::new(),
            sockets: Vec::new(),
            admissions: Vec::new(),
            inquiries: Vec::new(),
            events: Vec::new(),
            api_answers: Vec::new(),
            store: Batch::default(),
            engine: Vec::new(),
            outboxes: (0..shards).map(|_| Outbox::default()).collect(),
        }
    }

    /// The items waiting for a shard.
    pub fn outbox(&mut self, shard: ShardId) -> &mut Outbox {
        &mut self.outboxes[shard.index()]
    }
}
