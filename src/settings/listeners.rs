//! `[[listeners]]` and `[events.redis]` of the configuration file: who is told of what.
//!
//! Errors are texts that begin with the key, such as `listeners.WebhookListener.url`; `layers` adds which file. Secrets are
//! read only where the gateway serves.

mod print;
mod rooms;

use roomcast_shards::config::Config;
use roomcast_shards::protocol::app_event::is_free;
use toml::{Table, Value};

use super::backends::endpoint::one;
use super::backends::{SecretSource, endpoint, list};
use super::layers::{Layers, SettingError};
use super::nearest::did_you_mean;
use super::profiles::{check_name, parse};
use super::value;
use crate::emitter::EmitterSettings;
use crate::engine::redis::connect::Address;
use crate::listeners::{
    Condition, DeliverySettings, LaneLimits, ListenerSettings, ListenersSettings, NamePattern, Path,
    SinkSettings, SourceSettings, StreamSettings, Template,
};

/// A key of a table, the sinks that have it, and its manual.
type Key = (&'static str, &'static [Kind], &'static str);

/// The kinds of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rooms,
    Webhook,
    Stream,
    Log,
}

const KINDS: &[(&str, Kind)] =
    &[("rooms", Kind::Rooms), ("webhook", Kind::Webhook), ("redis-stream", Kind::Stream), ("log", Kind::Log)];
const ALL: &[Kind] = &[Kind::Rooms, Kind::Webhook, Kind::Stream, Kind::Log];
const ROOMS: &[Kind] = &[Kind::Rooms];
const WEBHOOK: &[Kind] = &[Kind::Webhook];
const STREAM: &[Kind] = &[Kind::Stream];
const REMOTE: &[Kind] = &[Kind::Webhook, Kind::Stream];
const QUEUED: &[Kind] = &[Kind::Rooms, Kind::Webhook, Kind::Stream];

/// What a table of a listener may say.
const KEYS: &[Key] = &[
    ("name", ALL, "Name in metrics, logs and dead letters."),
    ("on", ALL, "Patterns of the names of events: * is a whole segment, ** one or more, such as message.*."),
    (
        "when",
        ALL,
        "Table of fields and what they must be, such as { \"data.private\" = false }; of a list any will do.",
    ),
    ("unless", ALL, "The same, of which nothing may hold."),
    ("sink", ALL, "rooms, webhook, redis-stream or log."),
    ("hear-listeners", ALL, "true to hear of messages that listeners published, too. Default: false."),
    (
        "queue-events",
        QUEUED,
        "Events that may wait; further ones are dropped, or dead letters where they must arrive. Default: 10000.",
    ),
    ("queue-bytes", QUEUED, "SIZE that they may hold. Default: 16MiB."),
    (
        "rooms",
        ROOMS,
        "Templates of rooms, such as conversation:{data.conversationId} or inbox:{data.inboxIds[]} for each of a list.",
    ),
    ("event", ROOMS, "Name under which members are told. Default: the event's own."),
    (
        "payload",
        ROOMS,
        "What they are told: data, event (with id, name and timestamp), or a table of members with templates. \
         Default: data.",
    ),
    (
        "as",
        ROOMS,
        "push, or message for one of the room's, with an offset and in its history. Default: push.",
    ),
    ("url", REMOTE, "Where to: http or https of a webhook; redis, rediss or redis+unix of a Redis."),
    (
        "secret-file",
        WEBHOOK,
        "File with the secret that requests are signed with; several, one a line, while they change. Read again on SIGHUP.",
    ),
    ("secret-env", WEBHOOK, "Variable that holds the same in place of a file."),
    ("headers", WEBHOOK, "Table of further headers."),
    ("max-response", WEBHOOK, "SIZE of an answer at most. Default: 256KiB."),
    ("stream", STREAM, "Template of the stream's key."),
    ("max-length", STREAM, "About how many entries the stream keeps. Default: all."),
    ("key", REMOTE, "Template of what events have in common that must come in order. Default: all must."),
    ("concurrency", REMOTE, "Batches on their way at once, of different keys. Default: 4."),
    ("batch-events", REMOTE, "Events of one batch. Default: 100."),
    ("batch-wait", REMOTE, "DURATION for which an event waits for others to share its batch. Default: 10ms."),
    ("timeout", REMOTE, "DURATION of one attempt. Default: 10s."),
    ("max-attempts", REMOTE, "Attempts, then the events are dead letters. Default: 20."),
    ("max-age", REMOTE, "DURATION after which they are in any case. Default: 24h."),
    (
        "backoff",
        REMOTE,
        "DURATION of the first pause between two attempts; it doubles each time. Default: 500ms.",
    ),
    ("backoff-max", REMOTE, "DURATION of the longest. Default: 1m."),
];

/// What `[events.redis]` may say.
const SOURCE_KEYS: &[(&str, &str)] = &[
    ("url", "The Redis that events of the application are read from."),
    ("stream", "Key of the stream, whose entries have the fields name, data and perhaps id."),
    ("group", "The consumer group. Default: roomcast."),
    ("consumer", "This process in the group; others must have other names. Default: the host's name."),
    (
        "claim-after",
        "DURATION after which what another consumer has begun counts as abandoned. Default: 30s.",
    ),
];

/// The listeners of a file, as understood and as written.
#[derive(Debug, Clone, Default)]
pub(super) struct FileListeners {
    /// Secrets are not read yet.
    pub(super) settings: ListenersSettings,
    /// Where they are, by listener.
    secrets: Vec<Option<SecretSource>>,
    /// As written, for `roomcast config`.
    tables: Vec<Table>,
    events: Option<Table>,
}

impl FileListeners {
    /// Reads the value of the key `listeners`.
    ///
    /// # Errors
    /// The text for the operator, with the listener and the key.
    pub(super) fn read_listeners(&mut self, value: Value) -> Result<(), String> {
        let tables = match value {
            Value::Array(tables) => tables.into_iter().map(table).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        self.tables = tables.ok_or("listeners: expected tables such as [[listeners]]")?;
        for (index, table) in self.tables.iter().enumerate() {
            let (listener, secret) = read(index, table)?;
            if self.settings.listeners.iter().any(|other| other.name == listener.name) {
                return Err(format!("listeners.{0}.name: there is a listener {0:?} already", listener.name));
            }
            self.settings.listeners.push(listener);
            self.secrets.push(secret);
        }
        Ok(())
    }

    /// Reads the value of the key `events`.
    ///
    /// # Errors
    /// The text for the operator, with the key.
    pub(super) fn read_events(&mut self, value: Value) -> Result<(), String> {
        let events = table(value).ok_or("events: expected a table such as [events.redis]")?;
        if let Some(key) = events.keys().find(|key| *key != "redis") {
            return Err(format!("events: unknown key {key:?}{}", did_you_mean(key, ["redis"].into_iter())));
        }
        if let Some(redis) = events.get("redis") {
            let redis = redis.as_table().ok_or("events.redis: expected a table")?;
            self.settings.source = Some(source(redis)?);
        }
        self.events = Some(events);
        Ok(())
    }

    /// The settings with their secrets; adds to `warnings` what is allowed but unwise.
    ///
    /// # Errors
    /// The text for the operator when a secret cannot be had.
    pub(super) fn finish(
        &self,
        tenancy: bool,
        warnings: &mut Vec<String>,
    ) -> Result<ListenersSettings, String> {
        let mut settings = self.settings.clone();
        for (listener, secret) in settings.listeners.iter_mut().zip(&self.secrets) {
            let at = format!("listeners.{}", listener.name);
            match &mut listener.sink {
                SinkSettings::Webhook(endpoint, _) => {
                    endpoint.signer = endpoint::signer(&at, secret.as_ref(), warnings)?;
                }
                SinkSettings::Rooms(rooms) => rooms.tenancy = tenancy,
                SinkSettings::Stream(..) | SinkSettings::Log => {}
            }
        }
        Ok(settings)
    }
}

fn table(value: Value) -> Option<Table> {
    match value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

fn read(index: usize, table: &Table) -> Result<(ListenerSettings, Option<SecretSource>), String> {
    let at = table.get("name").and_then(Value::as_str);
    let at = at.map_or(format!("listeners[{index}]"), |name| format!("listeners.{name}"));
    let name = required(&at, table, "name", |text| check_name(text).map(|()| text.to_owned()))?;
    let kind = required(&at, table, "sink", value::word(KINDS))?;
    check_keys(&at, table, kind)?;
    let on = list(&at, table, "on", NamePattern::parse)?;
    if on.is_empty() {
        return Err(format!("{at}.on: expected at least one pattern"));
    }
    let secret = if kind == Kind::Webhook { endpoint::secret_source(&at, table)? } else { None };
    let listener = ListenerSettings {
        name,
        on,
        when: conditions(&format!("{at}.when"), table.get("when"))?,
        unless: conditions(&format!("{at}.unless"), table.get("unless"))?,
        hears_listeners: one(&at, table, "hear-listeners", value::truth)?.unwrap_or(false),
        limits: limits(&at, table)?,
        sink: sink(&at, table, kind)?,
    };
    Ok((listener, secret))
}

/// Refuses keys that are none, and those of other sinks.
fn check_keys(at: &str, table: &Table, kind: Kind) -> Result<(), String> {
    for key in table.keys() {
        match KEYS.iter().find(|(known, _, _)| known == key) {
            Some((_, kinds, _)) if kinds.contains(&kind) => {}
            Some((_, kinds, _)) => {
                let sinks = KINDS.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| *name);
                let sinks = sinks.collect::<Vec<_>>().join(", ");
                return Err(format!("{at}.{key}: is only for these sinks: {sinks}"));
            }
            None => {
                let known = KEYS.iter().filter(|(_, kinds, _)| kinds.contains(&kind));
                let hint = did_you_mean(key, known.map(|(name, _, _)| *name));
                return Err(format!("{at}: unknown key {key:?}{hint}"));
            }
        }
    }
    Ok(())
}

fn required<T>(
    at: &str,
    table: &Table,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    one(at, table, key, read)?.ok_or_else(|| format!("{at}.{key}: is required"))
}

fn limits(at: &str, table: &Table) -> Result<LaneLimits, String> {
    Ok(LaneLimits {
        events_max: one(at, table, "queue-events", value::count(1..=1_000_000))?.unwrap_or(10_000),
        bytes_max: one(at, table, "queue-bytes", value::size(64 << 10..=1 << 30))?.unwrap_or(16 << 20),
        batch_max: one(at, table, "batch-events", value::count(1..=10_000))?.unwrap_or(100),
        batch_wait_ms: one(at, table, "batch-wait", value::duration_ms)?.unwrap_or(10),
    })
}

fn sink(at: &str, table: &Table, kind: Kind) -> Result<SinkSettings, String> {
    Ok(match kind {
        Kind::Rooms => SinkSettings::Rooms(Box::new(rooms::read(at, table)?)),
        Kind::Webhook => {
            SinkSettings::Webhook(Box::new(endpoint::read(at, table)?), Box::new(delivery(at, table)?))
        }
        Kind::Stream => {
            let stream = StreamSettings {
                address: required(at, table, "url", Address::parse)?,
                stream: required(at, table, "stream", Template::parse)?,
                length_max: one(at, table, "max-length", value::count(1..=1 << 40))?,
            };
            SinkSettings::Stream(Box::new(stream), Box::new(delivery(at, table)?))
        }
        Kind::Log => SinkSettings::Log,
    })
}

fn delivery(at: &str, table: &Table) -> Result<DeliverySettings, String> {
    let time =
        |key: &str, default| one(at, table, key, value::some_duration_ms).map(|ms| ms.unwrap_or(default));
    let attempts = one(at, table, "max-attempts", value::count(1..=1_000_000))?;
    Ok(DeliverySettings {
        key: one(at, table, "key", Template::parse)?,
        concurrency: one(at, table, "concurrency", value::count(1..=1_000))?.unwrap_or(4),
        time_max_ms: time("timeout", 10_000)?,
        attempts_max: attempts.map_or(20, |count| u32::try_from(count).expect("the range fits")),
        age_max_ms: time("max-age", 86_400_000)?,
        pause_ms: (time("backoff", 500)?, time("backoff-max", 60_000)?),
    })
}

fn conditions(at: &str, value: Option<&Value>) -> Result<Vec<Condition>, String> {
    let table = match value {
        None => return Ok(Vec::new()),
        Some(Value::Table(table)) => table,
        Some(_) => return Err(format!("{at}: expected a table such as {{ \"data.private\" = false }}")),
    };
    let read = |(field, value): (&String, &Value)| {
        let at = format!("{at}.{field:?}");
        let values = match value {
            Value::Array(values) => values.iter().map(rooms::constant).collect::<Option<Vec<_>>>(),
            value => rooms::constant(value).map(|value| vec![value]),
        };
        Ok(Condition {
            field: Path::parse(field).map_err(|error| format!("{at}: {error}"))?,
            values: values.ok_or_else(|| {
                format!("{at}: expected a string, a number, true or false, or a list of them")
            })?,
        })
    };
    table.iter().map(read).collect()
}

/// Where backends emit in the way of Socket.IO, if they do.
///
/// # Errors
/// [`SettingError`] when the Redis cannot be one, or names cannot be told apart by account.
pub(super) fn emitter(layers: &Layers, config: &Config) -> Result<Option<EmitterSettings>, SettingError> {
    let address = layers.parse_option("socketio-emitter", Address::parse)?;
    let key = layers.parse("socketio-emitter-key", |text| {
        // Channels are found by a pattern that begins with it, in which other signs stand for something.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-/".contains(&byte);
        match !text.is_empty() && text.bytes().all(plain) {
            true => Ok(text.to_owned()),
            false => Err("expected letters, digits and . : _ - /"),
        }
    })?;
    if address.is_some() && config.tenancy {
        let what = "is not possible with --tenancy account, as an emitter names no account";
        return Err(layers.error("socketio-emitter", what));
    }
    let namespaces = config.socketio.namespaces.clone();
    Ok(address.map(|address| EmitterSettings { address, key, namespaces }))
}

/// A name that an application's event may have.
fn event_name(text: &str) -> Result<String, String> {
    if is_free(text) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is one of the gateway's own events, or no name of one"))
}

fn source(table: &Table) -> Result<SourceSettings, String> {
    let at = "events.redis";
    if let Some(key) = table.keys().find(|key| !SOURCE_KEYS.iter().any(|(known, _)| known == key)) {
        let hint = did_you_mean(key, SOURCE_KEYS.iter().map(|(name, _)| *name));
        return Err(format!("{at}: unknown key {key:?}{hint}"));
    }
    let text = |text: &str| match text {
        "" => Err("expected a text".to_owned()),
        text => Ok(text.to_owned()),
    };
    let claim_after_ms = one(at, table, "claim-after", value::some_duration_ms)?;
    Ok(SourceSettings {
        address: required(at, table, "url", Address::parse)?,
        stream: required(at, table, "stream", text)?,
        group: one(at, table, "group", text)?.unwrap_or_else(|| "roomcast".to_owned()),
        consumer: one(at, table, "consumer", text)?.unwrap_or_else(host_name),
        claim_after_ms: claim_after_ms.unwrap_or(30_000),
    })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
