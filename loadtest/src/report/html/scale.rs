//! From a value to a place along an axis, and the round values to mark on it.

/// Marks that an axis has at most, about.
const TICKS: f64 = 6.0;
/// Steps between marks on an axis of time, in seconds.
const TIME_STEPS: [f64; 22] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
    1800.0, 3600.0, 7200.0, 14_400.0, 86_400.0,
];

/// An axis: its ends, whether it is logarithmic, and its marks.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    pub(super) ticks: Vec<f64>,
}

impl Scale {
    /// From zero to a round value that nothing exceeds.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let high = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self::linear(0.0, if high > 0.0 { high * 1.04 } else { 1.0 })
    }

    /// From one round value to another, between which all lie; from zero when they nearly reach down to it.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 1.0));
        if low <= high * 0.3 {
            return Self::from_zero([high].into_iter());
        }
        let margin = ((high - low) * 0.1).max(high.abs() * 0.005);
        Self::linear((low - margin).max(0.0), high + margin)
    }

    /// As [`Scale::around`], with marks that are round in KiB, MiB or GiB.
    pub(super) fn bytes(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<_> = values.collect();
        let high = values.iter().copied().fold(0.0, f64::max);
        let units = [1024.0f64.powi(3), 1024.0f64.powi(2), 1024.0, 1.0];
        let unit = units.into_iter().find(|unit| high >= *unit).unwrap_or(1.0);
        let scale = Self::around(values.iter().map(|value| value / unit));
        let ticks = scale.ticks.iter().map(|tick| tick * unit).collect();
        Self { low: scale.low * unit, high: scale.high * unit, log: false, ticks }
    }

    fn linear(low: f64, high: f64) -> Self {
        let step = round_step((high - low) / TICKS);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, log: false, ticks: marks(low, high, step) }
    }

    /// Seconds of a run.
    pub(super) fn time(from: f64, to: f64) -> Self {
        let (low, high) = (from, if to > from { to } else { from + 1.0 });
        let wanted = (high - low) / TICKS;
        let step = TIME_STEPS.into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or_else(|| (wanted / 86_400.0).ceil() * 86_400.0);
        Self { low, high, log: false, ticks: marks((low / step).ceil() * step, high, step) }
    }

    /// Logarithmic around all values above zero; at least a decade, marked at 1, 2 and 5 where there is room.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0)).unwrap_or((0.1, 1.0));
        let (low, high) = (low * 0.9, high * 1.1);
        let middle = (low * high).sqrt();
        let (low, high) = (low.min(middle / 3.2), high.max(middle * 3.2));
        let decades = (high / low).log10();
        let parts: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a float")]
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|decade| parts.iter().map(move |part| part * 10f64.powi(decade)));
        Self { low, high, log: true, ticks: all.filter(|tick| (low..=high).contains(tick)).collect() }
    }

    /// Logarithmic from one end to the other, marked at these values.
    pub(super) fn log_marked(low: f64, high: f64, ticks: Vec<f64>) -> Self {
        Self { low, high, log: true, ticks }
    }

    /// The place of a value, 0 at the low end and 1 at the high one; what lies beyond is put at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = if self.log {
            (self.low.ln(), self.high.ln(), value.max(self.low).ln())
        } else {
            (self.low, self.high, value)
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Whether a value lies between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// The least of 1, 2, 5, 10 … that is no smaller.
fn round_step(wanted: f64) -> f64 {
    let decade = 10f64.powf(wanted.max(1e-12).log10().floor());
    let part = [1.0, 2.0, 5.0].into_iter().find(|part| part * decade >= wanted * 0.999);
    part.unwrap_or(10.0) * decade
}

fn marks(low: f64, high: f64, step: f64) -> Vec<f64> {
    // By number rather than by sum, so that 0.1 stays 0.1.
    let first = (low / step).round();
    (0..1000).map(|n| (first + f64::from(n)) * step).take_while(|mark| *mark <= high + step * 1e-6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(scale: &Scale) -> Vec<f64> {
        scale.ticks.iter().map(|tick| (tick * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn marks_are_round() {
        assert_eq!(rounded(&Scale::from_zero([0.47].into_iter())), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!(
            rounded(&Scale::around([980.0, 1010.0].into_iter())),
            [970.0, 980.0, 990.0, 1000.0, 1010.0, 1020.0]
        );
        let mib = 1024.0 * 1024.0;
        let bytes = Scale::bytes([10.0 * mib, 23.0 * mib].into_iter());
        assert_eq!(
            bytes.ticks.iter().map(|tick| tick / mib).collect::<Vec<_>>(),
            [5.0, 10.0, 15.0, 20.0, 25.0]
        );
        assert_eq!(rounded(&Scale::time(0.0, 61.0)), [0.0, 15.0, 30.0, 45.0, 60.0]);
        assert_eq!(rounded(&Scale::log([0.3, 42.0].into_iter())), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(rounded(&Scale::log([0.01, 420.0].into_iter())), [0.01, 0.1, 1.0, 10.0, 100.0]);
    }

    #[test]
    fn values_have_places_whatever_they_are() {
        for scale in [
            Scale::from_zero(std::iter::empty()),
            Scale::from_zero([0.0, f64::NAN].into_iter()),
            Scale::around([5.0].into_iter()),
            Scale::around([0.0].into_iter()),
            Scale::log([0.0].into_iter()),
            Scale::log([3.0, 3.0].into_iter()),
            Scale::time(0.0, 0.0),
        ] {
            assert!((2..=20).contains(&scale.ticks.len()), "{scale:?}");
            for value in [-1.0, 0.0, 3.0, 1e12] {
                assert!((0.0..=1.0).contains(&scale.place(value)), "{scale:?} {value}");
            }
        }
        let log = Scale::log_marked(1.0, 100.0, Vec::new());
        assert_eq!(
            [log.place(1.0), log.place(10.0), log.place(100.0)].map(|place| (place * 10.0).round()),
            [0.0, 5.0, 10.0]
        );
    }
}
