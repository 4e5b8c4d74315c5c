//! The one list of settings: name, default, and the manual of each.
//!
//! A name is the flag (`--auth-timeout`), the key of the configuration file (`auth-timeout`) and, in capitals, the
//! environment variable (`ROOMCAST_AUTH_TIMEOUT`). Flags, file, environment, `--help` and `roomcast config` are all
//! made from this list, so they cannot drift apart.

mod access;
mod api;
mod nodes;
mod socketio;
mod store;

use access::{AUTH, RULES};
use api::API;
use nodes::NODES;
use socketio::SOCKET_IO;
use store::STORE;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Flag without dashes, and key of the file.
    pub(crate) name: &'static str,
    /// What stands for the value in the help.
    pub(crate) value: &'static str,
    /// How many values it takes.
    pub(crate) kind: Kind,
    /// The value of who says nothing, as one would type it; `None` leaves the setting unset.
    pub(crate) default: Option<&'static str>,
    /// What it does, in one or two sentences; the unit is in the value's name or here.
    pub(crate) help: &'static str,
}

/// How a setting takes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One.
    One,
    /// One that is never shown.
    Secret,
    /// Any number: the flag may be repeated, and one text may hold several, with this between them.
    List(char),
    /// The flag alone means true.
    Switch,
}

impl Setting {
    /// The environment variable.
    pub(crate) fn env(&self) -> String {
        format!("ROOMCAST_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings).find(|setting| setting.name == name)
}

/// All settings in the order of the manual.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// Settings that belong together in help and file.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) settings: &'static [Setting],
}

const fn one(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, value, kind: Kind::One, default: Some(default), help }
}

const fn unset(name: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { name, value, kind: Kind::One, default: None, help }
}

const fn list(
    name: &'static str,
    value: &'static str,
    separator: char,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, value, kind: Kind::List(separator), default, help }
}

const NETWORK: &[Setting] = &[
    list(
        "listen",
        "ADDRESS:PORT",
        ',',
        Some("0.0.0.0:3000"),
        "Address and port to serve clients on; IPv6 as [::]:3000. May be repeated, or separated by commas.",
    ),
    unset(
        "admin-listen",
        "ADDRESS:PORT",
        "Serves health, metrics and the server API here instead of beside the WebSocket endpoint. Unset: beside it.",
    ),
    list(
        "allowed-origins",
        "ORIGIN",
        ',',
        Some("*"),
        "Origins (such as https://chat.example.com) that browsers may connect from, compared exactly; * allows any, \
         null must be listed to be allowed. A client that sends no Origin is always allowed.",
    ),
    one(
        "handshake-timeout",
        "DURATION",
        "10s",
        "Time within which a connection must have sent its whole request head, else it is closed.",
    ),
    Setting {
        name: "no-websocket",
        value: "BOOL",
        kind: Kind::Switch,
        default: Some("false"),
        help: "Does not serve /ws.",
    },
    unset(
        "ca-file",
        "FILE",
        "File with certificates (PEM) of authorities that are trusted beside the host's where the gateway connects by TLS: \
         to a Redis (rediss://), to backends and to webhooks (https://).",
    ),
    unset(
        "echo-path",
        "PATH",
        "Serves a plain WebSocket echo at this path, for conformance suites; its message limit is \
         --max-message-size. Unset: no echo.",
    ),
    one(
        "drain-timeout",
        "DURATION",
        "10s",
        "Time over which connections are closed after SIGTERM or SIGINT; a second signal exits at once.",
    ),
];

const CORES: &[Setting] = &[
    one(
        "shards",
        "auto|N",
        "auto",
        "Number of shards, each a thread with its own connections and rooms. auto: one for each core that the \
         process may use (or each of --cpus), as far as its locked memory allows.",
    ),
    one(
        "cpus",
        "auto|none|LIST",
        "auto",
        "Cores that the shards are pinned to, such as 0,2-3; more shards than cores start again at the first. auto: \
         the cores that the process may use; none: not pinned.",
    ),
    one("ring-items", "N", "16384", "Items that may wait for one shard from all the others, shared evenly."),
];

const LIMITS: &[Setting] = &[
    one(
        "limits",
        "default|off",
        "default",
        "off switches off all --limit-* rates and the connections per address, except those that are set \
         explicitly; sizes, depths and time-outs stay.",
    ),
    one(
        "limit-messages",
        "RATE",
        "100/1m",
        "Messages of a user, over all of its connections (channel: 60/1m).",
    ),
    one("limit-events", "RATE", "50/1s", "Events of any kind of a connection."),
    one(
        "limit-connects",
        "RATE",
        "10/1m",
        "Connection attempts of an address (IPv6: a /64) that failed or timed out (t3: 5/5m).",
    ),
    one("limit-typing", "RATE", "10/1m", "Typing starts of a connection in a room."),
    one("limit-presence", "RATE", "30/1m", "Status updates of a user, over all of its connections."),
    one("max-connections-per-ip", "N|off", "100", "Connections of one address."),
    one("max-pending-per-ip", "N|off", "64", "Connections of one address that have not authenticated."),
    one(
        "max-connections",
        "auto|N",
        "auto",
        "Connections of the process; further ones get 503. auto: the descriptor limit less 32, and less 16 for each \
         shard.",
    ),
    one(
        "max-memory",
        "auto|off|SIZE",
        "auto",
        "Resident memory of the process above which new connections get 503 and, a tenth above it, messages of \
         ephemeral rooms are dropped. auto: 90 % of what the host or its control group has.",
    ),
    one("max-message-size", "SIZE", "1MiB", "Bytes of one message of a client."),
    one("max-depth", "N", "32", "Nesting of one message, its outermost object being 1."),
    one("max-rooms", "N", "256", "Rooms that one connection may be in, the forced ones not counted."),
    one("max-patterns", "N", "32", "Patterns that one connection may subscribe to."),
    one(
        "max-outbound-queue",
        "SIZE",
        "4MiB",
        "Bytes that may wait for one connection; what happens then is its rooms' class (--room-class).",
    ),
    one("ping-interval", "DURATION", "30s", "Silence after which a connection is pinged."),
    one("ping-timeout", "DURATION", "60s", "Silence after which a connection is closed."),
];

const ROOMS: &[Setting] = &[
    list(
        "room-class",
        "PATTERN=CLASS",
        ' ',
        None,
        "Class of the rooms that match: ephemeral (no history; a slow consumer loses the oldest), reliable \
         (history; a slow consumer is closed and recovers) or queued (also kept for absent members). The first match \
         counts; else user: rooms are queued, all others reliable. May be repeated, or separated by spaces.",
    ),
    one("history-size", "N", "1000", "Messages kept in a room."),
    one("history-bytes", "SIZE", "4MiB", "Bytes kept in a room."),
    one(
        "history-total",
        "SIZE",
        "256MiB",
        "Bytes kept in all rooms together; beyond it the oldest message of whichever room goes first.",
    ),
    one("history-ttl", "DURATION", "1h", "Age at which a message is dropped from the history."),
    one("replay-max-bytes", "SIZE", "2MiB", "Bytes that one history or recovery reply may carry."),
    one("dedup-window", "DURATION", "5m", "Time during which a repeated clientId is not published again."),
    one(
        "presence-grace",
        "DURATION",
        "5s",
        "Time for which the user of a lost connection stays a member of its rooms and counts as online.",
    ),
    one(
        "presence-room-max",
        "N",
        "200",
        "Members above which a room announces counts instead of names, and statuses to nobody but who asks by name.",
    ),
    one(
        "session-ttl",
        "DURATION",
        "2m",
        "Time during which a session can be resumed after its connection was lost.",
    ),
    one(
        "queue-ttl",
        "DURATION",
        "24h",
        "Time for which messages of queued rooms wait for absent members, within --history-size and --history-bytes; \
         also how long it is remembered when a user was last seen.",
    ),
    one(
        "batch-delay",
        "DURATION",
        "50ms",
        "Time for which messages of the batch-delay lane (files, robots, and what asks for it) may wait to share a \
         write; a later message of the room takes them along.",
    ),
    one(
        "latency-budget",
        "DURATION",
        "20ms",
        "Time for which messages may wait in their queues to share a write while a shard would use more than half of its \
         core; below that nothing waits, and near the whole core all of it is used. A shard's turns are then an eighth of \
         it apart, which comes on top. At most 1s; 0 sends always at once.",
    ),
    one(
        "sanitize",
        "off|escape",
        "off",
        "escape turns &, <, >, \" and ' in the strings of contents into HTML entities. off carries contents byte for \
         byte: escaping belongs to whoever shows a text, who alone knows whether it goes into HTML.",
    ),
    one(
        "tenancy",
        "none|account",
        "none",
        "account gives every account names of its own: the same room or user name is another one in each, and nothing \
         of one is seen in another. Users without an account share a namespace.",
    ),
];

const LOG: &[Setting] = &[
    one(
        "log-format",
        "json|text",
        "json",
        "Form of the log on standard error: JSON lines, or text for people.",
    ),
    one(
        "log-level",
        "LEVEL",
        "info",
        "Least level that is logged: trace, debug, info, warn or error; target=level, separated by commas, sets \
         parts of the program apart.",
    ),
];

/// Every setting, by section.
pub(crate) const SECTIONS: &[Section] = &[
    Section { title: "Network", settings: NETWORK },
    Section { title: "Cores", settings: CORES },
    Section { title: "Authentication", settings: AUTH },
    Section { title: "Roles and rooms", settings: RULES },
    Section { title: "Server API", settings: API },
    Section { title: "Limits", settings: LIMITS },
    Section { title: "Rooms", settings: ROOMS },
    Section { title: "Socket.IO", settings: SOCKET_IO },
    Section { title: "Store", settings: STORE },
    Section { title: "Several nodes", settings: NODES },
    Section { title: "Log", settings: LOG },
];
