//! Requests of the shards as commands of Redis, many in one write; and the answers as events.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt as _;
use redis::{Cmd, Pipeline, RedisError, Value};
use roomcast_shards::engine::{Appended, Event, Field, Keep, NodeId, Request, RoomState, Ticket};
use roomcast_shards::id::{Epoch, Offset, ShardId};

use super::keys::{Keys, read_field};
use super::scripts::Scripts;
use super::{keys, scripts};

/// How long a room without anything lasts that somebody has opened: until a member or a message makes it last.
const BLANK_MS: u64 = 60_000;

/// How commands are made.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) keys: Keys,
    pub(super) node: NodeId,
    /// Whether channels spread over a cluster, which takes version 7.
    pub(super) sharded: bool,
    /// How long rooms last at least.
    pub(super) ttl_ms: u64,
}

/// Commands on their way, and what their answers are.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) pipeline: Pipeline,
    pub(super) expected: Vec<(ShardId, Expected)>,
}

/// What an answer is.
pub(super) enum Expected {
    /// Nothing that anybody waits for.
    Done,
    /// How a room stands.
    Opened(Arc<str>),
    /// An entry's place.
    Appended(Ticket),
    /// What a field held.
    Taken(Ticket),
}

impl Style {
    pub(super) fn publish(&self) -> &'static str {
        if self.sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    pub(super) fn subscribe(&self) -> &'static str {
        if self.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    /// Adds a request to a batch.
    pub(super) fn add(&self, batch: &mut Batch, scripts: &Scripts, shard: ShardId, request: Request) {
        let keys = self.keys.room(request.room());
        let publish = self.publish();
        let node = format!("{:016x}", self.node.0);
        let fresh = || Epoch(rand::rng().random()).to_string();
        let (command, expected) = match request {
            Request::Open { room, ended } => {
                batch.add(shard, redis::cmd(self.subscribe()).arg(&keys.channel).to_owned(), Expected::Done);
                let ended = ended.map_or(String::new(), |epoch| epoch.to_string());
                let mut open = scripts.call(&scripts.open, &[&keys.fields, &keys.stream]);
                open.arg(fresh()).arg(ended).arg(BLANK_MS).arg(publish).arg(&keys.channel);
                (open, Expected::Opened(room))
            }
            Request::Release { .. } => {
                let unsubscribe = if self.sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" };
                (redis::cmd(unsubscribe).arg(&keys.channel).to_owned(), Expected::Done)
            }
            Request::Append { ticket, entry, once, keep: Keep { entries_max, ttl_ms }, .. } => {
                let name = keys.once(once.as_ref().map_or("", |once| &once.name));
                let says = once.as_ref().map_or(&[][..], |once| &once.says);
                let window_ms = once.as_ref().map_or(1, |once| once.window_ms.max(1));
                let mut append = scripts.call(&scripts.append, &[&keys.fields, &keys.stream, &name]);
                append.arg(fresh()).arg(&entry[..]).arg(entries_max).arg(ttl_ms.max(self.ttl_ms));
                append.arg(says).arg(window_ms).arg(publish).arg(&keys.channel);
                (append, Expected::Appended(ticket))
            }
            Request::Note { field, word, .. } => {
                let mut note = scripts.call(&scripts.note, &[&keys.fields]);
                match &field {
                    Some((table, name, Some(value))) => {
                        note.arg(keys::field(*table, name)).arg("set").arg(&value[..])
                    }
                    Some((table, name, None)) => note.arg(keys::field(*table, name)).arg("forget").arg(""),
                    None => note.arg("").arg("").arg(""),
                };
                note.arg(self.ttl_ms).arg(publish).arg(&keys.channel).arg(node);
                note.arg(word.as_deref().unwrap_or_default());
                (note, Expected::Done)
            }
            Request::Take { ticket, table, name, value, only_new, word, .. } => {
                let mut take = scripts.call(&scripts.take, &[&keys.fields]);
                take.arg(keys::field(table, &name)).arg(&value[..]).arg(if only_new { "new" } else { "" });
                take.arg(self.ttl_ms).arg(publish).arg(&keys.channel).arg(node);
                take.arg(word.as_deref().unwrap_or_default());
                (take, Expected::Taken(ticket))
            }
            Request::Close { word, .. } => {
                let mut close = scripts.call(&scripts.close, &[&keys.fields, &keys.stream]);
                close.arg(publish).arg(&keys.channel).arg(node).arg(&word[..]);
                (close, Expected::Done)
            }
        };
        batch.add(shard, command, expected);
    }
}

impl Batch {
    fn add(&mut self, shard: ShardId, command: Cmd, expected: Expected) {
        self.pipeline.add_command(command);
        self.expected.push((shard, expected));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }
}

/// What a batch's answers mean, in order, and the number of the last word that a room's state includes.
///
/// # Errors
/// The first answer that is an error, or makes no sense: whether the rest was done is not known then.
pub(super) fn read(
    expected: Vec<(ShardId, Expected)>,
    answers: Vec<Value>,
    mut take: impl FnMut(ShardId, Event, Option<u64>),
) -> Result<(), RedisError> {
    for ((shard, expected), answer) in expected.into_iter().zip(answers) {
        let answer = answer.extract_error()?;
        match expected {
            Expected::Done => {}
            Expected::Opened(room) => {
                let (state, words) = read_state(answer).ok_or_else(scripts::illegible)?;
                take(shard, Event::Opened { room, state }, Some(words));
            }
            Expected::Appended(ticket) => {
                let place = read_place(&answer).ok_or_else(scripts::illegible)?;
                take(shard, Event::Appended { ticket, place: Ok(place) }, None);
            }
            Expected::Taken(ticket) => {
                let held = match answer {
                    Value::Nil => None,
                    Value::BulkString(held) => Some(Bytes::from(held)),
                    _ => return Err(scripts::illegible()),
                };
                take(shard, Event::Taken { ticket, held: Ok(held) }, None);
            }
        }
    }
    Ok(())
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// `EPOCH OFFSET`, and for a repeat what the first said.
fn read_place(value: &Value) -> Option<Appended> {
    let Value::BulkString(place) = value else { return None };
    let mut parts = place.splitn(3, |byte| *byte == b' ');
    let epoch = Epoch::parse(std::str::from_utf8(parts.next()?).ok()?)?;
    let offset = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some(Appended { epoch, offset, first: parts.next().map(Bytes::copy_from_slice) })
}

fn read_state(value: Value) -> Option<(RoomState, u64)> {
    let [fields, stream] = <[Value; 2]>::try_from(array(value)?).ok()?;
    let (mut epoch, mut offset, mut words) = (None, 0, 0);
    let mut kept = Vec::new();
    let mut fields = array(fields)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (text(name)?, bytes(value)?);
        let number = || std::str::from_utf8(&value).ok()?.parse::<u64>().ok();
        match &*name {
            "e" => epoch = Epoch::parse(std::str::from_utf8(&value).ok()?),
            "o" => offset = number()?,
            "w" => words = number()?,
            _ => {
                if let Some((table, name)) = read_field(&name) {
                    kept.push(Field { table, name: name.to_owned(), value: value.into() });
                }
            }
        }
    }
    let entries = array(stream)?.into_iter().map(read_entry).collect::<Option<_>>()?;
    Some((RoomState { epoch: epoch?, offset, entries, fields: kept }, words))
}

/// `[ID, ["b", entry]]`, the id being the offset and `-0`.
fn read_entry(value: Value) -> Option<(Offset, Bytes)> {
    let [id, pairs] = <[Value; 2]>::try_from(array(value)?).ok()?;
    let offset = text(id)?.strip_suffix("-0")?.parse().ok()?;
    Some((offset, bytes(array(pairs)?.pop()?)?.into()))
}

/// What was published in a room's channel.
pub(super) enum Told {
    /// An entry.
    Entry(Epoch, Offset, Bytes),
    /// Another stream has begun.
    Restarted(Epoch),
    /// A word, of a node, with its number; 0 after everything was forgotten.
    Word(NodeId, u64, Bytes),
}

/// Reads what was published.
pub(super) fn read_told(payload: &Bytes) -> Option<Told> {
    let (kind, rest) = payload.split_first()?;
    match kind {
        b'R' => Some(Told::Restarted(Epoch::parse(std::str::from_utf8(rest).ok()?)?)),
        b'E' | b'W' => {
            let mut words = rest.splitn(3, |byte| *byte == b' ');
            let first = std::str::from_utf8(words.next()?).ok()?;
            let number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
            let body = payload.slice_ref(words.next()?);
            Some(match kind {
                b'E' => Told::Entry(Epoch::parse(first)?, number, body),
                _ => Told::Word(NodeId(u64::from_str_radix(first, 16).ok()?), number, body),
            })
        }
        _ => None,
    }
}
