//! The mesh: one bounded single-producer ring for each ordered pair of shards.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::doorbell::Doorbell;
use crate::effect::Outbox;
use crate::id::ShardId;
use crate::mesh::item::Item;

/// One shard's ends of all rings.
pub(super) struct Mesh {
    id: ShardId,
    outbound: Vec<Option<Producer<Item>>>,
    inbound: Vec<Option<Consumer<Item>>>,
    bells: Vec<Arc<Doorbell>>,
}

/// What became of a turn's items for other shards.
#[derive(Debug, Default)]
pub(super) struct Flushed {
    /// Items that found their ring full and wait beside it.
    pub(super) overflowed: usize,
    /// Shards that had to be woken.
    pub(super) rung: usize,
}

impl Mesh {
    /// The ends of every shard, in their order. All rings into a shard hold `items_max` together, so that their memory
    /// grows with the number of shards, not with its square.
    pub(super) fn all(bells: &[Arc<Doorbell>], items_max: usize) -> Vec<Self> {
        let ids = || (0u16..).map(ShardId).take(bells.len());
        let mut meshes: Vec<Self> = ids()
            .map(|id| Self {
                id,
                outbound: bells.iter().map(|_| None).collect(),
                inbound: bells.iter().map(|_| None).collect(),
                bells: bells.to_vec(),
            })
            .collect();
        for from in ids() {
            for to in ids().filter(|to| *to != from) {
                let (producer, consumer) = RingBuffer::new(items_max.div_ceil(bells.len() - 1));
                meshes[from.index()].outbound[to.index()] = Some(producer);
                meshes[to.index()].inbound[from.index()] = Some(consumer);
            }
        }
        meshes
    }

    /// This shard's doorbell.
    pub(super) fn bell(&self) -> &Arc<Doorbell> {
        &self.bells[self.id.index()]
    }

    /// Items that wait for this shard.
    pub(super) fn depth(&self) -> usize {
        self.inbound.iter().flatten().map(Consumer::slots).sum()
    }

    /// Gives at most `budget` items of each ring to `take`; whether any is left.
    pub(super) fn receive(&mut self, budget: usize, mut take: impl FnMut(ShardId, Item)) -> bool {
        let mut more = false;
        for (from, ring) in (0u16..).map(ShardId).zip(&mut self.inbound) {
            let Some(ring) = ring else { continue };
            for _ in 0..budget {
                let Ok(item) = ring.pop() else { break };
                take(from, item);
            }
            more |= !ring.is_empty();
        }
        more
    }

    /// Moves what waits for other shards into their rings, and rings each doorbell once.
    pub(super) fn send(&mut self, outboxes: &mut [Outbox]) -> Flushed {
        let mut flushed = Flushed::default();
        for ((outbox, ring), bell) in outboxes.iter_mut().zip(&mut self.outbound).zip(&self.bells) {
            let Some(ring) = ring else { continue };
            let before = outbox.items.len();
            while let Some(item) = outbox.pop() {
                if let Err(rtrb::PushError::Full(item)) = ring.push(item) {
                    outbox.unpop(item);
                    break;
                }
            }
            flushed.overflowed += outbox.items.len();
            if outbox.items.len() < before {
                flushed.rung += usize::from(bell.ring());
            }
        }
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::push::{Except, News, Notice};

    fn item(members: usize) -> Item {
        let news = News::Count { members };
        Item::Notice(Box::new(Notice { room: "r".into(), except: Except::Nobody, news }))
    }

    fn receive(mesh: &mut Mesh) -> Vec<usize> {
        let mut got = Vec::new();
        mesh.receive(100, |_, item| {
            if let Item::Notice(notice) = item
                && let News::Count { members } = notice.news
            {
                got.push(members);
            }
        });
        got
    }

    #[test]
    fn what_a_full_ring_does_not_take_waits_in_order() {
        let bells = [Arc::new(Doorbell::new().unwrap()), Arc::new(Doorbell::new().unwrap())];
        let mut meshes = Mesh::all(&bells, 2);
        let mut outboxes = vec![Outbox::default(), Outbox::default()];
        for members in 1..=5 {
            outboxes[1].push(item(members));
        }
        assert_eq!(meshes[0].send(&mut outboxes).overflowed, 3);
        assert_eq!(receive(&mut meshes[1]), [1, 2]);
        assert_eq!(meshes[0].send(&mut outboxes).overflowed, 1);
        assert_eq!(receive(&mut meshes[1]), [3, 4]);
        meshes[0].send(&mut outboxes);
        assert_eq!(receive(&mut meshes[1]), [5]);
        assert_eq!(outboxes[1].bytes, 0);
    }
}
