//! What the other threads have of the store: a queue into it, and the key spaces.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Sender;
use roomcast_shards::durable::{Batch, Record, Space};
use roomcast_shards::id::ShardId;
use roomcast_shards::rim::{StoreLink, StoreSink};
use tokio::sync::watch;

use super::values::{NoRoom, Values};

/// What the store's thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A shard begins.
    Attach(ShardId, Arc<StoreLink>),
    /// A shard leaves something behind.
    Shard(ShardId, Batch),
    /// No shard will: rooms are kept elsewhere, and all there is are values.
    Alone,
    /// A value of a key space has changed.
    Values(Batch),
    /// Write what is there, and say that nothing is missing.
    Stop,
}

/// The way into the store's thread: bounded in bytes, by whoever reads clients looking at [`Queue::is_full`] first.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) sender: Sender<Message>,
    /// Bytes that were handed over and are not on disk.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) bytes_max: usize,
}

/// A value's change, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written(u64);

/// Key spaces, kept by the store when there is one, and in memory otherwise. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// Up to which change everything is kept.
    kept: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Shared {
    values: Arc<Mutex<Values>>,
    queue: Option<Queue>,
    changes: AtomicU64,
}

impl Queue {
    fn send(&self, bytes: usize, message: Message) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        // The store outlives whoever writes; if it has died, nothing is kept, and that shows in health.
        let _ = self.sender.send(message);
    }

    /// Whether so much waits that nothing should be added that can wait elsewhere.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > self.bytes_max
    }
}

impl StoreSink for Queue {
    fn attach(&self, shard: ShardId, link: Arc<StoreLink>) {
        self.send(0, Message::Attach(shard, link));
    }

    fn write(&self, shard: ShardId, batch: Batch) {
        self.send(batch.bytes, Message::Shard(shard, batch));
    }

    fn is_full(&self) -> bool {
        Queue::is_full(self)
    }
}

impl Handle {
    /// Key spaces in memory alone.
    #[allow(dead_code, reason = "for whoever keeps something with and without a store")]
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::default(), None, watch::channel(u64::MAX).1)
    }

    pub(super) fn new(values: Arc<Mutex<Values>>, queue: Option<Queue>, kept: watch::Receiver<u64>) -> Self {
        Self { shared: Arc::new(Shared { values, queue, changes: AtomicU64::new(0) }), kept }
    }

    /// Sets a value. It is read back at once, and kept when [`Handle::kept`] says so.
    ///
    /// # Errors
    /// [`NoRoom`] when all values together would take too much; nothing was changed.
    pub(crate) fn put(
        &self,
        space: Space,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Written, NoRoom> {
        let (key, value) = (key.into(), value.into());
        let mut values = self.values();
        values.put(space, key.clone(), value.clone())?;
        Ok(self.tell(values, Record::Value { space, key, value: Some(value) }))
    }

    /// Removes a value, if there is one.
    pub(crate) fn remove(&self, space: Space, key: impl Into<Bytes>) -> Written {
        let key = key.into();
        let mut values = self.values();
        if !values.remove(space, key.clone()) {
            return Written(0);
        }
        self.tell(values, Record::Value { space, key, value: None })
    }

    /// A value.
    #[allow(dead_code, reason = "for whoever keeps something under a known key")]
    pub(crate) fn get(&self, space: Space, key: impl Into<Bytes>) -> Option<Bytes> {
        self.values().get(space, &key.into()).cloned()
    }

    /// All values of a space, by key.
    pub(crate) fn load(&self, space: Space) -> Vec<(Bytes, Bytes)> {
        self.values().all(space)
    }

    /// Returns when a change outlives the process, as far as `--durability` promises: at once without a store, and with
    /// `async`. When the store has failed it returns, too: the service goes on in memory.
    pub(crate) async fn kept(&self, written: Written) {
        let _ = self.kept.clone().wait_for(|kept| *kept >= written.0).await;
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.shared.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the store of a change while nobody else changes anything, so that its order is that of the memory.
    fn tell(&self, values: MutexGuard<'_, Values>, record: Record) -> Written {
        let number = self.shared.changes.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(queue) = &self.shared.queue {
            let bytes = record.cost();
            queue.send(bytes, Message::Values(Batch { number, records: vec![record], bytes }));
        }
        drop(values);
        Written(number)
    }
}
