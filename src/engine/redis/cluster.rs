//! What the control planes of several nodes say to each other: by the connection that their shards share rooms with.
//!
//! A node has a channel of its own, for questions and answers; who is refused has one that all hear. What is asked and
//! told waits in bounded queues beside the shards' requests. Messages between nodes may be lost, and whoever asks has a
//! time limit; a change of who is refused may not, and if there is no room for one, the connection counts as lost, so that
//! all of them are read anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use roomcast_shards::engine::NodeId;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::EngineStatus;
use super::keys::Keys;
use super::revoked::{self, Change, Kept, Origin};

/// What may wait to be told to other nodes, and messages of theirs that may wait for the control plane.
const WAITING_MAX: usize = 1_024;
/// What may wait for the control plane in all: as much as may be published until a connection counts as lost.
const HEARD_MAX: usize = 65_536;

/// A node, as the Redis knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    /// How long ago it last said that it lives.
    pub(crate) lease_age: Duration,
}

/// What the control plane has the engine's thread do.
#[derive(Debug)]
pub(crate) enum Tell {
    /// Look which nodes live now; nothing comes back when the Redis is out of reach.
    Look(oneshot::Sender<()>),
    /// Send a node a message.
    Node(NodeId, Vec<u8>),
    /// Keep what was decided just now, and tell it.
    Revoke(Change, u64, oneshot::Sender<Kept>),
    /// Keep what the Redis has missed, and tell it.
    Restate(Vec<Change>),
}

/// What the control plane hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Another node's message.
    Message(Vec<u8>),
    /// A change of who is refused, of whichever node.
    Revoked(Origin, Change),
    /// All that the Redis knows of who is refused: it is in reach again.
    AllRevoked(Vec<Change>),
}

/// The control plane's end.
#[derive(Debug)]
pub(crate) struct ClusterEnd {
    /// What this node is to the others.
    pub(crate) node: NodeId,
    pub(crate) status: Arc<EngineStatus>,
    /// Who was refused when the Redis was reached first.
    pub(crate) refused: Vec<Change>,
    pub(crate) tell: mpsc::Sender<Tell>,
    pub(crate) heard: mpsc::Receiver<Heard>,
}

/// The engine's end.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) tells: mpsc::Receiver<Tell>,
    pub(super) ears: Ears,
}

/// The way to the control plane.
#[derive(Debug)]
pub(super) struct Ears {
    heard: mpsc::Sender<Heard>,
    status: Arc<EngineStatus>,
}

/// There was no room for what must not be missed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more was revoked than the control plane could hear")]
pub(super) struct Overrun;

/// Both ends.
pub(super) fn channel(node: NodeId, status: Arc<EngineStatus>, refused: Vec<Change>) -> (ClusterEnd, Ends) {
    let (tell, tells) = mpsc::channel(WAITING_MAX);
    let (hear, heard) = mpsc::channel(HEARD_MAX);
    let ears = Ears { heard: hear, status: Arc::clone(&status) };
    (ClusterEnd { node, status, refused, tell, heard }, Ends { tells, ears })
}

impl Ears {
    /// Hands on what was heard, unless the control plane is gone.
    ///
    /// # Errors
    /// [`Overrun`] when something would be missed that nobody repeats.
    pub(super) fn hear(&self, heard: Heard) -> Result<(), Overrun> {
        let waiting = HEARD_MAX - self.heard.capacity();
        if matches!(heard, Heard::Message(_)) && waiting >= WAITING_MAX {
            self.status.messages_dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        match self.heard.try_send(heard) {
            Err(TrySendError::Full(_)) => Err(Overrun),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }
}

/// Who is refused, as far as the Redis knows.
///
/// # Errors
/// The connection's.
pub(super) async fn read_revoked(
    keys: &Keys,
    connection: &mut MultiplexedConnection,
) -> Result<Vec<Change>, RedisError> {
    let kept = redis::cmd("HGETALL").arg(keys.revocations()).query_async(connection).await?;
    Ok(revoked::read_all(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_dropped_when_too_many_wait_and_revocations_are_not() {
        let (mut end, ends) = channel(NodeId(1), Arc::default(), Vec::new());
        let message = || Heard::Message(b"A".to_vec());
        for _ in 0..WAITING_MAX + 3 {
            assert_eq!(ends.ears.hear(message()), Ok(()));
        }
        assert_eq!(end.status.messages_dropped.load(Ordering::Relaxed), 3);
        for _ in WAITING_MAX..HEARD_MAX {
            assert_eq!(ends.ears.hear(Heard::AllRevoked(Vec::new())), Ok(()));
        }
        assert_eq!(ends.ears.hear(Heard::AllRevoked(Vec::new())), Err(Overrun));
        end.heard.try_recv().expect("one waits");
        assert_eq!(ends.ears.hear(Heard::AllRevoked(Vec::new())), Ok(()));
        drop(end);
        assert_eq!(ends.ears.hear(message()), Ok(()), "nobody is there to miss it");
    }
}
