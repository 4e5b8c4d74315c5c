//! `[hooks.connect]`, `[hooks.join]` and `[hooks.publish]`: what needs a backend's leave.

use roomcast_shards::backend::{Hook, HookKind, Hooks};
use roomcast_shards::room::pattern::Pattern;

use super::*;
use crate::backend::HookSettings;

/// What a table of a hook may say beside what that of a route may, with the manual of each key.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("on-failure", "deny or allow: what happens when the backend does not answer. Default: deny."),
    ("rooms", "Patterns of the rooms that it is about (join, publish). Default: all."),
    (
        "events",
        "Patterns of the events that it is about (publish). Default: message:send, message:edit, user:send.",
    ),
];
/// Keys of a route that a hook's table may not have.
const NOT_OURS: [&str; 4] = ["name", "events", "include", "idempotent"];

impl FileBackends {
    /// Reads the value of the key `hooks`.
    ///
    /// # Errors
    /// As [`FileBackends::read_routes`].
    pub(in crate::settings) fn read_hooks(&mut self, value: Value) -> Result<(), String> {
        let Value::Table(tables) = value else {
            return Err("hooks: expected tables such as [hooks.connect]".to_owned());
        };
        let mut hooks = Hooks::default();
        for (name, value) in &tables {
            let kind = HookKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| {
                let hint = did_you_mean(name, HookKind::ALL.into_iter().map(HookKind::name));
                format!("hooks: unknown hook {name:?}{hint}")
            })?;
            let table = value.as_table().ok_or_else(|| format!("hooks.{name}: expected a table"))?;
            let (settings, hook) = read_hook(kind, table)?;
            self.settings.hooks.push(settings);
            *hooks.of(kind) = Some(hook);
        }
        (self.hooks, self.hook_tables) = (hooks, tables);
        Ok(())
    }
}

fn read_hook(kind: HookKind, table: &Table) -> Result<(HookSettings, Hook), String> {
    let at = format!("hooks.{}", kind.name());
    let routes = super::KEYS.iter().map(|(name, _)| *name).filter(|name| !NOT_OURS.contains(name));
    let known: Vec<&'static str> = routes
        .chain(KEYS.iter().map(|(name, _)| *name))
        .chain(["include", "idempotent"])
        .filter(|name| is_about(kind, name))
        .collect();
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        let hint = did_you_mean(key, known.into_iter());
        return Err(format!("{at}: unknown key {key:?}{hint}"));
    }
    let failures = list(&at, table, "on-failure", value::word(&[("deny", false), ("allow", true)]))?;
    let allows_on_failure = failures.first().copied().unwrap_or(false);
    let events = list(&at, table, "events", |text| {
        EventPattern::parse(text).map_err(|error| format!("pattern {text:?}: {error}"))
    })?;
    let rooms = list(&at, table, "rooms", |text| {
        Pattern::parse(text).map_err(|error| format!("pattern {text:?}: {error}"))
    })?;
    let includes = list(&at, table, "include", value::word(INCLUDES))?;
    let include = Include { claims: includes.iter().any(|include| include.claims), room: false };
    let default =
        Treatment { time_max: Duration::from_secs(2), concurrency: 64, queue: 4096, ..Treatment::default() };
    let settings = HookSettings {
        kind,
        endpoint: endpoint::read(&at, table)?,
        treatment: endpoint::treatment(&at, table, default)?,
        include,
        allows_on_failure,
        secret: endpoint::secret_source(&at, table)?,
    };
    Ok((settings, Hook { events, rooms, allows_on_failure }))
}

/// Whether a key says something of such a hook.
fn is_about(kind: HookKind, key: &str) -> bool {
    match key {
        "rooms" => kind != HookKind::Connect,
        "events" => kind == HookKind::Publish,
        _ => true,
    }
}
