//! One text frame of the server, in either dialect, with its bytes kept.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A text frame of either dialect.
#[derive(Debug)]
pub(crate) struct Frame {
    /// As it came.
    pub(crate) raw: String,
    /// Its `event` or `type`.
    pub(crate) name: String,
    /// `requestId` as it came, quotes included.
    pub(crate) request_id: Option<String>,
    /// All of it; what `serde_json` cannot represent, such as 1e400, as the text that came.
    pub(crate) value: Value,
}

/// What every frame of the server has, whatever its payload.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
}

/// Parses JSON, leaving each innermost value that cannot be represented as its text.
fn lenient(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    match serde_json::from_str::<HashMap<String, &RawValue>>(text) {
        Ok(members) => members.into_iter().map(|(key, value)| (key, lenient(value.get()))).collect(),
        Err(_) => Value::String(text.to_owned()),
    }
}

impl Frame {
    /// Reads a frame; fails when it is none of either dialect.
    pub(crate) fn parse(text: &str) -> Self {
        let head: Head<'_> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let name = head.event.or(head.kind).unwrap_or_else(|| panic!("neither event nor type in {text}"));
        Self {
            name: name.into_owned(),
            request_id: head.request_id.map(|id| id.get().to_owned()),
            value: lenient(text),
            raw: text.to_owned(),
        }
    }

    /// `data` of the event dialect.
    pub(crate) fn data(&self) -> &Value {
        &self.value["data"]
    }

    /// The application's payload as it came: `data.content` of an event, `data` of a topic message.
    pub(crate) fn payload(&self) -> &str {
        #[derive(Deserialize)]
        struct Outer<'a> {
            #[serde(borrow)]
            data: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Inner<'a> {
            #[serde(borrow)]
            content: &'a RawValue,
        }
        let outer: Outer<'_> = serde_json::from_str(&self.raw).expect("a message has data");
        if self.name == "message" {
            return outer.data.get();
        }
        let inner: Inner<'_> = serde_json::from_str(outer.data.get()).expect("a message has content");
        inner.content.get()
    }

    /// Position in the room's order, in either dialect.
    pub(crate) fn offset(&self) -> u64 {
        let position = if self.name == "message" { &self.value["metadata"] } else { self.data() };
        position["offset"].as_u64().unwrap_or_else(|| panic!("no offset in {}", self.raw))
    }

    /// Whether this is a message of that room.
    pub(crate) fn is_message_of(&self, room: &str) -> bool {
        (self.name == "message:received" && self.data()["roomId"] == room)
            || (self.name == "message" && self.value["topic"] == room)
    }

    /// Whether this is an error, in any profile of the event dialect or in the topic dialect.
    pub(crate) fn is_error(&self) -> bool {
        ["error", "chat:error"].contains(&self.name.as_str())
    }

    /// Fails unless this is an error of that code in the event dialect's shape.
    pub(crate) fn assert_error(&self, code: &str) {
        assert_eq!(self.name, "error", "expected {code}: {}", self.raw);
        let data = self.data();
        assert_eq!(data["code"], code, "{}", self.raw);
        assert_eq!(data["status"], "error", "{}", self.raw);
        assert!(data["message"].as_str().is_some_and(|text| !text.is_empty()), "{}", self.raw);
        let recoverable =
            !["AUTH_FAILED", "PERMISSION_DENIED", "ROOM_ACCESS_DENIED", "CONNECTION_LOST"].contains(&code);
        assert_eq!(data["recoverable"], recoverable, "{}", self.raw);
        assert_eq!(self.value["version"], "1", "{}", self.raw);
    }
}
