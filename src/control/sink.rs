//! Where plain HTTP, clients' inquiries, answers and events for listeners leave the shards: bounded queues from their
//! threads to the control thread.

use std::sync::Arc;

use roomcast_shards::effect::{ApiAnswer, Inquiry, Question};
use roomcast_shards::gateway_event::GatewayEvent;
use roomcast_shards::id::ShardId;
use roomcast_shards::mesh::item::Caller;
use roomcast_shards::rim::{ControlSink, HttpConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::inquiries::Asked;

use super::api::QUESTIONS_MAX;
use crate::listeners::gateway_queue::{GatewayReceiver, GatewaySender, gateway_queue};

/// Connections that may wait for the control thread; further ones are closed, and counted by their shard.
const HANDOVERS_MAX: usize = 256;

/// Inquiries that may wait for the control thread; further ones are answered with `SERVER_ERROR`.
const INQUIRIES_MAX: usize = 256;

/// Questions to backends that may wait for the control thread, and bytes of them in all, those on their way included;
/// further ones are answered with `SERVER_ERROR`.
const JOBS_MAX: usize = 1024;
const JOB_BYTES_MAX: usize = 64 << 20;

/// The shards' end of the queues.
#[derive(Debug)]
struct Sink {
    handovers: mpsc::Sender<HttpConnection>,
    inquiries: mpsc::Sender<Asked>,
    backends: mpsc::Sender<Job>,
    events: GatewaySender,
    answers: mpsc::Sender<Vec<ApiAnswer>>,
    /// Bytes of what backends are asked, that may wait.
    backend_bytes: Arc<Semaphore>,
}

/// Something that a backend is to be asked, and room for it among what waits.
#[derive(Debug)]
pub(crate) struct Job {
    /// Whose client asks.
    pub(crate) shard: ShardId,
    /// Who asks.
    pub(crate) caller: Caller,
    /// What.
    pub(crate) question: Question,
    /// Given back when it is dropped.
    pub(crate) room: OwnedSemaphorePermit,
}

/// The control plane's end of the queues, for [`super::start`].
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) handovers: mpsc::Receiver<HttpConnection>,
    pub(super) inquiries: mpsc::Receiver<Asked>,
    pub(super) backends: mpsc::Receiver<Job>,
    pub(super) events: GatewayReceiver,
    pub(super) answers: mpsc::Receiver<Vec<ApiAnswer>>,
}

/// Makes the queues: the sink must exist before the shards start, and the control plane starts after them.
pub(crate) fn channel() -> (Arc<dyn ControlSink>, Pending) {
    let (handover_sender, handovers) = mpsc::channel(HANDOVERS_MAX);
    let (inquiry_sender, inquiries) = mpsc::channel(INQUIRIES_MAX);
    let (event_sender, events) = gateway_queue();
    let (answer_sender, answers) = mpsc::channel(QUESTIONS_MAX);
    let (backend_sender, backends) = mpsc::channel(JOBS_MAX);
    let backend_bytes = Arc::new(Semaphore::new(JOB_BYTES_MAX));
    let sink = Sink {
        handovers: handover_sender,
        inquiries: inquiry_sender,
        backends: backend_sender,
        backend_bytes,
        events: event_sender,
        answers: answer_sender,
    };
    (Arc::new(sink), Pending { handovers, inquiries, backends, events, answers })
}

impl ControlSink for Sink {
    fn hand_over(&self, connection: HttpConnection) -> Result<(), HttpConnection> {
        self.handovers.try_send(connection).map_err(mpsc::error::TrySendError::into_inner)
    }

    fn inquire(&self, shard: ShardId, inquiry: Inquiry) -> Result<(), Inquiry> {
        let Inquiry { caller, question } = inquiry;
        if let Question::Monitoring(topic) = question {
            let asked = self.inquiries.try_send((shard, caller, topic));
            return asked.map_err(|error| {
                let (_, caller, topic) = error.into_inner();
                Inquiry { caller, question: Question::Monitoring(topic) }
            });
        }
        let bytes = u32::try_from(question.cost()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.backend_bytes).try_acquire_many_owned(bytes) else {
            return Err(Inquiry { caller, question });
        };
        self.backends.try_send(Job { shard, caller, question, room }).map_err(|error| {
            let Job { caller, question, .. } = error.into_inner();
            Inquiry { caller, question }
        })
    }

    fn happened(&self, unix_ms: u64, events: Vec<GatewayEvent>) -> usize {
        self.events.send(unix_ms, events)
    }

    fn answered(&self, answers: Vec<ApiAnswer>) {
        // It holds as many batches as there are questions. It can be gone, at the very end.
        let _ = self.answers.try_send(answers);
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
