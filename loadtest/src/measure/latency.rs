//! Latencies in microseconds, as a histogram with two or three significant digits.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time that is told apart; longer ones count as this.
pub(super) const MAX_US: u64 = 3_600_000_000;

/// A histogram of times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

/// What a report says of a histogram, in milliseconds; zeros when nothing was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
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
    /// Nothing recorded; three significant digits, some 190 KiB.
    pub(crate) fn new() -> Self {
        Self::with_digits(3)
    }

    /// Nothing recorded; two significant digits, an eighth of the memory.
    pub(crate) fn coarse() -> Self {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_US, digits);
        Self { histogram: histogram.expect("the bounds and digits are valid") }
    }

    /// Records one time in microseconds.
    #[inline]
    pub(crate) fn record(&mut self, us: u64) {
        self.histogram.saturating_record(us);
    }

    /// Records all that `other` has, to the digits of this one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_histogram(&other.histogram);
    }

    pub(super) fn add_histogram(&mut self, other: &Histogram<u64>) {
        if self.histogram.sigfig() == other.sigfig() && other.high() <= self.histogram.high() {
            self.histogram.add(other).expect("a histogram of no greater bounds fits");
            return;
        }
        for value in other.iter_recorded() {
            self.histogram.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.histogram.reset();
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

    /// The time in milliseconds that this share (0 to 1) of all do not exceed; 0 when nothing was recorded.
    pub(crate) fn at_quantile(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The percentiles so far.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.at_quantile(0.5),
            p90: self.at_quantile(0.9),
            p99: self.at_quantile(0.99),
            p999: self.at_quantile(0.999),
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

    #[test]
    fn histograms_add_up_whatever_their_digits() {
        let mut fine = Latency::new();
        fine.record(1_000);
        let mut coarse = Latency::coarse();
        coarse.record(9_000);
        fine.add(&coarse);
        coarse.add(&fine);
        assert_eq!((fine.count(), coarse.count()), (2, 3));
        assert!((fine.percentiles().max - 9.0).abs() < 0.1, "{:?}", fine.percentiles());
        assert!((coarse.at_quantile(0.2) - 1.0).abs() < 0.01, "{:?}", coarse.percentiles());
    }
}
