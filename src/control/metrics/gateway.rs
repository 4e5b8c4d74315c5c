//! The families of the gateway as a whole: acceptor, control plane, log, version.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::MetricType::{Counter, Gauge, Info};

use super::Sources;
use super::family::{Family, Head, Value};
use crate::control::snapshots::Snapshot;
use crate::engine::redis::EngineStatus;

pub(super) fn families(snapshot: &Snapshot, sources: &Sources) -> Vec<Family> {
    let Sources { extra, places, api, .. } = sources;
    let acceptor = &*extra.refused;
    let counter = |name, help, value| Family::single(Counter, name, None, help, Value::Whole(value));
    let gauge = |name, help, value| Family::single(Gauge, name, None, help, Value::Whole(value));
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let families = vec![
        Family {
            head: Head { kind: Info, name: "build", unit: None, help: "The version that runs, as a label." },
            series: vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], Value::Whole(1))],
        },
        counter(
            "connections_accepted",
            "Connections taken from the listening sockets.",
            read(&acceptor.accepted),
        ),
        Family {
            head: Head {
                kind: Counter,
                name: "connections_refused",
                unit: None,
                help: "Connections refused by the acceptor: process full, too many of an address, shard's backlog.",
            },
            series: acceptor
                .refused()
                .map(|(reason, counter)| (vec![("reason", reason.to_owned())], Value::Whole(read(counter))))
                .into(),
        },
        counter(
            "accept_errors",
            "Times that the kernel refused to hand out a connection.",
            read(&acceptor.accept_errors),
        ),
        gauge("control_connections", "HTTP connections that the control plane serves now.", places.taken()),
        counter(
            "control_connections_refused",
            "HTTP connections refused because the control plane served too many.",
            places.refused(),
        ),
        gauge("api_connections", "Connections of callers of the server API now.", places.callers()),
        Family {
            head: Head {
                kind: Counter,
                name: "api_requests",
                unit: None,
                help: "Requests of the server API: succeeded, refused by their own fault, failed for want of something.",
            },
            series: [("succeeded", &api.succeeded), ("refused", &api.refused), ("failed", &api.failed)]
                .map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], Value::Whole(read(count))))
                .into(),
        },
        counter(
            "api_overflows",
            "Requests of the control plane that found the queue of a shard full.",
            read(&api.overflows),
        ),
        gauge(
            "shards_unresponsive",
            "Shards that did not answer in time; their numbers are old.",
            snapshot.unresponsive as u64,
        ),
        counter(
            "logs_dropped",
            "Log records dropped because standard error was too slow.",
            (extra.logs_dropped)(),
        ),
    ];
    let engine = extra.engine.iter().flat_map(|engine| engine_families(engine));
    families.into_iter().chain(engine).collect()
}

/// Those of the engine that several nodes share, where there is one.
fn engine_families(engine: &EngineStatus) -> [Family; 7] {
    let counter = |name, help, value| Family::single(Counter, name, None, help, Value::Whole(value));
    let gauge = |name, help, value| Family::single(Gauge, name, None, help, Value::Whole(value));
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    [
        gauge(
            "engine_up",
            "Whether the shared engine can be reached (1), or the node is alone (0).",
            engine.is_up().into(),
        ),
        gauge(
            "engine_nodes",
            "Nodes that share the engine now, this one included.",
            (engine.peers().len() as u64).max(1),
        ),
        gauge("engine_rooms", "Rooms that are followed now.", read(&engine.rooms)),
        counter(
            "engine_losses",
            "Times that the engine could not be reached any more.",
            read(&engine.losses),
        ),
        counter("engine_commands", "Commands sent to the engine.", read(&engine.commands)),
        counter(
            "cluster_messages_dropped",
            "Questions and answers of other nodes for which there was no room.",
            read(&engine.messages_dropped),
        ),
        counter("engine_batches", "Writes in which commands were sent to the engine.", read(&engine.batches)),
    ]
}
