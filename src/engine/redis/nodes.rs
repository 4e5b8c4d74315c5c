//! Which nodes live: each says so by a key that expires, and looks for the keys of the others.

use std::collections::HashSet;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, pipe};
use roomcast_shards::engine::NodeId;

use super::cluster::Peer;
use super::keys::Keys;

/// This node's lease, and the nodes that are known.
#[derive(Debug)]
pub(super) struct Nodes {
    keys: Keys,
    own: NodeId,
    lease: Duration,
    card: String,
    alive: HashSet<NodeId>,
}

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Nodes that lived when they were looked for last, and no longer do.
    pub(super) gone: Vec<NodeId>,
    /// Those who live, this one included, by their names.
    pub(super) peers: Vec<Peer>,
    /// Whether this node's own lease had run out, so that the others may have taken it for gone.
    pub(super) lapsed: bool,
}

impl Nodes {
    pub(super) fn new(keys: Keys, own: NodeId, lease: Duration, card: String) -> Self {
        Self { keys, own, lease, card, alive: HashSet::new() }
    }

    /// How often to renew the lease.
    pub(super) fn interval(&self) -> Duration {
        self.lease / 3
    }

    /// A node was heard of: if it does not live when they are looked for next, it is gone.
    pub(super) fn see(&mut self, node: NodeId) {
        self.alive.insert(node);
    }

    /// Whether a node lived when they were looked for last.
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        node == self.own || self.alive.contains(&node)
    }

    /// Says that this node lives, and looks who else does.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn renew(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Census, RedisError> {
        let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        let own = self.keys.node(self.own);
        let (before, known): (Option<String>, Vec<String>) = pipe()
            .cmd("GET")
            .arg(&own)
            .cmd("SET")
            .arg(&own)
            .arg(&self.card)
            .arg("PX")
            .arg(lease_ms)
            .ignore()
            .cmd("SADD")
            .arg(self.keys.nodes())
            .arg(format!("{:016x}", self.own.0))
            .ignore()
            .cmd("SMEMBERS")
            .arg(self.keys.nodes())
            .query_async(connection)
            .await?;
        let known: Vec<NodeId> =
            known.iter().filter_map(|node| u64::from_str_radix(node, 16).ok().map(NodeId)).collect();
        let mut ask = pipe();
        known.iter().for_each(|node| {
            ask.cmd("PTTL").arg(self.keys.node(*node));
        });
        let left: Vec<i64> = ask.query_async(connection).await?;
        let (alive, dead): (Vec<_>, Vec<_>) = known.into_iter().zip(left).partition(|(_, left)| *left >= 0);
        if !dead.is_empty() {
            let mut forget = redis::cmd("SREM");
            forget.arg(self.keys.nodes());
            dead.iter().for_each(|(node, _)| {
                forget.arg(format!("{:016x}", node.0));
            });
            forget.query_async::<()>(connection).await?;
        }
        let age = |left: i64| Duration::from_millis(lease_ms.saturating_sub(left.unsigned_abs()));
        let peer = |(node, left): &(NodeId, i64)| Peer { node: *node, lease_age: age(*left) };
        let mut peers: Vec<Peer> = alive.iter().map(peer).collect();
        peers.sort_unstable_by_key(|peer| peer.node);
        let alive: HashSet<NodeId> = alive.into_iter().map(|(node, _)| node).collect();
        let gone = self.alive.difference(&alive).copied().collect();
        let was_here = self.alive.contains(&self.own);
        self.alive = alive;
        Ok(Census { gone, peers, lapsed: was_here && before.is_none() })
    }

    /// Takes leave.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn leave(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        pipe()
            .cmd("DEL")
            .arg(self.keys.node(self.own))
            .ignore()
            .cmd("SREM")
            .arg(self.keys.nodes())
            .arg(format!("{:016x}", self.own.0))
            .ignore()
            .query_async(connection)
            .await
    }

    /// Nothing is known of the others any more, nor do they of this one.
    pub(super) fn forget(&mut self) {
        self.alive.clear();
    }
}
