//! The queue from the shards to the event bus: bounded in events and in bytes; what finds no room is dropped, and
//! counted by its shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_shards::gateway_event::GatewayEvent;
use tokio::sync::mpsc;

/// Events that may wait for the bus.
const EVENTS_MAX: usize = 16_384;
/// What they may hold together.
const BYTES_MAX: usize = 32 << 20;

/// An event, and when it happened.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) unix_ms: u64,
    pub(crate) event: GatewayEvent,
}

/// The shards' end.
#[derive(Debug)]
pub(crate) struct GatewaySender {
    events: mpsc::Sender<Told>,
    bytes: Arc<AtomicUsize>,
}

/// The bus's end.
#[derive(Debug)]
pub(crate) struct GatewayReceiver {
    events: mpsc::Receiver<Told>,
    bytes: Arc<AtomicUsize>,
}

/// Makes the queue.
pub(crate) fn gateway_queue() -> (GatewaySender, GatewayReceiver) {
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (GatewaySender { events: sender, bytes: Arc::clone(&bytes) }, GatewayReceiver { events: receiver, bytes })
}

impl GatewaySender {
    /// Puts events behind those that wait; how many found no room.
    pub(crate) fn send(&self, unix_ms: u64, events: Vec<GatewayEvent>) -> usize {
        let sent = |event| !self.send_one(Told { unix_ms, event });
        events.into_iter().map(sent).filter(|dropped| *dropped).count()
    }

    fn send_one(&self, told: Told) -> bool {
        let cost = told.event.cost();
        // Several shards may be at it: each counts first, and takes it back when it was too much.
        if self.bytes.fetch_add(cost, Ordering::Relaxed) + cost > BYTES_MAX
            || self.events.try_send(told).is_err()
        {
            self.bytes.fetch_sub(cost, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl GatewayReceiver {
    /// Waits for the next event; `None` once no shard is left.
    pub(crate) async fn recv(&mut self) -> Option<Told> {
        let told = self.events.recv().await?;
        self.bytes.fetch_sub(told.event.cost(), Ordering::Relaxed);
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> GatewayEvent {
        GatewayEvent::RoomClosed { room: "r".into(), user: "u".into() }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted() {
        let (sender, mut receiver) = gateway_queue();
        assert_eq!(sender.send(1, vec![event(); EVENTS_MAX + 2]), 2);
        assert_eq!(receiver.recv().await.map(|told| told.unix_ms), Some(1));
        assert_eq!(sender.send(2, vec![event(); 2]), 1, "one place is free");
    }

    #[tokio::test]
    async fn what_waits_holds_a_bounded_number_of_bytes() {
        let (sender, mut receiver) = gateway_queue();
        sender.bytes.store(BYTES_MAX - event().cost(), Ordering::Relaxed);
        assert_eq!(sender.send(1, vec![event(), event()]), 1);
        receiver.recv().await;
        assert_eq!(sender.send(1, vec![event()]), 0, "what was taken holds nothing more");
    }
}
