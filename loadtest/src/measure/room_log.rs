//! Which message is at which offset of a room: the first member to see it writes it down, all others compare.

use serde::{Deserialize, Serialize};

use super::marker::Mark;
use super::window::{Sight, Window};
use crate::scenario::Layout;

/// Messages of a room that are remembered for comparison, at least and at most.
const RING_ENTRIES: std::ops::RangeInclusive<usize> = 64..=65_536;
/// How far, in seconds, one member may be behind another and still be compared.
const RING_SECONDS: f64 = 10.0;

/// How far back a sender's messages are told apart.
const REMEMBERED: u64 = 64;

/// The newest messages of every room, in one ring for each.
pub(super) struct RoomLog {
    entries: Vec<Entry>,
    /// For each room where its entries are.
    rings: Vec<Ring>,
    /// For each sender its messages, as they were written down.
    senders: Vec<Window>,
    messages: u64,
    /// For each room what was written down, in short.
    digests: Vec<RoomDigest>,
}

/// Which messages a room had, at which offsets: equal for all who saw the same, in whatever order they came to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomDigest {
    pub(crate) messages: u64,
    /// A sum over hashes of offset, sender and sequence.
    pub(crate) order: u64,
}

#[derive(Clone, Copy)]
struct Ring {
    begin: usize,
    /// Number of entries, a power of two, less one.
    mask: u64,
    /// The greatest offset that was written down.
    newest: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    offset: u64,
    sender: u32,
    /// From 1; an entry that was never written has 0.
    sequence: u32,
    /// The message had been written down at another offset already.
    repeated: bool,
}

/// How a delivery stands to what is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is the same, or the first at its offset.
    Same,
    /// It is the first at its offset, and older than what its sender was heard to say before.
    Overtaken,
    /// It was in the room already, at another offset.
    Repeated,
    /// Somebody saw another message at this offset.
    Different,
    /// The offset is too old to be remembered.
    Forgotten,
}

impl RoomLog {
    /// `rate` is the messages a second over all rooms, from which the memory of each room follows.
    pub(super) fn new(layout: &Layout, rate: f64) -> Self {
        let mut begin = 0;
        let mut ring = |room| {
            let share = layout.members_of(room).len() as f64 / layout.connections() as f64;
            #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of entries")]
            let wanted = (rate * share * RING_SECONDS) as usize;
            let count = wanted.clamp(*RING_ENTRIES.start(), *RING_ENTRIES.end()).next_power_of_two();
            begin += count;
            Ring { begin: begin - count, mask: count as u64 - 1, newest: 0 }
        };
        let rings = (0..layout.rooms()).map(&mut ring).collect();
        Self {
            entries: vec![Entry::default(); begin],
            rings,
            senders: vec![Window::starting_at(1); layout.connections()],
            messages: 0,
            digests: vec![RoomDigest::default(); layout.rooms()],
        }
    }

    /// What was written down of each room.
    pub(super) fn digests(&self) -> &[RoomDigest] {
        &self.digests
    }

    /// Distinct messages that were written down.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The greatest offset of a room that was written down; 0 when there is none.
    pub(super) fn newest(&self, room: usize) -> u64 {
        self.rings[room].newest
    }

    /// The room's offsets begin anew.
    pub(super) fn restart(&mut self, room: usize) {
        let ring = &mut self.rings[room];
        let count = usize::try_from(ring.mask).expect("a number of entries, which is a usize") + 1;
        self.entries[ring.begin..ring.begin + count].fill(Entry::default());
        ring.newest = 0;
    }

    /// The messages of a sender, up to its `last`, that nobody has seen, as far as that is remembered.
    pub(super) fn unseen(&self, sender: usize, last: u32) -> Vec<u32> {
        let window = &self.senders[sender];
        let oldest = u32::try_from(window.newest().saturating_sub(REMEMBERED)).unwrap_or(u32::MAX).max(1);
        (oldest..=last).filter(|sequence| !window.has_seen(u64::from(*sequence))).collect()
    }

    /// Compares a delivery with what is written down, or writes it down. The room and the sender must exist.
    #[inline]
    pub(super) fn compare(&mut self, room: usize, mark: Mark, offset: u64) -> Compared {
        let Ring { begin, mask, newest } = self.rings[room];
        let in_ring = usize::try_from(offset & mask);
        let place = begin + in_ring.expect("below the number of entries, which is a usize");
        let entry = self.entries[place];
        if entry.offset == offset && entry.sequence > 0 {
            let same = entry.sender == mark.sender && entry.sequence == mark.sequence;
            return match (same, entry.repeated) {
                (true, false) => Compared::Same,
                (true, true) => Compared::Repeated,
                (false, _) => Compared::Different,
            };
        }
        if entry.offset > offset {
            return Compared::Forgotten;
        }
        let sight = self.senders[mark.sender as usize].observe(u64::from(mark.sequence));
        let repeated = sight == Sight::Duplicate;
        self.rings[room].newest = newest.max(offset);
        self.entries[place] = Entry { offset, sender: mark.sender, sequence: mark.sequence, repeated };
        self.messages += u64::from(!repeated);
        if !repeated {
            self.digests[room].add(mark, offset);
        }
        match sight {
            Sight::Next | Sight::Ahead => Compared::Same,
            Sight::Late => Compared::Overtaken,
            Sight::Duplicate => Compared::Repeated,
        }
    }
}

impl RoomDigest {
    fn add(&mut self, mark: Mark, offset: u64) {
        self.messages += 1;
        let message = u64::from(mark.sender) << 32 | u64::from(mark.sequence);
        self.order = self.order.wrapping_add(mix(offset ^ mix(message)));
    }
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of the number.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: u32) -> Mark {
        Mark { sender: 0, sequence, intended_us: 0 }
    }

    #[test]
    fn rooms_are_apart_and_old_offsets_are_forgotten() {
        let mut log = RoomLog::new(&Layout::new(2, 2, 0.0), 1.0);
        assert_eq!(log.compare(0, mark(1), 5), Compared::Same);
        assert_eq!(log.compare(0, mark(1), 5), Compared::Same);
        assert_eq!(log.compare(0, mark(9), 5), Compared::Different);
        assert_eq!(log.compare(1, mark(2), 5), Compared::Same);
        let ring = 64;
        assert_eq!(log.compare(0, mark(3), 5 + ring), Compared::Same);
        assert_eq!(log.compare(0, mark(1), 5), Compared::Forgotten);
        assert_eq!(log.messages(), 3);
    }

    #[test]
    fn digests_tell_orders_apart_but_not_who_saw_them_when() {
        let digest = |seen: &[(u32, u64)]| {
            let mut log = RoomLog::new(&Layout::new(1, 1, 0.0), 1.0);
            for (sequence, offset) in seen {
                log.compare(0, mark(*sequence), *offset);
            }
            log.digests()[0]
        };
        let seen = digest(&[(1, 5), (2, 6), (3, 7)]);
        assert_eq!(digest(&[(1, 5), (3, 7), (2, 6), (2, 6)]), seen);
        assert_ne!(digest(&[(1, 5), (3, 6), (2, 7)]).order, seen.order);
        assert_eq!(digest(&[(1, 5), (2, 6), (2, 7)]).messages, 2, "a message that came twice is one");
    }
}
