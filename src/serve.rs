//! A gateway's life: bind, start, wait for a signal, drain, stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use roomcast_shards::clock::Clock;
use roomcast_shards::config::{Config, SessionKey, StoreMode};
use roomcast_shards::rim::{Shards, StartError, StoreStart};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::acceptor::{Acceptor, bind};
use crate::control::{self, AcceptorMetrics, Control, ControlSettings, Extra, HealthLimits};
use crate::engine::redis;
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
    // Before anything is bound: who connects while it is read is refused, as by a process that is not there yet.
    let mut data_plane = settings.data_plane;
    let (store, saved) = open_store(settings.store, &mut data_plane)?;
    let listeners = settings.listen.iter().map(|address| bind(*address)).collect::<Result<Vec<_>, _>>()?;
    let admin_listener = settings.admin_listen.map(bind).transpose()?;
    let addresses = addresses(&listeners);
    let admin_address = admin_listener.as_ref().and_then(|listener| listener.local_addr().ok());

    let clock = Clock::start();
    let mut config = data_plane;
    let reached = settings.engine.map(redis::reach).transpose().map_err(Failure::unavailable)?;
    if let Some(reached) = &reached {
        config.node = Some(reached.node);
        config.session_key = SessionKey(reached.session_key);
        // Rooms are kept where they are ordered.
        config.store = StoreMode::Off;
    }
    let saved = saved.filter(|_| config.node.is_none());
    if let (Some(store), None) = (&store, &saved) {
        store.stand_alone();
    }
    let config = Arc::new(config);
    let (sink, pending) = control::channel();
    let engine = reached.as_ref().map(|reached| &reached.engine);
    let shards = Arc::new(Shards::start(&config, clock, &sink, saved, engine).map_err(start_failure)?);
    let engine_status = reached.as_ref().map(|reached| Arc::clone(&reached.status));
    let engine = reached.map(|reached| redis::start(reached, Arc::<Shards>::clone(&shards)));
    let engine = engine.transpose().map_err(Failure::other)?;
    let metrics = Arc::new(AcceptorMetrics::default());
    let dev_page = settings
        .dev
        .as_ref()
        .map(|dev| control::chat_page(dev.users.iter().map(|user| (&*user.name, &*user.token))));
    let extra = Extra {
        logs_dropped: logging::dropped_logs,
        refused: Arc::clone(&metrics),
        engine: engine_status,
        store: store.as_ref().map(Store::metrics),
    };
    let limits = HealthLimits {
        connections_max: u64::from(config.limits.connections_max),
        memory_max: settings.memory_max,
        history_bytes_max: config.history.total_bytes_max as u64,
        ring_items_max: config.ring_items_max as u64,
    };
    let control_settings = ControlSettings {
        admin_listener,
        dev_page,
        limits,
        backends: settings.backends,
        api: settings.api,
        config: Arc::clone(&config),
        listeners: settings.listeners,
        outbox: store.as_ref().map(Store::handle),
        emitter: settings.emitter,
    };
    let control =
        control::start(pending, Arc::clone(&shards), control_settings, extra).map_err(Failure::other)?;
    let acceptor =
        Acceptor::start(listeners, Arc::clone(&shards), &config.limits, settings.memory_max, clock, metrics)
            .map_err(Failure::other)?;

    for address in &addresses {
        tracing::info!(event = "listening", address = %address, shards = config.shards);
    }
    if let Some(address) = admin_address {
        tracing::info!(event = "admin_listening", address = %address);
    }
    if let (Some(dev), Some(address)) = (&settings.dev, addresses.first()) {
        greet(dev, address);
    }
    let signal = wait(&mut signals, &shards, &control)?;
    tracing::info!(event = "draining", signal, connections = shards.connections());
    drain(&shards, &control, &mut signals, settings.drain_timeout_ms)?;
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

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
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
