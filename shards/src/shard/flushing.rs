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
        match (patience.lane_until_ms, self.load_until_ms) {
            (Some(until_ms), _) => {
                if client.dirty == Dirty::Clean && !client.blocked {
                    client.dirty = Dirty::Delayed { until_ms: Dirty::low_half(until_ms) };
                    self.lane.push_back((until_ms, client.id));
                }
            }
            (None, Some(until_ms)) if client.queue.bytes() < self.shared_bytes_max => {
                if matches!(client.dirty, Dirty::Clean | Dirty::Delayed { .. }) && !client.blocked {
                    client.dirty = Dirty::Coalescing { until_ms: Dirty::low_half(until_ms) };
                    self.load.push_back((until_ms, client.id));
                }
            }
            (None, _) => mark_dirty(client, effects, patience.bulk),
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
