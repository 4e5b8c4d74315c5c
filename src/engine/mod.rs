//! Beyond this process: what several nodes share, and how they reach it.

#[cfg(test)]
mod contract;
pub(crate) mod redis;

use roomcast_shards::engine::Event;
use roomcast_shards::id::ShardId;
use roomcast_shards::rim::Shards;

/// Those who hear what an engine says.
pub(crate) trait Hearers: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Gives one of them what it is to hear, in order.
    ///
    /// # Errors
    /// The events, when it has too many to hear: they must be given again, before any others.
    fn hear(&self, shard: ShardId, events: Vec<Event>) -> Result<(), Vec<Event>>;
}

impl Hearers for Shards {
    fn count(&self) -> usize {
        self.len()
    }

    fn hear(&self, shard: ShardId, events: Vec<Event>) -> Result<(), Vec<Event>> {
        Self::hear(self, shard, events)
    }
}
