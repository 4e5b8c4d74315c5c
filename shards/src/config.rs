//! What a gateway may be told, as typed values that were already checked.
//!
//! `src/settings.rs` of the binary turns flags, environment and file into a [`Config`]; nothing in this crate
//! reads an environment variable or a file. Every bound that a queue or a map of the data plane obeys is here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::access::table::AccessTable;
use crate::access::token::Verifier;
use crate::backend::{Hooks, Routes};
use crate::engine::NodeId;
use crate::gateway_event::EventKinds;
use crate::protocol::profile::Profiles;
use crate::protocol::socketio::Namespaces;

/// Who may connect without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Every client authenticates with a JWT.
    Required,
    /// Every connection is an anonymous employee `anon-<id>`; for benchmarks and private networks.
    Off,
}

/// How long to keep what a room or user leaves behind, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Messages kept in a room.
    pub messages_max: usize,
    /// Payload bytes kept in a room, headers of the messages included.
    pub bytes_max: usize,
    /// Payload bytes kept in all rooms together.
    pub total_bytes_max: usize,
    /// Age in milliseconds after which a message is dropped, and an empty room is forgotten.
    pub ttl_ms: u64,
    /// Bytes that one recovery or history reply may carry.
    pub replay_bytes_max: usize,
}

/// Rates and bounds of protocol §8. `None` is "off".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Messages a user may send, over all of its connections.
    pub messages: Option<Rate>,
    /// Typing starts a connection and room.
    pub typing: Option<Rate>,
    /// Presence updates a user.
    pub presence: Option<Rate>,
    /// Connection attempts of an address that failed or timed out (IPv6 by /64).
    pub connects: Option<Rate>,
    /// All events of one connection.
    pub events: Option<Rate>,
    /// Connections of one address.
    pub connections_per_ip_max: Option<u32>,
    /// Connections of one address that are not authenticated.
    pub pending_per_ip_max: Option<u32>,
    /// Connections of the process; beyond it an upgrade is refused with 503.
    pub connections_max: u32,
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Nesting of one message, the frame's outer object being 1.
    pub depth_max: usize,
    /// Rooms that one connection may be in, forced rooms not counted.
    pub rooms_max: usize,
    /// Patterns that one connection may subscribe to.
    pub patterns_max: usize,
    /// Bytes that may wait for one connection.
    pub outbound_queue_bytes_max: usize,
}

/// Class of a room: what happens to those who are slow or absent (protocol §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoomClass {
    /// No history; a slow consumer loses the oldest.
    Ephemeral,
    /// History; a slow consumer is closed with 4409 and recovers.
    Reliable,
    /// As reliable, and kept for absent members.
    Queued,
}

impl RoomClass {
    /// The name in the configuration and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeral",
            Self::Reliable => "reliable",
            Self::Queued => "queued",
        }
    }
}

/// Whether strings in contents are changed on their way (protocol says nothing of it; some applications want it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanitize {
    /// No: escaping belongs to whoever shows a text, who alone knows where.
    Off,
    /// `&`, `<`, `>`, `"` and `'` become HTML entities.
    Escape,
}

/// One line of the room class table: the first pattern that matches a name decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomClassRule {
    /// A room pattern (protocol §4).
    pub pattern: String,
    /// The class of the rooms that it matches.
    pub class: RoomClass,
}

/// Everything that the data plane may be told. Built by the binary's settings, shared read-only by all shards.
#[derive(Debug)]
pub struct Config {
    /// Number of shards, at least 1.
    pub shards: usize,
    /// CPU of each shard; shorter than `shards` wraps around, empty leaves the threads unpinned.
    pub cpus: Vec<usize>,
    /// Who may connect.
    pub auth: AuthMode,
    /// Checks tokens; `None` only with [`AuthMode::Off`].
    pub verifier: Option<Verifier>,
    /// Milliseconds within which a connection must have authenticated.
    pub auth_timeout_ms: u64,
    /// Milliseconds before a token's end at which `auth:expiring` is pushed.
    pub auth_expiring_lead_ms: u64,
    /// Milliseconds within which the request head must have arrived.
    pub handshake_timeout_ms: u64,
    /// Profile of a connection that names none; one of [`Config::profiles`].
    pub profile: String,
    /// The profiles that a connection may name.
    pub profiles: Profiles,
    /// What each role may do, and who may enter which rooms.
    pub access: Arc<AccessTable>,
    /// Whether every account has names of its own.
    pub tenancy: bool,
    /// Origins that a browser may come from; `None` allows any but `null`, which must be listed.
    pub allowed_origins: Option<Vec<String>>,
    /// Serves a plain WebSocket echo at this path, for conformance suites.
    pub echo_path: Option<String>,
    /// Whether `/ws` is served.
    pub websocket: bool,
    /// Milliseconds of silence after which a connection is pinged.
    pub ping_interval_ms: u64,
    /// Milliseconds of silence after which a connection is closed.
    pub ping_timeout_ms: u64,
    /// Rates and bounds.
    pub limits: Limits,
    /// History of rooms.
    pub history: HistoryLimits,
    /// Milliseconds during which a repeated `clientId` is recognised.
    pub dedup_window_ms: u64,
    /// Milliseconds that a lost connection's user stays a member of its rooms.
    pub presence_grace_ms: u64,
    /// Members above which a room announces counts instead of names.
    pub presence_room_max: usize,
    /// First match decides; without a match `user:` rooms are queued and all others reliable.
    pub room_classes: Vec<RoomClassRule>,
    /// Items that all rings into one shard hold together.
    pub ring_items_max: usize,
    /// Milliseconds during which a lost session can be resumed.
    pub session_ttl_ms: u64,
    /// Signs the tokens of sessions.
    pub session_key: SessionKey,
    /// Milliseconds for which messages of queued rooms wait for absent members.
    pub queue_ttl_ms: u64,
    /// Milliseconds for which messages of the batch-delay lane may wait to share a write.
    pub batch_delay_ms: u64,
    /// Milliseconds for which pushes may wait to share a write while a shard uses more than half of its capacity.
    pub latency_budget_ms: u64,
    /// Whether strings in contents are escaped.
    pub sanitize: Sanitize,
    /// The Socket.IO dialect.
    pub socketio: SocketIo,
    /// The kinds of events that somebody listens to.
    pub events: EventKinds,
    /// Which events are for backends.
    pub routes: Routes,
    /// What needs a backend's leave.
    pub hooks: Hooks,
    /// Whether what shards leave behind outlives the process.
    pub store: StoreMode,
    /// What epochs are made from, when they must be the same as in the process before.
    pub epoch_seeds: Option<[u64; 4]>,
    /// What this process is among those that share its rooms; `None` alone.
    pub node: Option<NodeId>,
}

/// Whether there is a durable store, and who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreMode {
    /// There is none.
    #[default]
    Off,
    /// Nobody waits for it.
    Async,
    /// Whatever anybody is told is on disk before.
    Batch,
}

/// How Socket.IO clients are served.
#[derive(Debug, Clone)]
pub struct SocketIo {
    /// Milliseconds from a pong to the next ping.
    pub ping_interval_ms: u64,
    /// Milliseconds that a client has to answer a ping.
    pub ping_timeout_ms: u64,
    /// Milliseconds within which a client must have connected to a namespace.
    pub connect_timeout_ms: u64,
    /// Bytes of one polling request's body; clients are told.
    pub payload_bytes_max: usize,
    /// Binary attachments of one event.
    pub attachments_max: usize,
    /// The namespaces that a client may connect to.
    pub namespaces: Namespaces,
    /// Whether the echo of the protocols' conformance suites stands in place of the gateway.
    pub echo: bool,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            connect_timeout_ms: 45_000,
            payload_bytes_max: 1_000_000,
            attachments_max: 10,
            namespaces: Namespaces::default(),
            echo: false,
        }
    }
}

/// A secret; its `Debug` does not show it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionKey(pub [u8; 32]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SessionKey")
    }
}

/// So many events in an interval, and how many of them at once: `N/interval[,burst]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Events that each interval allows.
    pub count: u32,
    /// Length of the interval in milliseconds.
    pub interval_ms: u64,
    /// Events that may come at once.
    pub burst: u32,
}

/// Why a text is no [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected N/interval or N/interval,burst (such as 100/1m or 50/1s,100), or off; got {0:?}")]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let error = || RateError(text.to_owned());
        let (rate, burst) = text.split_once(',').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let (count, interval) = rate.split_once('/').ok_or_else(error)?;
        let count: u32 = count.trim().parse().map_err(|_| error())?;
        let interval_ms = parse_duration_ms(interval).map_err(|_| error())?;
        let burst = match burst {
            Some(burst) => burst.trim().parse().map_err(|_| error())?,
            None => count,
        };
        if count == 0 || interval_ms == 0 || burst == 0 {
            return Err(error());
        }
        Ok(Self { count, interval_ms, burst })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.count, format_duration_ms(self.interval_ms))?;
        if self.burst == self.count { Ok(()) } else { write!(out, ",{}", self.burst) }
    }
}

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number with ms, s, m or h (such as 500ms, 10s, 5m), got {0:?}")]
pub struct DurationError(String);

/// Reads `500ms`, `10s`, `5m` or `24h` as milliseconds.
///
/// # Errors
/// [`DurationError`] when the number or its unit is missing or unknown.
pub fn parse_duration_ms(text: &str) -> Result<u64, DurationError> {
    let text = text.trim();
    let error = || DurationError(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| error())?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(error()),
    };
    number.checked_mul(factor).ok_or_else(error)
}

/// Writes milliseconds in the largest unit that divides them.
#[must_use]
pub fn format_duration_ms(ms: u64) -> String {
    for (factor, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms >= factor && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    format!("{ms}ms")
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            messages_max: 1000,
            bytes_max: 4 << 20,
            total_bytes_max: 256 << 20,
            ttl_ms: 3_600_000,
            replay_bytes_max: 2 << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |count, interval_ms| Some(Rate { count, interval_ms, burst: count });
        Self {
            messages: rate(100, 60_000),
            typing: rate(10, 60_000),
            presence: rate(30, 60_000),
            connects: rate(10, 60_000),
            events: rate(50, 1_000),
            connections_per_ip_max: Some(100),
            pending_per_ip_max: Some(64),
            connections_max: 100_000,
            message_bytes_max: 1 << 20,
            depth_max: 32,
            rooms_max: 256,
            patterns_max: 32,
            outbound_queue_bytes_max: 4 << 20,
        }
    }
}

impl Default for Config {
    /// The defaults of protocol §8 on one unpinned shard, with authentication off.
    fn default() -> Self {
        Self {
            shards: 1,
            cpus: Vec::new(),
            auth: AuthMode::Off,
            verifier: None,
            auth_timeout_ms: 10_000,
            auth_expiring_lead_ms: 60_000,
            handshake_timeout_ms: 10_000,
            profile: "native".to_owned(),
            profiles: Profiles::default(),
            access: Arc::default(),
            tenancy: false,
            allowed_origins: None,
            echo_path: None,
            websocket: true,
            ping_interval_ms: 30_000,
            ping_timeout_ms: 60_000,
            limits: Limits::default(),
            history: HistoryLimits::default(),
            dedup_window_ms: 300_000,
            presence_grace_ms: 5_000,
            presence_room_max: 200,
            room_classes: Vec::new(),
            ring_items_max: 16_384,
            session_ttl_ms: 120_000,
            session_key: SessionKey::default(),
            queue_ttl_ms: 86_400_000,
            batch_delay_ms: 50,
            latency_budget_ms: 20,
            sanitize: Sanitize::Off,
            socketio: SocketIo::default(),
            events: EventKinds::default(),
            routes: Routes::default(),
            store: StoreMode::Off,
            epoch_seeds: None,
            node: None,
            hooks: Hooks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_what_they_write() {
        for text in ["100/1m", "50/1s", "50/1s,100", "5/5m", "1/500ms"] {
            assert_eq!(text.parse::<Rate>().expect(text).to_string(), text);
        }
        for text in ["", "100", "0/1s", "5/0s", "5/1", "x/1s", "5/1s,0", "5/1s,x"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration_ms("24h"), Ok(86_400_000));
        assert_eq!(parse_duration_ms("500ms"), Ok(500));
        for text in ["", "10", "s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }
}
