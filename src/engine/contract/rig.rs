//! What an engine is tested with: nodes of two shards that ask it, hear it, end, and lose it.

#[path = "../../../tests/it/support/redis.rs"]
#[expect(dead_code, reason = "the black-box tests need more of it")]
mod server;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use roomcast_shards::engine::memory::Memory as Shared;
use roomcast_shards::engine::{Event, NodeId, Request};
use roomcast_shards::id::ShardId;

use crate::engine::Hearers;
use crate::engine::redis::connect::Address;
use crate::engine::redis::{self, RedisEngine, RedisSettings};

/// How long anything expected may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);
const SHARDS: u16 = 2;

/// Calls `attempt` until it gives a value, at most for [`DEADLINE`].
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A node of a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    index: usize,
    pub(super) id: NodeId,
}

/// An engine, and nodes on it. All requests are the second shard's; what the first hears is for all.
pub(super) trait Rig {
    /// Another node.
    fn join(&mut self) -> Node;

    /// Asks something.
    fn submit(&mut self, node: Node, request: Request) {
        self.submit_all(node, vec![request]);
    }

    /// Asks several things at once.
    fn submit_all(&mut self, node: Node, requests: Vec<Request>);

    /// What the node's second shard hears next.
    fn next(&mut self, node: Node) -> Event;

    /// So much time passes.
    fn pass_ms(&mut self, ms: u64);

    /// The node ends, and says nothing of who was there by it.
    fn end(&mut self, node: Node);

    /// The engine is out of a node's reach; it keeps what it has.
    fn go_away(&mut self, node: Node);

    /// It is in reach again.
    fn come_back(&mut self, node: Node);
}

/// The engine in this process.
pub(super) struct Memory {
    engine: Shared,
    nodes: usize,
    now_ms: u64,
}

impl Memory {
    pub(super) fn start() -> Self {
        Self { engine: Shared::default(), nodes: 0, now_ms: 0 }
    }
}

impl Rig for Memory {
    fn join(&mut self) -> Node {
        self.nodes += 1;
        let node = Node { index: self.nodes, id: NodeId(self.nodes as u64) };
        self.engine.join(node.id);
        node
    }

    fn submit_all(&mut self, node: Node, requests: Vec<Request>) {
        for request in requests {
            self.engine.submit(node.id, ShardId(1), request, self.now_ms);
        }
    }

    fn next(&mut self, node: Node) -> Event {
        loop {
            match self.engine.next_event(node.id) {
                Some((ShardId(1), event)) => return event,
                Some(_) => {}
                None => panic!("node {} hears nothing", node.index),
            }
        }
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn end(&mut self, node: Node) {
        self.engine.end(node.id, SHARDS);
    }

    fn go_away(&mut self, node: Node) {
        self.engine.cut(node.id, SHARDS);
    }

    fn come_back(&mut self, node: Node) {
        self.engine.mend(node.id, SHARDS);
    }
}

/// What a node's shards have heard.
#[derive(Default)]
struct Ears {
    heard: Mutex<VecDeque<Event>>,
    more: Condvar,
}

impl Hearers for Ears {
    fn count(&self) -> usize {
        usize::from(SHARDS)
    }

    fn hear(&self, shard: ShardId, events: Vec<Event>) -> Result<(), Vec<Event>> {
        if shard == ShardId(1) {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
            self.more.notify_all();
        }
        Ok(())
    }
}

/// A node's connection.
struct Connected {
    engine: Arc<dyn roomcast_shards::engine::Engine + Send + Sync>,
    ears: Arc<Ears>,
    thread: Option<RedisEngine>,
}

/// A real Redis.
pub(super) struct Redis {
    server: server::Redis,
    nodes: Vec<Connected>,
}

impl Redis {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self { server: server::Redis::start_with(arguments), nodes: Vec::new() }
    }
}

impl Rig for Redis {
    fn join(&mut self) -> Node {
        let address = Address::parse(&self.server.url()).expect("a good URL");
        let settings = RedisSettings {
            address,
            prefix: "contract".to_owned(),
            lease: Duration::from_secs(1),
            ttl_ms: 60_000,
            queue_ttl_ms: 60_000,
            card: "{}".to_owned(),
        };
        let reached = redis::reach(settings).expect("the server runs");
        let node = Node { index: self.nodes.len(), id: reached.node };
        let (engine, status) = (Arc::clone(&reached.engine), Arc::clone(&reached.status));
        let ears = Arc::<Ears>::default();
        let hearers: Arc<dyn Hearers> = Arc::<Ears>::clone(&ears);
        let (thread, _) = redis::start(reached, hearers).expect("a thread");
        let thread = Some(thread);
        eventually("the node is connected", || status.is_up().then_some(()));
        self.nodes.push(Connected { engine, ears, thread });
        node
    }

    fn submit_all(&mut self, node: Node, mut requests: Vec<Request>) {
        let engine = &self.nodes[node.index].engine;
        eventually("there is room", || engine.submit(ShardId(1), &mut requests).ok());
    }

    fn next(&mut self, node: Node) -> Event {
        let ears = &self.nodes[node.index].ears;
        let heard = ears.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ears.more.wait_timeout_while(heard, DEADLINE, |heard| heard.is_empty());
        let (mut heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        heard.pop_front().unwrap_or_else(|| panic!("node {} hears nothing", node.index))
    }

    fn pass_ms(&mut self, ms: u64) {
        sleep(Duration::from_millis(ms));
    }

    fn end(&mut self, node: Node) {
        if let Some(thread) = self.nodes[node.index].thread.take() {
            thread.stop();
        }
    }

    fn go_away(&mut self, _: Node) {
        // Its connections stay, and nothing answers any more.
        self.server.pause();
    }

    fn come_back(&mut self, _: Node) {
        self.server.resume();
    }
}
