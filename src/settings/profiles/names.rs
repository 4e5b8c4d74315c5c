//! The names of a profile: what its clients call events, and what they are told (protocol §5).

use roomcast_shards::protocol::catalog::{Constants, EVENTS, Event, PUSHES};
use roomcast_shards::protocol::profile::{Inbound, PROFILES};
use toml::{Table, Value};

use crate::settings::nearest::did_you_mean;

/// Bytes of the longest name of a profile or an event; a longer event is never looked up.
const NAME_BYTES_MAX: usize = 64;

type Outbound = (&'static str, &'static str);

/// Reads further names of events; those of the base stay unless they are given a new meaning.
pub(super) fn inbound(
    at: &str,
    value: &Value,
    base: &'static [Inbound],
) -> Result<&'static [Inbound], String> {
    let table = table(at, value)?;
    let mut names = Vec::with_capacity(table.len() + base.len());
    for (name, value) in table {
        let at = format!("{at}.{}", key(name));
        check(name).map_err(|error| format!("{at}: {error}"))?;
        if let Some((event, _)) = Event::find(name) {
            return Err(format!("{at}: every profile knows this name of {:?}", event.spec().name));
        }
        let (event, constants) = meaning(&at, value)?;
        names.push((leak(name), event, constants));
    }
    names.extend(base.iter().copied().filter(|(name, ..)| !table.contains_key(*name)));
    Ok(names.leak())
}

/// Reads under which names events go out; those of the base stay unless they are given another one.
pub(super) fn outbound(
    at: &str,
    value: &Value,
    base: &'static [Outbound],
) -> Result<&'static [Outbound], String> {
    let table = table(at, value)?;
    let mut names = Vec::with_capacity(table.len() + base.len());
    for (canonical, value) in table {
        let at = format!("{at}.{}", key(canonical));
        let known = outgoing().find(|known| known == canonical).ok_or_else(|| {
            let hint = did_you_mean(canonical, outgoing());
            format!("{at}: no event goes out under this name{hint}")
        })?;
        let name = value.as_str().ok_or_else(|| format!("{at}: expected a name"))?;
        check(name).map_err(|error| format!("{at}: {error}"))?;
        names.push((known, leak(name)));
    }
    names.extend(base.iter().copied().filter(|(canonical, _)| !table.contains_key(*canonical)));
    Ok(names.leak())
}

/// Checks that a text may be a name of a profile or an event: it travels in JSON as it is.
///
/// # Errors
/// The text for the operator.
pub(in crate::settings) fn check(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "expected a name of 1 to {NAME_BYTES_MAX} characters of printable ASCII without quotes and \\, got {name:?}"
    ))
}

/// A key as TOML writes it.
pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

fn table<'a>(at: &str, value: &'a Value) -> Result<&'a Table, String> {
    value.as_table().ok_or_else(|| format!("{at}: expected a table"))
}

/// What an inbound name stands for: an event, and members of `data` that the name says.
fn meaning(at: &str, value: &Value) -> Result<(Event, Constants), String> {
    let table = match value {
        Value::String(name) => return Ok((canonical(at, name)?, &[])),
        Value::Table(table) => table,
        _ => {
            return Err(format!(
                "{at}: expected the name of an event, or {{ event = \"EVENT\", MEMBER = true }}"
            ));
        }
    };
    let name = table.get("event").and_then(Value::as_str);
    let event = canonical(at, name.ok_or_else(|| format!("{at}: expected event = \"EVENT\" in it"))?)?;
    let mut constants = Vec::new();
    for (member, value) in table.iter().filter(|(member, _)| *member != "event") {
        let known = flags(event).iter().find(|known| *known == member).ok_or_else(|| {
            let hint = did_you_mean(member, flags(event).iter().copied());
            let name = event.spec().name;
            format!("{at}.{}: {name} has no such member that is true or false{hint}", key(member))
        })?;
        let value = value.as_bool().ok_or_else(|| format!("{at}.{member}: expected true or false"))?;
        constants.push((*known, value));
    }
    Ok((event, constants.leak()))
}

/// The event of a canonical name.
fn canonical(at: &str, name: &str) -> Result<Event, String> {
    if let Some(spec) = EVENTS.iter().find(|spec| spec.name == name) {
        return Ok(spec.event);
    }
    let hint = match Event::find(name) {
        Some((event, _)) => format!(" (did you mean {:?}?)", event.spec().name),
        None => did_you_mean(name, EVENTS.iter().map(|spec| spec.name)),
    };
    Err(format!("{at}: expected the canonical name of an event, got {name:?}{hint}"))
}

/// Members of an event's `data` that are true or false, and so may follow from the name alone.
pub(super) fn flags(event: Event) -> &'static [&'static str] {
    match event {
        Event::MessageTyping => &["isTyping"],
        Event::MessageSend | Event::UserSend => &["excludeSender"],
        _ => &[],
    }
}

/// Every canonical name under which something goes out.
fn outgoing() -> impl Iterator<Item = &'static str> {
    let renamed = PROFILES.iter().flat_map(|profile| profile.outbound).map(|(canonical, _)| *canonical);
    let replies = EVENTS.iter().map(|spec| spec.reply);
    replies.chain(PUSHES.iter().map(|push| push.name)).chain(renamed)
}

fn leak(name: &str) -> &'static str {
    name.to_owned().leak()
}
