//! What is said inside the frames, in every dialect: joining, sending, and the few answers that must be understood. The
//! gateway's own two are here; `socketio` is that of Socket.IO, `peers` has those that only others speak, and `chat` adds
//! what else the event dialect's clients say and hear, `recovery` how they come back.
//!
//! Deliveries are not parsed: `measure::marker` finds what it needs in them. Everything here is off the hot path.

mod chat;
mod peers;
mod recovery;
mod socketio;

use std::io::Write as _;

use serde_json::Value;

use super::packing::Packing;
use crate::args::Dialect;

pub(crate) use chat::Push;

/// Identifies the answer to our join.
const JOIN_REQUEST_ID: &str = "j";

/// What a message means to a connection that has asked for something and is not ready yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing.
    Unrelated,
    /// It may ask for its room now.
    Connected,
    /// It is in its room, whose newest message has this offset.
    Joined(u64),
    /// It is in the side room.
    JoinedSide,
    /// It watches the members of its room.
    Watching,
    /// It will not get what it asked for; the text says why.
    Refused(String),
}

/// A dialect and the rooms' names in it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    dialect: Dialect,
    room_prefix: String,
}

impl Wire {
    /// Rooms are named `room_prefix` and a number.
    pub(crate) fn new(dialect: Dialect, room_prefix: String) -> Self {
        Self { dialect, room_prefix }
    }

    /// The WebSocket subprotocol that selects the dialect, if it takes one.
    pub(crate) fn subprotocol(&self) -> Option<&'static str> {
        match self.dialect {
            Dialect::Event => Some("roomcast.event.v1"),
            Dialect::Topic => Some("roomcast.topic.v1"),
            Dialect::Socketio | Dialect::Nats | Dialect::Nchan => None,
        }
    }

    /// Path and query to connect to, of those that were asked for.
    pub(crate) fn complete_path(&self, path: &str) -> String {
        if self.dialect == Dialect::Socketio { socketio::complete_path(path) } else { path.to_owned() }
    }

    /// What is appended to a connection's path where that is how it names its room.
    pub(crate) fn room_in_path(&self) -> Option<&str> {
        (self.dialect == Dialect::Nchan).then_some(self.room_prefix.as_str())
    }

    /// How messages lie in frames.
    pub(crate) fn packing(&self) -> Packing {
        match self.dialect {
            Dialect::Event | Dialect::Topic | Dialect::Nchan => Packing::Plain,
            Dialect::Socketio => Packing::EngineIo,
            Dialect::Nats => Packing::Nats,
        }
    }

    /// Appends the first request of a connection; nothing when it is in its room already.
    pub(crate) fn write_first(&self, out: &mut Vec<u8>, room: usize) {
        match self.dialect {
            Dialect::Socketio => out.extend_from_slice(socketio::CONNECT),
            _ => self.write_join(out, room),
        }
    }

    /// Appends the request to join a room.
    pub(crate) fn write_join(&self, out: &mut Vec<u8>, room: usize) {
        let prefix = &self.room_prefix;
        let written = match self.dialect {
            Dialect::Event => write!(
                out,
                r#"{{"event":"room:join","data":{{"roomId":"{prefix}{room}"}},"requestId":"{JOIN_REQUEST_ID}"}}"#
            ),
            Dialect::Topic => write!(out, r#"{{"type":"subscribe","topic":"{prefix}{room}"}}"#),
            Dialect::Socketio => return socketio::write_join(out, &self.name_of(room)),
            Dialect::Nats => return peers::write_nats_join(out, &self.name_of(room)),
            Dialect::Nchan => return,
        };
        written.expect("a Vec takes every write");
    }

    fn name_of(&self, room: usize) -> String {
        format!("{}{room}", self.room_prefix)
    }

    /// Appends a message to a room; `write_content` appends its content, which must need no escape in JSON.
    pub(crate) fn write_message(
        &self,
        out: &mut Vec<u8>,
        room: usize,
        write_content: impl FnOnce(&mut Vec<u8>),
    ) {
        let prefix = &self.room_prefix;
        let written = match self.dialect {
            Dialect::Event => {
                write!(out, r#"{{"event":"message:send","data":{{"roomId":"{prefix}{room}","content":""#)
            }
            Dialect::Topic => {
                write!(out, r#"{{"type":"message","topic":"{prefix}{room}","data":{{"content":""#)
            }
            Dialect::Socketio => return socketio::write_message(out, &self.name_of(room), write_content),
            Dialect::Nats => return peers::write_nats_message(out, &self.name_of(room), write_content),
            Dialect::Nchan => return write_content(out),
        };
        written.expect("a Vec takes every write");
        write_content(out);
        out.extend_from_slice(br#""}}"#);
    }

    /// What a message means to a connection that waits for an answer.
    pub(crate) fn read_reply(&self, text: &[u8]) -> Reply {
        match self.dialect {
            Dialect::Event | Dialect::Topic => self.read_json_reply(text),
            Dialect::Socketio => socketio::read_reply(text),
            Dialect::Nats => peers::read_nats_reply(text),
            Dialect::Nchan => Reply::Unrelated,
        }
    }

    /// The code of an error message; `None` for any other message.
    pub(crate) fn read_error(&self, text: &[u8]) -> Option<String> {
        match self.dialect {
            Dialect::Event | Dialect::Topic => read_error(text),
            Dialect::Socketio => socketio::read_error(text),
            Dialect::Nats => peers::read_nats_error(text),
            Dialect::Nchan => None,
        }
    }

    fn read_json_reply(&self, text: &[u8]) -> Reply {
        let Ok(frame) = serde_json::from_slice::<Value>(text) else {
            return Reply::Unrelated;
        };
        let (name, id) = match self.dialect {
            Dialect::Event => (frame["event"].as_str(), frame["requestId"].as_str()),
            // It has no request ids: one room, one answer.
            _ => (frame["type"].as_str(), Some(JOIN_REQUEST_ID)),
        };
        match (name, id) {
            (Some("room:joined" | "subscribed"), Some(JOIN_REQUEST_ID)) => {
                match [&frame["data"]["offset"], &frame["offset"]].into_iter().find_map(Value::as_u64) {
                    Some(offset) => Reply::Joined(offset),
                    None => Reply::Refused("the answer to the join has no offset".to_owned()),
                }
            }
            (Some("room:joined"), Some(chat::JOIN_SIDE_REQUEST_ID)) => Reply::JoinedSide,
            (Some("presence:watch"), Some(chat::WATCH_REQUEST_ID)) => Reply::Watching,
            _ => match (read_error(text), id) {
                (Some(code), Some(chat::WATCH_REQUEST_ID)) => {
                    Reply::Refused(format!("presence:watch: {code}"))
                }
                (Some(code), _) => Reply::Refused(code),
                (None, _) => Reply::Unrelated,
            },
        }
    }
}

/// The code of an error message of the gateway's own dialects.
fn read_error(text: &[u8]) -> Option<String> {
    let frame = serde_json::from_slice::<Value>(text).ok()?;
    let is_error =
        |name: &Value| name.as_str().is_some_and(|name| name == "error" || name.ends_with("_error"));
    if !is_error(&frame["event"]) && !is_error(&frame["type"]) {
        return None;
    }
    let code = [&frame["data"]["code"], &frame["code"]].into_iter().find(|code| !code.is_null());
    Some(code.map_or_else(
        || "error".to_owned(),
        |code| code.as_str().map_or_else(|| code.to_string(), str::to_owned),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(dialect: Dialect) -> Wire {
        Wire::new(dialect, "bench:".to_owned())
    }

    #[test]
    fn requests_are_json_of_their_dialect() {
        for (dialect, name, room) in [(Dialect::Event, "event", "roomId"), (Dialect::Topic, "type", "topic")]
        {
            let mut out = Vec::new();
            wire(dialect).write_message(&mut out, 17, |out| out.extend_from_slice(b"hello"));
            let frame: Value = serde_json::from_slice(&out).expect("valid JSON");
            assert!(frame[name].is_string());
            assert!(frame["data"][room] == "bench:17" || frame[room] == "bench:17");
            assert_eq!(frame["data"]["content"], "hello");
            out.clear();
            wire(dialect).write_join(&mut out, 17);
            assert!(serde_json::from_slice::<Value>(&out).is_ok());
        }
    }

    #[test]
    fn answers_are_told_from_pushes() {
        let event = wire(Dialect::Event);
        let joined = br#"{"requestId":"j","version":"1","data":{"offset":41,"roomId":"bench:1"},"event":"room:joined"}"#;
        assert_eq!(event.read_reply(joined), Reply::Joined(41));
        let push =
            br#"{"event":"room:member-joined","data":{"roomId":"bench:1","userId":"u"},"version":"1"}"#;
        assert_eq!(event.read_reply(push), Reply::Unrelated);
        let error = br#"{"event":"error","data":{"code":"RATE_LIMITED"},"requestId":"j"}"#;
        assert_eq!(event.read_reply(error), Reply::Refused("RATE_LIMITED".to_owned()));
        assert_eq!(event.read_reply(b"not json"), Reply::Unrelated);
        let topic = wire(Dialect::Topic);
        assert_eq!(topic.read_reply(br#"{"type":"subscribed","topic":"t","offset":3}"#), Reply::Joined(3));
        assert_eq!(topic.read_reply(br#"{"type":"error","code":403}"#), Reply::Refused("403".to_owned()));
        assert!(matches!(topic.read_reply(br#"{"type":"subscribed"}"#), Reply::Refused(_)));
    }

    #[test]
    fn the_steps_of_a_chat_client_are_told_apart() {
        let event = wire(Dialect::Event);
        let side = br#"{"event":"room:joined","data":{"roomId":"bench:1:side","offset":0},"requestId":"s"}"#;
        assert_eq!(event.read_reply(side), Reply::JoinedSide);
        let watch = br#"{"event":"presence:watch","data":{"users":[]},"requestId":"w"}"#;
        assert_eq!(event.read_reply(watch), Reply::Watching);
        let error = br#"{"event":"error","data":{"code":"PROTOCOL_ERROR"},"requestId":"w"}"#;
        assert_eq!(event.read_reply(error), Reply::Refused("presence:watch: PROTOCOL_ERROR".to_owned()));
    }
}
