//! What is counted of a backend.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::Standing;
use super::failure::Failure;

/// Outcomes beside [`Failure::REASONS`]: it answered, or it said no.
const SAID: [&str; 2] = ["answered", "refused"];

/// Counts of durations in fixed buckets: backends take longer than anything else here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations {
    /// Observations at or below each of [`Durations::BOUNDS_MS`], and above the last; not cumulative.
    pub(crate) buckets: [u64; Self::BOUNDS_MS.len() + 1],
    /// Sum of all observations.
    pub(crate) sum: Duration,
}

impl Durations {
    /// Upper bounds of the buckets.
    pub(crate) const BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

    fn observe(&mut self, took: Duration) {
        let at = Self::BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < took);
        self.buckets[at] += 1;
        self.sum += took;
    }
}

/// The numbers of one backend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    /// Requests that ended, by [`Numbers::outcomes`]' position.
    outcomes: [u64; SAID.len() + Failure::REASONS.len()],
    /// How long requests took, with their time in the queue.
    pub(crate) durations: Durations,
    /// Calls repeated.
    pub(crate) retries: u64,
    /// Requests that wait for their turn now.
    pub(crate) waiting: u64,
    /// Requests that the backend works on now.
    pub(crate) running: u64,
    /// Messages that it wanted published and that could not be.
    pub(crate) publishes_failed: u64,
}

impl Numbers {
    /// Requests that ended, by how.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SAID.into_iter().chain(Failure::REASONS).zip(self.outcomes)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an answer.
    Answered,
    /// With an answer that says no.
    Refused,
    /// With none.
    Failed(Failure),
}

/// Counts for one backend.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Numbers>);

/// A backend, as metrics show it.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) name: String,
    /// Its numbers.
    pub(crate) numbers: Numbers,
    /// How its breaker stands.
    pub(crate) breaker: Standing,
}

impl Meter {
    /// The numbers, to read or change.
    pub(crate) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that has ended.
    pub(crate) fn note(&self, ending: Ending, took: Duration) {
        let at = match ending {
            Ending::Answered => 0,
            Ending::Refused => 1,
            Ending::Failed(failure) => {
                let known = Failure::REASONS.iter().position(|reason| *reason == failure.reason());
                SAID.len() + known.expect("every reason is listed")
            }
        };
        let mut numbers = self.numbers();
        numbers.outcomes[at] += 1;
        numbers.durations.observe(took);
    }
}
