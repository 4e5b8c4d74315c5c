//! Coming back to a room: asking for what was missed, and reading what the answer brings. Event and topic dialects.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{JOIN_REQUEST_ID, Wire};
use crate::args::Dialect;

/// What the answer to a join says beside the offset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The epoch that the offset counts in; empty when there is none.
    pub(crate) epoch: String,
    /// What became of the recovery; `None` when none was asked for.
    pub(crate) recovered: Option<bool>,
    /// The messages that it brought, oldest first, each as JSON.
    pub(crate) messages: Vec<Vec<u8>>,
}

impl Wire {
    /// Appends the request to join a room again, and to be given what came after this position.
    pub(crate) fn write_return(&self, out: &mut Vec<u8>, room: usize, epoch: &str, offset: u64) {
        let (room, recover) = (self.name_of(room), json!({ "epoch": epoch, "offset": offset }));
        let frame = match self.dialect {
            Dialect::Topic => json!({ "type": "subscribe", "topic": room, "recover": recover }),
            _ => json!({
                "event": "room:join",
                "data": { "roomId": room, "recover": recover },
                "requestId": JOIN_REQUEST_ID,
            }),
        };
        write!(out, "{frame}").expect("a Vec takes every write");
    }

    /// Reads the answer to a join.
    pub(crate) fn read_entry(&self, text: &[u8]) -> Entry {
        let Ok(mut frame) = serde_json::from_slice::<Value>(text) else {
            return Entry::default();
        };
        let answer = if frame["data"].is_object() { frame["data"].take() } else { frame };
        let messages = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        Entry {
            epoch: answer["epoch"].as_str().unwrap_or_default().to_owned(),
            recovered: answer["recovered"].as_bool(),
            messages: messages.iter().map(|message| message.to_string().into_bytes()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(dialect: Dialect) -> Wire {
        Wire::new(dialect, "bench:".to_owned())
    }

    #[test]
    fn the_request_names_the_position() {
        let recover = json!({ "epoch": "e\"1", "offset": 7 });
        for (dialect, expected) in [
            (
                Dialect::Event,
                json!({ "event": "room:join", "data": { "roomId": "bench:3", "recover": recover }, "requestId": "j" }),
            ),
            (Dialect::Topic, json!({ "type": "subscribe", "topic": "bench:3", "recover": recover })),
        ] {
            let mut out = Vec::new();
            wire(dialect).write_return(&mut out, 3, "e\"1", 7);
            assert_eq!(serde_json::from_slice::<Value>(&out).expect("valid JSON"), expected);
        }
    }

    #[test]
    fn the_answer_brings_what_was_missed() {
        let joined = br#"{"event":"room:joined","data":{"roomId":"r","epoch":"e","offset":9,"recovered":true,
            "messages":[{"offset":8,"content":"a"},{"offset":9,"content":"b"}]},"requestId":"j"}"#;
        let entry = wire(Dialect::Event).read_entry(joined);
        assert_eq!((entry.epoch.as_str(), entry.recovered, entry.messages.len()), ("e", Some(true), 2));
        assert_eq!(entry.messages[0], br#"{"content":"a","offset":8}"#);
        let subscribed = br#"{"type":"subscribed","topic":"r","epoch":"f","offset":3,"recovered":false}"#;
        let entry = wire(Dialect::Topic).read_entry(subscribed);
        assert_eq!((entry.epoch.as_str(), entry.recovered, entry.messages.len()), ("f", Some(false), 0));
        assert_eq!(wire(Dialect::Topic).read_entry(b"{"), Entry::default());
    }
}
