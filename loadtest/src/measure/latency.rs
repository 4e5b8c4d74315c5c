//! Latencies in microseconds, as a histogram with three significant digits.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart; longer ones count as this.
const MAX_US: u64 = 3_600_000_000;

/// A histogram of times.
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

/// What a report says of a histogram, in milliseconds; zeros when nothing was recorded.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Percentiles {
    /// Median.
    pub(crate) p50: f64,
    /// 90th percentile.
    pub(crate) p90: f64,
    /// 99th percentile.
    pub(crate) p99: f64,
    /// 99.9th percentile.
    pub(crate) p999: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Latency {
    /// Nothing recorded.
    pub(crate) fn new() -> Self {
        Self { histogram: Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds and digits are valid") }
    }

    /// Records one time in microseconds.
    #[inline]
    pub(crate) fn record(&mut self, us: u64) {
        self.histogram.saturating_record(us);
    }

    /// Number of times recorded.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Number of times recorded that were longer than this, in milliseconds.
    pub(crate) fn count_above(&self, ms: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
        let us = ((ms * 1e3) as u64).min(MAX_US);
        self.histogram.len() - self.histogram.count_between(0, us)
    }

    /// The percentiles so far.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1e3;
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|ms| latency.record(ms * 1000));
        let percentiles = latency.percentiles();
        assert!(
            (percentiles.p50 - 500.0).abs() < 1.0 && (percentiles.p99 - 990.0).abs() < 1.0,
            "{percentiles:?}"
        );
        assert_eq!(latency.count(), 1000);
        assert_eq!([0.0, 990.3, 2000.0].map(|ms| latency.count_above(ms)), [1000, 10, 0]);
        latency.record(u64::MAX);
        assert!(latency.percentiles().max >= 3.6e6);
    }
}
