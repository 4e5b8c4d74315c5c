//! How a long run ended compared with how it began: memory, latency, and deliveries for each message.

use serde::{Deserialize, Serialize};

use super::Report;
use super::table::Rows;
use crate::measure::{Distribution, Point};

/// Points of which a third is still an average.
const POINTS_MIN: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// The first third of the measured time beside the last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SoakReport {
    pub(crate) first: Third,
    pub(crate) last: Third,
    /// Growth of the server's resident memory, in percent of what it was.
    pub(crate) rss_growth_percent: Option<f64>,
}

/// Averages over a third.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Third {
    pub(crate) seconds: f64,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    /// Deliveries for each message sent; fewer in the end are losses.
    pub(crate) deliveries_per_message: Option<f64>,
}

impl Third {
    fn of(points: &[&Point]) -> Self {
        let sum = |of: fn(&Point) -> f64| points.iter().map(|point| of(point)).sum::<f64>();
        let mut latency = None;
        for point in points {
            latency = Distribution::merged(latency.as_ref(), point.latency.as_ref());
        }
        let resident: Vec<f64> = points
            .iter()
            .filter_map(|point| point.server)
            .map(|server| server.resident_bytes as f64)
            .collect();
        let sent = sum(|point| point.sent as f64);
        Self {
            seconds: sum(|point| point.seconds),
            p99_ms: latency.map(|latency| latency.ms.p99),
            resident_bytes: (!resident.is_empty())
                .then(|| resident.iter().sum::<f64>() / resident.len() as f64),
            deliveries_per_message: (sent > 0.0).then(|| sum(|point| point.deliveries as f64) / sent),
        }
    }
}

impl Report {
    /// Compares the end of a run with its beginning, if that is `wanted`.
    pub(crate) fn compare_thirds(&mut self, wanted: bool) {
        self.soak = if wanted { SoakReport::of(self) } else { None };
    }
}

impl SoakReport {
    /// Compares the thirds of a run's measured time; `None` when it was too short to have any.
    fn of(report: &Report) -> Option<Self> {
        let series = &report.series;
        let measured = series.phases.iter().position(|phase| phase.measured)?;
        let from_s = series.phases[measured].from_s;
        let to_s = series.phases.get(measured + 1).map_or(f64::INFINITY, |next| next.from_s);
        let within = |point: &&Point| point.at_s >= from_s - 1e-6 && point.end_s() <= to_s + 1e-6;
        let points: Vec<_> = series.points.iter().filter(within).collect();
        let third = points.len() / 3;
        if points.len() < POINTS_MIN {
            return None;
        }
        let (first, last) = (Third::of(&points[..third]), Third::of(&points[points.len() - third..]));
        let growth = |(from, to): (f64, f64)| (to - from) / from.max(1.0) * 100.0;
        let rss_growth_percent = first.resident_bytes.zip(last.resident_bytes).map(growth);
        Some(Self { first, last, rss_growth_percent })
    }

    pub(super) fn rows(&self, rows: &mut Rows) {
        let mut drift = |name: &str, unit: &str, of: fn(&Third) -> Option<f64>| {
            if let Some((first, last)) = of(&self.first).zip(of(&self.last)) {
                rows.add(name, format!("{first:.2} {unit} in the first third, {last:.2} in the last"));
            }
        };
        drift("drift of p99", "ms", |third| third.p99_ms);
        drift("drift of server RSS", "MiB", |third| third.resident_bytes.map(|bytes| bytes / MIB));
        drift("drift of deliveries", "a message", |third| third.deliveries_per_message);
    }
}
