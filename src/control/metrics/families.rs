//! The one table of what a shard counts: each field's name, unit and meaning in the exposition.
//!
//! Plain numbers and histograms have a series a shard. Numbers by reason are added up over the shards, because reasons
//! times shards would be more series than anybody looks at.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use roomcast_shards::access::token::TokenError;
use roomcast_shards::metrics::{Histogram, Metrics};
use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::ErrorCode;
use roomcast_shards::protocol::reply::SessionError;

use super::family::{Family, Head, Value};

/// How a family is read from a shard's numbers.
enum Reading {
    /// A number, for each shard.
    Number(fn(&Metrics) -> u64),
    /// Durations, for each shard.
    Durations(fn(&Metrics) -> &Histogram),
    /// The numbers of all shards together, by the values of a label.
    By(&'static str, fn(&Metrics) -> Vec<(&'static str, u64)>),
}

/// A line of the table.
struct Line {
    head: Head,
    reading: Reading,
}

/// Makes the table, and fails to compile when a shard counts something that is not in it.
macro_rules! table {
    (
        numbers {
            $($kind:ident $field:ident: $name:literal $($unit:ident)?, $help:literal;)*
        }
        others($($other:ident),*) {
            $($other_kind:ident $other_name:literal $($other_unit:ident)?, $other_help:literal, $reading:expr;)*
        }
    ) => {
        const TABLE: &[Line] = &[
            $(Line {
                head: head!($kind $name $($unit)?, $help),
                reading: Reading::Number(|metrics| metrics.$field),
            },)*
            $(Line {
                head: head!($other_kind $other_name $($other_unit)?, $other_help),
                reading: $reading,
            },)*
        ];
        const _: fn(Metrics) = |Metrics { $($field: _,)* $($other: _,)* }| ();
    };
}

macro_rules! head {
    ($kind:ident $name:literal, $help:literal) => {
        Head { kind: MetricType::$kind, name: $name, unit: None, help: $help }
    };
    ($kind:ident $name:literal $unit:ident, $help:literal) => {
        Head { kind: MetricType::$kind, name: $name, unit: Some(Unit::$unit), help: $help }
    };
}

table! {
    numbers {
        Gauge connections: "connections", "Connections now, in whatever phase.";
        Gauge connections_authenticated: "connections_authenticated", "Authenticated connections now.";
        Counter connections_opened: "connections_opened", "Connections taken over from the acceptor.";
        Counter http_handovers: "http_handovers", "Requests handed to the control plane.";
        Counter connections_moved: "connections_moved",
            "Connections handed to the shard of the Socket.IO session that their request names.";
        Counter connections_lost: "connections_lost",
            "Connections closed because the shard that should take them over had too many.";
        Counter socketio_upgrades: "socketio_upgrades", "Socket.IO sessions that moved from polling to a WebSocket.";
        Gauge socketio_polling: "socketio_polling", "Socket.IO sessions that poll now.";
        Counter http_refusals: "http_refusals", "Requests refused with an HTTP status.";
        Counter messages_received: "messages_received", "Messages received from clients.";
        Counter publications: "publications", "Messages accepted by the rooms that the shard owns.";
        Counter gateway_events: "gateway_events", "Events that the shard noted for listeners.";
        Counter gateway_events_dropped: "gateway_events_dropped",
            "Events for listeners that there was no room for.";
        Counter publications_duplicate: "publications_duplicate", "Messages recognised as repeated.";
        Counter deliveries: "deliveries", "Frames queued for recipients of messages.";
        Counter frames_sent: "frames_sent", "Frames that left for clients, of every kind.";
        Counter frames_encoded: "frames_encoded", "Frames encoded for fan-out: one a message, dialect and profile.";
        Counter bytes_received: "bytes_received", "Bytes received from clients.";
        Counter bytes_sent: "bytes_sent", "Bytes sent to clients.";
        Counter publications_shed: "publications_shed",
            "Ephemeral messages dropped for all subscribers of the shard because of overload.";
        Gauge overload: "overload",
            "How far load is shed: 0 not at all, 1 new connections are refused, 2 ephemeral messages are dropped too.";
        Counter reads_paused: "reads_paused", "Times that unread replies stopped a connection's reading.";
        Counter revisions: "revisions", "Edits and deletions of messages accepted by the rooms that the shard owns.";
        Counter receipts: "receipts", "Receipts accepted by the rooms that the shard owns.";
        Counter receipts_dropped: "receipts_dropped",
            "Cursors of receipts, and pushes of them, given up because there were too many.";
        Counter typing_edges: "typing_edges", "Users who began or ended to write, told to their rooms.";
        Counter presence_changes: "presence_changes", "Changes of the presence of users that the shard owns.";
        Counter presence_deliveries: "presence_deliveries", "Pushes of presence to watchers.";
        Gauge users_online: "users_online", "Users who are there now, those within the grace of a lost connection included.";
        Gauge rooms_created: "rooms_created", "Rooms that somebody created and nobody has closed, now.";
        Gauge rooms_created_bytes: "rooms_created" Bytes, "Bytes that metadata and members of created rooms take now.";
        Counter queued_delivered: "queued_delivered",
            "Kept messages given to members of queued rooms who came back.";
        Counter queue_overflows: "queue_overflows",
            "Members of queued rooms who came back and for whom not everything could be kept.";
        Counter engine_requests: "engine_requests", "Questions to the engine that several nodes share.";
        Gauge engine_open: "engine_open", "Questions to the engine that somebody waits for now.";
        Counter engine_refusals: "engine_refusals",
            "What could not be done because the engine did not answer, or too much waited for it.";
        Counter engine_gaps: "engine_gaps", "Shared rooms that were read anew because an entry was missed.";
        Counter engine_illegible: "engine_illegible", "Entries and words of the engine that make no sense here.";
        Gauge sessions: "sessions", "Sessions that can be resumed now.";
        Gauge sessions_parked: "sessions_parked", "Sessions without a connection now.";
        Counter sessions_dropped: "sessions_dropped", "Sessions given up because their user had too many.";
        Counter sessions_replaced: "sessions_replaced", "Connections closed because another resumed their session.";
        Counter session_recoveries: "session_recoveries", "Sessions that clients wanted to resume.";
        Counter progress_probes: "progress_probes", "Pings that asked clients with a session how far they had got.";
        Counter history_dropped: "history_dropped",
            "Messages and names that histories and dedupe windows forgot before their time.";
        Gauge history_bytes: "history" Bytes, "Bytes in histories now, as of each room's last change.";
        Gauge rooms: "rooms", "Rooms that the shard owns now.";
        Gauge subscriptions: "subscriptions", "Connections times rooms now.";
        Gauge pattern_subscriptions: "pattern_subscriptions", "Connections times patterns now.";
        Gauge outbound_queue_bytes: "outbound_queue" Bytes, "Bytes waiting in outbound queues now.";
        Counter ring_items: "ring_items", "Items put into rings to other shards.";
        Gauge ring_depth: "ring_depth", "Items waiting in the shard's inbound rings now.";
        Counter ring_overflows: "ring_overflows", "Items that found a ring full and waited beside it.";
        Gauge ring_overflow_items: "ring_overflow_items", "Items waiting beside a full ring now.";
        Counter ring_pauses: "ring_pauses", "Turns in which clients were not read because a ring was full.";
        Gauge inquiries_open: "inquiries_open",
            "Questions to the control plane and to backends that are not answered yet.";
        Gauge store_held_items: "store_held_items", "What rooms tell that waits for the disk now.";
        Counter store_pauses: "store_pauses",
            "Turns in which clients were not read because too much waited to be written.";
        Counter control_overflows: "control_overflows",
            "Items for the control plane or from it that found its queue full.";
        Counter doorbells: "doorbells", "Doorbells rung for sleeping threads.";
        Counter turns: "loop_turns", "Turns of the shard's loop.";
        Gauge load_percent: "load_percent",
            "Share of its time that the shard would need if no frames shared a write; above 50 they do.";
        Gauge coalescing_wait_ms: "coalescing_wait_milliseconds",
            "Time that pushes wait now for others to share their write.";
        Counter sends: "sends", "Calls of send.";
        Counter receives: "receives", "Calls of recv.";
    }
    others(
        closes, resets, errors, auth_failures, turn, fan_out, recoveries, recoveries_complete, frames_dropped,
        session_refusals, session_recoveries_full, session_recoveries_partial
    ) {
        Counter "connections_closed", "Connections closed, by the close code's name; reset: without a close frame.",
            Reading::By("reason", closes);
        Counter "errors_sent", "Errors sent to clients, by code.",
            Reading::By("code", errors);
        Counter "auth_failures", "Tokens refused, by the rule that they break.",
            Reading::By("reason", auth_failures);
        Counter "recoveries", "Recoveries asked for, by whether all that was missed could be given.",
            Reading::By("result", recoveries);
        Counter "sessions_resumed", "Sessions resumed, by whether all of their rooms were recovered, and those refused.",
            Reading::By("result", sessions_resumed);
        Counter "frames_dropped", "Ephemeral frames dropped because a connection's outbound queue was full.",
            Reading::By("reason", |metrics| vec![("slow_consumer", metrics.frames_dropped)]);
        Histogram "loop_turn" Seconds, "How long turns of the loop took, waiting not counted.",
            Reading::Durations(|metrics| &metrics.turn);
        Histogram "fan_out" Seconds, "How long it took to queue one message for all its local subscribers.",
            Reading::Durations(|metrics| &metrics.fan_out);
    }
}

fn by_name<const N: usize>(names: [&'static str; N], counts: [u64; N]) -> Vec<(&'static str, u64)> {
    names.into_iter().zip(counts).collect()
}

/// Connections closed, by why.
pub(in crate::control) fn closes(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    let mut closes = by_name(CloseCode::ALL.map(CloseCode::name), metrics.closes);
    closes.push(("reset", metrics.resets));
    closes
}

/// Errors sent to clients, by code.
pub(in crate::control) fn errors(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    by_name(ErrorCode::ALL.map(ErrorCode::name), metrics.errors)
}

/// Tokens refused, by the rule that they break.
pub(in crate::control) fn auth_failures(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    by_name(TokenError::LABELS, metrics.auth_failures)
}

fn recoveries(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    let complete = metrics.recoveries_complete;
    vec![("complete", complete), ("incomplete", metrics.recoveries.saturating_sub(complete))]
}

fn sessions_resumed(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    let mut results = by_name(SessionError::ALL.map(SessionError::name), metrics.session_refusals);
    results.push(("full", metrics.session_recoveries_full));
    results.push(("partial", metrics.session_recoveries_partial));
    results
}

/// All families of the table, with the numbers of these shards, the first of which is shard 0.
pub(super) fn of_shards(shards: &[Metrics]) -> Vec<Family> {
    let mut merged = Metrics::default();
    shards.iter().for_each(|metrics| merged.merge(metrics));
    let each = |read: &dyn Fn(&Metrics) -> Value| {
        let label = |index: usize| vec![("shard", index.to_string())];
        shards.iter().enumerate().map(|(index, metrics)| (label(index), read(metrics))).collect()
    };
    let family = |line: &Line| Family {
        head: line.head.clone(),
        series: match &line.reading {
            Reading::Number(read) => each(&|metrics| Value::Whole(read(metrics))),
            Reading::Durations(read) => each(&|metrics| Value::Durations(read(metrics).clone())),
            Reading::By(label, read) => {
                let series =
                    |(value, count): (&str, u64)| (vec![(*label, value.to_owned())], Value::Whole(count));
                read(&merged).into_iter().map(series).collect()
            }
        },
    };
    TABLE.iter().map(family).collect()
}
