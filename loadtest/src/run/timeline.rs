//! The run's own clock: marks count microseconds from its beginning, so that they fit any uptime.

/// When the run began, and from when on what it finds is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    origin_ns: u64,
    measured_from_us: u64,
}

impl Timeline {
    /// Begins at `origin_ns`; nothing is measured yet.
    pub(super) fn new(origin_ns: u64) -> Self {
        Self { origin_ns, measured_from_us: u64::MAX }
    }

    /// What is due from `from_ns` on is measured.
    pub(super) fn measure(&mut self, from_ns: u64) {
        self.measured_from_us = self.to_us(from_ns);
    }

    /// A point of the machine's clock on the run's.
    #[inline]
    pub(super) fn to_us(self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns) / 1000
    }

    /// Whether what was due then is measured.
    #[inline]
    pub(super) fn is_measured(self, intended_us: u64) -> bool {
        intended_us >= self.measured_from_us
    }

    /// Microseconds from when something was due until `now_ns`; `None` when it is not measured.
    #[inline]
    pub(super) fn latency_us(self, intended_us: u64, now_ns: u64) -> Option<u64> {
        self.is_measured(intended_us).then(|| self.to_us(now_ns).saturating_sub(intended_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_in_the_measured_time_has_a_latency() {
        let mut timeline = Timeline::new(1_000_000);
        assert_eq!(timeline.latency_us(5, 9_000_000), None);
        timeline.measure(3_000_000);
        assert_eq!([1_999, 2_000].map(|due| timeline.latency_us(due, 9_000_000)), [None, Some(6_000)]);
        assert_eq!(timeline.latency_us(9_000, 9_000_000), Some(0));
    }
}
