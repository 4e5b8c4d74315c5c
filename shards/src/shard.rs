//! One core's state: its connections, the local half of rooms, and the rooms that it owns.
//!
//! [`Shard`] is the only one who changes any of it, and it does so only in its `on_…` calls. It is pure: no socket,
//! no clock, no thread. What it wants done it leaves in [`Shard::effects`] for the rim, or for a simulation.

mod ack_requests;
mod administration;
mod answers;
mod appending;
mod attach;
mod backends;
mod checkpoints;
mod commands;
mod created;
mod cursors;
mod echo;
mod emissions;
mod engine;
mod events;
mod fan_out;
mod flushing;
mod gather;
mod happenings;
mod holding;
mod hooks;
mod inbound;
mod keeping;
mod lifecycle;
mod listing;
mod messages;
mod missed;
mod namespaces;
mod nodes;
mod owner;
mod patterns;
mod people;
mod polling;
mod recovery;
mod requests;
mod restoring;
mod roaming;
mod sends;
mod sequencing;
mod sessions;
mod socketio;
mod storing;
mod streams;
mod subscriptions;
mod tell;
#[cfg(test)]
mod tests;
mod timers;
mod upgrading;
mod users;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::HashMap;
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;

use crate::access::revocations::Revocations;
use crate::clock::Now;
use crate::config::Config;
use crate::connection::Connection;
use crate::connection::engine::Secret;
use crate::connection::outbound_queue::OutboundQueue;
use crate::connection::websocket::Pool;
use crate::effect::Effects;
use crate::id::{ConnectionId, MessageIds, ShardId};
use crate::mesh::Router;
use crate::mesh::item::{Caller, Item};
use crate::metrics::Metrics;
use crate::protocol::json::Parser;
use crate::room::created::CreatedRooms;
use crate::room::directory::{Classes, Directory};
use crate::room::epochs::Epochs;
use crate::room::history_budget::HistoryBudget;
use crate::room::index::NameIndex;
use crate::room::owned::OwnedRoom;
use crate::room::pattern::PatternTrie;
use crate::slots::Slots;
use crate::timer_wheel::TimerWheel;
use crate::user::users::Users;
use crate::user::watch::Watches;

use ack_requests::AckRequests;
use commands::unavailable;
use events::{Agents, ConnectionEvents};
use flushing::Waiting;
use gather::Gather;
use hooks::Line;
use sequencing::Links;
use sessions::Departed;
use storing::Storing;
use timers::Timer;

pub use crate::id::SHARDS_MAX;

/// How far a shard sheds load (architecture §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Overload {
    /// Not at all.
    #[default]
    None,
    /// New connections get 503.
    RefuseNew,
    /// Besides, ephemeral messages are dropped.
    DropEphemeral,
}

/// Reads a clock in microseconds.
struct Stopwatch(Box<dyn Fn() -> u64>);

impl std::fmt::Debug for Stopwatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Stopwatch")
    }
}

/// What a pattern means to a shard.
#[derive(Debug, Default)]
struct PatternEntry {
    /// Shards with subscribers, one bit each.
    shards: u64,
    /// Slots of this shard's own subscribers.
    subscribers: Vec<u32>,
}

/// One core's executor state; see the module.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    config: Arc<Config>,
    router: Router,
    random: StdRng,
    parser: Parser,
    pool: Pool,
    connections: Slots<Connection>,
    /// Connections ever opened: the next one's generation.
    opened: u32,
    /// Subscriptions ever made: the next one's sequence.
    sequence: u32,
    directory: Directory,
    classes: Classes,
    patterns: PatternTrie<PatternEntry>,
    owned: Slots<OwnedRoom>,
    owned_by_name: NameIndex,
    epochs: Epochs,
    history_budget: HistoryBudget,
    /// Rooms that somebody created, among those owned.
    created: CreatedRooms,
    /// Who waits for rooms to be closed.
    closers: HashMap<Arc<str>, Vec<(ShardId, Caller)>>,
    /// Of rooms that other nodes share: how they are followed.
    links: Option<Box<Links>>,
    users: Users,
    watches: Watches,
    /// Shards with watchers of presence, one bit each.
    watching: u64,
    /// Connections whose sockets are being let go.
    departed: HashMap<ConnectionId, Departed>,
    /// Connections with frames that may wait to share a write.
    waiting: Waiting,
    connection_events: ConnectionEvents,
    /// What clients call themselves, each once.
    agents: Agents,
    gathers: Slab<Gather>,
    /// What needs a backend's leave, by connection.
    lines: HashMap<ConnectionId, Line>,
    /// Sessions of Engine.IO that poll, by what makes their ids unguessable.
    sids: HashMap<Secret, ConnectionId>,
    /// How many of them each address has.
    polling_by_peer: HashMap<IpAddr, u32>,
    /// Connections whose request is answered, and that may have sent another behind it.
    carriers: VecDeque<ConnectionId>,
    ack_requests: AckRequests,
    revocations: Revocations,
    timers: TimerWheel<Timer>,
    message_ids: MessageIds,
    /// Items for this shard itself: the local branch of the mesh, in the same order as a ring would give.
    local: VecDeque<Item>,
    scratch: Vec<u8>,
    /// The room of what is asked of no room.
    nowhere: Arc<str>,
    loop_overload: Overload,
    process_overload: Overload,
    stopwatch: Option<Stopwatch>,
    /// What outlives the process.
    storing: Storing,
    /// The slot of the connection that is looked at next for how far its client has got.
    looked_at: usize,
    draining: bool,
    /// Whether clients could be heard when the present tick began.
    reads_clients: bool,
    /// What the shard wants done; the rim empties it.
    pub effects: Effects,
    /// What the shard counts.
    pub metrics: Metrics,
}

impl Shard {
    /// An empty shard. `mesh_seed` is the same for all shards of the process; `seed` is not, and nobody may guess it.
    #[must_use]
    pub fn new(id: ShardId, config: Arc<Config>, mesh_seed: u64, seed: [u8; 32], now: Now) -> Self {
        let mut random = StdRng::from_seed(seed);
        Self {
            id,
            router: Router::new(config.shards, mesh_seed),
            parser: Parser::new(config.limits.depth_max),
            pool: Pool::default(),
            connections: Slots::default(),
            opened: 0,
            sequence: 0,
            directory: Directory::default(),
            classes: Classes::new(&config.room_classes),
            patterns: PatternTrie::new(),
            owned: Slots::default(),
            owned_by_name: NameIndex::default(),
            epochs: Epochs::new(&mut random, config.epoch_seeds),
            history_budget: HistoryBudget::default(),
            created: CreatedRooms::default(),
            closers: HashMap::default(),
            links: config.node.map(|node| Box::new(Links::new(node))),
            users: Users::default(),
            watches: Watches::default(),
            watching: 0,
            departed: HashMap::default(),
            waiting: Waiting::new(config.limits.outbound_queue_bytes_max),
            connection_events: ConnectionEvents::new(config.shards),
            agents: Agents::default(),
            random,
            gathers: Slab::new(),
            lines: HashMap::default(),
            sids: HashMap::default(),
            polling_by_peer: HashMap::default(),
            carriers: VecDeque::new(),
            ack_requests: AckRequests::default(),
            revocations: Revocations::default(),
            timers: TimerWheel::new(now.ms),
            message_ids: MessageIds::default(),
            local: VecDeque::new(),
            scratch: Vec::new(),
            nowhere: "".into(),
            loop_overload: Overload::None,
            process_overload: Overload::None,
            stopwatch: None,
            storing: Storing::new(config.store),
            looked_at: 0,
            draining: false,
            reads_clients: true,
            effects: Effects::new(config.shards),
            metrics: Metrics::default(),
            config,
        }
    }

    /// This shard's id.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Number of connections, closing ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Items that wait beside full rings.
    #[must_use]
    pub fn overflow_items(&self) -> usize {
        self.effects.outboxes.iter().map(|outbox| outbox.items.len()).sum()
    }

    /// Whether clients may be read: not while a ring is full and too much waits beside it, or too much for the disk.
    #[must_use]
    pub fn may_read_clients(&self) -> bool {
        let stalled = self.storing.is_full || self.engine_is_full();
        !stalled && self.effects.outboxes.iter().all(|outbox| outbox.items.is_empty())
    }

    /// Sets how far the shard sheds load because its own turns take too long.
    pub fn set_loop_overload(&mut self, overload: Overload) {
        self.loop_overload = overload;
    }

    /// Sets how far the shard sheds load because the process is short of something.
    pub fn set_process_overload(&mut self, overload: Overload) {
        self.process_overload = overload;
    }

    fn overload(&self) -> Overload {
        self.loop_overload.max(self.process_overload)
    }

    /// Measures fan-outs with a clock in microseconds, which the core itself does not have.
    pub fn measure_with(&mut self, stopwatch: impl Fn() -> u64 + 'static) {
        self.stopwatch = Some(Stopwatch(Box::new(stopwatch)));
    }

    /// An item from another shard's ring.
    pub fn on_ring(&mut self, from: ShardId, item: Item, now: Now) {
        self.handle(from, item, now);
        self.settle(now);
    }

    /// The counters, with the gauges as of now.
    #[must_use]
    pub fn snapshot(&self) -> Metrics {
        Metrics {
            connections: self.connections.len() as u64,
            rooms: self.owned.len() as u64,
            subscriptions: self.directory.subscriptions() as u64,
            pattern_subscriptions: self
                .connections
                .iter()
                .map(|(_, client)| client.rare().patterns.len() as u64)
                .sum(),
            outbound_queue_bytes: self
                .connections
                .iter()
                .map(|(_, client)| client.queue.bytes() as u64)
                .sum(),
            history_bytes: self.history_budget.bytes() as u64,
            ring_overflow_items: self.overflow_items() as u64,
            store_held_items: self.storing.held() as u64,
            engine_open: self.links.as_ref().map_or(0, |links| links.pending.len()) as u64,
            users_online: self.users.online() as u64,
            sessions: self.users.sessions().0,
            sessions_parked: self.users.sessions().1,
            rooms_created: self.created.rooms() as u64,
            rooms_created_bytes: self.created.bytes() as u64,
            overload: self.overload() as u64,
            socketio_polling: self.sids.len() as u64,
            ..self.metrics.clone()
        }
    }

    /// Whether nothing is left of any connection, room or pattern: as a new shard, but for what it counted.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        let connections = self.connections.is_empty()
            && self.gathers.is_empty()
            && self.lines.is_empty()
            && self.local.is_empty();
        let polling = self.sids.is_empty() && self.polling_by_peer.is_empty() && self.carriers.is_empty();
        // Rooms that somebody created stay until they are closed, and users are remembered for when they were last seen.
        let rooms = self.directory.is_empty() && self.owned.len() == self.created.rooms();
        let users = self.users.is_idle() && self.watches.is_empty() && self.departed.is_empty();
        let queues = self.overflow_items() == 0 && self.storing.held() == 0;
        connections && polling && rooms && users && self.patterns.is_empty() && queues
    }

    /// What waits for a connection, if it is still there.
    #[must_use]
    pub fn queue(&self, id: ConnectionId) -> Option<&OutboundQueue> {
        self.client(id).map(|client| &client.queue)
    }

    fn client(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.slot as usize).filter(|client| client.id == id)
    }

    fn client_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize).filter(|client| client.id == id)
    }

    /// Sends an item to a shard, this one included.
    fn dispatch(&mut self, to: ShardId, item: Item) {
        if self.storing.holds(&item) {
            return self.storing.hold(to, item);
        }
        self.send_item(to, item);
    }

    fn send_item(&mut self, to: ShardId, item: Item) {
        if to == self.id {
            self.local.push_back(item);
        } else {
            self.metrics.ring_items += 1;
            self.effects.outbox(to).push(item);
        }
    }

    /// Works off what the shard sent to itself, and what that let through.
    fn settle(&mut self, now: Now) {
        self.settle_items(now);
        while !self.carriers.is_empty() {
            self.read_further_requests(now);
            self.settle_items(now);
        }
    }

    /// Works off what the shard sent to itself.
    fn settle_items(&mut self, now: Now) {
        while let Some(item) = self.local.pop_front() {
            self.handle(self.id, item, now);
        }
    }

    fn handle(&mut self, from: ShardId, item: Item, now: Now) {
        match item {
            Item::Ask(ask) => self.on_ask(from, *ask, now),
            Item::Answer(answer) => self.on_answer(*answer, now),
            Item::Publish(publication) => self.on_publication(&publication, now),
            Item::Notice(notice) => self.on_notice(&notice, now),
            Item::Relay(notice) => self.on_relay(*notice),
            Item::Interest(interest) => self.on_interest(from, *interest),
            Item::Presence(change) => self.on_presence(&change, now),
            Item::Watching(watching) => self.on_watching(from, watching),
            Item::Status(status) => self.on_member_status(&status),
            Item::Evict(evict) => self.on_evict(&evict, now),
        }
    }
}
