//! What the store counts, for whoever shows it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roomcast_shards::metrics::Histogram;

/// A commit that takes longer than this is a disk that hangs.
const STALL_MIN: Duration = Duration::from_secs(2);

/// What the store counts.
#[derive(Debug, Default)]
pub(crate) struct StoreMetrics {
    /// Whether something could not be written, and has not been since.
    failed: AtomicBool,
    pub(super) records: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) lost_records: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) waiting_bytes: Arc<AtomicUsize>,
    took: Mutex<Histogram>,
    /// When the present commit began, if one is under way.
    commit_began: Mutex<Option<Instant>>,
}

/// As of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreNumbers {
    /// Whether what is written now does not outlive the process.
    pub(crate) failed: bool,
    /// Whether the disk has let a commit wait for long.
    pub(crate) stalled: bool,
    /// Records written.
    pub(crate) records: u64,
    /// Bytes written.
    pub(crate) written_bytes: u64,
    /// Bytes on disk now.
    pub(crate) disk_bytes: u64,
    /// Times at which the disk could not be written.
    pub(crate) errors: u64,
    /// Records that were not written because of that.
    pub(crate) lost_records: u64,
    /// Times at which the log was told anew and its older part removed.
    pub(crate) compactions: u64,
    /// Bytes that wait to be written.
    pub(crate) waiting_bytes: u64,
    /// How long commits took.
    pub(crate) took: Histogram,
}

impl StoreMetrics {
    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }

    pub(super) fn observe_commit(&self, us: u64) {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).observe(us);
    }

    pub(super) fn note_commit(&self, began: Option<Instant>) {
        *self.commit_began.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    fn is_stalled(&self) -> bool {
        let began = *self.commit_began.lock().unwrap_or_else(PoisonError::into_inner);
        began.is_some_and(|began| began.elapsed() > STALL_MIN)
    }

    /// The numbers now.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreNumbers {
            failed: self.failed.load(Ordering::Relaxed),
            stalled: self.is_stalled(),
            records: read(&self.records),
            written_bytes: read(&self.written_bytes),
            disk_bytes: read(&self.disk_bytes),
            errors: read(&self.errors),
            lost_records: read(&self.lost_records),
            compactions: read(&self.compactions),
            waiting_bytes: self.waiting_bytes.load(Ordering::Relaxed) as u64,
            took: self.took.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_does_not_end_is_a_stall() {
        let metrics = StoreMetrics::default();
        assert!(!metrics.numbers().stalled);
        metrics.note_commit(Some(Instant::now()));
        assert!(!metrics.numbers().stalled);
        metrics.note_commit(Instant::now().checked_sub(2 * STALL_MIN));
        assert!(metrics.numbers().stalled);
        metrics.note_commit(None);
        assert!(!metrics.numbers().stalled);
    }
}
