//! The figures that are compared: where each is found in a report, and which way is better.

use super::super::Report;
use super::super::html::text::Unit;
use super::bootstrap::Rounds;
use crate::measure::{Percentiles, Point};

/// Share of a series' interval that one must have had to count; the last of a phase is often cut short.
const WHOLE_MIN: f64 = 0.5;

/// One thing to compare.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) lower_is_better: bool,
    /// The samples that one report has: of its intervals, or one for the whole.
    samples: fn(&Report) -> Vec<f64>,
}

impl Figure {
    /// The samples of one side.
    pub(super) fn rounds(&self, reports: &[Report]) -> Rounds {
        reports.iter().map(self.samples).collect()
    }
}

/// All figures but loss, which is a count and has no spread of its own.
pub(super) const FIGURES: [Figure; 6] = [
    figure("latency p50", Unit::Milliseconds, true, |report| latencies(report, |ms| ms.p50)),
    figure("latency p99", Unit::Milliseconds, true, |report| latencies(report, |ms| ms.p99)),
    figure("latency p99.9", Unit::Milliseconds, true, |report| latencies(report, |ms| ms.p999)),
    figure("deliveries", Unit::PerSecond, false, |report| {
        intervals(report, |point| (point.deliveries > 0).then(|| point.deliveries as f64 / point.seconds))
    }),
    figure("server CPU a delivery", Unit::Milliseconds, true, |report| {
        intervals(report, |point| {
            let cpu_ms = point.server?.cpu_share * point.seconds * 1e3;
            (point.deliveries > 0 && cpu_ms > 0.0).then(|| cpu_ms / point.deliveries as f64)
        })
    }),
    figure("server memory a connection", Unit::Bytes, true, |report| {
        let bytes = report.server.as_ref().and_then(|server| server.bytes_per_connection);
        bytes.filter(|bytes| *bytes > 0.0).into_iter().collect()
    }),
];

/// How many connections a second became ready: of the whole of connecting, or in a run of connects of its intervals.
pub(super) const CONNECTS: Figure = figure("connects", Unit::PerSecond, false, |report| {
    if report.traffic.is_none() && report.settings["churn"].is_u64() {
        return intervals(report, |point| {
            (point.connects > 0).then(|| point.connects as f64 / point.seconds)
        });
    }
    Some(report.connects.per_second).filter(|rate| *rate > 0.0).into_iter().collect()
});

const fn figure(
    name: &'static str,
    unit: Unit,
    lower_is_better: bool,
    samples: fn(&Report) -> Vec<f64>,
) -> Figure {
    Figure { name, unit, lower_is_better, samples }
}

fn intervals(report: &Report, of: impl Fn(&Point) -> Option<f64>) -> Vec<f64> {
    let series = &report.series;
    let whole = |point: &&Point| point.seconds >= series.interval_s * WHOLE_MIN;
    series.measured_points().filter(whole).filter_map(of).collect()
}

fn latencies(report: &Report, of: fn(&Percentiles) -> f64) -> Vec<f64> {
    intervals(report, |point| point.latency.as_ref().map(|latency| of(&latency.ms).max(0.001)))
}
