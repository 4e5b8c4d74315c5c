//! The durable store (`--store DIR`): what the shards and listeners leave behind is on disk, and is there at the next
//! start.
//!
//! A directory with a log of segments, a small file `state` and a lock; one thread, `store`, that writes. Nothing is read
//! from it while the process runs, since all state is in memory: so there is no index and no cache, appending is one
//! write and one sync a commit, and the log is shortened by telling the state anew (`writer::telling`). `open` reads it at
//! the start. Records and what is made of them are `roomcast_shards::durable`.

mod error;
mod handle;
mod metrics;
mod open;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::unbounded;
use roomcast_shards::config::HistoryLimits;
use roomcast_shards::durable::Saved;
use roomcast_shards::rim::StoreStart;
use tokio::sync::watch;

pub(crate) use error::StoreError;
pub(crate) use handle::{Handle, Written};
pub(crate) use metrics::StoreMetrics;
pub(crate) use open::Secrets;
pub(crate) use values::NoRoom;

use handle::{Message, Queue};
use state::Condition;
use values::Values;
use writer::{Book, Writer};

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing.
    Async,
    /// The group commit.
    Batch,
}

/// How to keep what is to outlive the process.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// Where.
    pub(crate) dir: PathBuf,
    /// What an answer waits for.
    pub(crate) durability: Durability,
    /// How long a commit waits for others to share it.
    pub(crate) commit_interval: Duration,
    /// Bytes of all files.
    pub(crate) bytes_max: u64,
    /// Bytes that may wait to be written before clients are no longer read.
    pub(crate) queue_bytes_max: usize,
}

/// A store that is open, with its thread.
#[derive(Debug)]
pub(crate) struct Store {
    queue: Queue,
    handle: Handle,
    metrics: Arc<StoreMetrics>,
    thread: JoinHandle<()>,
    /// Held for as long as the store is used.
    _lock: File,
}

impl Durability {
    fn condition(self) -> Condition {
        match self {
            Self::Async => Condition::Async,
            Self::Batch => Condition::Batch,
        }
    }
}

impl Store {
    /// Opens the store, reads it and starts its thread; what was in it, and its secrets.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or is another's.
    pub(crate) fn open(
        settings: StoreSettings,
        limits: &HistoryLimits,
    ) -> Result<(Self, Saved, Secrets), StoreError> {
        let opened = open::open(&settings, limits)?;
        let mut saved = opened.saved;
        let dir = settings.dir.clone();
        let (sender, receiver) = unbounded();
        let (kept_sender, kept) = watch::channel(0);
        let metrics = Arc::new(StoreMetrics::default());
        let waiting = Arc::clone(&metrics.waiting_bytes);
        let queue = Queue { sender, waiting: Arc::clone(&waiting), bytes_max: settings.queue_bytes_max };
        let values = Arc::new(Mutex::new(Values::new(std::mem::take(&mut saved.values))));
        let handle = Handle::new(Arc::clone(&values), Some(queue.clone()), kept);
        let log_bytes = opened.sizes.values().sum();
        let writer = Writer {
            settings,
            receiver,
            waiting,
            values,
            kept: kept_sender,
            metrics: Arc::clone(&metrics),
            state: opened.state,
            segment: Some(opened.segment),
            sizes: opened.sizes,
            links: Vec::new(),
            alone: false,
            book: Book::new(log_bytes),
        };
        let thread = Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(StoreError::system(&dir))?;
        Ok((Self { queue, handle, metrics, thread, _lock: opened.lock }, saved, opened.secrets))
    }

    /// The key spaces.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }

    /// What shards begin with.
    pub(crate) fn start(&self, saved: Saved) -> StoreStart {
        StoreStart { sink: Arc::new(self.queue.clone()), saved }
    }

    /// No shard will write: rooms are kept elsewhere.
    pub(crate) fn stand_alone(&self) {
        let _ = self.queue.sender.send(Message::Alone);
    }

    /// Writes what was handed over, and says that nothing is missing.
    pub(crate) fn close(self) {
        let _ = self.queue.sender.send(Message::Stop);
        if self.thread.join().is_err() {
            tracing::error!(event = "store_ended", "the thread of the store has panicked");
        }
    }
}
