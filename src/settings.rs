//! What the settings mean: texts of flags, environment and file become checked, typed values.
//!
//! Everything is judged here, before an address is bound or a thread started; whatever is wrong is reported with
//! the setting's name and where its value came from. `layers` knows which text counts, `value` reads single
//! values, `keys` prepares the verifier, `access` the rule table and `profiles` the file's own kinds of clients, `dev`
//! adds what needs no set-up, `print` writes it all down again.

mod access;
mod api;
mod backends;
mod dev;
mod engine;
mod keys;
mod layers;
mod listeners;
mod nearest;
mod print;
mod profiles;
mod store;
pub(crate) mod table;
mod trust;
mod value;

use std::net::SocketAddr;
use std::sync::Arc;

use roomcast_shards::config::{AuthMode, Config, HistoryLimits, Limits, Sanitize, SessionKey, SocketIo};
use roomcast_shards::protocol::socketio::Namespaces;

use crate::args::TypedSettings;
use crate::backend::BackendSettings;
use crate::control::ApiSettings;
use crate::emitter::EmitterSettings;
use crate::engine::redis::RedisSettings;
use crate::host::{Host, LOCKED_BYTES_PER_SHARD};
use crate::listeners::ListenersSettings;
use crate::logging::{LogFormat, LogSettings, parse_level};
use crate::store::StoreSettings;
use crate::trust::Authorities;
pub(crate) use backends::SecretSource;
pub(crate) use dev::{DevMode, dev};
pub(crate) use keys::{algorithm, read_key, without_line_end};
use layers::Layers;
pub(crate) use layers::SettingError;
pub(crate) use value::format_size;

/// Share of the memory that the process may use before it sheds load.
const MEMORY_PERCENT: u64 = 90;
/// Less than this the process does not even start with.
const MEMORY_MIN: u64 = 32 << 20;

/// All that the process has been told, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What the shards obey.
    pub(crate) data_plane: Config,
    /// What several nodes share, if they do.
    pub(crate) engine: Option<RedisSettings>,
    /// Addresses for clients, at least one, none twice.
    pub(crate) listen: Vec<SocketAddr>,
    /// Address for everything that is no client, if it has one of its own.
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Resident bytes of the process above which load is shed; `None` never.
    pub(crate) memory_max: Option<u64>,
    /// Milliseconds over which a drain closes connections.
    pub(crate) drain_timeout_ms: u64,
    /// The backends that are asked.
    pub(crate) backends: BackendSettings,
    /// The durable store, if there is one.
    pub(crate) store: Option<StoreSettings>,
    /// Who is told of what.
    pub(crate) listeners: ListenersSettings,
    /// Where backends emit in the way of Socket.IO.
    pub(crate) emitter: Option<EmitterSettings>,
    /// How to log.
    pub(crate) log: LogSettings,
    /// The server API.
    pub(crate) api: ApiSettings,
    /// Whom to trust beside the host's authorities.
    pub(crate) authorities: Authorities,
    /// Present in `roomcast dev`.
    pub(crate) dev: Option<DevMode>,
    /// What is allowed but unwise; to be logged at start.
    pub(crate) warnings: Vec<String>,
}

/// The settings of `roomcast serve`.
///
/// # Errors
/// [`SettingError`] with the first setting that is unknown, unreadable or contradicts another.
pub(crate) fn serve(typed: TypedSettings) -> Result<Settings, SettingError> {
    let layers = read(typed)?;
    with_keys(&layers, without_keys(&layers, &Host::read())?)
}

/// The settings of `roomcast check`, which needs no keys.
///
/// # Errors
/// As [`serve`].
pub(crate) fn check(typed: TypedSettings) -> Result<Settings, SettingError> {
    without_keys(&read(typed)?, &Host::read())
}

/// The effective settings as a configuration file; reads no keys.
///
/// # Errors
/// As [`serve`].
pub(crate) fn config_file(typed: TypedSettings) -> Result<String, SettingError> {
    let layers = read(typed)?;
    let settings = without_keys(&layers, &Host::read())?;
    Ok(print::render(&layers, &settings.data_plane))
}

fn read(typed: TypedSettings) -> Result<Layers, SettingError> {
    let mut layers = Layers::read(typed)?;
    lay_presets(&mut layers)?;
    Ok(layers)
}

/// Defaults that follow from other settings; what is given wins over them.
fn lay_presets(layers: &mut Layers) -> Result<(), SettingError> {
    // Attempts are counted before a connection has a profile; the other limits are the profiles' own.
    if layers.profiles().origin(&profiles::chosen(layers)?) == "t3" {
        layers.set_default("limit-connects", "5/5m");
    }
    if layers.parse("limits", value::word(&[("default", false), ("off", true)]))? {
        let rates = table::all().map(|setting| setting.name).filter(|name| name.starts_with("limit-"));
        for name in rates.chain(["max-connections-per-ip", "max-pending-per-ip"]) {
            layers.set_default(name, "off");
        }
    }
    Ok(())
}

/// Adds the verifier and the key of sessions to settings that lack them.
fn with_keys(layers: &Layers, mut settings: Settings) -> Result<Settings, SettingError> {
    if settings.data_plane.auth == AuthMode::Required {
        settings.data_plane.verifier = Some(keys::verifier(layers, &mut settings.warnings)?);
    }
    let backends = layers.backends().with_secrets(&mut settings.warnings);
    settings.backends = backends.map_err(|error| SettingError(format!("--config: {error}")))?;
    settings.api.keys = api::keys(layers)?;
    let tenancy = settings.data_plane.tenancy;
    let listeners = layers.listeners().finish(tenancy, &mut settings.warnings);
    settings.listeners = listeners.map_err(|error| SettingError(format!("--config: {error}")))?;
    trust::trust(layers, &mut settings)?;
    // Sessions live in this process, so their key need not outlive it; with a store it is replaced by the store's.
    settings.data_plane.session_key = SessionKey(rand::random());
    Ok(settings)
}

/// Reads everything but the keys.
fn without_keys(layers: &Layers, host: &Host) -> Result<Settings, SettingError> {
    let mut warnings = layers::unknown_variables(std::env::vars_os());
    let auth = keys::mode(layers)?;
    if auth == AuthMode::Off {
        let named = layers.named("auth");
        warnings.push(format!("{named}: off: everybody who can connect is an anonymous employee"));
    }
    let (shards, cpus) = cores(layers, host, &mut warnings)?;
    let listen = layers.parse_list("listen", value::address)?;
    let admin_listen = layers.parse_option("admin-listen", value::address)?;
    check_addresses(layers, &listen, admin_listen)?;
    let (ping_interval_ms, ping_timeout_ms) = pings(layers)?;
    let log = LogSettings {
        format: layers
            .parse("log-format", value::word(&[("json", LogFormat::Json), ("text", LogFormat::Text)]))?,
        level: layers.parse("log-level", parse_level)?,
    };
    let store = store::store(layers)?;
    let mut history = history(layers)?;
    store::bound(&mut history, store.as_ref(), &mut warnings);
    let data_plane = Config {
        shards,
        cpus,
        auth,
        verifier: None,
        auth_timeout_ms: layers.parse("auth-timeout", value::some_duration_ms)?,
        auth_expiring_lead_ms: layers.parse("auth-expiring-lead", value::duration_ms)?,
        handshake_timeout_ms: layers.parse("handshake-timeout", value::some_duration_ms)?,
        profile: profiles::chosen(layers)?,
        profiles: layers.profiles().all.clone(),
        access: Arc::new(access::table(layers)?),
        tenancy: layers.parse("tenancy", value::word(&[("none", false), ("account", true)]))?,
        allowed_origins: origins(layers)?,
        echo_path: layers.parse_option("echo-path", value::echo_path)?,
        websocket: !layers.parse("no-websocket", value::truth)?,
        ping_interval_ms,
        ping_timeout_ms,
        limits: limits(layers, host.connections_max(shards), &mut warnings)?,
        history,
        dedup_window_ms: layers.parse("dedup-window", value::duration_ms)?,
        presence_grace_ms: layers.parse("presence-grace", value::duration_ms)?,
        presence_room_max: layers.parse("presence-room-max", value::count(0..=1_000_000))?,
        room_classes: layers.parse_list("room-class", value::room_class)?,
        ring_items_max: layers.parse("ring-items", value::count(16..=1 << 20))?,
        session_ttl_ms: layers.parse("session-ttl", value::some_duration_ms)?,
        session_key: SessionKey::default(),
        queue_ttl_ms: layers.parse("queue-ttl", value::some_duration_ms)?,
        batch_delay_ms: layers.parse("batch-delay", value::duration_ms)?,
        latency_budget_ms: layers.parse("latency-budget", value::latency_budget_ms)?,
        sanitize: layers
            .parse("sanitize", value::word(&[("off", Sanitize::Off), ("escape", Sanitize::Escape)]))?,
        socketio: socketio(layers)?,
        routes: layers.backends().routes.clone(),
        hooks: layers.backends().hooks.clone(),
        store: store::mode(store.as_ref()),
        epoch_seeds: None,
        // Known once the engine was reached.
        node: None,
        events: layers.listeners().settings.kinds(),
    };
    let engine = engine::redis(layers, &data_plane)?;
    let drain_timeout_ms = layers.parse("drain-timeout", value::duration_ms)?;
    let memory_max = memory_max(layers, host)?;
    let backends = layers.backends().settings.clone();
    let api = api::without_keys(layers)?;
    let listeners = layers.listeners().settings.clone();
    let emitter = listeners::emitter(layers, &data_plane)?;
    Ok(Settings {
        data_plane,
        engine,
        listen,
        admin_listen,
        memory_max,
        drain_timeout_ms,
        backends,
        store,
        listeners,
        emitter,
        log,
        api,
        authorities: Authorities::default(),
        dev: None,
        warnings,
    })
}

/// Resident bytes above which load is shed.
fn memory_max(layers: &Layers, host: &Host) -> Result<Option<u64>, SettingError> {
    layers.parse("max-memory", |text| match text {
        "off" => Ok(None),
        "auto" => Ok(host.memory_bytes.map(|bytes| bytes / 100 * MEMORY_PERCENT)),
        text => value::size(MEMORY_MIN..=u64::MAX)(text).map(|bytes| Some(bytes as u64)),
    })
}

/// How many shards, and the cores that they are pinned to (none: not pinned).
fn cores(
    layers: &Layers,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<(usize, Vec<usize>), SettingError> {
    let cpus = layers.parse("cpus", |text| match text {
        "auto" => Ok(host.cpus.clone()),
        "none" => Ok(Vec::new()),
        list => value::cpus(list),
    })?;
    if let Some(cpu) = cpus.iter().find(|cpu| !host.cpus.contains(cpu)) {
        let usable = format!("this process may use {}", format_cpus(&host.cpus));
        return Err(layers.error("cpus", format!("there is no core {cpu}; {usable}")));
    }
    let affordable = host.shards_by_locked_memory();
    let shards = match layers
        .parse("shards", value::or_auto(value::count(1..=roomcast_shards::shard::SHARDS_MAX as u64)))?
    {
        Some(shards) => shards,
        None => (if cpus.is_empty() { host.cpus.len() } else { cpus.len() }).min(affordable),
    };
    if shards > affordable {
        warnings.push(format!(
            "{}: the locked memory allowed (ulimit -l) is enough for {affordable} shards at {} each",
            layers.named("shards"),
            format_size(LOCKED_BYTES_PER_SHARD)
        ));
    }
    Ok((shards, cpus))
}

/// Cores as people write them; runs are not folded, hosts have few.
pub(crate) fn format_cpus(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn check_addresses(
    layers: &Layers,
    listen: &[SocketAddr],
    admin: Option<SocketAddr>,
) -> Result<(), SettingError> {
    if listen.is_empty() {
        return Err(layers.error("listen", "expected at least one address"));
    }
    // Port 0 is any free port, so a new one each time.
    let twice = |address: &&SocketAddr| {
        address.port() != 0 && listen.iter().filter(|other| other == address).count() > 1
    };
    if let Some(address) = listen.iter().find(twice) {
        return Err(layers.error("listen", format!("{address} is there twice")));
    }
    if let Some(admin) = admin.filter(|admin| admin.port() != 0 && listen.contains(admin)) {
        let other = layers.named("listen");
        return Err(layers.error("admin-listen", format!("{admin} is also an address of {other}")));
    }
    Ok(())
}

fn pings(layers: &Layers) -> Result<(u64, u64), SettingError> {
    let interval_ms = layers.parse("ping-interval", value::some_duration_ms)?;
    let timeout_ms = layers.parse("ping-timeout", value::some_duration_ms)?;
    if timeout_ms <= interval_ms {
        let other = layers.named("ping-interval");
        return Err(
            layers.error("ping-timeout", format!("must be longer than {other}, or no ping is ever sent"))
        );
    }
    Ok((interval_ms, timeout_ms))
}

fn socketio(layers: &Layers) -> Result<SocketIo, SettingError> {
    let mut namespaces = Namespaces::default();
    for name in layers.parse_list("socketio-namespaces", |text| Ok::<_, String>(text.trim().to_owned()))? {
        // Everybody has that one, named or not.
        if name != "/" {
            namespaces.define(&name).map_err(|message| layers.error("socketio-namespaces", message))?;
        }
    }
    Ok(SocketIo {
        ping_interval_ms: layers.parse("socketio-ping-interval", value::some_duration_ms)?,
        ping_timeout_ms: layers.parse("socketio-ping-timeout", value::some_duration_ms)?,
        connect_timeout_ms: layers.parse("socketio-connect-timeout", value::some_duration_ms)?,
        payload_bytes_max: layers.parse("socketio-max-payload", value::size(1 << 10..=256 << 20))?,
        attachments_max: layers.parse("socketio-max-attachments", value::count(0..=1_000))?,
        namespaces,
        echo: layers.parse("socketio-echo", value::truth)?,
    })
}

/// The origins allowed; `None` is any.
fn origins(layers: &Layers) -> Result<Option<Vec<String>>, SettingError> {
    let origins = layers.parse_list("allowed-origins", value::origin)?;
    if !origins.iter().any(|origin| origin == "*") {
        return Ok(Some(origins));
    }
    if origins.len() > 1 {
        return Err(layers.error("allowed-origins", "* allows any origin, so others beside it contradict it"));
    }
    Ok(None)
}

fn limits(layers: &Layers, affordable: u32, warnings: &mut Vec<String>) -> Result<Limits, SettingError> {
    let to_u32 = value::number(1..=1 << 22);
    let read = |text: &str| to_u32(text).map(|it| u32::try_from(it).expect("the range fits"));
    let connections_max = layers.parse("max-connections", value::or_auto(read))?.unwrap_or(affordable);
    if connections_max > affordable {
        let named = layers.named("max-connections");
        warnings.push(format!("{named}: the descriptor limit (ulimit -n) is enough for {affordable}"));
    }
    Ok(Limits {
        messages: layers.parse("limit-messages", value::rate)?,
        typing: layers.parse("limit-typing", value::rate)?,
        presence: layers.parse("limit-presence", value::rate)?,
        connects: layers.parse("limit-connects", value::rate)?,
        events: layers.parse("limit-events", value::rate)?,
        connections_per_ip_max: layers.parse("max-connections-per-ip", value::number_or_off)?,
        pending_per_ip_max: layers.parse("max-pending-per-ip", value::number_or_off)?,
        connections_max,
        message_bytes_max: layers.parse("max-message-size", value::size(1 << 10..=256 << 20))?,
        depth_max: layers.parse("max-depth", value::count(2..=512))?,
        rooms_max: layers.parse("max-rooms", value::count(1..=1_000_000))?,
        patterns_max: layers.parse("max-patterns", value::count(0..=1_000_000))?,
        outbound_queue_bytes_max: layers.parse("max-outbound-queue", value::size(1 << 10..=4 << 30))?,
    })
}

fn history(layers: &Layers) -> Result<HistoryLimits, SettingError> {
    Ok(HistoryLimits {
        messages_max: layers.parse("history-size", value::count(0..=1_000_000))?,
        bytes_max: layers.parse("history-bytes", value::size(0..=4 << 30))?,
        total_bytes_max: layers.parse("history-total", value::size(0..=1 << 40))?,
        ttl_ms: layers.parse("history-ttl", value::some_duration_ms)?,
        replay_bytes_max: layers.parse("replay-max-bytes", value::size(0..=1 << 30))?,
    })
}

#[cfg(test)]
mod tests;
