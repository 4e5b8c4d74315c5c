//! The event bus: takes what happens, and gives it to the listeners whose patterns match.

use super::gateway_queue::GatewayReceiver;

/// Gives events to listeners until no shard is left.
pub(crate) async fn run(mut events: GatewayReceiver) {
    while let Some(told) = events.recv().await {
        tracing::trace!(event = "gateway_event", name = told.event.kind().name(), unix_ms = told.unix_ms);
    }
}
