//! Up to where a client has certainly got its rooms, so that a resumed session begins there.
//!
//! What was queued is not yet sent, what was sent is not yet received, and what a kernel or a proxy received has perhaps
//! not reached the client. So positions are kept per room together with the place in the outgoing byte stream behind
//! which they hold, and are believed on evidence:
//!
//! - a pong proves that everything before its ping has arrived, through whatever lies between;
//! - when the connection ends, what the kernel has had acknowledged counts too, unless a ping has gone unanswered for
//!   long: then something between takes bytes and does not deliver them.
//!
//! A position that is too old means that a client is sent again what it has, which it can see by its offset; one that is
//! too new would be a silent gap. Pure: bytes and times are arguments.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{Epoch, Offset};
use crate::user::session::SessionRoom;

/// Entries after which older ones are thinned out to the last of each room.
const ENTRIES_MAX: usize = 1024;
/// An unanswered ping of this age makes acknowledgements of the kernel worth nothing.
pub const PONG_PATIENCE_MS: u64 = 500;
/// Milliseconds between two pings that ask a client with a session how far it has got.
pub const CONFIRM_INTERVAL_MS: u64 = 1_000;

/// Up to this place in the byte stream, a room has been delivered up to this offset.
#[derive(Debug, Clone, Copy)]
struct Entry {
    end: u64,
    number: u32,
    offset: Offset,
    /// Whether it gave what had been missed: then only the client itself is believed.
    is_answer: bool,
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
}

/// A ping that asks how far the client has got.
#[derive(Debug, Clone, Copy)]
struct Probe {
    token: u32,
    end: u64,
    sent_ms: u64,
}

/// What is known of one client's progress.
#[derive(Debug, Default)]
pub struct DeliveryLog {
    /// Whether the client has a session: then all of its rooms are followed, else only queued ones.
    pub is_session: bool,
    rooms: Vec<Room>,
    entries: VecDeque<Entry>,
    probe: Option<Probe>,
    /// What had been written when the client last said something.
    heard: u64,
    probes: u32,
    probed_ms: u64,
}

impl DeliveryLog {
    /// The client is in a room, and needs nothing of it up to `offset`. What was on its way counts no more.
    pub fn enter(&mut self, number: u32, name: &Arc<str>, epoch: Epoch, offset: Offset) {
        let name = Arc::clone(name);
        let room = Room { number, name, epoch, offset, untold: false, owed: false };
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
        self.rooms.retain(|room| room.number != number);
        self.entries.retain(|entry| entry.number != number);
    }

    /// Whether the room is followed.
    #[must_use]
    pub fn follows(&self, number: u32) -> bool {
        self.rooms.iter().any(|room| room.number == number)
    }

    /// A room was queued up to `offset`, in front of place `end` of the byte stream.
    pub fn note(&mut self, number: u32, offset: Offset, end: u64) {
        self.push(Entry { end, number, offset, is_answer: false });
    }

    /// As [`DeliveryLog::note`], for what the client had missed: it is given again until the client shows that it has
    /// it, because a client that comes back and goes at once has perhaps read nothing.
    pub fn note_answer(&mut self, number: u32, offset: Offset, end: u64) {
        self.push(Entry { end, number, offset, is_answer: true });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= ENTRIES_MAX {
            self.thin_out();
        }
        self.entries.push_back(entry);
    }

    /// The client said something when so much had been written.
    pub fn heard(&mut self, written: u64) {
        self.heard = written;
    }

    /// Of the older half, only the last entry of each room stays: positions get coarser, never too new.
    fn thin_out(&mut self) {
        let newer = self.entries.split_off(self.entries.len() / 2);
        let mut kept: Vec<Entry> = Vec::new();
        for entry in self.entries.drain(..).rev() {
            if kept.iter().all(|known| known.number != entry.number) {
                kept.push(entry);
            }
        }
        self.entries.extend(kept.into_iter().rev());
        self.entries.extend(newer);
    }

    /// Everything before a place in the byte stream has arrived.
    pub fn confirm(&mut self, end: u64) {
        while let Some(entry) = self.entries.front().filter(|entry| entry.end <= end) {
            if let Some(room) = self.rooms.iter_mut().find(|room| room.number == entry.number) {
                room.offset = room.offset.max(entry.offset);
                room.untold &= !entry.is_answer;
                room.owed = false;
            }
            self.entries.pop_front();
        }
    }

    /// The payload of a ping to send in front of what comes next, when it is time for one.
    pub fn probe(&mut self, end: u64, now_ms: u64) -> Option<[u8; 4]> {
        let due = self.is_session && self.probed_ms + CONFIRM_INTERVAL_MS <= now_ms;
        if !due || self.probe.is_some() || self.entries.is_empty() {
            return None;
        }
        self.probed_ms = now_ms;
        self.start_probe(end, now_ms)
    }

    /// As [`DeliveryLog::probe`], at once if there is anything to ask.
    pub fn start_probe(&mut self, end: u64, now_ms: u64) -> Option<[u8; 4]> {
        if self.entries.is_empty() {
            return None;
        }
        self.probes = self.probes.wrapping_add(1);
        let sent_ms = self.probe.map_or(now_ms, |probe| probe.sent_ms.min(now_ms));
        self.probe = Some(Probe { token: self.probes, end, sent_ms });
        Some(self.probes.to_be_bytes())
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_probe_ms(&self) -> Option<u64> {
        let waits = self.is_session && self.probe.is_none() && !self.entries.is_empty();
        waits.then_some(self.probed_ms + CONFIRM_INTERVAL_MS)
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

    /// Whether the kernel's word counts for all of it: no ping has gone unanswered for long, and the client has shown
    /// that it has what it had missed.
    #[must_use]
    pub fn trusts(&self, now_ms: u64) -> bool {
        let patient = self.probe.is_none_or(|probe| probe.sent_ms + PONG_PATIENCE_MS > now_ms);
        patient && !self.entries.iter().any(|entry| entry.is_answer && entry.end > self.heard)
    }

    /// The connection ends: of the bytes written, the kernel knows these to be acknowledged.
    pub fn end(&mut self, acknowledged: u64, now_ms: u64) {
        if self.probe.is_some_and(|probe| probe.sent_ms + PONG_PATIENCE_MS <= now_ms) {
            return;
        }
        let doubtful = |entry: &&Entry| entry.is_answer && entry.end > self.heard;
        let trusted = self.entries.iter().find(doubtful).map_or(u64::MAX, |entry| entry.end - 1);
        self.confirm(acknowledged.min(trusted));
    }

    /// Up to where the client has certainly got each room: in no stream at all, where it must hear of a gap.
    pub fn positions(&self) -> impl Iterator<Item = SessionRoom> {
        self.rooms.iter().map(|room| SessionRoom {
            room: Arc::clone(&room.name),
            epoch: if room.untold { Epoch(0) } else { room.epoch },
            offset: room.offset,
        })
    }

    /// The rooms of which something is on its way.
    pub fn unconfirmed(&self) -> impl Iterator<Item = SessionRoom> {
        let waits = |room: &&Room| room.owed || self.entries.iter().any(|entry| entry.number == room.number);
        self.rooms.iter().filter(waits).map(|room| SessionRoom {
            room: Arc::clone(&room.name),
            epoch: room.epoch,
            offset: room.offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> DeliveryLog {
        let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
        log.enter(1, &"a".into(), Epoch(1), 0);
        log.enter(2, &"b".into(), Epoch(2), 10);
        for (number, offset, end) in [(1, 1, 100), (2, 11, 200), (1, 2, 300), (2, 12, 400)] {
            log.note(number, offset, end);
        }
        log
    }

    fn offsets(log: &DeliveryLog) -> Vec<Offset> {
        log.positions().map(|room| room.offset).collect()
    }

    #[test]
    fn a_pong_confirms_what_was_before_its_ping() {
        let mut log = log();
        let ping = log.probe(300, 5_000).expect("it is time");
        assert!(log.probe(400, 9_000).is_none(), "one at a time");
        assert!(!log.pong(b"1234"));
        assert!(log.pong(&ping));
        assert_eq!(offsets(&log), [2, 11]);
        assert!(log.probe(400, 5_100).is_none(), "not so soon again");
        assert_eq!(log.next_probe_ms(), Some(6_000));
    }

    #[test]
    fn the_kernel_is_believed_while_pings_are_answered() {
        let mut trusting = log();
        trusting.end(250, 9_000);
        assert_eq!(offsets(&trusting), [1, 11]);
        assert_eq!(trusting.unconfirmed().map(|room| room.offset).collect::<Vec<_>>(), [1, 11]);
        let mut wary = log();
        wary.start_probe(400, 1_000).expect("there is something to ask");
        wary.end(400, 1_000 + PONG_PATIENCE_MS);
        assert_eq!(offsets(&wary), [0, 10], "something takes bytes and does not deliver them");
    }

    #[test]
    fn what_was_missed_is_given_again_until_the_client_shows_that_it_has_it() {
        let mut silent = DeliveryLog { is_session: true, ..DeliveryLog::default() };
        silent.enter(1, &"a".into(), Epoch(1), 5);
        silent.note_answer(1, 9, 1_000);
        silent.note(1, 10, 1_100);
        silent.end(1_100, 0);
        assert_eq!(offsets(&silent), [5]);
        let mut talking = DeliveryLog { is_session: true, ..DeliveryLog::default() };
        talking.enter(1, &"a".into(), Epoch(1), 5);
        talking.note_answer(1, 9, 1_000);
        talking.note(1, 10, 1_100);
        talking.heard(1_000);
        talking.end(1_100, 0);
        assert_eq!(offsets(&talking), [10]);
    }

    #[test]
    fn a_gap_is_told_until_the_client_has_heard_of_it() {
        let mut log = log();
        log.enter_anew(1, &"a".into(), Epoch(3), 7);
        log.confirm(400);
        let room = |log: &DeliveryLog| log.positions().next().map(|room| (room.epoch, room.offset));
        assert_eq!(
            room(&log),
            Some((Epoch(0), 7)),
            "and what was on its way in the old stream counts no more"
        );
        log.note(1, 8, 500);
        log.confirm(500);
        assert_eq!(room(&log), Some((Epoch(0), 8)));
        log.note_answer(1, 8, 600);
        log.confirm(600);
        assert_eq!(room(&log), Some((Epoch(3), 8)));
    }

    #[test]
    fn what_was_given_and_never_queued_is_unconfirmed() {
        let mut log = DeliveryLog::default();
        log.enter(1, &"a".into(), Epoch(1), 4);
        log.owe(1);
        log.end(u64::MAX, 0);
        assert_eq!(log.unconfirmed().map(|room| room.offset).collect::<Vec<_>>(), [4]);
        log.note_answer(1, 6, 100);
        log.confirm(100);
        assert_eq!(log.unconfirmed().count(), 0);
    }

    #[test]
    fn a_long_log_gets_coarser_and_never_too_new() {
        let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
        log.enter(1, &"a".into(), Epoch(1), 0);
        for offset in 1..=10 * ENTRIES_MAX as u64 {
            log.note(1, offset, offset * 10);
            assert!(log.entries.len() <= ENTRIES_MAX);
        }
        for place in [5, 777, 50_000, 102_399, 102_400] {
            log.confirm(place);
            assert!(offsets(&log)[0] <= place / 10);
        }
        assert_eq!(offsets(&log), [10 * ENTRIES_MAX as u64]);
    }

    #[test]
    fn a_room_that_was_left_is_not_resumed() {
        let mut log = log();
        log.leave(1);
        log.confirm(400);
        assert_eq!(log.positions().map(|room| room.room.to_string()).collect::<Vec<_>>(), ["b"]);
    }
}
