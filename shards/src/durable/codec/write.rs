//! Records become bytes.

use super::Kind;
use crate::access::revocations::{Revocation, Subject};
use crate::durable::record::{Card, Cursor, Record, RoomRecord, SessionRecord};
use crate::id::{Epoch, MessageId};
use crate::protocol::message::{Except, Lane, Publication, Revised};
use crate::room::dedupe::Accepted;
use crate::user::progress::{Place, Progress};

/// Appends a record.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Entry(entry) => put_entry(out, entry),
        Record::Room(room) => put_room(out, room),
        Record::Gone { room, place, ended } => {
            begin(out, Kind::Gone, room);
            put_numbers(out, [*place, *ended]);
        }
        Record::Renewed { room, epoch } => {
            begin(out, Kind::Renewed, room);
            put_epoch(out, *epoch);
        }
        Record::Member { room, epoch, user, offset, away_since_unix_ms } => {
            begin(out, Kind::Member, room);
            put_epoch(out, *epoch);
            put_text(out, user);
            put_numbers(out, [*offset]);
            put_option(out, *away_since_unix_ms, |out, since| put_numbers(out, [since]));
        }
        Record::MemberGone { room, user } => {
            begin(out, Kind::MemberGone, room);
            put_text(out, user);
        }
        Record::Receipt { room, user, delivered, read } => {
            begin(out, Kind::Receipt, room);
            put_text(out, user);
            put_cursor(out, delivered);
            put_cursor(out, read);
        }
        Record::Name { room, sender, client_id, accepted } => {
            begin(out, Kind::Name, room);
            put_text(out, sender);
            put_text(out, client_id);
            put_accepted(out, accepted);
        }
        Record::Session(session) => put_session(out, session),
        Record::SessionRoom { user, session, room, entered } => {
            begin(out, Kind::SessionRoom, user);
            put_word(out, session.0);
            put_text(out, room);
            put_option(out, *entered, |out, (epoch, offset)| {
                put_epoch(out, epoch);
                put_numbers(out, [offset]);
            });
        }
        Record::SessionGone { user, session } => {
            begin(out, Kind::SessionGone, user);
            put_word(out, session.0);
        }
        Record::Seen { user, account, unix_ms, online } => {
            begin(out, Kind::Seen, user);
            put_option(out, account.as_ref(), |out, account| put_text(out, account));
            put_numbers(out, [*unix_ms, u64::from(*online)]);
        }
        Record::Revoked(Revocation { subject, until_unix_ms }) => {
            let (is_token, name) = match subject {
                Subject::User(user) => (false, user),
                Subject::Token(token) => (true, token),
            };
            begin(out, Kind::Revoked, name);
            out.push(u8::from(is_token));
            put_option(out, *until_unix_ms, |out, until| put_numbers(out, [until]));
        }
        Record::Place { place, ended } => {
            out.push(Kind::Place as u8);
            put_numbers(out, [*place, *ended]);
        }
        Record::Value { space, key, value } => {
            out.extend([Kind::Value as u8, *space as u8]);
            put_bytes(out, key);
            put_option(out, value.as_ref(), |out, value| put_bytes(out, value));
        }
        Record::Values => out.push(Kind::Values as u8),
        Record::Told { round } => {
            out.push(Kind::Told as u8);
            put_numbers(out, [*round]);
        }
    }
}

fn begin(out: &mut Vec<u8>, kind: Kind, name: &str) {
    out.push(kind as u8);
    put_text(out, name);
}

fn put_entry(out: &mut Vec<u8>, entry: &Publication) {
    begin(out, Kind::Entry, &entry.room);
    put_epoch(out, entry.epoch);
    put_id(out, entry.id);
    put_text(out, &entry.sender);
    let flags = u8::from(entry.binary)
        | u8::from(entry.ack_requested) << 1
        | u8::from(entry.lane == Lane::BatchDelay) << 2;
    out.extend([entry.kind as u8, flags]);
    put_numbers(out, [entry.offset, entry.unix_ms]);
    put_bytes(out, &entry.content);
    put_option(out, entry.metadata.as_ref(), |out, metadata| {
        put_bytes(out, &metadata.raw);
        put_option(out, metadata.for_topics.as_ref(), |out, bytes| put_bytes(out, bytes));
    });
    put_option(out, entry.client_id.as_ref(), |out, id| put_text(out, id));
    put_except(out, &entry.exclude);
    put_option(out, entry.revision.as_ref(), |out, revision| {
        out.push(u8::from(revision.kind == Revised::Deleted));
        put_text(out, &revision.by);
        put_numbers(out, [revision.unix_ms, revision.offset, revision.of]);
    });
}

fn put_except(out: &mut Vec<u8>, except: &Except) {
    match except {
        Except::Nobody => out.push(0),
        Except::Session(session) => {
            out.push(1);
            put_word(out, session.0);
        }
        Except::User(user) => {
            out.push(2);
            put_text(out, user);
        }
    }
}

fn put_room(out: &mut Vec<u8>, room: &RoomRecord) {
    begin(out, Kind::Room, &room.name);
    put_epoch(out, room.epoch);
    let (messages, edits, deletes) = room.counts;
    let times = [room.created_unix_ms, room.active_unix_ms];
    put_numbers(out, [room.offset, times[0], times[1], messages, edits, deletes]);
    put_option(out, room.card.as_ref(), put_card);
}

fn put_card(out: &mut Vec<u8>, card: &Card) {
    put_text(out, &card.owner);
    put_option(out, card.audience.as_ref(), |out, users| {
        put_length(out, users.len());
        users.iter().for_each(|user| put_text(out, user));
    });
    put_option(out, card.metadata.as_ref(), |out, metadata| put_bytes(out, metadata));
    put_option(out, card.members_max, put_length);
}

fn put_session(out: &mut Vec<u8>, record: &SessionRecord) {
    let Progress { rooms, steps, granted } = &record.progress;
    begin(out, if granted.is_empty() { Kind::Session } else { Kind::GrantedSession }, &record.user);
    put_word(out, record.session.0);
    put_option(out, record.until_unix_ms, |out, until| put_numbers(out, [until]));
    put_length(out, rooms.len());
    for room in rooms.iter() {
        put_text(out, &room.room);
        put_epoch(out, room.epoch);
        put_numbers(out, [room.offset]);
    }
    put_option(out, steps.as_ref(), |out, steps| {
        for place in [steps.from, steps.acknowledged, steps.named] {
            put_option(out, place, put_place);
        }
        put_length(out, steps.steps.len());
        for step in &steps.steps {
            put_epoch(out, step.epoch);
            put_option(out, step.room, |out, room| put_numbers(out, [u64::from(room)]));
            put_numbers(out, [step.first, step.last]);
        }
    });
    if !granted.is_empty() {
        put_length(out, granted.len());
        granted.iter().for_each(|room| put_text(out, room));
    }
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    match place {
        Place::Start => out.push(0),
        Place::Behind(epoch, offset) => {
            out.push(1);
            put_epoch(out, epoch);
            put_numbers(out, [offset]);
        }
    }
}

fn put_accepted(out: &mut Vec<u8>, accepted: &Accepted) {
    put_id(out, accepted.id);
    put_numbers(out, [accepted.offset, accepted.unix_ms]);
}

fn put_cursor(out: &mut Vec<u8>, cursor: &Cursor) {
    put_length(out, cursor.len());
    for (offset, unix_ms) in cursor {
        put_numbers(out, [*offset, *unix_ms]);
    }
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_numbers(out, [length as u64]);
}

fn put_numbers<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    for mut number in numbers {
        while number >= 0x80 {
            out.push(low_bits(number) | 0x80);
            number >>= 7;
        }
        out.push(low_bits(number));
    }
}

/// The last seven.
fn low_bits(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

fn put_id(out: &mut Vec<u8>, id: MessageId) {
    out.extend_from_slice(&id.to_bytes());
}

fn put_epoch(out: &mut Vec<u8>, epoch: Epoch) {
    put_word(out, epoch.0);
}

/// A random number, which no varying length would shorten.
fn put_word(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}
