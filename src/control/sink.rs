//! Where plain HTTP leaves the shards: a bounded queue from their threads to the control thread.

use std::sync::Arc;

use roomcast_shards::rim::{HttpConnection, HttpSink};
use tokio::sync::mpsc;

/// Connections that may wait for the control thread; further ones are closed, and counted by their shard.
const HANDOVERS_MAX: usize = 256;

/// The shards' end of the queue.
#[derive(Debug)]
struct Sink(mpsc::Sender<HttpConnection>);

/// The control plane's end of the queue, for [`super::start`].
#[derive(Debug)]
pub(crate) struct Pending(pub(super) mpsc::Receiver<HttpConnection>);

/// Makes the queue: the sink must exist before the shards start, and the control plane starts after them.
pub(crate) fn channel() -> (Arc<dyn HttpSink>, Pending) {
    let (sender, receiver) = mpsc::channel(HANDOVERS_MAX);
    (Arc::new(Sink(sender)), Pending(receiver))
}

impl HttpSink for Sink {
    fn hand_over(&self, connection: HttpConnection) -> Result<(), HttpConnection> {
        self.0.try_send(connection).map_err(mpsc::error::TrySendError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_full_queue_gives_the_connection_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = || HttpConnection { stream: stream.try_clone().unwrap(), received: b"GET".to_vec() };
        let (sink, pending) = channel();
        for _ in 0..HANDOVERS_MAX {
            sink.hand_over(connection()).unwrap();
        }
        assert_eq!(sink.hand_over(connection()).unwrap_err().received, b"GET");
        drop(pending);
        assert!(sink.hand_over(connection()).is_err(), "nobody is left to take it");
    }
}
