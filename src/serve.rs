//! A gateway's life: bind, start, wait for a signal, drain, stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use roomcast_shards::access::revocations::Subject;
use roomcast_shards::clock::Clock;
use roomcast_shards::config::{Config, SessionKey, StoreMode};
use roomcast_shards::rim::{Shards, StartError, StoreStart};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::acceptor::{Acceptor, bind};
use crate::control::{self, AcceptorMetrics, Control, ControlSettings, Extra, HealthLimits};
use crate::engine::redis::revoked::Change;
use crate::engine::redis::{self, Reached, RedisEngine};
use crate::exit::Failure;
use crate::logging;
use crate::settings::{DevMode, Settings};
use crate::store::{Store, StoreSettings};

/// How often the drain looks whether everybody is gone.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How often a signal, or the end of a shard, is looked for.
const SIGNAL_POLL: Duration = Duration::from_millis(50);
/// Share of the drain time over which clients are sent away; the rest is for their last bytes.
const DRAIN_SPREAD_PERCENT: u64 = 60;

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// [`Failure`] when the gateway cannot start, or was told to stop before it had drained.
pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(Failure::other)?;
    let drain_timeout_ms = settings.drain_timeout_ms;
    let Gateway { acceptor, control, engine, shards, store } = Gateway::start(settings)?;
    let signal = wait(&mut signals, &shards, &control)?;
    tracing::info!(event = "draining", signal, connections = shards.connections());
    drain(&shards, &control, &mut signals, drain_timeout_ms)?;
    acceptor.stop();
    control.stop();
    if let Some(engine) = engine {
        engine.stop();
    }
    if let Some(mut shards) = Arc::into_inner(shards) {
        shards.stop();
    }
    if let Some(store) = store {
        store.close();
    }
    tracing::info!(event = "stopped");
    Ok(())
}

/// All threads of a gateway, in the order in which they stop: each needs only those below it.
struct Gateway {
    acceptor: Acceptor,
    control: Control,
    engine: Option<RedisEngine>,
    shards: Arc<Shards>,
    store: Option<Store>,
}

impl Gateway {
    /// Starts everything; the acceptor last, so that whoever is let in finds all of it.
    fn start(settings: Settings) -> Result<Self, Failure> {
        let mut config = settings.data_plane;
        // Before anything is bound: who connects while it is read is refused, as by a process that is not there yet.
        let (store, saved) = open_store(settings.store, &mut config)?;
        let sockets = Sockets::bind(&settings.listen, settings.admin_listen)?;
        let reached = settings.engine.map(redis::reach).transpose().map_err(Failure::unavailable)?;
        let saved = match &reached {
            Some(reached) => {
                join_nodes(&mut config, reached);
                None
            }
            None => saved,
        };
        if let (Some(store), None) = (&store, &saved) {
            store.stand_alone();
        }

        let restored = saved.as_ref().map_or_else(Vec::new, refused_before);
        let refused = reached.as_ref().map_or_else(Arc::default, |reached| reached.refused());

        let config = Arc::new(config);
        let clock = Clock::start();
        let (sink, pending) = control::channel();
        let engine = reached.as_ref().map(|reached| &reached.engine);
        let shards = Shards::start(&config, clock, &sink, saved, engine, &refused);
        let shards = Arc::new(shards.map_err(start_failure)?);
        let refused = Arc::new(AcceptorMetrics::default());
        let extra = Extra {
            logs_dropped: logging::dropped_logs,
            refused: Arc::clone(&refused),
            engine: reached.as_ref().map(|reached| Arc::clone(&reached.status)),
            store: store.as_ref().map(Store::metrics),
        };
        let engine = reached.map(|reached| redis::start(reached, Arc::<Shards>::clone(&shards)));
        let (engine, cluster) = engine.transpose().map_err(Failure::other)?.unzip();
        let addresses = sockets.addresses();
        let control_settings = ControlSettings {
            admin_listener: sockets.admin,
            dev_page: settings.dev.as_ref().map(dev_page),
            limits: health_limits(&config, settings.memory_max),
            backends: settings.backends,
            authorities: settings.authorities,
            api: settings.api,
            config: Arc::clone(&config),
            listeners: settings.listeners,
            outbox: store.as_ref().map(Store::handle),
            emitter: settings.emitter,
            addresses: addresses.public.clone(),
            refused: restored,
            cluster,
        };
        let control =
            control::start(pending, Arc::clone(&shards), control_settings, extra).map_err(Failure::other)?;
        let (limits, memory_max) = (&config.limits, settings.memory_max);
        let acceptor =
            Acceptor::start(sockets.public, Arc::clone(&shards), limits, memory_max, clock, refused)
                .map_err(Failure::other)?;
        addresses.announce(config.shards, settings.dev.as_ref());
        Ok(Self { acceptor, control, engine, shards, store })
    }
}

/// Who is still refused of those whom the process before this one refused.
fn refused_before(start: &StoreStart) -> Vec<Change> {
    let revoked = start.saved.revoked.iter();
    let change = |(subject, until): (&Subject, &u64)| Change {
        subject: subject.clone(),
        at_unix_ms: 0,
        until_unix_ms: *until,
        is_refused: true,
    };
    revoked.map(change).collect()
}

/// What the gateway listens on.
struct Sockets {
    public: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

/// Where that is.
struct Addresses {
    public: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Sockets {
    fn bind(public: &[SocketAddr], admin: Option<SocketAddr>) -> Result<Self, Failure> {
        let public = public.iter().map(|address| bind(*address)).collect::<Result<_, _>>()?;
        Ok(Self { public, admin: admin.map(bind).transpose()? })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            public: self.public.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            admin: self.admin.as_ref().and_then(|listener| listener.local_addr().ok()),
        }
    }
}

impl Addresses {
    /// Tells that the gateway is there.
    fn announce(&self, shards: usize, dev: Option<&DevMode>) {
        for address in &self.public {
            tracing::info!(event = "listening", address = %address, shards);
        }
        if let Some(address) = self.admin {
            tracing::info!(event = "admin_listening", address = %address);
        }
        if let (Some(dev), Some(address)) = (dev, self.public.first()) {
            greet(dev, address);
        }
    }
}

/// The gateway is one of several nodes: what is theirs takes the place of its own.
fn join_nodes(config: &mut Config, reached: &Reached) {
    config.node = Some(reached.node);
    config.session_key = SessionKey(reached.session_key);
    // Rooms are kept where they are ordered.
    config.store = StoreMode::Off;
}

fn dev_page(dev: &DevMode) -> String {
    control::chat_page(dev.users.iter().map(|user| (&*user.name, &*user.token)))
}

fn health_limits(config: &Config, memory_max: Option<u64>) -> HealthLimits {
    HealthLimits {
        connections_max: u64::from(config.limits.connections_max),
        memory_max,
        history_bytes_max: config.history.total_bytes_max as u64,
        ring_items_max: config.ring_items_max as u64,
    }
}

/// Opens the durable store, if there is to be one; what the shards begin with.
fn open_store(
    settings: Option<StoreSettings>,
    config: &mut Config,
) -> Result<(Option<Store>, Option<StoreStart>), Failure> {
    let Some(settings) = settings else { return Ok((None, None)) };
    // A file that may not grow (ulimit -f) is a disk that is full, and no reason to die.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(Failure::other)?;
    let (store, saved, secrets) = Store::open(settings, &config.history).map_err(Failure::other)?;
    config.session_key = SessionKey(secrets.session_key);
    config.epoch_seeds = Some(secrets.epoch_seeds);
    let start = store.start(saved);
    Ok((Some(store), Some(start)))
}

/// Waits for a signal to end; at SIGHUP files are read again.
///
/// # Errors
/// [`Failure`] when a shard has ended by itself: what it owned is lost, and only a new start brings it back.
fn wait(signals: &mut Signals, shards: &Shards, control: &Control) -> Result<i32, Failure> {
    loop {
        for signal in signals.pending() {
            match signal {
                SIGHUP => control.reload(),
                signal => return Ok(signal),
            }
        }
        if !shards.are_running() {
            tracing::error!(event = "shard_ended");
            return Err(Failure::other("a shard ended by itself"));
        }
        sleep(SIGNAL_POLL);
    }
}

/// Sends everybody away and waits until they are gone. The listener stays, so that who comes now hears 503.
fn drain(shards: &Shards, control: &Control, signals: &mut Signals, timeout_ms: u64) -> Result<(), Failure> {
    control.drain();
    shards.quiesce(Duration::from_millis(timeout_ms / 4));
    shards.drain(timeout_ms * DRAIN_SPREAD_PERCENT / 100, timeout_ms);
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    while Instant::now() < deadline && shards.connections() > 0 {
        if signals.pending().any(|signal| signal != SIGHUP) {
            return Err(Failure::other("a second signal ended the drain"));
        }
        sleep(DRAIN_POLL);
    }
    if shards.connections() > 0 {
        tracing::warn!(event = "drain_timeout", connections = shards.connections());
    }
    Ok(())
}

fn start_failure(error: StartError) -> Failure {
    match error {
        StartError::Uring(_) => Failure::unavailable(format!(
            "{error}; `roomcast check` says what to change (io_uring may be disabled by a sysctl or a container's \
             seccomp profile, or `ulimit -l` may be too low for --shards)"
        )),
        StartError::TooMany => Failure::settings(format!("--shards: {error}")),
        StartError::System(_) => Failure::other(error),
    }
}

/// Tells whoever tries the gateway how to connect.
fn greet(dev: &DevMode, address: &SocketAddr) {
    let mut out = String::from("Roomcast is ready. Open two of these in a browser:\n");
    for user in &dev.users {
        let _ = writeln!(out, "  {:<6} http://{address}/#token={}", user.name, user.token);
    }
    out.push_str("or connect with any WebSocket client:\n");
    for user in &dev.users {
        let _ = writeln!(out, "  {:<6} ws://{address}/ws?token={}", user.name, user.token);
    }
    // Nobody reads it when the output is closed, and the gateway serves all the same.
    let _ = std::io::stdout().write_all(out.as_bytes());
}
