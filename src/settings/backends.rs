//! `[[routes]]` and `[hooks.…]` of the configuration file: which events are for which backend, what needs the leave of
//! one, and how they are treated.
//!
//! Errors are texts that begin with the key, such as `routes.robot.timeout`; `layers` adds which file. Secrets are read
//! only where the gateway serves.

pub(super) mod endpoint;
mod hooks;
mod print;

use std::time::Duration;

use hyper::HeaderMap;
use roomcast_shards::backend::{EventPattern, Hooks, Route, Routes};
use roomcast_shards::protocol::catalog::{self, Event};
use toml::{Table, Value};

use super::nearest::did_you_mean;
use super::profiles::{check_name, parse};
use super::value;
use crate::backend::call::Treatment;
use crate::backend::http_client::EndpointSettings;
use crate::backend::request::Include;
use crate::backend::{BackendSettings, RouteSettings};

/// What a table of a route may say, with the manual of each key.
const KEYS: &[(&str, &str)] = &[
    (
        "events",
        "Patterns of the events, such as robot:* or file:upload; * stands for all that are not the gateway's.",
    ),
    ("url", "Where they are posted to, http or https."),
    ("name", "Name in metrics, errors and permissions. Default: the first pattern."),
    (
        "timeout",
        "DURATION within which the client has its answer, waiting and retries included. Default: 5s.",
    ),
    ("concurrency", "Requests that the backend works on at once. Default: 16."),
    ("queue", "Requests that wait besides; further ones fail at once. Default: 256."),
    ("idempotent", "true if the backend may be asked the same twice; then retries are made. Default: false."),
    ("retries", "Retries after a refused connection, 502, 503, 504, or 429 with Retry-After. Default: 2."),
    (
        "breaker-failures",
        "Failures, half of all calls at least, after which nothing is asked for a while. Default: 5.",
    ),
    ("breaker-window", "DURATION over which they are counted. Default: 10s."),
    ("breaker-open", "DURATION of that while; then it is tried again. Default: 5s."),
    ("breaker-probes", "Trials that must succeed then, and that are made at once. Default: 1."),
    (
        "secret-file",
        "File with the secret that requests are signed with; several, one a line, while they change. Read again on SIGHUP.",
    ),
    ("secret-env", "Variable that holds the same in place of a file."),
    ("headers", "Table of further headers."),
    ("max-response", "SIZE of an answer at most. Default: 256KiB."),
    ("include", "What the backend is told besides: claims, room. Default: neither."),
];

const INCLUDES: &[(&str, Include)] =
    &[("claims", Include { claims: true, room: false }), ("room", Include { claims: false, room: true })];

/// Bytes of an answer, unless a table says otherwise.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// In a file.
    File(String),
    /// In a variable.
    Variable(String),
}

/// The backends of a file, as understood and as written.
#[derive(Debug, Clone, Default)]
pub(super) struct FileBackends {
    /// For the control plane; secrets are not read yet.
    pub(super) settings: BackendSettings,
    /// For the shards.
    pub(super) routes: Routes,
    /// For the shards.
    pub(super) hooks: Hooks,
    /// As written, for `roomcast config`.
    tables: Vec<Table>,
    hook_tables: Table,
}

impl FileBackends {
    /// Reads the value of the key `routes`.
    ///
    /// # Errors
    /// The text for the operator, with the route and the key.
    pub(super) fn read_routes(&mut self, value: Value) -> Result<(), String> {
        let tables = match value {
            Value::Array(tables) => tables.into_iter().map(table).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        self.tables = tables.ok_or("routes: expected tables such as [[routes]]")?;
        let mut routes = Vec::new();
        for (index, table) in self.tables.iter().enumerate() {
            let (settings, route) = read(index, table)?;
            if self.settings.routes.iter().any(|other| other.name == settings.name) {
                return Err(format!("routes.{0}.name: there is a route {0:?} already", settings.name));
            }
            self.settings.routes.push(settings);
            routes.push(route);
        }
        self.routes = Routes::new(routes);
        Ok(())
    }

    /// The settings with their secrets; adds to `warnings` what is allowed but unwise.
    ///
    /// # Errors
    /// The text for the operator when a secret cannot be had.
    pub(super) fn with_secrets(&self, warnings: &mut Vec<String>) -> Result<BackendSettings, String> {
        let mut settings = self.settings.clone();
        for route in &mut settings.routes {
            let at = format!("routes.{}", route.name);
            route.endpoint.signer = endpoint::signer(&at, route.secret.as_ref(), warnings)?;
        }
        for hook in &mut settings.hooks {
            let at = format!("hooks.{}", hook.kind.name());
            hook.endpoint.signer = endpoint::signer(&at, hook.secret.as_ref(), warnings)?;
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

fn read(index: usize, table: &Table) -> Result<(RouteSettings, Route), String> {
    let at = table.get("name").or(table.get("url")).and_then(Value::as_str);
    let at = at.map_or(format!("routes[{index}]"), |name| format!("routes.{name}"));
    if let Some(key) = table.keys().find(|key| !KEYS.iter().any(|(known, _)| known == key)) {
        let hint = did_you_mean(key, KEYS.iter().map(|(name, _)| *name));
        return Err(format!("{at}: unknown key {key:?}{hint}"));
    }
    let events = list(&at, table, "events", event_pattern)?;
    let Some(first) = events.first() else {
        return Err(format!("{at}.events: expected at least one pattern"));
    };
    let name = match table.get("name") {
        Some(name) => parse(&format!("{at}.name"), name, |text| check_name(text).map(|()| text.to_owned()))?,
        None => first.as_str().to_owned(),
    };
    let includes = list(&at, table, "include", value::word(INCLUDES))?;
    let include = Include {
        claims: includes.iter().any(|include| include.claims),
        room: includes.iter().any(|include| include.room),
    };
    let route = Route { name: name.as_str().into(), events, describes_room: include.room };
    let endpoint = endpoint::read(&at, table)?;
    let treatment = endpoint::treatment(&at, table, Treatment::default())?;
    let secret = endpoint::secret_source(&at, table)?;
    Ok((RouteSettings { name, endpoint, treatment, include, secret }, route))
}

/// A pattern of events that stands for some that are not the gateway's own.
fn event_pattern(text: &str) -> Result<EventPattern, String> {
    let own = Event::find(text).is_some_and(|(event, _)| event.spec().name != text || !event.is_forwarded());
    if own || (catalog::is_own(text) && Event::find(text).is_none()) {
        let canonical = Event::find(text).filter(|(event, _)| event.is_forwarded());
        let hint =
            canonical.map(|(event, _)| format!("; its name is {}", event.spec().name)).unwrap_or_default();
        return Err(format!("{text} is the gateway's own and goes to no backend{hint}"));
    }
    EventPattern::parse(text).map_err(|error| format!("pattern {text:?}: {error}"))
}

/// Reads a list, or a single text that stands for a list of one; an absent one is empty.
pub(super) fn list<T>(
    at: &str,
    table: &Table,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let at = format!("{at}.{key}");
    match table.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| parse(&at, item, &read)).collect(),
        Some(item) => Ok(vec![parse(&at, item, &read)?]),
    }
}

#[cfg(test)]
mod tests;
