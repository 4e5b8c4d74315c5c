//! What an emitter publishes, read: events in MessagePack, requests in JSON.
//!
//! An event is published on `KEY#NAMESPACE#`, or `KEY#NAMESPACE#ROOM#` when it is for one room, as `[uid, packet, opts]`.
//! A request is published on `KEY-request#NAMESPACE#`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::{Value, decode};
use roomcast_shards::protocol::emission::{Action, Emission, Emitted};
use roomcast_shards::protocol::socketio::{Namespace, Namespaces};
use roomcast_shards::room::name::qualify;
use roomcast_shards::room::pattern::validate_name;
use serde_json::{Map, Number, Value as Json};

/// Bytes of one publication.
const BYTES_MAX: usize = 4 << 20;
/// Nesting of an event.
const DEPTH_MAX: usize = 64;
/// Bytes of an event's name.
const NAME_BYTES_MAX: usize = 128;
/// Rooms that one publication may name.
const ROOMS_MAX: usize = 10_000;

/// Requests of the adapters' protocol that an emitter sends.
const REMOTE_JOIN: u64 = 2;
const REMOTE_LEAVE: u64 = 3;
const REMOTE_DISCONNECT: u64 = 4;

/// Reads publications of one key.
#[derive(Debug)]
pub(super) struct Decoder {
    events: String,
    requests: String,
    namespaces: Namespaces,
}

impl Decoder {
    pub(super) fn new(key: &str, namespaces: Namespaces) -> Self {
        Self { events: format!("{key}#"), requests: format!("{key}-request#"), namespaces }
    }

    /// What a publication wants; nothing when its namespace is none here, or it is not for clients.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&self, channel: &[u8], payload: &[u8]) -> Result<Option<Emission>, String> {
        let channel = std::str::from_utf8(channel).map_err(|_| "the channel is no text")?;
        if payload.len() > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        if let Some(rest) = channel.strip_prefix(&self.requests) {
            return match self.namespace(rest) {
                Some(namespace) => request(namespace, payload),
                None => Ok(None),
            };
        }
        let rest = channel.strip_prefix(&self.events).ok_or("it is on another channel")?;
        match self.namespace(rest) {
            Some(namespace) => event(namespace, payload).map(Some),
            None => Ok(None),
        }
    }

    /// The namespace that a channel names behind its key: up to the next `#`.
    fn namespace(&self, rest: &str) -> Option<&'static Namespace> {
        self.namespaces.find(rest.split('#').next()?)
    }
}

fn event(namespace: &'static Namespace, payload: &[u8]) -> Result<Emission, String> {
    let value = decode::read_value_with_max_depth(&mut &payload[..], DEPTH_MAX)
        .map_err(|error| format!("it is no MessagePack: {error}"))?;
    let [_, packet, options] = value.as_array().map_or(&[][..], Vec::as_slice) else {
        return Err("expected [uid, packet, options]".to_owned());
    };
    let data = member(packet, "data").and_then(Value::as_array).ok_or("the packet has no list data")?;
    let (name, arguments) = data.split_first().ok_or("the event has no name")?;
    let name = name.as_str().filter(|name| is_name(name)).ok_or("the event has no name that can be")?;
    let flags = member(options, "flags");
    let volatile = flags.and_then(|flags| member(flags, "volatile")).and_then(Value::as_bool);
    Ok(Emission {
        namespace,
        rooms: rooms(namespace, member(options, "rooms"))?,
        except: rooms(namespace, member(options, "except"))?,
        action: Action::Tell {
            event: Arc::new(emitted(name, arguments)),
            volatile: volatile.unwrap_or(false),
        },
    })
}

/// Whether clients can be told of an event of that name, in whatever dialect.
fn is_name(name: &str) -> bool {
    let fits = |character: char| !character.is_control() && !matches!(character, '"' | '\\');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(fits)
}

fn emitted(name: &str, arguments: &[Value]) -> Emitted {
    let mut binary = false;
    let arguments: Vec<Json> = arguments.iter().map(|argument| json(argument, &mut binary)).collect();
    // A client of the event dialect has one object: it is the argument if that is one, or has them all.
    let data = match &arguments[..] {
        [object @ Json::Object(_)] => object.to_string(),
        arguments => Json::Object(Map::from_iter([("args".to_owned(), arguments.into())])).to_string(),
    };
    let arguments: Vec<String> = arguments.iter().map(Json::to_string).collect();
    Emitted { name: name.into(), arguments: arguments.join(",").into(), data: data.into(), binary }
}

fn member<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let (_, value) = map.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name))?;
    Some(value)
}

/// A value as JSON has it; bytes in the form that attachments have inside the gateway.
fn json(value: &Value, binary: &mut bool) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(truth) => (*truth).into(),
        Value::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        Value::F32(number) => Number::from_f64(f64::from(*number)).map_or(Json::Null, Json::Number),
        Value::F64(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned().into(),
        Value::Binary(bytes) => {
            *binary = true;
            Map::from_iter([("_base64".to_owned(), STANDARD.encode(bytes).into())]).into()
        }
        Value::Array(elements) => elements.iter().map(|element| json(element, binary)).collect(),
        Value::Map(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                object.insert(key, json(value, binary));
            }
            object.into()
        }
        // A time; anything else of the kind is what JavaScript calls undefined.
        Value::Ext(-1, bytes) => time(bytes).map_or(Json::Null, Json::String),
        Value::Ext(..) => Json::Null,
    }
}

/// The timestamp extension of MessagePack, in its three widths, as JSON has times.
fn time(bytes: &[u8]) -> Option<String> {
    let (seconds, nanoseconds) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let word = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(word & 0x3_ffff_ffff).ok()?, i32::try_from(word >> 34).ok()?)
        }
        12 => {
            let nanoseconds = u32::from_be_bytes(bytes[..4].try_into().ok()?);
            (i64::from_be_bytes(bytes[4..].try_into().ok()?), i32::try_from(nanoseconds).ok()?)
        }
        _ => return None,
    };
    let moment = jiff::Timestamp::new(seconds, nanoseconds).ok()?;
    Some(format!("{moment:.3}"))
}

fn rooms(namespace: &Namespace, value: Option<&Value>) -> Result<Vec<Arc<str>>, String> {
    let Some(value) = value.filter(|value| !value.is_nil()) else { return Ok(Vec::new()) };
    let rooms = value.as_array().ok_or("expected a list of rooms")?;
    let names = rooms.iter().map(|room| match room {
        Value::Integer(number) => Some(number.to_string()),
        room => room.as_str().map(str::to_owned),
    });
    qualified(namespace, names)
}

/// Rooms as they are called inside the gateway.
fn qualified(
    namespace: &Namespace,
    rooms: impl Iterator<Item = Option<String>>,
) -> Result<Vec<Arc<str>>, String> {
    let realm = Some(namespace.realm()).filter(|realm| !realm.is_empty());
    let mut names = Vec::new();
    for room in rooms {
        let room = room.filter(|room| validate_name(room).is_ok()).ok_or("a room's name is none")?;
        if names.len() == ROOMS_MAX {
            return Err(format!("more than {ROOMS_MAX} rooms"));
        }
        names.push(qualify(realm, &room).into());
    }
    Ok(names)
}

fn request(namespace: &'static Namespace, payload: &[u8]) -> Result<Option<Emission>, String> {
    let request: Json = serde_json::from_slice(payload).map_err(|_| "the request is no JSON")?;
    let list = |value: &Json| -> Result<Vec<Arc<str>>, String> {
        let rooms = value.as_array().map_or(&[][..], Vec::as_slice);
        let name = |room: &Json| match room {
            Json::Number(number) => Some(number.to_string()),
            room => room.as_str().map(str::to_owned),
        };
        qualified(namespace, rooms.iter().map(name))
    };
    let action = match request["type"].as_u64() {
        Some(REMOTE_JOIN) => Action::Join(list(&request["rooms"])?),
        Some(REMOTE_LEAVE) => Action::Leave(list(&request["rooms"])?),
        Some(REMOTE_DISCONNECT) => Action::Disconnect { close: request["close"] == true },
        // Between servers; nobody here has anything to answer.
        _ => return Ok(None),
    };
    let options = &request["opts"];
    let (rooms, except) = (list(&options["rooms"])?, list(&options["except"])?);
    Ok(Some(Emission { namespace, rooms, except, action }))
}

#[cfg(test)]
mod tests;
