//! The engine on Redis (version 6 and later) or Valkey: `--engine redis://…`.
//!
//! Every room is a hash (epoch, offset, what is remembered), a stream of its entries, and a channel; whatever changes one
//! is a script, so that order, history and what is told agree ([`scripts`]). A node subscribes to the channels of the
//! rooms that it follows, and to no others. Commands and channels share one connection, since its order is what makes
//! opening a room exact: what was told before the answer is in the answer, and what is told behind it is not.
//!
//! One thread has the connection (`link`). Requests of all shards that came while one batch was on its way make the next
//! (`batch`): nobody waits for company, and the more there is to do, the more shares a round trip. `nodes` keeps the
//! lease by which the others know that this node lives. What control planes say to each other (`cluster`), and who is
//! refused on all nodes (`revoked`), goes the same way.

mod batch;
pub(crate) mod cluster;
pub(crate) mod connect;
mod keys;
mod link;
mod nodes;
pub(crate) mod revoked;
mod scripts;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands as _, ErrorKind, RedisError};
use roomcast_shards::access::revocations::Revocation;
use roomcast_shards::engine::{Engine, Full, NodeId, Request};
use roomcast_shards::id::ShardId;
use tokio::sync::{mpsc, watch};

use batch::Style;
use cluster::{ClusterEnd, Ends, Peer};
use connect::Address;
use keys::Keys;
use link::{Asks, Link};
use revoked::Change;
use scripts::Scripts;

use super::Hearers;

/// Batches of requests that may wait for the engine's thread; beyond it they wait in their shards.
const BATCHES_MAX: usize = 1_024;
/// Why a node of a Redis Cluster is no engine.
const PARTITIONED: &str = "it is a node of a Redis Cluster, which is not supported: a single Redis or Valkey is, with replicas or without";

/// What the engine is told by the settings.
#[derive(Debug, Clone)]
pub(crate) struct RedisSettings {
    /// Where it is.
    pub(crate) address: Address,
    /// What all names begin with.
    pub(crate) prefix: String,
    /// How long a node counts as alive that does not say so.
    pub(crate) lease: Duration,
    /// How long rooms last at least that nobody follows, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// How long rooms last that are kept for absent members, in milliseconds; not shorter.
    pub(crate) queue_ttl_ms: u64,
    /// What this node says of itself to who asks for all nodes.
    pub(crate) card: String,
}

/// How the engine does, for health and metrics.
#[derive(Debug, Default)]
pub(crate) struct EngineStatus {
    up: AtomicBool,
    /// Connections that were lost.
    pub(crate) losses: AtomicU64,
    /// Nodes that live, this one included, as they were found last.
    peers: Mutex<Vec<Peer>>,
    /// Rooms that are followed.
    pub(crate) rooms: AtomicU64,
    /// Commands sent.
    pub(crate) commands: AtomicU64,
    /// Writes in which they were sent.
    pub(crate) batches: AtomicU64,
    /// Messages of other nodes for which the control plane had no room.
    pub(crate) messages_dropped: AtomicU64,
}

impl EngineStatus {
    /// Nodes that live, this one included, by their names and as they were found last.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn found(&self, peers: Vec<Peer>) {
        *self.peers.lock().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Whether the engine can be reached.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

type Requests = (ShardId, Vec<Request>);

/// The shards' end.
struct Handle {
    requests: mpsc::Sender<Requests>,
}

impl Engine for Handle {
    fn submit(&self, shard: ShardId, requests: &mut Vec<Request>) -> Result<(), Full> {
        let place = self.requests.try_reserve().map_err(|_| Full)?;
        place.send((shard, std::mem::take(requests)));
        Ok(())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// A Redis that was reached once, before there are shards to serve.
pub(crate) struct Reached {
    settings: RedisSettings,
    /// What this node is to the others.
    pub(crate) node: NodeId,
    /// What signs the tokens of sessions on all nodes.
    pub(crate) session_key: [u8; 32],
    /// For the shards.
    pub(crate) engine: Arc<dyn Engine + Send + Sync>,
    /// For health and metrics.
    pub(crate) status: Arc<EngineStatus>,
    /// For the control plane.
    cluster: ClusterEnd,
    requests: mpsc::Receiver<Requests>,
    ends: Ends,
}

impl Reached {
    /// Who is refused from the first moment on.
    pub(crate) fn refused(&self) -> Arc<[Revocation]> {
        let refused = self.cluster.refused.iter().filter(|change| change.is_refused);
        refused.map(Change::revocation).collect()
    }
}

/// The running engine. Dropping it tells the thread to stop, but does not wait.
#[derive(Debug)]
pub(crate) struct RedisEngine {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Reaches a Redis for the first time, and agrees with the other nodes on what signs sessions.
///
/// # Errors
/// When it cannot be reached, is too old, or refuses. A gateway that has never reached it would only pretend to share
/// rooms, so it does not start.
pub(crate) fn reach(settings: RedisSettings) -> Result<Reached, String> {
    let runtime = runtime().map_err(|error| error.to_string())?;
    let (session_key, refused) = runtime
        .block_on(agree(&settings))
        .map_err(|error| format!("--engine: cannot use the Redis at {}: {error}", settings.address))?;
    let (sender, requests) = mpsc::channel(BATCHES_MAX);
    let status = Arc::new(EngineStatus::default());
    let node = NodeId(rand::random());
    let (cluster, ends) = cluster::channel(node, Arc::clone(&status), refused);
    let engine = Arc::new(Handle { requests: sender });
    Ok(Reached { settings, node, session_key, engine, status, cluster, requests, ends })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// Whether it is a node of a Redis Cluster, which has only some of the keys. Who may not ask is believed to know.
async fn is_partitioned(connection: &mut MultiplexedConnection) -> bool {
    let info: Result<String, _> = redis::cmd("INFO").arg("cluster").query_async(connection).await;
    info.is_ok_and(|info| info.lines().any(|line| line == "cluster_enabled:1"))
}

/// What signs sessions, and who is refused.
async fn agree(settings: &RedisSettings) -> Result<([u8; 32], Vec<Change>), RedisError> {
    let mut connection = settings.address.connect().await?;
    if is_partitioned(&mut connection).await {
        return Err((ErrorKind::InvalidClientConfig, PARTITIONED).into());
    }
    let keys = Keys::new(&settings.prefix);
    let name = keys.session_key();
    let ours: [u8; 32] = rand::random();
    connection.set_nx(&name, &ours[..]).await?;
    let theirs: Option<Vec<u8>> = redis::cmd("GET").arg(&name).query_async(&mut connection).await?;
    let key = theirs.and_then(|key| key.try_into().ok()).unwrap_or(ours);
    Ok((key, cluster::read_revoked(&keys, &mut connection).await?))
}

/// What time it is to who shares changes with other nodes.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Starts the engine's thread, and waits until it has tried to connect; and the control plane's end of it.
///
/// # Errors
/// When the kernel has no thread or epoll set to give.
pub(crate) fn start(
    reached: Reached,
    shards: Arc<dyn Hearers>,
) -> std::io::Result<(RedisEngine, ClusterEnd)> {
    let runtime = runtime()?;
    let (stop, stopped) = watch::channel(false);
    let Reached { settings, node, session_key, status, requests, cluster, ends, .. } = reached;
    let style = Style { keys: Keys::new(&settings.prefix), node, sharded: true, ttl_ms: settings.ttl_ms };
    let link = Link::new(settings, style, Scripts::new(), session_key, shards, status, ends.ears);
    let asks = Asks { requests, tells: ends.tells };
    let (tried, first) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || runtime.block_on(link.run(tried, asks, stopped)))?;
    // Whoever is let in afterwards is let in by a node that the others know, unless the Redis went away again.
    let _ = first.recv();
    Ok((RedisEngine { stop, thread }, cluster))
}

impl RedisEngine {
    /// Tells the others that this node leaves, and waits for the thread. It holds no handle to the shards afterwards.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!(event = "engine_panicked");
        }
    }
}
