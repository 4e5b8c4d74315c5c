//! Domain events on their way in: from the server API to whoever listens.

use std::sync::Arc;

use bytes::Bytes;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use tokio::sync::mpsc;

/// Events that may wait for the listeners; further ones are answered 503.
const EVENTS_MAX: usize = 4096;

/// Something that happened in the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomainEvent {
    /// What, such as `message.created`.
    pub(crate) name: String,
    /// A JSON object, byte for byte as given.
    pub(crate) data: Bytes,
    /// The namespace of its account, with `--tenancy account`.
    pub(crate) namespace: Option<Arc<str>>,
}

/// Where domain events go.
#[derive(Debug, Clone, Default)]
pub(crate) struct DomainEvents(Option<mpsc::Sender<DomainEvent>>);

impl DomainEvents {
    /// A bounded queue of events, and its other end.
    #[allow(dead_code, reason = "for the listeners")]
    pub(crate) fn queue() -> (Self, mpsc::Receiver<DomainEvent>) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        (Self(Some(sender)), receiver)
    }

    /// Hands an event in.
    ///
    /// # Errors
    /// `SERVER_ERROR` when nobody listens, or too many wait.
    pub(super) fn offer(&self, event: DomainEvent) -> Result<(), CommandError> {
        let unavailable = |message| {
            CommandError::new(ErrorCode::ServerError, message)
                .with("component", Detail::Text("listeners".into()))
        };
        let Some(queue) = &self.0 else { return Err(unavailable("no listener is configured")) };
        queue.try_send(event).map_err(|_| unavailable("too many events wait for the listeners"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_and_nobody_are_server_errors() {
        let event = DomainEvent { name: "a".to_owned(), data: Bytes::from_static(b"{}"), namespace: None };
        assert_eq!(
            DomainEvents::default().offer(event.clone()).unwrap_err().message,
            "no listener is configured"
        );
        let (events, receiver) = DomainEvents::queue();
        for _ in 0..EVENTS_MAX {
            events.offer(event.clone()).unwrap();
        }
        assert_eq!(events.offer(event).unwrap_err().message, "too many events wait for the listeners");
        drop(receiver);
    }
}
