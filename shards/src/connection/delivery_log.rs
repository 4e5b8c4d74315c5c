//! Up to where a client has certainly got its rooms, so that a resumed session begins there.
//!
//! What was queued is not yet sent, what was sent is not yet received, and what a kernel or a proxy received has perhaps
//! not reached the client. So positions are kept per room together with the place in the outgoing byte stream behind
//! which they hold, and are believed on the client's word:
//!
//! - a pong proves that everything before its ping has arrived, through whatever lies between. A ping goes out right
//!   behind what is to be confirmed while none is on its way, many at first, and once a second under steady traffic;
//! - a client that says goodbye with a close frame is believed to have what its kernel acknowledged, unless a ping has
//!   gone unanswered for long: then it has not read for a while. No other end of a connection proves anything.
//!
//! A position that is too old means that a client is sent again what it has, which it can see by its offset; one that is
//! too new would be a silent gap. Pure: bytes and times are arguments.

mod news;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::trail::Trail;
use crate::access::limits::{Bucket, RetryAfter};
use crate::config::Rate;
use crate::id::{Epoch, Offset};
use crate::room::directory::RoomKey;
use crate::user::progress::Place;
use crate::user::session::SessionRoom;

/// Entries after which older ones are thinned out to the last of each room; four for each room if there are many.
const ENTRIES_MAX: usize = 1024;
/// A ping that is not answered for so long shows a client that does not read.
pub const PONG_PATIENCE_MS: u64 = 500;
/// Pings that ask a client how far it has got: many at first, so that what is said now and then is confirmed at once,
/// and one a second under steady traffic.
const PROBES: Rate = Rate { count: 1, interval_ms: 1_000, burst: 32 };

/// Up to this place in the byte stream, a room has been delivered up to this offset.
#[derive(Debug, Clone, Copy)]
struct Entry {
    end: u64,
    number: u32,
    offset: Offset,
    /// Whether it gave what had been missed.
    is_answer: bool,
}

/// Consecutive messages of one room, the last of them in front of place `end` of the byte stream.
#[derive(Debug, Clone, Copy)]
struct Run {
    key: RoomKey,
    number: u32,
    epoch: Epoch,
    first: Offset,
    last: Offset,
    end: u64,
}

/// One room of the connection.
#[derive(Debug)]
struct Room {
    number: u32,
    name: Arc<str>,
    epoch: Epoch,
    /// Up to where the client has certainly got it.
    offset: Offset,
    /// Whether the client has perhaps not heard that what it had missed is gone: it must be told so again.
    untold: bool,
    /// Whether something was given that has no place in the byte stream yet: it waits, or was dropped.
    owed: bool,
    /// Up to where a Socket.IO client has acknowledged messages that asked for it.
    acknowledged: Offset,
    /// Up to where its owner was told.
    told: Offset,
}

/// A ping that asks how far the client has got.
#[derive(Debug, Clone, Copy)]
struct Probe {
    token: u32,
    end: u64,
    sent_ms: u64,
}

/// How a client that closed with a close frame stood then.
#[derive(Debug, Clone, Copy)]
pub struct Goodbye {
    /// What had been written.
    pub written: u64,
    /// Whether it had been reading, as far as its pongs show.
    pub reads: bool,
    /// Whether it had all that was ever queued, and read its socket to the end: a kernel resets one that is closed with
    /// something unread.
    pub finished: bool,
}

impl Goodbye {
    /// Up to where it is believed to have got everything.
    #[must_use]
    pub fn upto(&self) -> u64 {
        if self.reads || self.finished { self.written } else { 0 }
    }
}

/// What is known of one client's progress.
#[derive(Debug, Default)]
pub struct DeliveryLog {
    /// Whether the client has a session: then all of its rooms are followed, else only queued ones.
    pub is_session: bool,
    /// For a Socket.IO client: the order of what it was given. Its engine's pings ask how far it has got, and no others.
    trail: Option<Box<Trail>>,
    /// Whether such a client had subscriptions that a session does not have, so that it must begin anew.
    pub is_partial: bool,
    /// What such a client is being given, until something else comes: the next message of it costs no look elsewhere.
    run: Option<Run>,
    rooms: Vec<Room>,
    entries: VecDeque<Entry>,
    probe: Option<Probe>,
    probes: u32,
    budget: Bucket,
    /// When the budget allows another ping, as far as that is known.
    free_ms: u64,
    /// Changes of what a process without notice should leave behind, and those of them that were told.
    changes: u64,
    told: u64,
}

impl DeliveryLog {
    /// The client is in a room, and needs nothing of it up to `offset`. What was on its way counts no more.
    pub fn enter(&mut self, number: u32, name: &Arc<str>, epoch: Epoch, offset: Offset) {
        self.settle();
        let name = Arc::clone(name);
        let room = Room { number, name, epoch, offset, untold: false, owed: false, acknowledged: 0, told: 0 };
        self.changes += 1;
        match self.rooms.iter_mut().find(|room| room.number == number) {
            Some(known) => {
                *known = room;
                self.entries.retain(|entry| entry.number != number);
            }
            None => self.rooms.push(room),
        }
    }

    /// As [`DeliveryLog::enter`], but what the client had missed before is gone. Until it has certainly heard so,
    /// nothing can be resumed in the room: the gap would be a silent one.
    pub fn enter_anew(&mut self, number: u32, name: &Arc<str>, epoch: Epoch, offset: Offset) {
        self.enter(number, name, epoch, offset);
        if let Some(room) = self.rooms.iter_mut().find(|room| room.number == number) {
            room.untold = true;
        }
    }

    /// Something of the room is being given to the client, and counts as not there until a later entry is confirmed.
    pub fn owe(&mut self, number: u32) {
        if let Some(room) = self.rooms.iter_mut().find(|room| room.number == number) {
            room.owed = true;
        }
    }

    /// Whether the client must hear that something is gone.
    #[must_use]
    pub fn is_untold(&self, number: u32) -> bool {
        self.rooms.iter().any(|room| room.number == number && room.untold)
    }

    /// The client has left a room.
    pub fn leave(&mut self, number: u32) {
        self.settle();
        self.changes += 1;
        self.rooms.retain(|room| room.number != number);
        self.entries.retain(|entry| entry.number != number);
    }

    /// Whether the room is followed.
    #[must_use]
    pub fn follows(&self, number: u32) -> bool {
        self.rooms.iter().any(|room| room.number == number)
    }

    /// From here on the client says by itself how far it has got. It has named a place as it came, perhaps.
    pub fn follow_trail(&mut self, named: Option<Place>) {
        self.trail.get_or_insert_with(|| Box::new(Trail::new(named)));
    }

    /// The log of a client that begins anew.
    #[must_use]
    pub fn anew(&self) -> Self {
        let named = self.trail.as_ref().and_then(|trail| trail.named());
        Self { trail: Some(Box::new(Trail::new(named))), ..Self::default() }
    }

    /// Whether it does.
    #[must_use]
    pub fn has_trail(&self) -> bool {
        self.trail.is_some()
    }

    /// Where such a client is when it has got everything.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let run = self.run.map(|run| Place::Behind(run.epoch, run.last));
        run.or_else(|| self.trail.as_ref().map(|trail| trail.place()))
    }

    /// Notes a message of the room that was the last to be given something; `false` if that is another, or the message
    /// does not follow.
    pub fn extend(&mut self, key: RoomKey, epoch: Epoch, offset: Offset, end: u64) -> bool {
        match &mut self.run {
            Some(run) if (run.key, run.epoch, run.last + 1) == (key, epoch, offset) => {
                (run.last, run.end) = (offset, end);
                true
            }
            _ => false,
        }
    }

    /// As [`DeliveryLog::note`], for a room that may be given more.
    pub fn begin_run(&mut self, key: RoomKey, number: u32, offset: Offset, end: u64) {
        let room = self.rooms.iter().find(|room| room.number == number);
        let Some(epoch) = room.filter(|_| self.trail.is_some()).map(|room| room.epoch) else {
            return self.note(number, offset, end);
        };
        self.settle();
        self.run = Some(Run { key, number, epoch, first: offset, last: offset, end });
    }

    /// Notes for good what was given last. To be called before anything is asked.
    pub fn settle(&mut self) {
        let (Some(run), Some(trail)) = (self.run.take(), &mut self.trail) else { return };
        trail.push(run.epoch, run.number, (run.first, run.last));
        self.note_entry(Entry { end: run.end, number: run.number, offset: run.last, is_answer: false });
    }

    fn note_entry(&mut self, entry: Entry) {
        self.changes += 1;
        // Nothing between two pings is ever confirmed by itself.
        match self.entries.back_mut() {
            Some(last)
                if last.number == entry.number
                    && !last.is_answer
                    && self.probe.is_none_or(|it| it.end < last.end) =>
            {
                *last = entry;
            }
            _ => self.push(entry),
        }
    }

    /// A room was queued up to `offset`, in front of place `end` of the byte stream.
    pub fn note(&mut self, number: u32, offset: Offset, end: u64) {
        let entry = Entry { end, number, offset, is_answer: false };
        if self.trail.is_none() {
            return self.push(entry);
        }
        self.settle();
        let room = self.rooms.iter().find(|room| room.number == number);
        if let (Some(room), Some(trail)) = (room, &mut self.trail) {
            trail.push(room.epoch, number, (offset, offset));
        }
        self.note_entry(entry);
    }

    /// As [`DeliveryLog::note`], of a room in which nothing need have been given: no place is made of it, because another
    /// client of the room may be at that place.
    pub fn note_position(&mut self, number: u32, offset: Offset, end: u64) {
        self.settle();
        let entry = Entry { end, number, offset, is_answer: false };
        if self.trail.is_some() { self.note_entry(entry) } else { self.push(entry) }
    }

    /// The engine's ping goes out, behind place `end` of the byte stream.
    pub fn note_ping(&mut self, end: u64, now_ms: u64) {
        self.settle();
        if let Some(trail) = &mut self.trail {
            trail.ping();
            self.start_probe(end, now_ms);
        }
    }

    /// The engine's pong came.
    pub fn note_pong(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.pong();
            if let Some(probe) = self.probe.take() {
                self.confirm(probe.end);
            }
        }
    }

    /// The client has acknowledged a message; whether it had acknowledged none behind it in that room.
    pub fn acknowledge(&mut self, epoch: Epoch, offset: Offset) -> bool {
        self.settle();
        if let Some(trail) = &mut self.trail {
            trail.acknowledge(epoch, offset);
        }
        let room = self.rooms.iter_mut().find(|room| room.epoch == epoch && room.acknowledged < offset);
        room.map(|room| room.acknowledged = offset).is_some()
    }

    /// The byte stream got bytes in front of all that is noted.
    pub fn shift(&mut self, bytes: u64) {
        self.settle();
        self.entries.iter_mut().for_each(|entry| entry.end += bytes);
        self.probe.iter_mut().for_each(|probe| probe.end += bytes);
    }

    /// As [`DeliveryLog::note`], for what the client had missed, or that it is gone.
    pub fn note_answer(&mut self, number: u32, offset: Offset, end: u64) {
        self.settle();
        self.push(Entry { end, number, offset, is_answer: true });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= ENTRIES_MAX.max(4 * self.rooms.len()) {
            self.thin_out();
        }
        self.entries.push_back(entry);
    }

    /// Of the older half, only the last entry of each room stays: positions get coarser, never too new.
    fn thin_out(&mut self) {
        let newer = self.entries.split_off(self.entries.len() / 2);
        let mut known = BTreeSet::new();
        let mut kept: Vec<Entry> =
            self.entries.drain(..).rev().filter(|it| known.insert(it.number)).collect();
        kept.reverse();
        self.entries.extend(kept);
        self.entries.extend(newer);
    }

    /// Everything before a place in the byte stream has arrived.
    pub fn confirm(&mut self, end: u64) {
        while let Some(entry) = self.entries.front().filter(|entry| entry.end <= end) {
            if let Some(room) = self.rooms.iter_mut().find(|room| room.number == entry.number) {
                room.offset = room.offset.max(entry.offset);
                self.changes += 1;
                room.untold &= !entry.is_answer;
                room.owed = false;
            }
            self.entries.pop_front();
        }
    }

    /// The payload of a ping to send behind what is on its way, if there is anything to ask and none is asked.
    pub fn probe(&mut self, end: u64, now_ms: u64) -> Option<[u8; 4]> {
        if self.probe.is_some() || self.entries.is_empty() || self.trail.is_some() {
            return None;
        }
        if let Err(retry) = self.budget.take(PROBES, now_ms, 1) {
            let RetryAfter::Ms(wait_ms) = retry else { return None };
            self.free_ms = now_ms + wait_ms;
            return None;
        }
        self.start_probe(end, now_ms)
    }

    /// As [`DeliveryLog::probe`], whatever was asked before.
    pub fn start_probe(&mut self, end: u64, now_ms: u64) -> Option<[u8; 4]> {
        if self.entries.is_empty() {
            return None;
        }
        self.probes = self.probes.wrapping_add(1);
        let sent_ms = self.probe.map_or(now_ms, |probe| probe.sent_ms.min(now_ms));
        self.probe = Some(Probe { token: self.probes, end, sent_ms });
        Some(self.probes.to_be_bytes())
    }

    /// When the next probe is due, if one is.
    #[must_use]
    pub fn next_probe_ms(&self) -> Option<u64> {
        let waits = self.probe.is_none() && !self.entries.is_empty() && self.trail.is_none();
        waits.then_some(self.free_ms)
    }

    /// A pong came; whether it answers the probe.
    pub fn pong(&mut self, payload: &[u8]) -> bool {
        let Some(probe) = self.probe.filter(|probe| payload == probe.token.to_be_bytes()) else {
            return false;
        };
        self.probe = None;
        self.confirm(probe.end);
        true
    }

    /// Whether a client that says goodbye is believed to have what its kernel acknowledged: it has been reading.
    #[must_use]
    pub fn reads(&self, now_ms: u64) -> bool {
        self.probe.is_none_or(|probe| probe.sent_ms + PONG_PATIENCE_MS > now_ms)
    }

    /// Up to where the client has certainly got a room of which something is on its way, if it has got all that was
    /// written up to `end`.
    #[must_use]
    pub fn certain(&self, number: u32, end: u64) -> Option<Offset> {
        let room = self.rooms.iter().find(|room| room.number == number)?;
        let (got, waits): (Vec<&Entry>, Vec<&Entry>) =
            self.entries.iter().filter(|entry| entry.number == number).partition(|entry| entry.end <= end);
        let offset = got.iter().map(|entry| entry.offset).fold(room.offset, Offset::max);
        (!waits.is_empty() || (room.owed && got.is_empty())).then_some(offset)
    }

    /// Whether something was queued behind a place in the byte stream.
    #[must_use]
    pub fn waits_behind(&self, end: u64) -> bool {
        self.entries.back().is_some_and(|entry| entry.end > end)
    }

    fn is_waiting(&self, room: &Room) -> bool {
        room.owed || self.entries.iter().any(|entry| entry.number == room.number)
    }

    /// Up to where the client has certainly got each room: in no stream at all, where it must hear of a gap.
    pub fn positions(&self) -> impl Iterator<Item = SessionRoom> {
        self.rooms.iter().map(|room| SessionRoom {
            room: Arc::clone(&room.name),
            epoch: if room.untold { Epoch(0) } else { room.epoch },
            offset: room.offset,
        })
    }

    /// Up to where the client has certainly got each room.
    pub fn rooms(&self) -> impl Iterator<Item = SessionRoom> {
        self.rooms.iter().map(|room| SessionRoom {
            room: Arc::clone(&room.name),
            epoch: room.epoch,
            offset: room.offset,
        })
    }

    /// The rooms of which something is on its way.
    pub fn unconfirmed(&self) -> impl Iterator<Item = SessionRoom> {
        self.rooms.iter().filter(|room| self.is_waiting(room)).map(|room| SessionRoom {
            room: Arc::clone(&room.name),
            epoch: room.epoch,
            offset: room.offset,
        })
    }
}

#[cfg(test)]
mod tests;
