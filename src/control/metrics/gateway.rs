//! The families of the gateway as a whole: acceptor, control plane, log, version.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::MetricType::{Counter, Gauge, Info};

use super::Sources;
use super::family::{Family, Head, Value};
use crate::control::snapshots::Snapshot;

pub(super) fn families(snapshot: &Snapshot, sources: &Sources) -> Vec<Family> {
    let Sources { extra, places, .. } = sources;
    let acceptor = &*extra.refused;
    let counter = |name, help, value| Family::single(Counter, name, None, help, Value::Whole(value));
    let gauge = |name, help, value| Family::single(Gauge, name, None, help, Value::Whole(value));
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    vec![
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
    ]
}
