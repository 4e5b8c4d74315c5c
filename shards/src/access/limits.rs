//! Rate limits (protocol §8): token buckets in one word each.
//!
//! A bucket is kept as the *theoretical arrival time* of the generic cell rate algorithm: the moment at which it will
//! be full again. Taking `n` events moves that moment by `n` emission intervals, and is refused if it then lies more
//! than a full burst ahead. So there is nothing to refill and no timer, and a bucket that nobody uses may be forgotten:
//! a new one is full as well. Pure: the time is an argument, of the same clock for all calls on a bucket.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::config::Rate;

/// Microseconds (146,000 years) to which times and bursts are cut, so that sums of three stay within a word.
const TIME_US_MAX: u64 = 1 << 62;

/// Why events were refused, and when it makes sense to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetryAfter {
    /// They would succeed after so many milliseconds, at least 1, if nothing else is taken meanwhile.
    #[error("retry after {0} ms")]
    Ms(u64),
    /// They cost more than the bucket holds when full: never as one request.
    #[error("more at once than the burst of the limit")]
    Never,
}

/// A token bucket; the default one is full.
///
/// The rate is an argument of each call, since it belongs to the configuration and the role, not to the bucket.
/// Emission intervals are whole microseconds, rounded up: never more events than the rate says, less than 1 % fewer up
/// to 10,000 events a second, and a million a second at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When the bucket is full again, in microseconds.
    full_at_us: u64,
}

impl Bucket {
    /// As the default one.
    pub const FULL: Self = Self { full_at_us: 0 };

    /// Takes `cost` events at once, or none of them.
    ///
    /// # Errors
    /// [`RetryAfter`] when the bucket does not hold so many; it is left as it was.
    pub fn take(&mut self, rate: Rate, now_ms: u64, cost: u32) -> Result<(), RetryAfter> {
        self.full_at_us = after_take(self.full_at_us, rate, now_ms, cost)?;
        Ok(())
    }

    /// Undoes a [`take`](Self::take) of `cost` events that had no effect in the end. Never holds more than when full.
    pub fn give_back(&mut self, rate: Rate, cost: u32) {
        self.full_at_us = after_give_back(self.full_at_us, rate, cost);
    }
}

/// A [`Bucket`] that several shards take from.
///
/// The only word that the data plane shares, because the message limit is one user's over all of its connections and
/// those live on different shards: asking the user's owner shard would add two ring hops to every message, and a
/// bucket for each shard would multiply the limit by their number. It is written only by shards that have a
/// connection of this user, so it stays in one core's cache for nearly everybody. It orders nothing but itself, hence
/// relaxed: all takes and refusals agree with some sequence of them.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64, AtomicU32);

impl SharedBucket {
    /// The user's connections are spread over so many nodes, each of which allows its share.
    pub fn share_among(&self, nodes: usize) {
        let others = u32::try_from(nodes.saturating_sub(1)).unwrap_or(u32::MAX - 1);
        self.1.store(others, Ordering::Relaxed);
    }

    /// What this node allows of a rate of the user's.
    #[must_use]
    pub fn share(&self, rate: Rate) -> Rate {
        match self.1.load(Ordering::Relaxed) {
            0 => rate,
            others => Rate {
                count: (rate.count / (others + 1)).max(1),
                burst: (rate.burst / (others + 1)).max(1),
                ..rate
            },
        }
    }

    /// Whether nothing was ever taken.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// As [`Bucket::take`], from any thread.
    ///
    /// # Errors
    /// [`RetryAfter`] when the bucket does not hold so many; it is left as it was.
    pub fn take(&self, rate: Rate, now_ms: u64, cost: u32) -> Result<(), RetryAfter> {
        let rate = self.share(rate);
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = after_take(seen, rate, now_ms, cost)?;
            match self.0.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => seen = current,
            }
        }
    }

    /// As [`Bucket::give_back`], from any thread.
    pub fn give_back(&self, rate: Rate, cost: u32) {
        let rate = self.share(rate);
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = after_give_back(seen, rate, cost);
            match self.0.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => seen = current,
            }
        }
    }
}

/// The rate for a role: guests have a quarter of it, burst included, and at least one event of each.
#[must_use]
pub fn scaled(rate: Rate, quarter: bool) -> Rate {
    if !quarter {
        return rate;
    }
    Rate { count: (rate.count / 4).max(1), interval_ms: rate.interval_ms, burst: (rate.burst / 4).max(1) }
}

/// Microseconds by which one event moves the time at which the bucket is full.
fn emission_us(rate: Rate) -> u64 {
    let interval_us = rate.interval_ms.saturating_mul(1_000);
    let each_us = interval_us.div_ceil(u64::from(rate.count.max(1)));
    each_us.clamp(1, TIME_US_MAX / u64::from(rate.burst.max(1)))
}

fn after_take(full_at_us: u64, rate: Rate, now_ms: u64, cost: u32) -> Result<u64, RetryAfter> {
    if cost > rate.burst {
        return Err(RetryAfter::Never);
    }
    let emission_us = emission_us(rate);
    let now_us = now_ms.saturating_mul(1_000).min(TIME_US_MAX);
    let full_at_us = full_at_us.max(now_us) + emission_us * u64::from(cost);
    let latest_us = now_us + emission_us * u64::from(rate.burst);
    match full_at_us.saturating_sub(latest_us) {
        0 => Ok(full_at_us),
        excess_us => Err(RetryAfter::Ms(excess_us.div_ceil(1_000))),
    }
}

fn after_give_back(full_at_us: u64, rate: Rate, cost: u32) -> u64 {
    full_at_us.saturating_sub(emission_us(rate).saturating_mul(u64::from(cost)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect(text)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = rate("2/1s,3");
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, 10_000, 3), Ok(()));
        assert_eq!(bucket.take(rate, 10_000, 1), Err(RetryAfter::Ms(500)));
        assert_eq!(bucket.take(rate, 10_000, 2), Err(RetryAfter::Ms(1_000)));
        assert_eq!(bucket.take(rate, 10_499, 1), Err(RetryAfter::Ms(1)));
        assert_eq!(bucket.take(rate, 10_500, 1), Ok(()));
        assert_eq!(bucket.take(rate, 99_000, 3), Ok(()), "full again, not fuller");
        assert_eq!(bucket.take(rate, 99_000, 1), Err(RetryAfter::Ms(500)));
    }

    #[test]
    fn more_than_the_burst_is_never_allowed() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate("2/1s,3"), 0, 4), Err(RetryAfter::Never));
        assert_eq!(bucket, Bucket::default());
        assert_eq!(SharedBucket::default().take(rate("2/1s,3"), 0, 4), Err(RetryAfter::Never));
    }

    #[test]
    fn what_was_given_back_can_be_taken_again_once() {
        let rate = rate("4/1m");
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, 1_000, 4), Ok(()));
        bucket.give_back(rate, 1);
        assert_eq!(bucket.take(rate, 1_000, 1), Ok(()));
        assert_eq!(bucket.take(rate, 1_000, 1), Err(RetryAfter::Ms(15_000)));
        bucket.give_back(rate, u32::MAX);
        assert_eq!(bucket.take(rate, 1_000, 4), Ok(()), "full");
        assert_eq!(bucket.take(rate, 1_000, 1), Err(RetryAfter::Ms(15_000)), "and not more");
    }

    #[test]
    fn guests_have_a_quarter_and_at_least_one() {
        assert_eq!(scaled(rate("100/1m,50"), true), rate("25/1m,12"));
        assert_eq!(scaled(rate("3/1s"), true), rate("1/1s"));
        assert_eq!(scaled(rate("3/1s"), false), rate("3/1s"));
    }

    #[test]
    fn shards_share_one_burst() {
        let bucket = SharedBucket::default();
        let rate = rate("1000/1h");
        let takes = || (0..500).filter(|_| bucket.take(rate, 5, 1).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(takes)).collect();
            threads.into_iter().map(|thread| thread.join().expect("takes do not panic")).sum()
        });
        assert_eq!(taken, 1000);
        bucket.give_back(rate, 2);
        assert_eq!(bucket.take(rate, 5, 2), Ok(()));
        assert_eq!(bucket.take(rate, 5, 1), Err(RetryAfter::Ms(3_600)));
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (1_u32..2_000, 1_u64..120_000, 1_u32..50).prop_map(|(count, interval_ms, burst)| Rate {
            count,
            interval_ms,
            burst,
        })
    }

    proptest! {
        #[test]
        fn no_window_of_an_interval_has_more_than_burst_and_count(
            rate in rates(),
            // Steps in thousandths of the interval, so that windows overlap whatever its length.
            attempts in prop::collection::vec((0_u64..200, 0_u32..60), 1..200),
        ) {
            let mut bucket = Bucket::default();
            let mut permitted: Vec<(u64, u64)> = Vec::new();
            let mut now_ms = 0;
            for (step, cost) in attempts {
                now_ms += step * rate.interval_ms / 1_000;
                match bucket.take(rate, now_ms, cost) {
                    Ok(()) => permitted.push((now_ms, cost.into())),
                    Err(RetryAfter::Never) => prop_assert!(cost > rate.burst),
                    Err(RetryAfter::Ms(_)) => prop_assert!(cost <= rate.burst),
                }
            }
            for (index, (start_ms, _)) in permitted.iter().enumerate() {
                let window = permitted[index..].iter().take_while(|(at, _)| at - start_ms <= rate.interval_ms);
                let events: u64 = window.map(|(_, cost)| cost).sum();
                prop_assert!(events <= u64::from(rate.burst) + u64::from(rate.count));
            }
        }

        #[test]
        fn a_refusal_names_the_first_moment_that_succeeds(
            rate in rates(), now_ms in 0_u64..1 << 40, first in 1_u32..50, second in 1_u32..50,
        ) {
            let mut bucket = Bucket::default();
            let (first, second) = (first.min(rate.burst), second.min(rate.burst));
            prop_assert_eq!(bucket.take(rate, now_ms, first), Ok(()));
            if let Err(refusal) = bucket.take(rate, now_ms, second) {
                let RetryAfter::Ms(ms) = refusal else { panic!("within the burst") };
                prop_assert!(bucket.clone().take(rate, now_ms + ms - 1, second).is_err());
                prop_assert_eq!(bucket.take(rate, now_ms + ms, second), Ok(()));
            }
        }

        #[test]
        fn any_numbers_are_taken_without_a_panic(
            rate in (any::<u32>(), any::<u64>(), any::<u32>())
                .prop_map(|(count, interval_ms, burst)| Rate { count, interval_ms, burst }),
            calls in prop::collection::vec((any::<u64>(), any::<u32>()), 1..8),
        ) {
            let mut bucket = Bucket::default();
            for (now_ms, cost) in calls {
                let _ = bucket.take(rate, now_ms, cost);
                bucket.give_back(rate, cost / 2);
            }
        }
    }
}
