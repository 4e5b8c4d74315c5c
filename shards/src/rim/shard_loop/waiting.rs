//! The beginning of a turn: waiting for sockets, other threads and the timer.

use std::sync::Arc;
use std::time::Duration;

use super::{ShardLoop, list};
use crate::rim::poller::{self, Ready};
use crate::rim::runtime::yield_now;

/// An idle shard looks for itself after so long, even if the executor has missed a wake-up. Its own timer comes sooner.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// How long a shard waits for room in a full ring.
const RING_LOOK: Duration = Duration::from_millis(1);
/// Turns between two visits of the executor while there is traffic.
const TURNS_BETWEEN_YIELDS: u64 = 256;

impl ShardLoop {
    /// Waits unless there is work; the number of events.
    pub(super) async fn wait(&mut self, busy: bool) -> usize {
        if busy {
            if self.shard.metrics.turns.is_multiple_of(TURNS_BETWEEN_YIELDS) {
                yield_now().await;
            }
            return self.poll(Some(Duration::ZERO));
        }
        self.nap();
        let bell = Arc::clone(self.mesh.bell());
        bell.lie_down();
        // What was put before the bell knew of the sleep would wait for the next ring.
        let mut timeout = if self.inbox.is_empty()
            && !self.has_work()
            && self.mesh.depth() == 0
            && !self.store_has_news()
        {
            self.patience()
        } else {
            Some(Duration::ZERO)
        };
        if timeout.is_none() && self.quiet {
            self.idle.readable(SLEEP_MAX).await;
            timeout = Some(Duration::ZERO);
        }
        let ready = self.poll(timeout);
        bell.get_up();
        ready
    }

    /// How long to wait for events; without end if nothing else matters, as the timer is one of them. An alarm for
    /// each wait would be the dearest part of it where the clock belongs to a hypervisor.
    fn patience(&self) -> Option<Duration> {
        // Nobody rings when a full ring has room again, or when frames have waited long enough to share their write.
        let ring = (self.shard.overflow_items() > 0).then_some(RING_LOOK);
        // The present moment may be past the one that `now` is rounded down from.
        let frames = self.shard.next_flush_ms().map(|due_ms| due_ms.saturating_sub(self.now.ms));
        ring.into_iter().chain(frames.map(Duration::from_millis)).min()
    }

    /// Spaces turns while frames wait to share their writes: what comes in the meantime shares a turn, and clients that
    /// are woken by it a wake-up.
    fn nap(&self) {
        let left_us = (self.turn_began_us + self.coalescing.gap_us()).saturating_sub(self.clock.micros());
        if left_us > 0 {
            poller::pass(Duration::from_micros(left_us));
        }
    }

    fn poll(&mut self, timeout: Option<Duration>) -> usize {
        let Self { poller, sockets, readable, shard, mesh, .. } = self;
        let mut quiet = true;
        let polled = poller.wait(timeout, |ready| match ready {
            Ready::Timer => {}
            Ready::Doorbell => {
                quiet = false;
                mesh.bell().silence();
            }
            Ready::Socket { id, readable: can_read, writable, hang_up } => {
                quiet = false;
                let Some(socket) = sockets.get_mut(id) else { return };
                socket.hang_up |= hang_up;
                if can_read {
                    socket.readable = true;
                    list(socket, readable);
                }
                if writable {
                    shard.on_writable(id);
                }
            }
        });
        let ready = polled.unwrap_or_else(|error| {
            tracing::error!(event = "epoll_failed", %error);
            0
        });
        if ready > 0 {
            self.quiet = quiet;
        }
        ready
    }
}
