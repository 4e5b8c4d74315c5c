//! The rim: everything that makes system calls. It turns readiness into the core's calls and the core's effects into
//! system calls, one loop a shard (steps 1 and 10 of the path of a message).

mod doorbell;
mod inbox;
mod poller;
mod rings;
pub mod runtime;
mod shard_loop;
mod socket;
mod store;
mod sys;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rand::rngs::SysRng;
use rand::{Rng, TryRng};

use crate::access::revocations::Revocation;
use crate::clock::Clock;
use crate::config::Config;
use crate::connection::http::TurnAway;
use crate::effect::{Admission, ApiAnswer, Inquiry};
use crate::engine::{Engine, Event};
use crate::gateway_event::GatewayEvent;
use crate::id::ShardId;
use crate::mesh::Router;
use crate::mesh::item::Ask;
use crate::metrics::Metrics;
use crate::shard::{Overload, SHARDS_MAX};

pub use doorbell::Doorbell;
pub use inbox::ControlAnswer;
use inbox::{Accepted, Command, Inbox, Peer};
use rings::Mesh;
use shard_loop::ShardLoop;
pub use store::{StoreLink, StoreSink, StoreStart};

/// Requests of the control plane that may wait for a shard.
const REQUESTS_MAX: usize = 4096;
/// Sockets that may wait to be taken over by a shard.
const ACCEPTED_MAX: usize = 4096;
/// Commands that may wait for a shard.
const COMMANDS_MAX: usize = 256;
/// Answers to inquiries that may wait for a shard.
const ANSWERS_MAX: usize = 1024;
/// Batches of the engine's events that may wait for a shard.
const EVENTS_MAX: usize = 1_024;
/// How long a round of looking for waiting items takes, and how many must find none: an item's answer, and what that
/// causes in turn, would show in one of them.
const QUIET_ROUND: Duration = Duration::from_millis(10);
const QUIET_ROUNDS: u32 = 4;
/// News that may wait for the acceptor.
const ADMISSIONS_MAX: usize = 4_096;

/// A connection that turned out to be plain HTTP.
#[derive(Debug)]
pub struct HttpConnection {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// What the client sent so far: at least the whole first head.
    pub received: Vec<u8>,
}

/// Takes off the shards' hands what only the control plane can do. Never blocks.
pub trait ControlSink: Send + Sync {
    /// Takes a connection over.
    ///
    /// # Errors
    /// The connection, when there is no room for it now; it is closed then.
    fn hand_over(&self, connection: HttpConnection) -> Result<(), HttpConnection>;

    /// Takes what a client of a shard asks of the gateway itself; [`Shards::answer`] follows.
    ///
    /// # Errors
    /// The inquiry, when there is no room for it now; the client hears that the control plane is not available.
    fn inquire(&self, shard: ShardId, inquiry: Inquiry) -> Result<(), Inquiry>;

    /// Takes what happened in a turn, in its order; how many events there was no room for, which are dropped.
    fn happened(&self, unix_ms: u64, events: Vec<GatewayEvent>) -> usize;

    /// Takes what became of its own requests, of which there are no more than it has made: one call for those that a
    /// turn has answered.
    fn answered(&self, answers: Vec<ApiAnswer>);
}

/// Why shards cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel refuses `io_uring`, or grants too little for it.
    #[error("io_uring is unavailable: {0}")]
    Uring(String),
    /// Another system call failed.
    #[error("cannot start a shard: {0}")]
    System(#[from] std::io::Error),
    /// More shards than a process may have.
    #[error("at most {SHARDS_MAX} shards are possible")]
    TooMany,
}

/// A socket that no shard had room for.
#[derive(Debug)]
pub struct Rejected(pub TcpStream);

/// The running shards, as the other threads see them.
#[derive(Debug)]
pub struct Shards {
    remotes: Vec<Remote>,
    router: Router,
    admissions: Receiver<Admission>,
    threads: Vec<JoinHandle<()>>,
}

/// One shard, as the other threads see it.
#[derive(Debug, Clone)]
struct Remote {
    peer: Peer,
    commands: Sender<Command>,
    requests: Sender<Box<Ask>>,
    answers: Sender<ControlAnswer>,
    events: Sender<Vec<Event>>,
    connections: Arc<AtomicUsize>,
}

impl Shards {
    /// Starts a pinned executor for each shard, and returns once all of them serve. They refuse from the first moment on
    /// who is refused on the other nodes.
    ///
    /// # Errors
    /// [`StartError`] when a shard cannot run here.
    pub fn start(
        config: &Arc<Config>,
        clock: Clock,
        control: &Arc<dyn ControlSink>,
        store: Option<StoreStart>,
        engine: Option<&Arc<dyn Engine + Send + Sync>>,
        refused: &Arc<[Revocation]>,
    ) -> Result<Self, StartError> {
        if config.shards > SHARDS_MAX {
            return Err(StartError::TooMany);
        }
        let bells =
            (0..config.shards).map(|_| Doorbell::new().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let (admission_sender, admissions) = bounded(ADMISSIONS_MAX);
        let (ready_sender, ready) = bounded(config.shards);
        let mesh_seed = rand::rng().next_u64();
        let mut shards = Self {
            remotes: Vec::new(),
            router: Router::new(config.shards, mesh_seed),
            admissions,
            threads: Vec::new(),
        };
        let mut stores = store::part(store, &bells, config.shards, mesh_seed);
        let (peers, sockets): (Vec<_>, Vec<_>) = bells
            .iter()
            .map(|doorbell| {
                let (accepted, receiver) = bounded(ACCEPTED_MAX);
                (Peer { accepted, doorbell: Arc::clone(doorbell) }, receiver)
            })
            .unzip();
        let meshes = Mesh::all(&bells, config.ring_items_max);
        for (index, (mesh, accepted)) in meshes.into_iter().zip(sockets).enumerate() {
            let (commands, command_receiver) = bounded(COMMANDS_MAX);
            let (requests, request_receiver) = bounded(REQUESTS_MAX);
            let (answers, answer_receiver) = bounded(ANSWERS_MAX);
            let (events, event_receiver) = bounded(EVENTS_MAX);
            let connections = Arc::new(AtomicUsize::new(0));
            let inbox = Inbox {
                accepted,
                commands: command_receiver,
                requests: request_receiver,
                answers: answer_receiver,
                admissions: admission_sender.clone(),
                connections: Arc::clone(&connections),
                control: Arc::clone(control),
                engine: engine.cloned(),
                events: event_receiver,
                peers: peers.clone(),
            };
            let id = ShardId(u16::try_from(index).expect("checked above"));
            let mut seed = [0; 32];
            SysRng.try_fill_bytes(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
            let store = stores[index].take();
            let (cpus, config, refused) = (&config.cpus, Arc::clone(config), Arc::clone(refused));
            let setup = shard_loop::Setup { id, config, mesh_seed, seed, clock, store, refused };
            let ready = ready_sender.clone();
            let thread = runtime::spawn(id, cpus, move || async move {
                let started = ShardLoop::new(setup, inbox, mesh);
                let outcome = started.as_ref().map(|_| ()).map_err(ToString::to_string);
                let _ = ready.send(outcome);
                if let Ok(shard) = started {
                    shard.run().await;
                }
            })?;
            shards.threads.push(thread);
            let peer = peers[index].clone();
            shards.remotes.push(Remote { peer, commands, requests, answers, events, connections });
        }
        drop(ready_sender);
        for _ in 0..config.shards {
            match ready.recv() {
                Ok(Ok(())) => {}
                Ok(Err(message)) => return Err(StartError::System(std::io::Error::other(message))),
                Err(_) => return Err(StartError::Uring("an executor ended before it served".to_owned())),
            }
        }
        Ok(shards)
    }

    /// Number of shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.remotes.len()
    }

    /// Whether there is no shard; never, once started.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remotes.is_empty()
    }

    /// Hands a socket to a shard, to be served or turned away.
    ///
    /// # Errors
    /// The socket, when the shard has too many to take over.
    pub fn accept(
        &self,
        shard: usize,
        stream: TcpStream,
        peer: SocketAddr,
        turn_away: Option<TurnAway>,
    ) -> Result<(), Rejected> {
        let remote = &self.remotes[shard % self.remotes.len()];
        let accepted = Accepted { stream, peer: peer.ip(), turn_away, moved: None };
        remote.peer.take_over(accepted).map_err(Rejected)
    }

    /// What became of admitted connections, for whoever counts them.
    #[must_use]
    pub fn admissions(&self) -> &Receiver<Admission> {
        &self.admissions
    }

    /// Connections of all shards now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.remotes.iter().map(|remote| remote.connections.load(Ordering::Relaxed)).sum()
    }

    /// Asks every shard for its counters; `take` is called once for each that answers.
    pub fn snapshot(&self, take: impl Fn(ShardId, Metrics) + Clone + Send + 'static) {
        for (index, remote) in (0u16..).zip(&self.remotes) {
            let take = take.clone();
            remote.command(Command::Snapshot(Box::new(move |metrics| take(ShardId(index), metrics))));
        }
    }

    /// Makes all shards take no more commands from clients, and waits until what they had taken has reached every
    /// shard that it concerns, and what they asked backends is answered, for at most `timeout`. So nothing that was acknowledged misses anybody.
    pub fn quiesce(&self, timeout: Duration) {
        for remote in &self.remotes {
            remote.command(Command::Quiesce);
        }
        let mut quiet_rounds = 0;
        let rounds_max = timeout.as_millis() / QUIET_ROUND.as_millis();
        for _ in 0..rounds_max {
            quiet_rounds = if self.waiting_items() == 0 { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == QUIET_ROUNDS {
                return;
            }
        }
    }

    /// Items in and beside all rings, after every shard has gone through a turn; takes at least [`QUIET_ROUND`].
    fn waiting_items(&self) -> u64 {
        let (sender, answers) = bounded(self.remotes.len());
        self.snapshot(move |_, metrics| {
            let items = metrics.ring_depth + metrics.ring_overflow_items;
            let asked = metrics.inquiries_open + metrics.engine_open;
            let _ = sender.send(items + asked + metrics.store_held_items);
        });
        let deadline = crossbeam_channel::after(QUIET_ROUND);
        let mut waiting = 0;
        let mut missing = self.remotes.len();
        loop {
            crossbeam_channel::select! {
                recv(answers) -> answer => match answer {
                    Ok(items) => {
                        waiting += items;
                        missing -= 1;
                    }
                    // Everybody has answered, or is gone; the round takes its time all the same.
                    Err(_) => {
                        let _ = deadline.recv();
                        return waiting + missing as u64;
                    }
                },
                recv(deadline) -> _ => return waiting + missing as u64,
            }
        }
    }

    /// Sends all clients away: closed one after the other within `spread_ms`, told to come back within `window_ms`.
    pub fn drain(&self, spread_ms: u64, window_ms: u64) {
        for remote in &self.remotes {
            remote.command(Command::Drain { spread_ms, window_ms });
        }
    }

    /// Answers an inquiry. Never waits.
    ///
    /// # Errors
    /// The answer, when the shard has too many to pass on; it is to be given again.
    pub fn answer(&self, shard: ShardId, answer: ControlAnswer) -> Result<(), ControlAnswer> {
        let Some(remote) = self.remotes.get(shard.index()) else { return Ok(()) };
        match remote.answers.try_send(answer) {
            Ok(()) => {
                remote.peer.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(answer)) => Err(answer),
            // The shard has ended, and its clients with it.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Asks the owner of a room; [`ControlSink::answered`] follows, once the shard is woken by [`Shards::ring`].
    ///
    /// # Errors
    /// The question, when too many wait for that shard, or it is gone.
    pub fn request(&self, ask: Box<Ask>) -> Result<ShardId, Box<Ask>> {
        self.request_of(self.router.owner(&ask.room), ask)
    }

    /// Asks a shard, whatever the room; otherwise as [`Shards::request`].
    ///
    /// # Errors
    /// The question, when too many wait for that shard, or it is gone.
    pub fn request_of(&self, shard: ShardId, ask: Box<Ask>) -> Result<ShardId, Box<Ask>> {
        let sent = self.remotes[shard.index()].requests.try_send(ask);
        sent.map(|()| shard).map_err(TrySendError::into_inner)
    }

    /// Wakes a shard if it sleeps: once for as many requests as were put before it.
    pub fn ring(&self, shard: ShardId) {
        self.remotes[shard.index()].peer.doorbell.ring();
    }

    /// Gives a shard what the engine says, in order.
    ///
    /// # Errors
    /// The events, when the shard has too many to hear: they must be given again, before any others.
    pub fn hear(&self, shard: ShardId, events: Vec<Event>) -> Result<(), Vec<Event>> {
        let Some(remote) = self.remotes.get(shard.index()) else { return Ok(()) };
        match remote.events.try_send(events) {
            Ok(()) => {
                remote.peer.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(events)) => Err(events),
            // The shard has ended, and with it everything that it could hear.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Tells every shard how far to shed load because the whole process is short of something.
    pub fn shed(&self, overload: Overload) {
        for remote in &self.remotes {
            remote.command(Command::Shed(overload));
        }
    }

    /// Whether every shard still runs: one that has ended by itself has lost its connections and rooms.
    #[must_use]
    pub fn are_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Ends the shards, whatever they still hold, and waits for them.
    pub fn stop(&mut self) {
        for remote in &self.remotes {
            remote.command(Command::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Remote {
    /// Commands are few, so one that finds the queue full waits for the shard.
    fn command(&self, command: Command) {
        self.peer.doorbell.ring();
        let _ = self.commands.send(command);
        self.peer.doorbell.ring();
    }
}
