//! `[profiles.NAME]` of the configuration file: kinds of clients of one's own (protocol, introduction).
//!
//! A profile starts from another one, built in or defined in the same file in whatever order, and says what differs.
//! What is read here is leaked: profiles live as long as the process, and the file is read once. Errors are texts
//! that begin with the key, such as `profiles.mychat.dialect`; `layers` adds which file.

mod names;
mod print;

pub(super) use names::check as check_name;

use roomcast_shards::config::Rate;
use roomcast_shards::protocol::profile::{Dialect, ErrorShape, Profile, Profiles, Watching};
use toml::{Table, Value};

use super::layers::{Layers, SettingError, scalar};
use super::nearest::did_you_mean;
use super::value;

/// The profile to start from when a table names none.
const BASE: &str = "native";

/// What a table of a profile may say, with the manual of each key.
const KEYS: &[(&str, &str)] = &[
    ("base", "The profile to start from, built in or of this file. Default: native."),
    ("dialect", "event or topic: the dialect of a connection that names none."),
    ("error-shape", "native, chat or channel: how errors look in the event dialect."),
    ("auth-tries", "Unusable first messages up to the one that closes the connection, 1 to 255."),
    ("limit-messages", "RATE in place of the default of --limit-messages; one that is set wins over it."),
    ("limit-typing", "The same for --limit-typing."),
    ("limit-presence", "The same for --limit-presence."),
    ("ping-interval", "DURATION in place of --ping-interval; needs ping-timeout beside it."),
    ("ping-timeout", "DURATION in place of --ping-timeout."),
    ("presence-edges", "true tells a user's first and last socket as user:online and user:offline."),
    ("watches", "nobody, account or everybody: whose presence a connection watches without asking."),
    (
        "inbound",
        "Table of further names of events: \"NAME\" = \"EVENT\", or { event = \"EVENT\", MEMBER = true } where the \
         name stands for a member of data that is true or false.",
    ),
    ("outbound", "Table of events that go out under another name: \"EVENT\" = \"NAME\"."),
];

const DIALECTS: &[(&str, Dialect)] = &[("event", Dialect::Event), ("topic", Dialect::Topic)];
const ERROR_SHAPES: &[(&str, ErrorShape)] =
    &[("native", ErrorShape::Native), ("chat", ErrorShape::Chat), ("channel", ErrorShape::Channel)];
const WATCHES: &[(&str, Watching)] =
    &[("nobody", Watching::Nobody), ("account", Watching::Account), ("everybody", Watching::Everybody)];

/// The profiles of a file, as understood and as written.
#[derive(Debug, Clone, Default)]
pub(super) struct FileProfiles {
    /// The built-in ones, and then those of the file.
    pub(super) all: Profiles,
    /// By name, for `roomcast config`.
    tables: Table,
}

impl FileProfiles {
    /// Reads the value of the key `profiles`.
    ///
    /// # Errors
    /// The text for the operator, with the profile and the key.
    pub(super) fn read(value: Value) -> Result<Self, String> {
        let Value::Table(tables) = value else {
            return Err("profiles: expected tables such as [profiles.mychat]".to_owned());
        };
        let mut reader = Reader { tables: &tables, all: Profiles::default(), opened: Vec::new() };
        for name in tables.keys() {
            if Profiles::default().find(name).is_some() {
                return Err(format!("{}: is built in; use another name, and it as base", path(name)));
            }
            reader.define(name)?;
        }
        let all = reader.all;
        Ok(Self { all, tables })
    }

    /// The built-in profile that one starts from, be it by way of others.
    pub(super) fn origin<'a>(&'a self, mut name: &'a str) -> &'a str {
        while let Some(table) = self.tables.get(name) {
            name = table.get("base").and_then(Value::as_str).unwrap_or(BASE);
        }
        name
    }
}

/// The tables while profiles are made of them, each after the one that it starts from.
struct Reader<'a> {
    tables: &'a Table,
    all: Profiles,
    /// Those that wait for their base.
    opened: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// The profile of that name, made now unless it has been.
    fn define(&mut self, name: &'a str) -> Result<&'static Profile, String> {
        if let Some(known) = self.all.find(name) {
            return Ok(known);
        }
        let path = path(name);
        names::check(name).map_err(|error| format!("{path}: {error}"))?;
        let table = self.tables.get(name).and_then(Value::as_table);
        let table = table.ok_or_else(|| format!("{path}: expected a table"))?;
        self.opened.push(name);
        let base = self.base(&path, table)?;
        self.opened.pop();
        let profile = Profile { name: name.to_owned().leak(), ..read(&path, table, base)? };
        self.all.define(profile).map_err(|error| format!("{path}: {error}"))?;
        Ok(self.all.find(name).expect("just defined"))
    }

    fn base(&mut self, path: &str, table: &'a Table) -> Result<&'static Profile, String> {
        let error = |what: String| format!("{path}.base: {what}");
        let base = match table.get("base") {
            None => BASE,
            Some(Value::String(base)) => base,
            Some(_) => return Err(error("expected the name of a profile".to_owned())),
        };
        if self.opened.contains(&base) {
            return Err(error(format!("{base:?} starts from this one in turn")));
        }
        if self.tables.contains_key(base) {
            return self.define(base);
        }
        let known = self.all.find(base);
        known.ok_or_else(|| error(unknown(base, &self.all)))
    }
}

/// The name of the profile for connections that name none.
///
/// # Errors
/// [`SettingError`] when there is no such profile.
pub(super) fn chosen(layers: &Layers) -> Result<String, SettingError> {
    let profiles = &layers.profiles().all;
    layers.parse("profile", |name| match profiles.find(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(unknown(name, profiles)),
    })
}

fn unknown(name: &str, profiles: &Profiles) -> String {
    let names: Vec<&str> = profiles.names().collect();
    format!("unknown profile {name:?}; known are {}", names.join(", "))
}

/// A profile as its table changes the base; the name is still the base's.
fn read(path: &str, table: &Table, base: &Profile) -> Result<Profile, String> {
    let mut profile = base.clone();
    for (key, value) in table {
        set(&mut profile, path, key, value)?;
    }
    profile.ping_ms = pings(path, table, base.ping_ms)?;
    Ok(profile)
}

fn set(profile: &mut Profile, path: &str, key: &str, value: &Value) -> Result<(), String> {
    let at = format!("{path}.{key}");
    match key {
        // Read before, and after.
        "base" | "ping-interval" | "ping-timeout" => {}
        "dialect" => profile.dialect = parse(&at, value, value::word(DIALECTS))?,
        "error-shape" => profile.error_shape = parse(&at, value, value::word(ERROR_SHAPES))?,
        "auth-tries" => profile.auth_tries = parse(&at, value, tries)?,
        "limit-messages" => profile.messages = Some(parse(&at, value, rate)?),
        "limit-typing" => profile.typing = Some(parse(&at, value, rate)?),
        "limit-presence" => profile.presence = Some(parse(&at, value, rate)?),
        "presence-edges" => profile.presence_edges = parse(&at, value, value::truth)?,
        "watches" => profile.watching = parse(&at, value, value::word(WATCHES))?,
        "inbound" => profile.inbound = names::inbound(&at, value, profile.inbound)?,
        "outbound" => profile.outbound = names::outbound(&at, value, profile.outbound)?,
        _ => {
            let hint = did_you_mean(key, KEYS.iter().map(|(name, _)| *name));
            return Err(format!("{path}: unknown key {key:?}{hint}"));
        }
    }
    Ok(())
}

/// Reads a value as if it had been typed.
pub(super) fn parse<T>(
    at: &str,
    value: &Value,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text =
        scalar(value).ok_or_else(|| format!("{at}: expected a string, an integer or true or false"))?;
    read(&text).map_err(|error| format!("{at}: {error}"))
}

fn tries(text: &str) -> Result<u8, String> {
    value::number(1..=u8::MAX.into())(text).map(|tries| u8::try_from(tries).expect("the range fits"))
}

/// A rate that is one: a profile switches none off.
fn rate(text: &str) -> Result<Rate, String> {
    match value::rate(text)? {
        Some(rate) => Ok(rate),
        None => Err("a profile cannot switch a limit off; --limits off does, for everybody".to_owned()),
    }
}

/// Interval and time-out of pings, in milliseconds; what the table leaves out is the base's.
fn pings(path: &str, table: &Table, base: Option<(u64, u64)>) -> Result<Option<(u64, u64)>, String> {
    let read = |key: &str| {
        let value = table.get(key);
        value.map(|value| parse(&format!("{path}.{key}"), value, value::some_duration_ms)).transpose()
    };
    let interval_ms = read("ping-interval")?.or(base.map(|(interval_ms, _)| interval_ms));
    let timeout_ms = read("ping-timeout")?.or(base.map(|(_, timeout_ms)| timeout_ms));
    match (interval_ms, timeout_ms) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!("{path}.ping-interval: needs ping-timeout beside it")),
        (None, Some(_)) => Err(format!("{path}.ping-timeout: needs ping-interval beside it")),
        (Some(interval_ms), Some(timeout_ms)) if timeout_ms <= interval_ms => {
            Err(format!("{path}.ping-timeout: must be longer than ping-interval, or no ping is ever sent"))
        }
        (Some(interval_ms), Some(timeout_ms)) => Ok(Some((interval_ms, timeout_ms))),
    }
}

/// The path of a profile in messages.
fn path(name: &str) -> String {
    format!("profiles.{}", names::key(name))
}

#[cfg(test)]
mod tests;
