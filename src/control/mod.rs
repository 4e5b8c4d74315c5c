//! The control plane: one thread with a tokio runtime that serves plain HTTP, and answers what clients ask of the
//! gateway itself. Never on the path of a message.
//!
//! Connections come in two ways: handed over by a shard, which read a request head that is no WebSocket ([`channel`]),
//! and from a listener of its own (`--admin-listen`); with such a listener, what shards hand over is answered 404.
//! `server` bounds the connections, `visit` looks at each request, `routes` answers; `snapshots` asks the shards and
//! `metrics` shows what they said. Clients' inquiries come through the shards as well, and `inquiries` answers them:
//! with the metrics, with the sums of `stats`, or with what `health` thinks of them.

mod acceptor_metrics;
mod api;
mod chat_page;
mod cluster;
mod health;
mod inquiries;
mod metrics;
mod places;
mod replay;
mod response;
mod routes;
mod server;
mod sink;
mod snapshots;
mod stats;
#[cfg(test)]
mod tests;
mod visit;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use roomcast_shards::backend::Answered;
use roomcast_shards::config::Config;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use roomcast_shards::rim::{ControlAnswer, Shards};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub(crate) use acceptor_metrics::AcceptorMetrics;
pub(crate) use api::{ApiSettings, KeyFile, openapi};
pub(crate) use api::{DataPlane, Publication, Publish};
pub(crate) use chat_page::chat_page;
pub(crate) use health::HealthLimits;
pub(crate) use sink::{Job, Pending, channel};

use crate::backend::http_client::HttpClient;
use crate::backend::signer::Signer;
use crate::backend::{BackendSettings, Backends, Node};
use crate::emitter::{self, EmitterCounts, EmitterSettings};
use crate::listeners::{Bus, ListenersSettings};
use crate::store::{Handle, StoreMetrics};
use crate::trust::Authorities;

use crate::engine::redis::EngineStatus;
use crate::engine::redis::cluster::{ClusterEnd, Heard};
use crate::engine::redis::revoked::Change;
use api::{Api, Owners};
use cluster::Cluster;
use inquiries::{Answer, Inquiries};
use metrics::Sources;
use places::Places;
use routes::Gateway;
use server::Server;
use snapshots::Snapshots;
use visit::Access;

/// Names of hosts that are looked up at once.
const LOOKUPS_MAX: usize = 16;
/// How long requests may go on once the control plane is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// What the control plane is told by the settings.
#[derive(Debug, Default)]
pub(crate) struct ControlSettings {
    /// Serves all routes in place of the gateway's own addresses.
    pub(crate) admin_listener: Option<std::net::TcpListener>,
    /// The page at `/`, see [`chat_page()`]; `None` outside `roomcast dev`.
    pub(crate) dev_page: Option<String>,
    /// What health is measured by.
    pub(crate) limits: HealthLimits,
    /// The backends that are asked.
    pub(crate) backends: BackendSettings,
    /// Who vouches for backends and webhooks beside the host's authorities.
    pub(crate) authorities: Authorities,
    /// The server API.
    pub(crate) api: ApiSettings,
    /// What the shards obey.
    pub(crate) config: Arc<Config>,
    /// Who is told of what.
    pub(crate) listeners: ListenersSettings,
    /// Where what they are yet to be told is kept.
    pub(crate) outbox: Option<Handle>,
    /// Where backends emit in the way of Socket.IO.
    pub(crate) emitter: Option<EmitterSettings>,
    /// Where clients connect.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Who was refused by the process before this one.
    pub(crate) refused: Vec<Change>,
    /// The way to the other nodes, if there may be any.
    pub(crate) cluster: Option<ClusterEnd>,
}

/// What the metrics show that no shard counts.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    /// Reads how many log records were dropped.
    pub(crate) logs_dropped: fn() -> u64,
    /// What the acceptor counts.
    pub(crate) refused: Arc<AcceptorMetrics>,
    /// What the durable store counts, if there is one.
    pub(crate) store: Option<Arc<StoreMetrics>>,
    /// How the engine does that several nodes share.
    pub(crate) engine: Option<Arc<EngineStatus>>,
}

/// The running control plane. Dropping it tells the thread to stop, but does not wait.
#[derive(Debug)]
pub(crate) struct Control {
    keys: Option<Arc<KeyFile>>,
    signers: Vec<Arc<Signer>>,
    draining: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Starts the control thread.
///
/// # Errors
/// When the listener cannot be used, or the kernel has no thread or epoll set to give.
pub(crate) fn start(
    pending: Pending,
    shards: Arc<Shards>,
    settings: ControlSettings,
    extra: Extra,
) -> io::Result<Control> {
    let (count, asked) = (shards.len(), Arc::clone(&shards));
    let ask = move |answers: snapshots::Answers| {
        // Cannot be full: see `Snapshots`. It can be gone, at the very end.
        asked.snapshot(move |shard, metrics| drop(answers.try_send((shard, metrics))));
    };
    let data_plane = Arc::new(DataPlane::new(Arc::clone(&shards) as Arc<dyn Owners>));
    let answering = Arc::clone(&shards);
    let answer: Answer = Box::new(move |shard, caller, members: Option<Vec<u8>>| {
        let answer = members.map(Answered::Members).ok_or_else(unavailable);
        answering.answer(shard, ControlAnswer { caller, answer }).is_ok()
    });
    let client = HttpClient::new(settings.authorities.clone());
    let backends = backends(&settings.backends, &client, shards, Arc::clone(&data_plane))?;
    let snapshots = Snapshots::new(count, Box::new(ask));
    start_with(pending, snapshots, answer, data_plane, (backends, client), settings, extra)
}

/// The backends, as they answer to the shards.
fn backends(
    settings: &BackendSettings,
    client: &HttpClient,
    shards: Arc<Shards>,
    data_plane: Arc<DataPlane>,
) -> io::Result<Backends> {
    let answer = Box::new(move |shard, answer| shards.answer(shard, answer));
    Backends::new(settings, client, Node::new(host_name()), answer, Some(data_plane))
}

/// What this host calls itself.
pub(in crate::control) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What who asks hears when there is no answer.
fn unavailable() -> CommandError {
    CommandError::new(ErrorCode::ServerError, "control is not available")
        .with("component", Detail::Text("control".into()))
}

fn start_with(
    pending: Pending,
    snapshots: Snapshots,
    answer: Answer,
    data_plane: Arc<DataPlane>,
    (backends, client): (Backends, HttpClient),
    settings: ControlSettings,
    extra: Extra,
) -> io::Result<Control> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Names of backends are looked up there, and a lookup may hang.
        .max_blocking_threads(LOOKUPS_MAX)
        .build()?;
    let listener = settings.admin_listener.map(|listener| register(&runtime, listener)).transpose()?;
    let draining = Arc::new(AtomicBool::new(false));
    let keys = settings.api.keys.clone();
    let signers = settings.backends.signers().chain(settings.listeners.signers()).cloned().collect();
    let places = Arc::new(Places::new(u32::try_from(settings.api.connections_max).unwrap_or(u32::MAX)));
    let api = Arc::clone(data_plane.counts());
    let backends = Arc::new(backends);
    let emitter = Arc::new(EmitterCounts::default());
    let bus = {
        let _inside = runtime.enter();
        if let Some(settings) = settings.emitter.clone() {
            tokio::spawn(emitter::run(settings, Arc::clone(&data_plane), Arc::clone(&emitter)));
        }
        Bus::start(&settings.listeners, &client, &data_plane, settings.outbox.clone())?
    };
    let sources = Sources {
        extra,
        places: Arc::clone(&places),
        backends: Arc::clone(&backends),
        api,
        bus: Arc::clone(&bus),
        emitter,
    };
    let (limits, started) = (settings.limits, Instant::now());
    let addresses = settings.addresses;
    let draining_seen = Arc::clone(&draining);
    let gateway = Gateway { snapshots, draining: draining_seen, sources, limits, started, addresses };
    let gateway = Arc::new(gateway);
    let inquiries = Inquiries::new(Arc::clone(&gateway), answer);
    let api_gateway = Arc::clone(&gateway);
    let (refused, cluster, heard) = match settings.cluster {
        None => (settings.refused, None, None),
        Some(ClusterEnd { node, status, refused, tell, heard }) => {
            (refused, Some(Arc::new(Cluster::new(node, status, tell))), Some(heard))
        }
    };
    let others = (refused, cluster);
    let (asking, telling) = (Arc::clone(&data_plane), Arc::clone(&bus));
    let api = Api::new(&settings.api, settings.config, asking, api_gateway, telling, others);
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        router: routes::router(gateway, settings.dev_page),
        api: Arc::new(api),
        handed_over: if listener.is_some() { Access::Elsewhere } else { Access::HandedOver },
        places,
        stop: stopped,
    };
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        runtime.block_on(run(server, inquiries, data_plane, (backends, bus), (pending, heard), listener));
        // A lookup of a name may hang, and nobody waits for it any more.
        runtime.shutdown_background();
    })?;
    Ok(Control { keys, signers, draining, stop, thread })
}

fn register(runtime: &Runtime, listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    TcpListener::from_std(listener)
}

/// Serves until told to stop, then lets the requests that run end.
async fn run(
    server: Server,
    inquiries: Inquiries,
    data_plane: Arc<DataPlane>,
    (backends, bus): (Arc<Backends>, Arc<Bus>),
    (waiting, heard): (Pending, Option<mpsc::Receiver<Heard>>),
    listener: Option<TcpListener>,
) {
    // Tasks of their own, behind all others that are ready: see `DataPlane::ring`.
    let (hearing, ringing) = (Arc::clone(&data_plane), data_plane);
    tokio::spawn(async move { hearing.hear(waiting.answers).await });
    tokio::spawn(async move { ringing.ring().await });
    if let Some(heard) = heard {
        tokio::spawn(Arc::clone(&server.api).hear(heard));
    }
    // It hears of the end of the last connections, too.
    tokio::spawn(Arc::clone(&bus).run(waiting.events));
    let serve_shards = async {
        tokio::join!(
            server.serve_handovers(waiting.handovers),
            inquiries.serve(waiting.inquiries),
            backends.serve(waiting.backends),
        )
    };
    let serve_listener = async {
        match listener {
            Some(listener) => server.serve_listener(listener).await,
            None => pending().await,
        }
    };
    let mut stop = server.stop.clone();
    tokio::select! {
        _ = async { tokio::join!(serve_shards, serve_listener) } => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let last = async { tokio::join!(server.places.all_free(), bus.delivered()) };
    let _ = timeout(STOP_TIME_MAX, last).await;
}

impl Control {
    /// Makes `/readyz` answer 503 from now on, and every answer the last of its connection.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Reads the keys of the server API again, and the secrets of backends and webhooks.
    pub(crate) fn reload(&self) {
        if let Some(keys) = &self.keys {
            keys.reload();
        }
        self.signers.iter().for_each(|signer| signer.reload());
    }

    /// Lets running requests finish, and events be delivered that would end with the process, for at most
    /// [`STOP_TIME_MAX`], and waits for the thread. It holds no handle to the shards afterwards.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!(event = "control_panicked");
        }
    }
}
