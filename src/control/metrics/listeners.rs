//! What listeners have heard and what became of it, and what emitters have emitted.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::MetricType::{self, Counter, Gauge};
use prometheus_client::registry::Unit;

use super::family::{Family, Head, Labels, Value};
use crate::emitter::EmitterCounts;
use crate::listeners::BusReport;

pub(super) fn families(report: &BusReport, emitter: &EmitterCounts) -> Vec<Family> {
    let listeners = &report.listeners;
    let outcomes = listeners.iter().flat_map(|listener| {
        let series = |(outcome, count): &(&'static str, u64)| {
            let labels = vec![("listener", listener.listener.clone()), ("outcome", (*outcome).to_owned())];
            (labels, Value::Whole(*count))
        };
        listener.outcomes.iter().map(series).collect::<Vec<_>>()
    });
    let each = |read: fn(&crate::listeners::Report) -> u64| {
        let series = move |listener: &crate::listeners::Report| {
            (vec![("listener", listener.listener.clone())], Value::Whole(read(listener)))
        };
        listeners.iter().map(series).collect()
    };
    let sources = report
        .events
        .iter()
        .map(|(outcome, count)| (vec![("outcome", (*outcome).to_owned())], Value::Whole(*count)));
    let count = |outcome: &str, count: &AtomicU64| {
        (vec![("outcome", outcome.to_owned())], Value::Whole(count.load(Ordering::Relaxed)))
    };
    let emitted = vec![
        count("emitted", &emitter.emitted),
        count("unreadable", &emitter.unreadable),
        count("dropped", &emitter.dropped),
    ];
    let single = |value: u64| vec![(Vec::new(), Value::Whole(value))];
    vec![
        family(
            Counter,
            "listener_events",
            None,
            "Events of each listener, by what became of them.",
            outcomes.collect(),
        ),
        family(
            Counter,
            "listener_retries",
            None,
            "Attempts of each listener that failed and are repeated.",
            each(|listener| listener.retries),
        ),
        family(
            Gauge,
            "listener_queue_events",
            None,
            "Events that wait for each listener, those on their way included.",
            each(|listener| listener.waiting.0 as u64),
        ),
        family(
            Gauge,
            "listener_queue",
            Some(Unit::Bytes),
            "What those events hold.",
            each(|listener| listener.waiting.1 as u64),
        ),
        family(
            Counter,
            "domain_events",
            None,
            "Events of the application: taken, unreadable, or refused for want of room.",
            sources.collect(),
        ),
        family(
            Gauge,
            "dead_letters",
            None,
            "Events now that could not be delivered.",
            single(report.dead_letters as u64),
        ),
        family(
            Counter,
            "dead_letters_dropped",
            None,
            "Dead letters that made way for newer ones.",
            single(report.dead_letters_dropped),
        ),
        family(
            Counter,
            "emitter_publications",
            None,
            "Publications of Socket.IO's emitters: emitted, unreadable, or dropped for want of room.",
            emitted,
        ),
    ]
}

fn family(
    kind: MetricType,
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    series: Vec<(Labels, Value)>,
) -> Family {
    Family { head: Head { kind, name, unit, help }, series }
}
