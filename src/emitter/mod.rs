//! Backends in Node that emit through a Redis (`@socket.io/redis-emitter`) go on emitting, to this gateway.
//!
//! What they publish is heard on one connection (`--socketio-emitter`), read by `decode`, and given to every shard, which
//! knows who of its connections is meant. Each node hears it and tells its own, so that nothing has to be passed on. A
//! publication is heard at most once: what is published while the Redis is away, or faster than the shards take it, is
//! lost, as it is with the reference's own adapter.

mod decode;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value, cmd};
use roomcast_shards::protocol::socketio::Namespaces;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::control::DataPlane;
use crate::engine::redis::connect::{Address, Backoff};
use decode::Decoder;

/// Publications that may wait to be read; further ones are dropped.
const WAITING_MAX: usize = 4_096;
/// Publications that shards have not answered yet; the next wait.
const ON_THEIR_WAY_MAX: usize = 256;
/// How long an answer is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Where backends publish.
#[derive(Debug, Clone)]
pub(crate) struct EmitterSettings {
    pub(crate) address: Address,
    /// What their channels begin with.
    pub(crate) key: String,
    /// The namespaces that there are.
    pub(crate) namespaces: Namespaces,
}

/// What became of publications.
#[derive(Debug, Default)]
pub(crate) struct EmitterCounts {
    pub(crate) emitted: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// One publication.
struct Publication {
    channel: Vec<u8>,
    payload: Vec<u8>,
}

/// Hears what is published, for ever, and comes back whenever the Redis does.
pub(crate) async fn run(settings: EmitterSettings, data_plane: Arc<DataPlane>, counts: Arc<EmitterCounts>) {
    let decoder = Decoder::new(&settings.key, settings.namespaces.clone());
    let mut backoff = Backoff::default();
    loop {
        let (heard, publications) = mpsc::channel(WAITING_MAX);
        match listen(&settings, heard, &counts).await {
            Ok(_connection) => {
                backoff.reset();
                tracing::info!(event = "emitter_connected", address = %settings.address);
                take(publications, &decoder, &data_plane, &counts).await;
                tracing::warn!(event = "emitter_lost", address = %settings.address);
            }
            Err(error) => tracing::warn!(event = "emitter_away", address = %settings.address, %error),
        }
        sleep(backoff.pause()).await;
    }
}

/// Subscribes; what is published goes to `heard`, which ends with the connection.
async fn listen(
    settings: &EmitterSettings,
    heard: mpsc::Sender<Publication>,
    counts: &Arc<EmitterCounts>,
) -> RedisResult<MultiplexedConnection> {
    let counts = Arc::clone(counts);
    let heard = std::sync::Mutex::new(Some(heard));
    let push = move |info: PushInfo| {
        let mut heard = heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match info.kind {
            PushKind::Disconnection => drop(heard.take()),
            PushKind::PMessage => {
                let publication = publication(info.data);
                if let (Some(heard), Some(publication)) = (&*heard, publication)
                    && heard.try_send(publication).is_err()
                {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        Ok::<_, redis::aio::SendError>(())
    };
    let mut connection = settings.address.connect_with(push).await?;
    let mut subscribe = cmd("PSUBSCRIBE");
    subscribe.arg(format!("{}#*", settings.key)).arg(format!("{}-request#*", settings.key));
    let () = subscribe.query_async(&mut connection).await?;
    Ok(connection)
}

/// Pattern, channel, payload.
fn publication(data: Vec<Value>) -> Option<Publication> {
    let mut data = data.into_iter().skip(1);
    match (data.next()?, data.next()?) {
        (Value::BulkString(channel), Value::BulkString(payload)) => Some(Publication { channel, payload }),
        _ => None,
    }
}

async fn take(
    mut publications: mpsc::Receiver<Publication>,
    decoder: &Decoder,
    data_plane: &Arc<DataPlane>,
    counts: &EmitterCounts,
) {
    let turns = Arc::new(Semaphore::new(ON_THEIR_WAY_MAX));
    while let Some(Publication { channel, payload }) = publications.recv().await {
        let emission = match decoder.read(&channel, &payload) {
            Ok(Some(emission)) => Arc::new(emission),
            Ok(None) => continue,
            Err(error) => {
                counts.unreadable.fetch_add(1, Ordering::Relaxed);
                let channel = String::from_utf8_lossy(&channel);
                tracing::warn!(event = "emitter_unreadable", %channel, error);
                continue;
            }
        };
        let turn = Arc::clone(&turns).acquire_owned().await;
        let Ok(answers) = data_plane.emit(&emission) else {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        counts.emitted.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            for answer in answers {
                let _ = timeout(ANSWER_TIME_MAX, answer).await;
            }
            drop(turn);
        });
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Publication({})", String::from_utf8_lossy(&self.channel))
    }
}
