//! What is counted of each listener.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a listener's events.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Heard: name and conditions matched.
    pub(super) heard: Count,
    /// Delivered to where they belong.
    pub(super) delivered: Count,
    /// Left out because a field that is needed is missing or may not stand where it should.
    pub(super) skipped: Count,
    /// Refused by where they belong; of webhooks and streams they are dead letters.
    pub(super) failed: Count,
    /// Dropped because too many waited.
    pub(super) dropped: Count,
    /// Put among the dead letters.
    pub(super) dead: Count,
    /// Attempts that failed and are repeated.
    pub(super) retries: Count,
}

/// A listener's numbers for the metrics.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) listener: String,
    /// Each outcome of events with its count.
    pub(crate) outcomes: [(&'static str, u64); 6],
    pub(crate) retries: u64,
    /// Events and bytes that wait.
    pub(crate) waiting: (usize, usize),
}

impl Numbers {
    pub(super) fn report(&self, listener: &str, waiting: (usize, usize)) -> Report {
        Report {
            listener: listener.to_owned(),
            outcomes: [
                ("heard", self.heard.get()),
                ("delivered", self.delivered.get()),
                ("skipped", self.skipped.get()),
                ("failed", self.failed.get()),
                ("dropped", self.dropped.get()),
                ("dead", self.dead.get()),
            ],
            retries: self.retries.get(),
            waiting,
        }
    }
}
