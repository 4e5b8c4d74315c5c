//! JSON out: the few shapes that every outgoing frame is made of.
//!
//! Names of rooms and users come from an alphabet without `"` and `\` (protocol §4), so they are written as they
//! are, less the namespace that they have inside the gateway; every other text is escaped.

use std::io::Write;

use super::error_code::{CommandError, Detail};
use super::message::{Publication, Revised};
use super::profile::{ErrorShape, Profile};
use crate::room::name::local;

/// Writes a JSON string with everything escaped that must be.
pub fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes every write");
}

/// Writes a name of the room alphabet as a JSON string.
pub fn name(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes the member `roomId`.
pub fn room(out: &mut Vec<u8>, room: &str) {
    key(out, "roomId");
    name(out, local(room));
}

/// Writes the member `userId`.
pub fn user(out: &mut Vec<u8>, user: &str) {
    key(out, "userId");
    name(out, local(user));
}

/// Writes something that displays as digits or as plain text without quotes.
pub fn display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a vector takes every write");
}

/// As [`display`], as a JSON string.
pub fn quoted(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "\"{value}\"").expect("a vector takes every write");
}

/// Writes a time as ISO 8601, UTC, to the millisecond.
pub fn time(out: &mut Vec<u8>, unix_ms: u64) {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    let time = jiff::tz::Offset::UTC.to_datetime(timestamp);
    // By hand, as every message carries one.
    let parts = [
        (b'"', i32::from(time.year()), 4),
        (b'-', i32::from(time.month()), 2),
        (b'-', i32::from(time.day()), 2),
        (b'T', i32::from(time.hour()), 2),
        (b':', i32::from(time.minute()), 2),
        (b':', i32::from(time.second()), 2),
        (b'.', i32::from(time.millisecond()), 3),
    ];
    for (separator, number, digits) in parts {
        out.push(separator);
        padded(out, number.unsigned_abs(), digits);
    }
    out.extend_from_slice(b"Z\"");
}

/// Writes the last so many digits of a number.
fn padded(out: &mut Vec<u8>, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10u32.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).expect("one digit"));
    }
}

/// Writes `"key":`, behind a comma unless it is an object's first.
pub fn key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    name(out, key);
    out.push(b':');
}

/// As [`key`], for a name that may hold anything.
pub fn key_escaped(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    string(out, key);
    out.push(b':');
}

/// Writes an array; each item by itself.
pub fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, value);
    }
    out.push(b']');
}

/// Writes an array of values that are written already, as a member.
pub fn parts(out: &mut Vec<u8>, field: &str, parts: &[Vec<u8>]) {
    key(out, field);
    list(out, parts, |out, part| out.extend_from_slice(part));
}

/// Writes an envelope of the event dialect.
pub fn envelope(out: &mut Vec<u8>, event: &str, id: Option<&str>, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"event\":");
    name(out, event);
    out.extend_from_slice(b",\"data\":");
    data(out);
    if let Some(id) = id {
        out.extend_from_slice(b",\"requestId\":");
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(b",\"version\":\"1\"}");
}

/// Writes a message (protocol §5); `delivered` marks one that history replays. A deleted one is a tombstone.
pub fn message(out: &mut Vec<u8>, publication: &Publication, delivered: bool) {
    out.extend_from_slice(b"{\"id\":\"");
    display(out, publication.id);
    out.extend_from_slice(b"\",\"roomId\":");
    name(out, local(&publication.room));
    out.extend_from_slice(b",\"epoch\":\"");
    display(out, publication.epoch);
    out.extend_from_slice(b"\",\"offset\":");
    display(out, publication.offset);
    out.extend_from_slice(b",\"senderId\":");
    name(out, local(&publication.sender));
    out.extend_from_slice(b",\"type\":");
    name(out, publication.kind.name());
    out.extend_from_slice(b",\"content\":");
    out.extend_from_slice(&publication.content);
    out.extend_from_slice(b",\"timestamp\":");
    time(out, publication.unix_ms);
    out.extend_from_slice(b",\"deliveryStatus\":");
    name(out, if delivered { "delivered" } else { publication.lane.name() });
    if let Some(metadata) = &publication.metadata {
        key(out, "metadata");
        out.extend_from_slice(&metadata.raw);
    }
    if let Some(client_id) = &publication.client_id {
        key(out, "clientId");
        string(out, client_id);
    }
    if publication.ack_requested {
        key(out, "ackRequested");
        out.extend_from_slice(b"true");
    }
    if let Some(revision) = &publication.revision {
        key(out, revised_at(revision.kind));
        time(out, revision.unix_ms);
    }
    out.push(b'}');
}

fn revised_at(kind: Revised) -> &'static str {
    match kind {
        Revised::Edited => "editedAt",
        Revised::Deleted => "deletedAt",
    }
}

/// Writes a change of a message, as the reply to whoever made it and as a push.
pub fn revision(out: &mut Vec<u8>, publication: &Publication) {
    out.push(b'{');
    room(out, &publication.room);
    key(out, "messageId");
    quoted(out, publication.id);
    key(out, "epoch");
    quoted(out, publication.epoch);
    key(out, "offset");
    display(out, publication.revision.as_ref().map_or(publication.offset, |revision| revision.offset));
    if let Some(revision) = &publication.revision {
        if revision.kind == Revised::Edited {
            key(out, "content");
            out.extend_from_slice(&publication.content);
        }
        key(out, revised_at(revision.kind));
        time(out, revision.unix_ms);
        key(out, "editorId");
        name(out, local(&revision.by));
    }
    out.push(b'}');
}

/// Writes the members of a topic frame's `metadata`: the client's verbatim, then the server's.
pub fn topic_metadata(out: &mut Vec<u8>, publication: &Publication) {
    out.push(b'{');
    if let Some(metadata) = &publication.metadata {
        let inner = metadata.for_topics.as_ref().unwrap_or(&metadata.raw).trim_ascii();
        let inner = inner.get(1..inner.len().saturating_sub(1)).unwrap_or_default().trim_ascii();
        out.extend_from_slice(inner);
    }
    key(out, "id");
    quoted(out, publication.id);
    key(out, "senderId");
    name(out, local(&publication.sender));
    key(out, "epoch");
    quoted(out, publication.epoch);
    key(out, "offset");
    display(out, publication.offset);
    out.push(b'}');
}

/// Writes a frame of the topic dialect that carries a message, or a change of one.
pub fn topic_message(out: &mut Vec<u8>, publication: &Publication) {
    let change = publication.change();
    let event_type = match change.map(|change| change.kind) {
        None if publication.is_deleted() => "message.deleted",
        None => "message.sent",
        Some(Revised::Edited) => "message.edited",
        Some(Revised::Deleted) => "message.deleted",
    };
    out.extend_from_slice(b"{\"type\":\"message\",\"topic\":");
    name(out, local(&publication.room));
    out.extend_from_slice(b",\"eventType\":");
    name(out, event_type);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(&publication.content);
    out.extend_from_slice(b",\"metadata\":");
    topic_metadata(out, publication);
    out.extend_from_slice(b",\"timestamp\":");
    time(out, change.map_or(publication.unix_ms, |change| change.unix_ms));
    out.push(b'}');
}

/// Writes an error's `details`.
pub fn details(out: &mut Vec<u8>, error: &CommandError) {
    out.push(b'{');
    for (field, value) in &error.details {
        key_escaped(out, field);
        match value {
            Detail::Json(json) => out.extend_from_slice(json.as_bytes()),
            Detail::Text(text) => string(out, text),
            Detail::Number(number) => display(out, number),
            Detail::List(items) => list(out, *items, |out, item| string(out, item)),
        }
    }
    out.push(b'}');
}

/// Writes an error as a profile of the event dialect shows it (protocol §2).
pub fn error(out: &mut Vec<u8>, profile: &Profile, error: &CommandError, id: Option<&str>) {
    envelope(out, error_event(profile), id, |out| error_data(out, profile, error));
}

/// The name of the event that an error is.
#[must_use]
pub fn error_event(profile: &Profile) -> &'static str {
    if profile.error_shape == ErrorShape::Chat { "chat:error" } else { "error" }
}

/// Writes the `data` of an error.
pub fn error_data(out: &mut Vec<u8>, profile: &Profile, error: &CommandError) {
    let shape = profile.error_shape;
    out.push(b'{');
    if shape != ErrorShape::Chat {
        key(out, "status");
        name(out, "error");
    }
    key(out, "code");
    name(out, error.code.name());
    key(out, "message");
    string(out, &error.message);
    key(out, if shape == ErrorShape::Channel { "data" } else { "details" });
    details(out, error);
    if shape != ErrorShape::Channel {
        key(out, "recoverable");
        display(out, error.is_recoverable());
    }
    out.push(b'}');
}

/// Writes an error of the topic dialect.
pub fn topic_error(out: &mut Vec<u8>, error: &CommandError, unix_ms: u64) {
    let number = if error.code.number() == 410 { 404 } else { error.code.number() };
    out.extend_from_slice(b"{\"type\":\"error\",\"code\":");
    display(out, number);
    key(out, "message");
    string(out, &error.message);
    key(out, "details");
    details(out, error);
    key(out, "timestamp");
    time(out, unix_ms);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_millisecond() {
        let mut out = Vec::new();
        time(&mut out, 1_700_000_000_007);
        assert_eq!(out, b"\"2023-11-14T22:13:20.007Z\"");
        for unix_ms in (0..253_402_000_000_000).step_by(86_399_999_999) {
            out.clear();
            time(&mut out, unix_ms);
            let timestamp = jiff::Timestamp::from_millisecond(unix_ms.cast_signed()).unwrap();
            assert_eq!(out, format!("\"{timestamp:.3}\"").as_bytes());
        }
    }

    #[test]
    fn keys_are_separated() {
        let mut out = b"{".to_vec();
        key(&mut out, "a");
        display(&mut out, 1);
        key(&mut out, "b");
        string(&mut out, "\"\n");
        assert_eq!(out, br#"{"a":1,"b":"\"\n""#);
    }
}
