//! Between a shard and whoever writes down what is to outlive the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Doorbell;
use crate::durable::{Batch, Saved};
use crate::id::ShardId;
use crate::mesh::Router;

/// Writes down what shards leave behind. Never blocks.
pub trait StoreSink: Send + Sync {
    /// A shard begins; through the link it hears what is on disk.
    fn attach(&self, shard: ShardId, link: Arc<StoreLink>);

    /// Takes a shard's next batch.
    fn write(&self, shard: ShardId, batch: Batch);

    /// Whether so much waits to be written that no client should be read.
    fn is_full(&self) -> bool;
}

/// What shards begin with: who writes, and what was written before.
pub struct StoreStart {
    /// Who writes.
    pub sink: Arc<dyn StoreSink>,
    /// The state of the process before this one.
    pub saved: Saved,
}

/// What the store tells one shard.
#[derive(Debug)]
pub struct StoreLink {
    committed: AtomicU64,
    round: AtomicU64,
    doorbell: Arc<Doorbell>,
}

impl StoreLink {
    pub(super) fn new(doorbell: Arc<Doorbell>) -> Self {
        Self { committed: AtomicU64::new(0), round: AtomicU64::new(0), doorbell }
    }

    /// All batches up to this number are on disk, or nobody need wait for them any more.
    pub fn commit(&self, number: u64) {
        self.committed.store(number, Ordering::Release);
        self.doorbell.ring();
    }

    /// The shard is to tell all of its state anew.
    pub fn ask(&self, round: u64) {
        self.round.store(round, Ordering::Release);
        self.doorbell.ring();
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }
}

/// A shard's side of the store.
pub(super) struct ShardStore {
    pub(super) sink: Arc<dyn StoreSink>,
    pub(super) link: Arc<StoreLink>,
    /// What the shard begins with, until it has.
    pub(super) saved: Option<Saved>,
    /// What the link last said.
    pub(super) heard: (u64, u64),
}

/// Parts what was saved among the shards that own it now.
pub(super) fn part(
    start: Option<StoreStart>,
    bells: &[Arc<Doorbell>],
    shards: usize,
    mesh_seed: u64,
) -> Vec<Option<ShardStore>> {
    let Some(StoreStart { sink, saved }) = start else { return bells.iter().map(|_| None).collect() };
    let router = Router::new(shards, mesh_seed);
    let parts = saved.split(shards, |room| router.owner(room).index());
    let part = |((index, bell), saved): ((u16, &Arc<Doorbell>), Saved)| {
        let link = Arc::new(StoreLink::new(Arc::clone(bell)));
        sink.attach(ShardId(index), Arc::clone(&link));
        Some(ShardStore { sink: Arc::clone(&sink), link, saved: Some(saved), heard: (0, 0) })
    };
    (0u16..).zip(bells).zip(parts).map(part).collect()
}
