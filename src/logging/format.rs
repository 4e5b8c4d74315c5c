//! From a record to its line: JSON with the keys of the log contract, or the same as text.

use std::fmt::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Bytes of one value that are kept; a client's text may be a megabyte, and a log is not where it belongs.
const VALUE_BYTES_MAX: usize = 2048;

/// One record, its fields sorted into the keys of the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// ISO 8601, UTC, milliseconds.
    timestamp: String,
    level: &'static str,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
}

impl Record {
    /// Reads the fields of an event that happened at `timestamp`.
    pub(super) fn read(event: &Event<'_>, timestamp: jiff::Timestamp) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut metadata = fields.0;
        let mut take = |name: &str| metadata.remove(name).map(plain);
        let (user_id, room_id) = (take("user_id"), take("room_id"));
        let channel_id = take("channel_id").or(room_id);
        // With both, the field names the event, and the message tells about it.
        let event = take("event").or_else(|| take("message")).unwrap_or_default();
        Self { timestamp: format!("{timestamp:.3}"), level, event, user_id, channel_id, metadata }
    }

    /// The record as a line of JSON.
    pub(super) fn json(self) -> String {
        let record = serde_json::to_string(&self).expect("keys are text and values JSON already");
        // JSON itself escapes only what is below a space; any other control character can only stand in a string.
        let mut line = escaped(&record);
        line.push('\n');
        line
    }

    /// The record as a line for people.
    pub(super) fn text(self) -> String {
        let level = self.level.to_ascii_uppercase();
        let mut line = format!("{} {level:<5} {}", self.timestamp, escaped(&self.event));
        for (name, id) in [("userId", self.user_id), ("channelId", self.channel_id)] {
            if let Some(id) = id {
                push_field(&mut line, name, &id.into());
            }
        }
        for (name, value) in &self.metadata {
            push_field(&mut line, name, value);
        }
        line.push('\n');
        line
    }
}

/// Appends ` name=value`; a text is quoted unless it is a plain word.
fn push_field(line: &mut String, name: &str, value: &Value) {
    let word =
        |text: &&str| !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !"\"\\=".contains(c));
    // Writing to a String cannot fail.
    let _ = match value.as_str().filter(word) {
        Some(text) => write!(line, " {name}={}", escaped(text)),
        None => write!(line, " {name}={}", escaped(&value.to_string())),
    };
}

/// Writes what a terminal could act upon as `\uXXXX`: control characters, and those that turn the text's direction.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let harmful = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if harmful {
            // All of these are in the basic plane, so four digits do, as JSON wants.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A field's value without the quotes of JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Collects the fields of an event with their JSON types.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn insert_text(&mut self, field: &Field, mut text: String) {
        if text.len() > VALUE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
            text.push('…');
        }
        self.insert(field, text);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert_text(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert_text(field, value.to_owned());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert_text(field, value.to_string());
    }
}
