//! Time as an argument: the one type that carries it, and the one place that reads it.
//!
//! The core takes [`Now`] and never asks; the rim reads [`Clock`] once a turn.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment, as the core sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since the process began; never goes back.
    pub ms: u64,
    /// Milliseconds since 1970-01-01 UTC; may jump.
    pub unix_ms: u64,
}

/// The process's clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: millis(self.start.elapsed()), unix_ms: millis(unix) }
    }

    /// Microseconds since the start, for measuring how long something took.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A moment in milliseconds that may be missing, in the space of a number: at the very beginning it is one late.
#[must_use]
pub fn moment(ms: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(ms.max(1))
}

/// A moment within a month of now, in half the space, even where it may be missing: up to a millisecond late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soon(NonZeroU32);

impl Soon {
    /// That moment.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the other half is known by when it is asked for")]
    pub fn at(ms: u64) -> Self {
        Self(NonZeroU32::MIN | ms as u32)
    }

    /// The moment in full, for who knows about when it is.
    #[must_use]
    pub fn ms(self, now_ms: u64) -> u64 {
        let ahead = self.0.get().wrapping_sub(Self::at(now_ms).0.get()).cast_signed();
        (now_ms | 1).saturating_add_signed(i64::from(ahead))
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_moment_is_enough_for_a_month() {
        for now_ms in [5_000, u64::from(u32::MAX), u64::from(u32::MAX) + 3, 1 << 40] {
            for ms in [now_ms, now_ms + 5_000, now_ms - 5_000, now_ms + 2_000_000_000] {
                assert_eq!(Soon::at(ms).ms(now_ms), ms | 1);
            }
        }
    }
}
