//! Whether every member of a room saw every message, once, in the one order. A few words of state for each member, no
//! allocation for a delivery.
//!
//! Three questions are asked of a delivery: is its offset the next at this member (else: a gap, a late one, or one
//! seen before); did all members see the same message at this offset of the room (`room_log`); and is it new in the room, rather than a message that was published twice.

mod absence;

use std::collections::HashSet;

use super::faults::Faults;
use super::marker::Mark;
use super::room_log::{Compared, RoomDigest, RoomLog};
use super::sender_log::SenderLog;
use super::window::{Sight, Window};
use crate::scenario::Layout;
use absence::Stream;

pub(crate) use absence::Absences;

/// The state of all checks.
pub(crate) struct Checker {
    layout: Layout,
    members: Vec<Member>,
    /// For each room the messages that were sent to it.
    sent: Vec<u64>,
    log: RoomLog,
    /// Instead of the log, where messages bear no offsets.
    senders: Option<SenderLog>,
    faults: Faults,
    deliveries: u64,
    uncompared: u64,
    absences: Absences,
    /// For each room the streams that it has had, where members may come back.
    streams: Vec<Vec<Stream>>,
    /// Some room has had several.
    is_renewed: bool,
    /// Messages, as sender and number, that may have ended with their sender; they are not among the sent.
    doubtful: HashSet<(u32, u32)>,
}

/// What one connection has seen of its room.
struct Member {
    offsets: Window,
    /// The offset at which it joined.
    joined_at: u64,
    /// Distinct offsets seen, whosever messages they were.
    offsets_seen: u64,
    /// Messages that were sent to its room before it joined.
    sent_before: u64,
    /// Distinct messages of this run seen.
    received: u64,
    /// Messages that it should have seen; fixed when it leaves, else all that were sent to its room since it joined.
    expected: Option<u64>,
    /// Messages that went past while it was away.
    missed: u64,
    /// Which of its room's streams it is in.
    stream: Option<usize>,
    /// The newest offset, and the number of those seen, when it went away last.
    left_at: (u64, u64),
}

impl Checker {
    /// `rate` is the messages a second over all rooms, from which the memory of each room follows; `has_offsets` says
    /// whether every message bears its place in the room.
    pub(crate) fn new(layout: Layout, rate: f64, has_offsets: bool) -> Self {
        Self {
            members: std::iter::repeat_with(Member::absent).take(layout.connections()).collect(),
            sent: vec![0; layout.rooms()],
            streams: std::iter::repeat_with(Vec::new).take(layout.rooms()).collect(),
            log: RoomLog::new(&layout, rate),
            senders: (!has_offsets).then(|| SenderLog::new(layout.clone())),
            layout,
            faults: Faults::default(),
            deliveries: 0,
            uncompared: 0,
            absences: Absences::default(),
            is_renewed: false,
            doubtful: HashSet::new(),
        }
    }

    /// The connection has joined its room, whose newest message had this offset.
    pub(crate) fn on_joined(&mut self, index: usize, offset: u64) {
        self.members[index] = Member {
            offsets: Window::starting_at(offset.saturating_add(1)),
            joined_at: offset,
            offsets_seen: 0,
            sent_before: self.sent[self.layout.room_of(index)],
            received: 0,
            expected: None,
            missed: 0,
            stream: None,
            left_at: (0, 0),
        };
    }

    /// The connection has left, or is from now on none of our concern with `forgiven`.
    pub(crate) fn on_left(&mut self, index: usize, forgiven: bool) {
        let sent = self.sent[self.layout.room_of(index)];
        let member = &mut self.members[index];
        let expected = if forgiven { 0 } else { sent.saturating_sub(member.sent_before) };
        member.expected.get_or_insert(expected);
    }

    /// A message was sent to a room.
    pub(crate) fn on_sent(&mut self, room: usize) {
        self.sent[room] += 1;
    }

    /// The last message was not sent after all.
    pub(crate) fn on_unsent(&mut self, room: usize) {
        self.sent[room] -= 1;
    }

    /// How many messages were sent to each room.
    pub(crate) fn sent(&self) -> &[u64] {
        &self.sent
    }

    /// So many messages were sent to each room in all, those of other generators included.
    pub(crate) fn all_sent(&mut self, rooms: &[u64]) {
        self.sent.iter_mut().zip(rooms).for_each(|(sent, all)| *sent = *all);
    }

    /// What was seen of each room.
    pub(crate) fn digests(&self) -> Vec<RoomDigest> {
        self.log.digests().to_vec()
    }

    /// A message that bears our mark, but cannot be read.
    pub(crate) fn on_malformed(&mut self) {
        self.faults.malformed += 1;
    }

    /// A message of somebody else took an offset of the connection's room.
    pub(crate) fn on_foreign(&mut self, index: usize, offset: u64) {
        let member = &mut self.members[index];
        if !matches!(member.offsets.observe(offset), Sight::Duplicate) {
            member.offsets_seen += 1;
        }
    }

    /// One of our messages reached connection `index` at this offset. The hot path.
    #[inline]
    pub(crate) fn on_delivery(&mut self, index: usize, mark: Mark, offset: u64) {
        self.deliveries += 1;
        let room = self.layout.room_of(index);
        if self.is_misrouted(room, mark) {
            self.faults.misrouted += 1;
            return;
        }
        if !self.doubtful.is_empty() && self.doubtful.remove(&(mark.sender, mark.sequence)) {
            self.sent[room] += 1;
        }
        let compared = if self.is_renewed && self.is_behind(index, room) {
            Compared::Forgotten
        } else {
            self.log.compare(room, mark, offset)
        };
        let member = &mut self.members[index];
        match member.offsets.observe(offset) {
            Sight::Duplicate if !matches!(compared, Compared::Different) => {
                self.faults.duplicates += 1;
                return;
            }
            Sight::Duplicate => {}
            Sight::Late => {
                self.faults.order += 1;
                member.offsets_seen += 1;
            }
            Sight::Next | Sight::Ahead => member.offsets_seen += 1,
        }
        match compared {
            Compared::Repeated => {
                self.faults.duplicates += 1;
                return;
            }
            Compared::Same => {}
            Compared::Overtaken | Compared::Different => self.faults.order += 1,
            Compared::Forgotten => self.uncompared += 1,
        }
        member.received += 1;
    }

    /// One of our messages, which bears no offset, reached connection `index`. The hot path.
    #[inline]
    pub(crate) fn on_unnumbered(&mut self, index: usize, mark: Mark) {
        self.deliveries += 1;
        let is_misrouted = self.is_misrouted(self.layout.room_of(index), mark);
        let Some(senders) = self.senders.as_mut().filter(|_| !is_misrouted) else {
            self.faults.misrouted += 1;
            return;
        };
        match senders.observe(index, mark) {
            Sight::Next | Sight::Ahead => {}
            Sight::Late => self.faults.order += 1,
            Sight::Duplicate => {
                self.faults.duplicates += 1;
                return;
            }
        }
        self.members[index].received += 1;
    }

    /// Whether the sender is not in this room.
    #[inline]
    fn is_misrouted(&self, room: usize, mark: Mark) -> bool {
        let sender = mark.sender as usize;
        sender >= self.members.len() || self.layout.room_of(sender) != room
    }

    /// Deliveries so far, faulty ones included.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Deliveries that came too late after others of their room to be compared with them.
    pub(crate) fn uncompared(&self) -> u64 {
        self.uncompared
    }

    /// Messages that no member has seen, so that the server probably did not accept them.
    pub(crate) fn unseen(&self) -> u64 {
        let seen = self.senders.as_ref().map_or(self.log.messages(), SenderLog::messages);
        self.sent.iter().sum::<u64>().saturating_sub(seen)
    }

    /// Whether no delivery is outstanding.
    pub(crate) fn is_complete(&self) -> bool {
        (0..self.members.len()).all(|index| self.missing(index) == 0)
    }

    fn missing(&self, index: usize) -> u64 {
        let member = &self.members[index];
        let sent = self.sent[self.layout.room_of(index)];
        let expected = member.expected.unwrap_or(sent.saturating_sub(member.sent_before));
        expected.saturating_sub(member.received).saturating_sub(member.missed)
    }

    /// Counts what is outstanding as lost for good, so that nobody waits for it any more.
    pub(crate) fn write_off(&mut self) {
        for index in 0..self.members.len() {
            let missing = self.missing(index);
            let member = &mut self.members[index];
            self.faults.lost += missing;
            member.received += missing;
            // What is lost took an offset, in all likelihood.
            member.offsets_seen += missing;
        }
    }

    /// All faults; what is outstanding now counts as lost.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = self.faults;
        for (index, member) in self.members.iter().enumerate() {
            let missing = self.missing(index);
            faults.lost += missing;
            if member.expected.is_none() {
                let passed = member.offsets.newest().saturating_sub(member.joined_at);
                faults.order += passed.saturating_sub(member.offsets_seen).saturating_sub(missing);
            }
        }
        faults
    }
}

impl Member {
    /// Before joining, and when connecting failed: nothing is expected.
    fn absent() -> Self {
        Self {
            offsets: Window::starting_at(1),
            joined_at: 0,
            offsets_seen: 0,
            sent_before: 0,
            received: 0,
            expected: Some(0),
            missed: 0,
            stream: None,
            left_at: (0, 0),
        }
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("settings allow far fewer connections")
}

#[cfg(test)]
mod tests;
