//! What is near which limit, and which flag to change: from numbers and limits to checks and advice. Pure.
//!
//! A check presses when its number has reached nine tenths of its limit, or must be nothing and is something. Losses
//! since the start have no limit: they would press for ever, so they only add advice when something presses.

use roomcast_shards::metrics::Metrics;
use roomcast_shards::protocol::close_code::CloseCode;
use serde::Serialize;

use super::metrics::Usage;
use super::snapshots::Snapshot;

/// What the gateway may use, as the settings say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthLimits {
    /// Connections of the process.
    pub(crate) connections_max: u64,
    /// Resident bytes above which load is shed; `None` never.
    pub(crate) memory_max: Option<u64>,
    /// Bytes of all histories together, shared evenly by the shards.
    pub(crate) history_bytes_max: u64,
    /// Items that all rings into one shard hold together.
    pub(crate) ring_items_max: u64,
}

/// The numbers that are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) connections: u64,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) fds_max: Option<u64>,
    pub(super) shards: u64,
    /// Of the shard that keeps most: each has its own share of the limit.
    pub(super) history_bytes: u64,
    /// Of the shard whose inbound rings hold most.
    pub(super) ring_items: u64,
    pub(super) ring_overflow_items: u64,
    /// Of the shard that sheds most.
    pub(super) overload: u64,
    pub(super) unresponsive_shards: u64,
    pub(super) connections_refused: u64,
    pub(super) slow_consumers: u64,
    pub(super) frames_dropped: u64,
    pub(super) sessions_dropped: u64,
    pub(super) queue_overflows: u64,
    pub(super) control_overflows: u64,
    /// Whether the durable store cannot be written; `None` without one.
    pub(super) store_failed: Option<bool>,
    /// Whether it hangs.
    pub(super) store_stalled: Option<bool>,
    pub(super) logs_dropped: u64,
    /// Whether the engine that several nodes share cannot be reached.
    pub(super) engine_down: bool,
}

impl Numbers {
    /// What the shards and the process say; the losses that no shard counts are added by whoever knows them.
    pub(super) fn new(snapshot: &Snapshot, usage: Usage) -> Self {
        let shards = &snapshot.shards;
        let sum = |read: fn(&Metrics) -> u64| shards.iter().map(read).sum();
        let most = |read: fn(&Metrics) -> u64| shards.iter().map(read).max().unwrap_or(0);
        Self {
            connections: sum(|shard| shard.connections),
            resident_bytes: usage.resident_bytes,
            open_fds: usage.open_fds,
            fds_max: usage.fds_max,
            shards: shards.len() as u64,
            history_bytes: most(|shard| shard.history_bytes),
            ring_items: most(|shard| shard.ring_depth),
            ring_overflow_items: sum(|shard| shard.ring_overflow_items),
            overload: most(|shard| shard.overload),
            unresponsive_shards: snapshot.unresponsive as u64,
            connections_refused: 0,
            slow_consumers: sum(|shard| shard.closes[CloseCode::SlowConsumer as usize]),
            frames_dropped: sum(|shard| shard.frames_dropped),
            sessions_dropped: sum(|shard| shard.sessions_dropped),
            queue_overflows: sum(|shard| shard.queue_overflows),
            control_overflows: sum(|shard| shard.control_overflows),
            store_failed: None,
            store_stalled: None,
            logs_dropped: 0,
            engine_down: false,
        }
    }
}

/// The members of the reply to `monitoring:health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    checks: Vec<Check>,
    /// Empty exactly when the status is `ok`.
    recommendations: Vec<String>,
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something that fills up.
    Level,
    /// Something that must not be.
    Trouble,
    /// What was lost or refused since the start.
    Loss,
}

/// One number against its limit.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    value: u64,
    /// `None` where there is none.
    limit: Option<u64>,
    /// Value by limit, to three places.
    ratio: Option<f64>,
    /// The setting that moves the limit, or lessens the number.
    flag: Option<&'static str>,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    advice: &'static str,
}

impl Check {
    /// A limit that is off, or 0 (nothing is kept at all), does not press.
    fn level(
        name: &'static str,
        value: u64,
        limit: Option<u64>,
        flag: &'static str,
        advice: &'static str,
    ) -> Self {
        let limit = limit.filter(|limit| *limit > 0);
        let ratio = limit.map(|limit| (value as f64 / limit as f64 * 1e3).round() / 1e3);
        Self { name, value, limit, ratio, flag: Some(flag), kind: Kind::Level, advice }
    }

    fn trouble(name: &'static str, value: u64, flag: &'static str, advice: &'static str) -> Self {
        let flag = Some(flag);
        Self { name, value, limit: Some(0), ratio: None, flag, kind: Kind::Trouble, advice }
    }

    fn loss(name: &'static str, value: u64, flag: Option<&'static str>, advice: &'static str) -> Self {
        Self { name, value, limit: None, ratio: None, flag, kind: Kind::Loss, advice }
    }

    fn presses(&self) -> bool {
        match self.kind {
            Kind::Level => self.limit.is_some_and(|limit| self.value >= limit - limit / 10),
            Kind::Trouble => self.value > 0,
            Kind::Loss => false,
        }
    }

    fn is_loss(&self) -> bool {
        self.kind == Kind::Loss && self.value > 0
    }

    fn recommendation(&self) -> String {
        let Self { name, value, limit, kind, advice, .. } = self;
        match (kind, limit) {
            (Kind::Level, Some(limit)) => format!("{name} is {value} of {limit}: {advice}"),
            (Kind::Loss, _) => format!("{name} is {value} since the start: {advice}"),
            _ => format!("{name} is {value}: {advice}"),
        }
    }
}

/// Judges the numbers.
pub(super) fn judge(numbers: &Numbers, limits: &HealthLimits) -> Health {
    let mut checks = levels(numbers, limits);
    checks.extend(troubles(numbers, limits));
    checks.extend(numbers.store_failed.map(store_trouble));
    checks.extend(numbers.store_stalled.map(store_stall));
    checks.extend(losses(numbers));
    let degraded = checks.iter().any(Check::presses);
    let told = checks.iter().filter(|check| degraded && (check.presses() || check.is_loss()));
    let recommendations = told.map(Check::recommendation).collect();
    Health { status: if degraded { "degraded" } else { "ok" }, checks, recommendations }
}

/// What fills up; what cannot be read is left out.
fn levels(numbers: &Numbers, limits: &HealthLimits) -> Vec<Check> {
    let level = |name, value: Option<u64>, limit, flag, advice| {
        value.map(|value| Check::level(name, value, limit, flag, advice))
    };
    [
        level(
            "connections",
            Some(numbers.connections),
            Some(limits.connections_max),
            "--max-connections",
            "further ones get 503; raise --max-connections and the descriptor limit (ulimit -n), or add a gateway",
        ),
        level(
            "residentMemoryBytes",
            numbers.resident_bytes,
            limits.memory_max,
            "--max-memory",
            "beyond it load is shed; raise --max-memory, or lower --history-total or --max-outbound-queue",
        ),
        level(
            "shardHistoryBytes",
            Some(numbers.history_bytes),
            Some(limits.history_bytes_max / numbers.shards.max(1)),
            "--history-total",
            "the fullest shard forgets the oldest messages before --history-ttl; raise --history-total, or lower \
             --history-ttl or --history-bytes",
        ),
        level(
            "openDescriptors",
            numbers.open_fds,
            numbers.fds_max,
            "--max-connections",
            "raise the descriptor limit (ulimit -n), or lower --max-connections",
        ),
        level(
            "ringItems",
            Some(numbers.ring_items),
            Some(limits.ring_items_max),
            "--ring-items",
            "a shard takes too long for what the others send it; raise --ring-items, or give it more cores (--shards)",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What must be nothing.
fn troubles(numbers: &Numbers, limits: &HealthLimits) -> [Check; 4] {
    let memory = numbers.resident_bytes.zip(limits.memory_max).is_some_and(|(bytes, max)| bytes > max);
    let (flag, advice) = if memory {
        ("--max-memory", "load is shed for want of memory; raise --max-memory, or lower --history-total")
    } else {
        (
            "--shards",
            "load is shed because turns of a shard take over 500 ms; give it more cores (--shards, --cpus)",
        )
    };
    [
        Check::trouble(
            "engineDown",
            numbers.engine_down.into(),
            "--engine",
            "the shared engine cannot be reached, and this node's clients hear only each other; look at the Redis",
        ),
        Check::trouble("overload", numbers.overload, flag, advice),
        Check::trouble(
            "unresponsiveShards",
            numbers.unresponsive_shards,
            "--cpus",
            "they did not answer for a second; see roomcast_loop_turn_seconds, and whether others use their cores \
             (--cpus)",
        ),
        Check::trouble(
            "ringOverflowItems",
            numbers.ring_overflow_items,
            "--ring-items",
            "a ring is full, and clients are not read until it has room; raise --ring-items, or give the gateway more \
             cores (--shards)",
        ),
    ]
}

/// The durable store; whoever has none is told nothing of it.
fn store_trouble(failed: bool) -> Check {
    Check::trouble(
        "storeFailed",
        u64::from(failed),
        "--store",
        "the disk cannot be written: what is sent is in memory only, and lost with the process; make room, or see the \
         log for what the system says (event store_failed)",
    )
}

fn store_stall(stalled: bool) -> Check {
    Check::trouble(
        "storeStalled",
        u64::from(stalled),
        "--store",
        "the disk has let a commit wait for over 2 s: with --durability batch nobody is answered meanwhile",
    )
}

/// What was lost or refused since the start.
fn losses(numbers: &Numbers) -> [Check; 7] {
    [
        Check::loss(
            "connectionsRefused",
            numbers.connections_refused,
            Some("--max-connections"),
            "the process was full, or a shard had too many to take over; raise --max-connections or --shards",
        ),
        Check::loss(
            "slowConsumers",
            numbers.slow_consumers,
            Some("--max-outbound-queue"),
            "closed because they did not read; raise --max-outbound-queue, or make their rooms ephemeral (--room-class)",
        ),
        Check::loss(
            "framesDropped",
            numbers.frames_dropped,
            Some("--max-outbound-queue"),
            "clients of ephemeral rooms did not read fast enough; raise --max-outbound-queue",
        ),
        Check::loss(
            "sessionsDropped",
            numbers.sessions_dropped,
            Some("--session-ttl"),
            "users had too many sessions; lower --session-ttl",
        ),
        Check::loss(
            "queueOverflows",
            numbers.queue_overflows,
            Some("--history-size"),
            "not all could be kept for absent members of queued rooms; raise --history-size, --history-bytes or \
             --history-total",
        ),
        Check::loss(
            "controlOverflows",
            numbers.control_overflows,
            None,
            "too many asked the control plane at once; ask /metrics and monitoring:* less often",
        ),
        Check::loss(
            "logsDropped",
            numbers.logs_dropped,
            Some("--log-level"),
            "standard error was read too slowly; raise --log-level, or read it faster",
        ),
    ]
}

#[cfg(test)]
mod tests;
