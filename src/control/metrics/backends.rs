//! The families of backends: one series for each route.

use prometheus_client::metrics::MetricType::{Counter, Gauge, Histogram};
use prometheus_client::registry::Unit;

use super::family::{Family, Head, Labels, Value};
use crate::backend::meter::Report;

pub(super) fn families(reports: &[Report]) -> Vec<Family> {
    // Without backends there is nothing to say of them.
    if reports.is_empty() {
        return Vec::new();
    }
    let each = |value: fn(&Report) -> Value| {
        reports.iter().map(|report| (labels(report, None), value(report))).collect::<Vec<_>>()
    };
    let family = |kind, name, unit, help, series| Family { head: Head { kind, name, unit, help }, series };
    let outcomes = reports.iter().flat_map(|report| {
        let outcomes = report.numbers.outcomes();
        outcomes.map(|(outcome, count)| (labels(report, Some(outcome)), Value::Whole(count)))
    });
    vec![
        family(
            Counter,
            "backend_requests",
            None,
            "Requests to a backend that ended, by how: answered, refused by its answer, or failed and why.",
            outcomes.collect(),
        ),
        family(
            Histogram,
            "backend_request_duration",
            Some(Unit::Seconds),
            "How long requests to a backend took, the time in its queue included.",
            each(|report| Value::Waits(report.numbers.durations.clone())),
        ),
        family(
            Gauge,
            "backend_queue_depth",
            None,
            "Requests that wait for their turn now.",
            each(|report| Value::Whole(report.numbers.waiting)),
        ),
        family(
            Gauge,
            "backend_requests_running",
            None,
            "Requests that a backend works on now.",
            each(|report| Value::Whole(report.numbers.running)),
        ),
        family(
            Gauge,
            "backend_breaker_state",
            None,
            "Whether a backend is asked: 0 closed, so it is, 1 half-open, with care, 2 open, not at all.",
            each(|report| Value::Whole(report.breaker as u64)),
        ),
        family(
            Counter,
            "backend_retries",
            None,
            "Calls of a backend that were repeated.",
            each(|report| Value::Whole(report.numbers.retries)),
        ),
        family(
            Counter,
            "backend_publishes_failed",
            None,
            "What a backend's answers wanted published and could not be.",
            each(|report| Value::Whole(report.numbers.publishes_failed)),
        ),
    ]
}

fn labels(report: &Report, outcome: Option<&'static str>) -> Labels {
    let route = ("route", report.name.clone());
    [route].into_iter().chain(outcome.map(|outcome| ("outcome", outcome.to_owned()))).collect()
}
