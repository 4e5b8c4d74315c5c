//! What other threads send to a shard: sockets, commands; and what it tells them.

use std::fmt;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{ControlSink, Doorbell};
use crate::backend::Answered;
use crate::connection::http::TurnAway;
use crate::effect::{Admission, Moved};
use crate::engine::{Engine, Event};
use crate::mesh::item::{Ask, Caller};
use crate::metrics::Metrics;
use crate::protocol::error_code::CommandError;
use crate::shard::Overload;

/// A socket from the acceptor.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: IpAddr,
    pub(super) turn_away: Option<TurnAway>,
    /// What another shard has read from it.
    pub(super) moved: Option<Moved>,
}

/// Another shard, or this one, as it takes over sockets.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) accepted: Sender<Accepted>,
    pub(super) doorbell: Arc<Doorbell>,
}

impl Peer {
    /// Gives it a socket.
    ///
    /// # Errors
    /// The socket, when there are too many to take over.
    pub(super) fn take_over(&self, accepted: Accepted) -> Result<(), TcpStream> {
        match self.accepted.try_send(accepted) {
            Ok(()) => {
                self.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(accepted) | TrySendError::Disconnected(accepted)) => Err(accepted.stream),
        }
    }
}

/// What the control side wants of a shard.
pub(super) enum Command {
    /// Its counters.
    Snapshot(Box<dyn FnOnce(Metrics) + Send>),
    /// Take no more commands from clients.
    Quiesce,
    /// Send all clients away.
    Drain {
        /// Within so many milliseconds they are closed.
        spread_ms: u64,
        /// Within so many milliseconds they are told to come back.
        window_ms: u64,
    },
    /// Shed load, as far as the whole process must.
    Shed(Overload),
    /// End.
    Stop,
}

impl fmt::Debug for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Snapshot(_) => "Snapshot",
            Self::Quiesce => "Quiesce",
            Self::Drain { .. } => "Drain",
            Self::Shed(_) => "Shed",
            Self::Stop => "Stop",
        })
    }
}

/// What the control plane answers to an inquiry: to whom, and what.
#[derive(Debug)]
pub struct ControlAnswer {
    /// Who asked.
    pub caller: Caller,
    /// The answer.
    pub answer: Result<Answered, CommandError>,
}

/// The shard's ends of its channels.
pub(super) struct Inbox {
    pub(super) accepted: Receiver<Accepted>,
    pub(super) commands: Receiver<Command>,
    /// Looked at only while clients are read.
    pub(super) requests: Receiver<Box<Ask>>,
    pub(super) answers: Receiver<ControlAnswer>,
    pub(super) admissions: Sender<Admission>,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) control: Arc<dyn ControlSink>,
    /// What several nodes share, and what it says.
    pub(super) engine: Option<Arc<dyn Engine + Send + Sync>>,
    pub(super) events: Receiver<Vec<Event>>,
    /// All shards, by index.
    pub(super) peers: Vec<Peer>,
}

impl Inbox {
    /// Whether nothing waits here that is taken whatever else goes on.
    pub(super) fn is_empty(&self) -> bool {
        let commanded = !self.commands.is_empty() || !self.answers.is_empty();
        !commanded && self.accepted.is_empty() && self.events.is_empty()
    }
}
