//! When what waits in a connection's queue is written (between steps 9 and 10 of the path of a message).
//!
//! A connection stands in at most one list at a time: that of what leaves this turn, that of large fan-outs, or one of
//! two in which it waits for a moment: because the lane of a message allows it, or because the shard has much to do.

use std::collections::VecDeque;

use super::Shard;
use crate::clock::Now;
use crate::connection::{Connection, Dirty};
use crate::effect::Effects;
use crate::id::ConnectionId;

/// Bytes with which a connection no longer waits for others to share its write: they fill one as it is.
const SHARED_BYTES_MAX: usize = 32 << 10;
/// Nor does it wait with this part of what its queue may hold: who is not written to is no slow consumer.
const SHARED_PART_OF_QUEUE: usize = 4;

/// Places in a list from which on those of connections that wait no longer are cleared away.
const PLACES_MAX: usize = 1024;

/// Connections that wait, and until when: in the order in which they began, and nearly in that of their ends.
#[derive(Debug)]
pub(super) struct Waiting {
    /// For the sake of a lane.
    lane: VecDeque<(u64, ConnectionId)>,
    /// For the sake of load.
    load: VecDeque<(u64, ConnectionId)>,
    /// Until when, in milliseconds, what is queued now waits; `None` while the shard has time to spare.
    load_until_ms: Option<u64>,
    /// Bytes with which a queue waits no longer.
    shared_bytes_max: usize,
}

/// How long a push may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until when, in milliseconds, its lane lets it; `None` when it streams.
    pub(super) lane_until_ms: Option<u64>,
    /// Whether it goes to so many that they are written in slices.
    pub(super) bulk: bool,
}

impl Waiting {
    /// Nobody waits; queues hold so many bytes at most.
    pub(super) fn new(queue_bytes_max: usize) -> Self {
        let shared_bytes_max = SHARED_BYTES_MAX.min(queue_bytes_max / SHARED_PART_OF_QUEUE);
        Self { lane: VecDeque::new(), load: VecDeque::new(), load_until_ms: None, shared_bytes_max }
    }

    /// Something was queued for the connection: sees to it that it is written in time.
    pub(super) fn on_queued(&mut self, client: &mut Connection, effects: &mut Effects, patience: Patience) {
        if client.queue.bytes() >= self.shared_bytes_max {
            return mark_dirty(client, effects, patience.bulk);
        }
        match (patience.lane_until_ms, self.load_until_ms) {
            (Some(until_ms), _) => {
                if client.dirty == Dirty::Clean && !client.blocked {
                    client.dirty = Dirty::Delayed { until_ms: Dirty::low_half(until_ms) };
                    self.lane.push_back((until_ms, client.id));
                }
            }
            (None, Some(until_ms)) => {
                if client.dirty.yields_to(until_ms) && !client.blocked {
                    client.dirty = Dirty::Coalescing { until_ms: Dirty::low_half(until_ms) };
                    self.load.push_back((until_ms, client.id));
                }
            }
            (None, None) => mark_dirty(client, effects, patience.bulk),
        }
    }
}

impl Patience {
    /// That of an answer: it streams, to one client.
    pub(super) const ANSWER: Self = Self { lane_until_ms: None, bulk: false };
}

/// Puts a connection into a flush list, unless it stands in one that comes sooner or waits for its socket.
pub(super) fn mark_dirty(client: &mut Connection, effects: &mut Effects, bulk: bool) {
    if client.blocked {
        return;
    }
    match (client.dirty, bulk) {
        (Dirty::Clean | Dirty::Delayed { .. } | Dirty::Coalescing { .. }, true) => {
            client.dirty = Dirty::Bulk;
            effects.bulk.push_back(client.id);
        }
        (Dirty::Clean | Dirty::Delayed { .. } | Dirty::Coalescing { .. } | Dirty::Bulk, false) => {
            client.dirty = Dirty::Urgent;
            effects.dirty.push_back(client.id);
        }
        _ => {}
    }
}

impl Shard {
    /// Sets how long, in milliseconds, what is queued from now on waits for more to share its write; 0 is not at all.
    /// To be called before every turn; see [`crate::coalescing`].
    pub fn set_coalescing(&mut self, wait_ms: u64, now: Now) {
        self.waiting.load_until_ms = (wait_ms > 0).then(|| now.ms + wait_ms);
    }

    /// Sends what has waited long enough for others to share its write.
    pub fn flush_delayed(&mut self, now: Now) {
        let Self { connections, effects, waiting, .. } = self;
        for list in [&mut waiting.lane, &mut waiting.load] {
            // Who was flushed sooner has left a place behind, and may have taken another since.
            if list.len() > PLACES_MAX.max(2 * connections.len()) {
                list.retain(|(due_ms, id)| {
                    let client = connections.get(id.slot as usize).filter(|client| client.id == *id);
                    client.is_some_and(|client| client.dirty.waits_until(*due_ms))
                });
            }
            while let Some((due_ms, id)) = list.front().copied().filter(|(due_ms, _)| *due_ms <= now.ms) {
                list.pop_front();
                let client = connections.get_mut(id.slot as usize).filter(|client| client.id == id);
                // A connection that was flushed in the meantime may wait again, and must not be cut short.
                if let Some(client) = client.filter(|client| client.dirty.waits_until(due_ms)) {
                    // Those of one moment may be many.
                    mark_dirty(client, effects, true);
                }
            }
        }
    }

    /// When [`Shard::flush_delayed`] has something to do, in milliseconds; `None` while nothing waits to share a write.
    #[must_use]
    pub fn next_flush_ms(&self) -> Option<u64> {
        let fronts = [self.waiting.lane.front(), self.waiting.load.front()];
        fronts.into_iter().flatten().map(|(due_ms, _)| *due_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::config::Config;
    use crate::connection::outbound_queue::FrameClass;
    use crate::id::ShardId;

    const HOUR_MS: u64 = 3_600_000;
    const BATCHED: Patience = Patience { lane_until_ms: Some(HOUR_MS), bulk: false };

    fn at(ms: u64) -> Now {
        Now { ms, unix_ms: ms }
    }

    /// A shard with one connection, and nothing to send.
    fn shard() -> (Shard, ConnectionId) {
        let mut shard = Shard::new(ShardId(0), Arc::new(Config::default()), 1, [7; 32], at(0));
        let id = shard.on_open(Ipv4Addr::LOCALHOST.into(), None, at(0));
        (shard, id)
    }

    fn queue(shard: &mut Shard, id: ConnectionId, bytes: usize, patience: Patience) {
        let client = &mut shard.connections[id.slot as usize];
        client.queue.push_always(Bytes::from(vec![b'.'; bytes]), FrameClass::Reliable);
        shard.waiting.on_queued(client, &mut shard.effects, patience);
    }

    /// Whoever is to be written to now.
    fn due(shard: &mut Shard, ms: u64) -> Vec<ConnectionId> {
        shard.flush_delayed(at(ms));
        shard.effects.dirty.drain(..).chain(shard.effects.bulk.drain(..)).collect()
    }

    #[test]
    fn under_load_frames_wait_for_as_long_as_they_may_and_no_longer() {
        let (mut shard, id) = shard();
        shard.set_coalescing(18, at(100));
        queue(&mut shard, id, 10, Patience::ANSWER);
        shard.set_coalescing(18, at(110));
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert_eq!(shard.next_flush_ms(), Some(118));
        assert_eq!(due(&mut shard, 117), []);
        assert_eq!(due(&mut shard, 118), [id]);
    }

    #[test]
    fn whoever_was_flushed_meanwhile_waits_its_whole_time_again() {
        let (mut shard, id) = shard();
        shard.set_coalescing(18, at(0));
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert!(shard.begin_flush(id, at(0)));
        shard.set_coalescing(18, at(10));
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert_eq!(due(&mut shard, 18), []);
        assert_eq!(due(&mut shard, 28), [id]);
    }

    #[test]
    fn what_fills_a_write_and_what_comes_without_load_goes_at_once() {
        let (mut shard, id) = shard();
        queue(&mut shard, id, 10, BATCHED);
        assert_eq!(due(&mut shard, 0), []);
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert_eq!(due(&mut shard, 0), [id], "what streams takes along what waits");
        shard.begin_flush(id, at(0));
        shard.set_coalescing(18, at(0));
        queue(&mut shard, id, SHARED_BYTES_MAX, Patience::ANSWER);
        assert_eq!(due(&mut shard, 0), [id]);
    }

    #[test]
    fn the_sooner_of_two_waits_counts() {
        let (mut shard, id) = shard();
        let soon = Patience { lane_until_ms: Some(50), bulk: false };
        queue(&mut shard, id, 10, soon);
        shard.set_coalescing(18, at(45));
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert_eq!(due(&mut shard, 50), [id]);
        shard.begin_flush(id, at(0));
        queue(&mut shard, id, 10, BATCHED);
        queue(&mut shard, id, 10, Patience::ANSWER);
        assert_eq!(due(&mut shard, 63), [id]);
    }

    #[test]
    fn the_batch_lane_too_makes_nobody_a_slow_consumer() {
        let (mut shard, id) = shard();
        queue(&mut shard, id, SHARED_BYTES_MAX, BATCHED);
        assert_eq!(due(&mut shard, 0), [id]);
    }

    #[test]
    fn places_that_nobody_waits_in_are_cleared_away() {
        let (mut shard, id) = shard();
        for _ in 0..10 * PLACES_MAX {
            queue(&mut shard, id, 1, BATCHED);
            shard.begin_flush(id, at(0));
            shard.flush_delayed(at(0));
        }
        assert!(shard.waiting.lane.len() <= PLACES_MAX + 1);
        queue(&mut shard, id, 1, BATCHED);
        assert_eq!(due(&mut shard, HOUR_MS), [id]);
    }
}
