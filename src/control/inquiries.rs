//! Answers what clients ask of the gateway itself (`monitoring:metrics`, `stats`, `health`), from the same numbers as
//! `/metrics`.
//!
//! Inquiries that come together share one snapshot, so that asking more often does not make the shards count more
//! often. While a snapshot is waited for, further ones wait in the queue of [`super::sink`]; when that is full, the
//! asking shard says so to its client and counts it.

use std::cell::LazyCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roomcast_shards::id::ShardId;
use roomcast_shards::mesh::item::Caller;
use roomcast_shards::protocol::command::Monitoring;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::health::{self, Health, Numbers};
use super::metrics::{self, Usage};
use super::routes::Gateway;
use super::snapshots::Snapshot;
use super::stats::Stats;

/// Inquiries that share a snapshot.
const BATCH_MAX: usize = 64;

/// Answers that a shard may have been sent and not be known to have taken: so a shard that is slow holds no more of the
/// queue of answers than its share, the rest of which is for those of backends.
const UNTAKEN_MAX: usize = 128;

/// Who asks what, and that client's shard.
pub(super) type Asked = (ShardId, Caller, Monitoring);
/// Gives a shard the members of the `data` that answers its client, `None` when there is no answer; whether it took them.
pub(super) type Answer = Box<dyn Fn(ShardId, Caller, Option<Vec<u8>>) -> bool + Send>;

/// Who answers inquiries.
pub(super) struct Inquiries {
    gateway: Arc<Gateway>,
    answer: Answer,
    /// By shard, see [`UNTAKEN_MAX`].
    untaken: Vec<usize>,
}

impl Inquiries {
    pub(super) fn new(gateway: Arc<Gateway>, answer: Answer) -> Self {
        Self { gateway, answer, untaken: Vec::new() }
    }

    /// Answers until no shard is left that could ask.
    ///
    /// What a shard cannot be given yet is kept, and the queue is not read meanwhile: a second at a time, which is how
    /// long a snapshot waits for a shard that does not answer.
    pub(super) async fn serve(mut self, mut asked: mpsc::Receiver<Asked>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while asked.recv_many(&mut batch, BATCH_MAX).await > 0 {
            while !batch.is_empty() {
                let snapshot = self.gateway.snapshots.take().await;
                self.answer(&mut batch, &snapshot);
            }
        }
    }

    /// Answers those whose shards have room, and leaves the others in the batch.
    fn answer(&mut self, batch: &mut Vec<Asked>, snapshot: &Snapshot) {
        let Self { gateway, answer, untaken } = self;
        untaken.resize(snapshot.caught_up.len(), 0);
        for (untaken, _) in untaken.iter_mut().zip(&snapshot.caught_up).filter(|(_, caught_up)| **caught_up) {
            *untaken = 0;
        }
        let metrics = LazyCell::new(|| write_metrics(gateway, snapshot));
        let stats = LazyCell::new(|| write_stats(gateway, snapshot));
        let health = LazyCell::new(|| write_health(gateway, snapshot));
        batch.retain(|(shard, caller, topic)| {
            let untaken = &mut untaken[shard.index()];
            if *untaken == UNTAKEN_MAX {
                return true;
            }
            let members = match topic {
                Monitoring::Metrics => metrics.clone(),
                Monitoring::Stats => stats.clone(),
                Monitoring::Health => health.clone(),
                // The shards answer that one themselves.
                Monitoring::Events => None,
            };
            let taken = answer(*shard, caller.clone(), members);
            *untaken += usize::from(taken);
            !taken
        });
    }
}

fn write_metrics(gateway: &Gateway, snapshot: &Snapshot) -> Option<Vec<u8>> {
    let exposition = metrics::render(snapshot, &gateway.sources)
        .inspect_err(|fault| tracing::error!(event = "metrics_failed", error = %fault));
    members(&json!({ "metrics": metrics::samples(&exposition.ok()?) }))
}

fn write_stats(gateway: &Gateway, snapshot: &Snapshot) -> Option<Vec<u8>> {
    members(&Stats::new(snapshot, &gateway.sources, gateway.started.elapsed()))
}

fn write_health(gateway: &Gateway, snapshot: &Snapshot) -> Option<Vec<u8>> {
    members(&health_of(gateway, snapshot))
}

/// What is near which limit.
pub(super) fn health_of(gateway: &Gateway, snapshot: &Snapshot) -> Health {
    let extra = &gateway.sources.extra;
    // Those of single addresses are their own affair.
    let refused = [&extra.refused.refused_full, &extra.refused.refused_backlog];
    let store = extra.store.as_ref().map(|store| store.numbers());
    let numbers = Numbers {
        connections_refused: refused.iter().map(|counter| counter.load(Ordering::Relaxed)).sum(),
        store_failed: store.as_ref().map(|store| store.failed),
        store_stalled: store.as_ref().map(|store| store.stalled),
        logs_dropped: (extra.logs_dropped)(),
        engine_down: extra.engine.as_ref().is_some_and(|engine| !engine.is_up()),
        ..Numbers::new(snapshot, Usage::read())
    };
    health::judge(&numbers, &gateway.limits)
}

/// An object as JSON, less its braces.
fn members(object: &impl Serialize) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(object).ok()?;
    Some(json.strip_prefix(b"{")?.strip_suffix(b"}")?.to_vec())
}

impl fmt::Debug for Inquiries {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inquiries").field("untaken", &self.untaken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
