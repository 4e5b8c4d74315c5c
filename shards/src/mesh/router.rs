//! Which shard owns a room: its name's hash, the same on every shard of the process.

use ahash::RandomState;

use crate::id::ShardId;

/// Maps names to owner shards.
#[derive(Debug, Clone)]
pub struct Router {
    shards: u64,
    hasher: RandomState,
}

impl Router {
    /// A router for so many shards. All shards of a process must be given the same seed; a random one keeps
    /// clients from choosing names that meet on one shard.
    #[must_use]
    pub fn new(shards: usize, seed: u64) -> Self {
        Self {
            shards: shards.max(1) as u64,
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(17), 1),
        }
    }

    /// The shard that sequences the room.
    #[must_use]
    pub fn owner(&self, room: &str) -> ShardId {
        let index = self.hasher.hash_one(room) % self.shards;
        ShardId(u16::try_from(index).expect("the number of shards fits 16 bits"))
    }

    /// Every shard.
    pub fn all(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..u16::try_from(self.shards).expect("the number of shards fits 16 bits")).map(ShardId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_spread_over_all_shards() {
        let router = Router::new(4, 7);
        let mut counts = [0; 4];
        for number in 0..4000 {
            counts[router.owner(&format!("room:{number}")).index()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(router.all().count(), 4);
    }
}
