//! The other nodes, as the control plane asks them: one question to several, and what they answer within a time limit.
//!
//! Who does not answer is named, never passed over. There is one question for each request that waits for it, so what is
//! open is bounded by the callers of the server API; what waits to be sent, by the engine's queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roomcast_shards::engine::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::engine::redis::EngineStatus;
use crate::engine::redis::cluster::{Peer, Tell};
use crate::engine::redis::revoked::{Change, Kept};

/// How long nodes may take to answer, all together.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The other nodes.
#[derive(Debug)]
pub(super) struct Cluster {
    /// What this node is to them.
    pub(super) node: NodeId,
    status: Arc<EngineStatus>,
    tell: mpsc::Sender<Tell>,
    /// Who waits for answers.
    open: Mutex<HashMap<u64, Asker>>,
    tickets: AtomicU64,
}

/// Who waits for answers.
#[derive(Debug)]
struct Asker {
    /// Of these nodes.
    awaited: Vec<NodeId>,
    /// Has room for one of each.
    answers: mpsc::Sender<(NodeId, Said)>,
}

/// What a node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Of HTTP.
    pub(super) status: u16,
    /// A JSON text.
    pub(super) json: Vec<u8>,
}

/// What all those said who were asked.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) said: Vec<(NodeId, Said)>,
    /// Who has not answered in time, or could not be asked.
    pub(super) missing: Vec<NodeId>,
}

/// All nodes, this one included, by their names; and whether they can be asked.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) peers: Vec<Peer>,
    pub(super) in_reach: bool,
}

/// A message between nodes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A node asks.
    Question { from: NodeId, ticket: u64, question: &'a [u8] },
    /// A node answers.
    Answer { from: NodeId, ticket: u64, said: Said },
}

impl Cluster {
    pub(super) fn new(node: NodeId, status: Arc<EngineStatus>, tell: mpsc::Sender<Tell>) -> Self {
        Self { node, status, tell, open: Mutex::default(), tickets: AtomicU64::new(0) }
    }

    /// When answers to what is asked now come too late.
    pub(super) fn deadline() -> Instant {
        Instant::now() + ANSWER_TIME_MAX
    }

    /// Looks which nodes there are.
    pub(super) async fn census(&self) -> Census {
        let looked = async {
            let (answer, looked) = oneshot::channel();
            self.tell.try_send(Tell::Look(answer)).ok()?;
            looked.await.ok()
        };
        let in_reach = self.status.is_up() && matches!(timeout(ANSWER_TIME_MAX, looked).await, Ok(Some(())));
        Census { peers: self.status.peers(), in_reach }
    }

    /// Asks nodes something, and waits for all of them until the deadline.
    pub(super) async fn ask(&self, nodes: &[NodeId], question: &[u8], deadline: Instant) -> Gathered {
        let gathering = self.gathering(nodes);
        for node in nodes {
            let mut message = format!("Q {:016x} {} ", self.node.0, gathering.ticket).into_bytes();
            message.extend_from_slice(question);
            // Who cannot be asked does not answer.
            let _ = self.tell.try_send(Tell::Node(*node, message));
        }
        gathering.finish(deadline).await
    }

    /// Has all nodes refuse somebody, or do so no longer, and the Redis remember it. What others say is how many
    /// connections they closed. `Kept::Full` when there is no room for it; without the Redis it is remembered here until
    /// that is back.
    pub(super) async fn revoke(&self, change: Change) -> (Kept, Gathered) {
        let Census { peers, in_reach } = self.census().await;
        let others: Vec<NodeId> =
            peers.iter().map(|peer| peer.node).filter(|node| *node != self.node).collect();
        let gathering = self.gathering(&others);
        let (answer, kept) = oneshot::channel();
        // Also when it seems out of reach: if it is, this is given up, and made up for when the Redis is back.
        let _ = self.tell.send(Tell::Revoke(change, gathering.ticket, answer)).await;
        let deadline = if in_reach { Self::deadline() } else { Instant::now() };
        match timeout_at(deadline, kept).await {
            Ok(Ok(Kept::Full)) => (Kept::Full, Gathered::default()),
            Ok(Ok(Kept::Yes)) => (Kept::Yes, gathering.finish(deadline).await),
            _ => (Kept::Yes, Gathered { said: Vec::new(), missing: others }),
        }
    }

    /// The Redis is to remember what it has missed.
    pub(super) async fn restate(&self, changes: Vec<Change>) {
        let _ = self.tell.send(Tell::Restate(changes)).await;
    }

    /// Answers a node.
    pub(super) fn answer(&self, to: NodeId, ticket: u64, said: &Said) {
        let mut message = format!("A {:016x} {ticket} {} ", self.node.0, said.status).into_bytes();
        message.extend_from_slice(&said.json);
        // What is lost is missed within the time limit.
        let _ = self.tell.try_send(Tell::Node(to, message));
    }

    /// A node has answered.
    pub(super) fn on_answer(&self, from: NodeId, ticket: u64, said: Said) {
        let mut open = locked(&self.open);
        let Some(Asker { awaited, answers }) = open.get_mut(&ticket) else { return };
        if let Some(place) = awaited.iter().position(|awaited| *awaited == from) {
            awaited.swap_remove(place);
            let _ = answers.try_send((from, said));
        }
    }

    /// A question of another node finds no room.
    pub(super) fn drop_question(&self) {
        self.status.messages_dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn gathering(&self, nodes: &[NodeId]) -> Gathering<'_> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(nodes.len().max(1));
        let awaited = nodes.to_vec();
        locked(&self.open).insert(ticket, Asker { awaited: awaited.clone(), answers: sender });
        Gathering { cluster: self, ticket, answers, awaited }
    }
}

/// Answers that are waited for.
#[derive(Debug)]
struct Gathering<'a> {
    cluster: &'a Cluster,
    ticket: u64,
    answers: mpsc::Receiver<(NodeId, Said)>,
    awaited: Vec<NodeId>,
}

impl Gathering<'_> {
    async fn finish(mut self, deadline: Instant) -> Gathered {
        let mut missing = std::mem::take(&mut self.awaited);
        let mut said = Vec::with_capacity(missing.len());
        while !missing.is_empty() {
            let Ok(Some((node, answer))) = timeout_at(deadline, self.answers.recv()).await else { break };
            if let Some(place) = missing.iter().position(|awaited| *awaited == node) {
                missing.swap_remove(place);
                said.push((node, answer));
            }
        }
        missing.sort_unstable();
        Gathered { said, missing }
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        locked(&self.cluster.open).remove(&self.ticket);
    }
}

impl<'a> Message<'a> {
    /// `Q NODE TICKET QUESTION`, or `A NODE TICKET STATUS JSON`.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let (kind, rest) = word(message)?;
        let (node, rest) = word(rest)?;
        let (ticket, rest) = word(rest)?;
        let (from, ticket) = (read_node(node)?, ticket.parse().ok()?);
        match kind {
            "Q" => Some(Self::Question { from, ticket, question: rest }),
            "A" => {
                let (status, json) = word(rest)?;
                let said = Said { status: status.parse().ok()?, json: json.to_vec() };
                Some(Self::Answer { from, ticket, said })
            }
            _ => None,
        }
    }
}

fn word(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// A node by its name.
pub(super) fn read_node(name: &str) -> Option<NodeId> {
    let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(name, 16).ok().filter(|_| is_name).map(NodeId)
}

/// What a node is called where people see it.
pub(super) fn node_name(node: NodeId) -> String {
    format!("{:016x}", node.0)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test);
    }

    fn said(status: u16, json: &str) -> Said {
        Said { status, json: json.as_bytes().to_vec() }
    }

    #[test]
    fn messages_read_back_and_nonsense_does_not() {
        let question = Message::read(b"Q 00000000000000ff 7 {\"a\": 1}");
        let expected = Message::Question { from: NodeId(255), ticket: 7, question: b"{\"a\": 1}" };
        assert_eq!(question, Some(expected));
        let answer = Message::read(b"A 00000000000000ff 7 200 {}");
        assert_eq!(answer, Some(Message::Answer { from: NodeId(255), ticket: 7, said: said(200, "{}") }));
        for wrong in ["", "Q", "Q ff 7 x", "Q 00000000000000ff x ", "A 00000000000000ff 7 {}", "X a b c d"] {
            assert_eq!(Message::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn who_does_not_answer_in_time_is_named() {
        block_on(async {
            let (tell, mut told) = mpsc::channel(8);
            let cluster = Cluster::new(NodeId(1), Arc::default(), tell);
            let asked = cluster.ask(&[NodeId(2), NodeId(3)], b"?", Cluster::deadline());
            let answers = async {
                let Some(Tell::Node(NodeId(2), question)) = told.recv().await else { panic!("none asked") };
                let Some(Message::Question { ticket, .. }) = Message::read(&question) else { panic!("no") };
                for _ in 0..3 {
                    cluster.on_answer(NodeId(9), ticket, said(200, "not asked"));
                }
                cluster.on_answer(NodeId(2), ticket, said(200, "{}"));
                cluster.on_answer(NodeId(2), ticket, said(200, "again"));
            };
            let (gathered, ()) = tokio::join!(asked, answers);
            assert_eq!(gathered.said, [(NodeId(2), said(200, "{}"))]);
            assert_eq!(gathered.missing, [NodeId(3)]);
            assert!(locked(&cluster.open).is_empty(), "nothing stays open");
        });
    }
}
