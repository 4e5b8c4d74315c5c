//! The sums over all shards that `monitoring:stats` shows: the same numbers as `/metrics`, for people.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roomcast_shards::metrics::Metrics;
use serde::Serialize;

use super::metrics::{self, Sources};
use super::snapshots::Snapshot;

/// Numbers by a reason or code.
type By = BTreeMap<&'static str, u64>;

/// The members of the reply to `monitoring:stats`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    version: &'static str,
    uptime_ms: u64,
    shards: usize,
    unresponsive_shards: usize,
    connections: u64,
    authenticated: u64,
    connections_accepted: u64,
    connections_refused: By,
    users: u64,
    rooms: u64,
    rooms_created: u64,
    subscriptions: u64,
    patterns: u64,
    messages: u64,
    duplicates: u64,
    revisions: u64,
    receipts: u64,
    deliveries: u64,
    frames_sent: u64,
    frames_dropped: u64,
    bytes_received: u64,
    bytes_sent: u64,
    outbound_queue_bytes: u64,
    history_bytes: u64,
    sessions: u64,
    sessions_parked: u64,
    recoveries: u64,
    recoveries_complete: u64,
    closes: By,
    errors: By,
    auth_failures: By,
    logs_dropped: u64,
}

impl Stats {
    /// Adds the shards' numbers up.
    pub(super) fn new(snapshot: &Snapshot, sources: &Sources, uptime: Duration) -> Self {
        let mut all = Metrics::default();
        snapshot.shards.iter().for_each(|shard| all.merge(shard));
        let acceptor = &*sources.extra.refused;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            shards: snapshot.shards.len(),
            unresponsive_shards: snapshot.unresponsive,
            connections: all.connections,
            authenticated: all.connections_authenticated,
            connections_accepted: read(&acceptor.accepted),
            connections_refused: acceptor.refused().map(|(reason, counter)| (reason, read(counter))).into(),
            users: all.users_online,
            rooms: all.rooms,
            rooms_created: all.rooms_created,
            subscriptions: all.subscriptions,
            patterns: all.pattern_subscriptions,
            messages: all.publications,
            duplicates: all.publications_duplicate,
            revisions: all.revisions,
            receipts: all.receipts,
            deliveries: all.deliveries,
            frames_sent: all.frames_sent,
            frames_dropped: all.frames_dropped,
            bytes_received: all.bytes_received,
            bytes_sent: all.bytes_sent,
            outbound_queue_bytes: all.outbound_queue_bytes,
            history_bytes: all.history_bytes,
            sessions: all.sessions,
            sessions_parked: all.sessions_parked,
            recoveries: all.recoveries,
            recoveries_complete: all.recoveries_complete,
            closes: by(metrics::closes(&all)),
            errors: by(metrics::errors(&all)),
            auth_failures: by(metrics::auth_failures(&all)),
            logs_dropped: (sources.extra.logs_dropped)(),
        }
    }
}

/// Only what happened: most of the reasons never do.
fn by(counts: Vec<(&'static str, u64)>) -> By {
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roomcast_shards::protocol::close_code::CloseCode;
    use roomcast_shards::protocol::error_code::ErrorCode;
    use serde_json::json;

    use super::super::Extra;
    use super::super::places::Places;
    use super::*;

    #[test]
    fn all_shards_are_added_up() {
        let mut shards = vec![Metrics::default(); 3];
        for (shard, n) in shards.iter_mut().zip(1..) {
            shard.connections = n;
            shard.publications = 10 * n;
            shard.pattern_subscriptions = 100 * n;
            shard.count_close(CloseCode::SlowConsumer);
            shard.count_error(ErrorCode::RateLimited);
        }
        let sources = Sources {
            extra: Extra { logs_dropped: || 3, refused: Arc::default(), engine: None, store: None },
            places: Arc::new(Places::new(1)),
            backends: Arc::new(crate::backend::Backends::none()),
            api: Arc::default(),
            bus: Arc::new(crate::listeners::Bus::none()),
            emitter: Arc::default(),
        };
        sources.extra.refused.refused_full.store(4, Ordering::Relaxed);
        let snapshot = Snapshot { shards, unresponsive: 1, caught_up: vec![true, true, false] };
        let stats = Stats::new(&snapshot, &sources, Duration::from_secs(5));
        let stats = serde_json::to_value(stats).unwrap();
        for (member, expected) in [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("uptimeMs", json!(5_000)),
            ("shards", json!(3)),
            ("unresponsiveShards", json!(1)),
            ("connections", json!(6)),
            ("messages", json!(60)),
            ("patterns", json!(600)),
            ("closes", json!({"slow_consumer": 3})),
            ("errors", json!({"RATE_LIMITED": 3})),
            ("connectionsRefused", json!({"full": 4, "address": 0, "backlog": 0})),
            ("logsDropped", json!(3)),
        ] {
            assert_eq!(stats[member], expected, "{member}");
        }
    }
}
