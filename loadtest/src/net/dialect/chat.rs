//! What chat clients say beyond messages, and what the server pushes to them beyond messages. Event dialect only.
//!
//! Pushes are told apart by their names alone, which is where the gateway begins each frame; nothing is parsed.

use std::io::Write as _;

use memchr::{memchr, memmem};

use super::Wire;

/// Identifies the answer to the first join of the side room.
pub(super) const JOIN_SIDE_REQUEST_ID: &str = "s";
/// Identifies the answer to watching the room.
pub(super) const WATCH_REQUEST_ID: &str = "w";

const NAME_KEY: &[u8] = br#""event":""#;

/// What a frame that is no message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// Somebody began or ceased to type.
    Typing,
    /// Somebody's status changed.
    Presence,
    /// Somebody received or read messages.
    Receipt,
    /// A user came to a room or left it.
    Member,
    /// How many members a large room has.
    MemberCount,
    /// The answer to a join.
    Joined,
    /// The answer to a leave.
    Left,
    /// A command failed.
    Error,
    /// Anything else.
    Other,
}

impl Push {
    /// Reads a frame's name.
    pub(crate) fn of(text: &[u8]) -> Self {
        match name(text) {
            b"user:typing" => Self::Typing,
            b"presence:changed" => Self::Presence,
            b"message:status" => Self::Receipt,
            b"room:member-joined" | b"room:member-left" => Self::Member,
            b"room:count" => Self::MemberCount,
            b"room:joined" => Self::Joined,
            b"room:left" => Self::Left,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }
}

/// The name of an event frame; empty when it has none.
fn name(text: &[u8]) -> &[u8] {
    let begins = text.get(1..).is_some_and(|text| text.starts_with(NAME_KEY));
    let key_at = if begins { Some(1) } else { memmem::find(text, NAME_KEY) };
    let name = key_at.map_or(&[][..], |at| &text[at + NAME_KEY.len()..]);
    &name[..memchr(b'"', name).unwrap_or(0)]
}

impl Wire {
    /// Appends the request to join a room's side room, the first time.
    pub(crate) fn write_join_side(&self, out: &mut Vec<u8>, room: usize) {
        self.write_rejoin_side(out, room, |out| out.extend_from_slice(JOIN_SIDE_REQUEST_ID.as_bytes()));
    }

    /// Appends the request to join a room's side room again; `write_id` appends what its answer is known by.
    pub(crate) fn write_rejoin_side(
        &self,
        out: &mut Vec<u8>,
        room: usize,
        write_id: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write_room(out, "room:join", room, r#":side"},"requestId":""#);
        write_id(out);
        out.extend_from_slice(br#""}"#);
    }

    /// Appends the request to leave a room's side room.
    pub(crate) fn write_leave_side(&self, out: &mut Vec<u8>, room: usize) {
        self.write_room(out, "room:leave", room, r#":side"}}"#);
    }

    /// Appends the request to watch the members of a room.
    pub(crate) fn write_watch(&self, out: &mut Vec<u8>, room: usize) {
        self.write_room(out, "presence:watch", room, r#""},"requestId":"w"}"#);
    }

    /// Appends the news that the client types, or no longer does.
    pub(crate) fn write_typing(&self, out: &mut Vec<u8>, room: usize, is_typing: bool) {
        let rest = if is_typing { r#"","isTyping":true}}"# } else { r#"","isTyping":false}}"# };
        self.write_room(out, "message:typing", room, rest);
    }

    /// Appends a receipt for all messages of a room up to this offset.
    pub(crate) fn write_read(&self, out: &mut Vec<u8>, room: usize, up_to_offset: u64) {
        self.write_room(out, "message:read", room, r#"","upToOffset":"#);
        write!(out, "{up_to_offset}}}}}").expect("a Vec takes every write");
    }

    /// Appends a change of status; `write_text` appends its text, which must need no escape in JSON.
    pub(crate) fn write_status(
        &self,
        out: &mut Vec<u8>,
        is_away: bool,
        write_text: impl FnOnce(&mut Vec<u8>),
    ) {
        let status = if is_away { "away" } else { "online" };
        write!(out, r#"{{"event":"presence:update-status","data":{{"status":"{status}","statusText":""#)
            .expect("a Vec takes every write");
        write_text(out);
        out.extend_from_slice(br#""}}"#);
    }

    /// Appends a frame up to the number of its room, and the rest behind it.
    fn write_room(&self, out: &mut Vec<u8>, event: &str, room: usize, rest: &str) {
        write!(out, r#"{{"event":"{event}","data":{{"roomId":"{}{room}{rest}"#, self.room_prefix)
            .expect("a Vec takes every write");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::args::Dialect;

    fn written(write: impl FnOnce(&Wire, &mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&Wire::new(Dialect::Event, "bench:".to_owned()), &mut out);
        serde_json::from_slice(&out).expect("valid JSON")
    }

    #[test]
    fn requests_say_what_they_should() {
        let side = json!({ "roomId": "bench:3:side" });
        for (frame, expected) in [
            (
                written(|wire, out| wire.write_join_side(out, 3)),
                json!({ "event": "room:join", "data": side, "requestId": "s" }),
            ),
            (
                written(|wire, out| wire.write_rejoin_side(out, 3, |out| out.push(b'7'))),
                json!({ "event": "room:join", "data": side, "requestId": "7" }),
            ),
            (
                written(|wire, out| wire.write_leave_side(out, 3)),
                json!({ "event": "room:leave", "data": side }),
            ),
            (
                written(|wire, out| wire.write_watch(out, 3)),
                json!({ "event": "presence:watch", "data": { "roomId": "bench:3" }, "requestId": WATCH_REQUEST_ID }),
            ),
            (
                written(|wire, out| wire.write_typing(out, 3, true)),
                json!({ "event": "message:typing", "data": { "roomId": "bench:3", "isTyping": true } }),
            ),
            (
                written(|wire, out| wire.write_typing(out, 3, false)),
                json!({ "event": "message:typing", "data": { "roomId": "bench:3", "isTyping": false } }),
            ),
            (
                written(|wire, out| wire.write_read(out, 3, 41)),
                json!({ "event": "message:read", "data": { "roomId": "bench:3", "upToOffset": 41 } }),
            ),
            (
                written(|wire, out| wire.write_status(out, true, |out| out.push(b't'))),
                json!({ "event": "presence:update-status", "data": { "status": "away", "statusText": "t" } }),
            ),
        ] {
            assert_eq!(frame, expected);
        }
    }

    #[test]
    fn pushes_are_told_apart_wherever_their_name_stands() {
        for (name, push) in [
            ("user:typing", Push::Typing),
            ("presence:changed", Push::Presence),
            ("message:status", Push::Receipt),
            ("room:member-joined", Push::Member),
            ("room:member-left", Push::Member),
            ("room:count", Push::MemberCount),
            ("room:joined", Push::Joined),
            ("room:left", Push::Left),
            ("error", Push::Error),
            ("room:error", Push::Other),
        ] {
            for text in [
                format!(r#"{{"event":"{name}","data":{{"roomId":"r"}},"version":"1"}}"#),
                format!(r#"{{"data":{{"roomId":"r"}},"event":"{name}"}}"#),
            ] {
                assert_eq!(Push::of(text.as_bytes()), push, "{text}");
            }
        }
        for text in ["", "{", r#"{"event":"#, r#"{"event":"error"#, r#"{"event":7}"#, "no JSON"] {
            assert_eq!(Push::of(text.as_bytes()), Push::Other, "{text}");
        }
    }
}
