//! An event on the bus, and how it is written for whoever hears of it.

use std::fmt;
use std::sync::Arc;

use roomcast_shards::protocol::write;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of an id.
const ID_BYTES_MAX: usize = 128;
/// First segment of the names of the gateway's own events.
const GATEWAY: &str = "gateway";

/// Something that happened, in the application or in the gateway.
pub(crate) struct Event {
    /// What receivers recognise it by when it comes twice.
    pub(crate) id: Box<str>,
    /// What happened.
    pub(crate) name: Box<str>,
    /// When.
    pub(crate) unix_ms: u64,
    /// The account whose rooms and users it is about, with `--tenancy account`.
    pub(crate) account: Option<Box<str>>,
    /// A JSON object, byte for byte as given.
    pub(crate) data: Box<RawValue>,
    /// The same, for templates and conditions.
    pub(crate) fields: Value,
}

/// An event as it is kept, and as it comes in through a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    #[serde(rename = "unixMs")]
    pub(crate) unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<Box<str>>,
    pub(crate) data: Box<RawValue>,
}

impl Event {
    /// An event of the application's.
    ///
    /// # Errors
    /// What is wrong with it, for whoever sent it.
    pub(crate) fn of_application(written: Written) -> Result<Self, String> {
        let Written { id, name, .. } = &written;
        check_name(name)?;
        if segments(name).next() == Some(GATEWAY) {
            return Err("name: those that begin with gateway are the gateway's own".to_owned());
        }
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("id: expected 1 to {ID_BYTES_MAX} bytes of printable ASCII without space"));
        }
        Self::new(written)
    }

    /// An event whose name is known to be one.
    ///
    /// # Errors
    /// When the data is no object.
    pub(super) fn new(written: Written) -> Result<Self, String> {
        let Written { id, name, unix_ms, account, data } = written;
        match serde_json::from_str(data.get()) {
            Ok(fields @ Value::Object(_)) => Ok(Self { id, name, unix_ms, account, data, fields }),
            _ => Err("data: expected an object".to_owned()),
        }
    }

    /// As it is kept.
    pub(super) fn to_written(&self) -> Written {
        let (id, name, data) = (self.id.clone(), self.name.clone(), self.data.clone());
        Written { id, name, unix_ms: self.unix_ms, account: self.account.clone(), data }
    }

    /// Its time, as JSON.
    pub(super) fn timestamp(&self) -> String {
        let mut out = Vec::new();
        write::time(&mut out, self.unix_ms);
        String::from_utf8(out).unwrap_or_default()
    }

    /// As receivers get it: `{"id":…,"name":…,"timestamp":…,"data":…}`, and `account` with tenancy.
    pub(super) fn to_json(&self) -> String {
        let (id, name) = (Value::from(&*self.id), Value::from(&*self.name));
        let account =
            self.account.as_deref().map(|account| format!(r#","account":{}"#, Value::from(account)));
        format!(
            r#"{{"id":{id},"name":{name},"timestamp":{}{},"data":{}}}"#,
            self.timestamp(),
            account.unwrap_or_default(),
            self.data.get()
        )
    }

    /// Bytes that it holds while it waits: what is parsed takes about as much again as the text.
    pub(super) fn cost(&self) -> usize {
        const BASE: usize = 256;
        BASE + self.id.len() + self.name.len() + 3 * self.data.get().len()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Event({} {})", self.name, self.id)
    }
}

/// An event that several listeners hear of.
pub(crate) type SharedEvent = Arc<Event>;

/// The segments of a name.
pub(super) fn segments(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', ':'])
}

/// Whether it is the name of an event: segments of letters, digits, `_` and `-`, between them `.` or `:`.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let written = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(written);
    if name.len() <= NAME_BYTES_MAX && segments(name).all(is_segment) {
        return Ok(());
    }
    Err(format!(
        "name: expected segments of letters, digits, _ and - with . or : between them, {NAME_BYTES_MAX} bytes at most"
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An event of the application's.
    pub(in crate::listeners) fn event(name: &str, data: &str) -> Event {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        let (id, name) = ("e-1".into(), name.into());
        Event::of_application(Written { id, name, unix_ms: 0, account: None, data }).expect("an event")
    }

    #[test]
    fn an_event_is_written_with_its_data_as_given() {
        let event = event("message.created", r#"{"n":1.50, "big":12345678901234567890123}"#);
        assert_eq!(
            event.to_json(),
            r#"{"id":"e-1","name":"message.created","timestamp":"1970-01-01T00:00:00.000Z","data":{"n":1.50, "big":12345678901234567890123}}"#
        );
        let kept = serde_json::to_string(&event.to_written()).expect("it is written");
        let again = Event::new(serde_json::from_str(&kept).expect("it is read")).expect("an object");
        assert_eq!(again.to_json(), event.to_json());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let check = |id: &str, name: &str, data: &str| {
            let data = RawValue::from_string(data.to_owned()).expect("JSON");
            let (id, name) = (id.into(), name.into());
            Event::of_application(Written { id, name, unix_ms: 0, account: None, data }).err()
        };
        assert_eq!(check("1", "a.b:c_d-e", "{}"), None);
        for name in ["", ".", "a..b", "a b", "a*", "gateway.connected", &"a".repeat(129)] {
            assert!(check("1", name, "{}").is_some_and(|error| error.starts_with("name: ")), "{name}");
        }
        assert!(check("", "a", "{}").is_some_and(|error| error.starts_with("id: ")));
        assert!(check("1", "a", "[]").is_some_and(|error| error.starts_with("data: ")));
    }
}
