//! Which message is at which offset of a room: the first member to see it writes it down, all others compare.

use super::marker::Mark;
use super::window::{Sight, Window};
use crate::scenario::Layout;

/// Messages of a room that are remembered for comparison, at least and at most.
const RING_ENTRIES: std::ops::RangeInclusive<usize> = 64..=65_536;
/// How far, in seconds, one member may be behind another and still be compared.
const RING_SECONDS: f64 = 10.0;

/// The newest messages of every room, in one ring for each.
pub(super) struct RoomLog {
    entries: Vec<Entry>,
    /// For each room where its entries are.
    rings: Vec<Ring>,
    /// For each sender its messages, as they were written down.
    senders: Vec<Window>,
    messages: u64,
}

#[derive(Clone, Copy)]
struct Ring {
    begin: usize,
    /// Number of entries, a power of two, less one.
    mask: u64,
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
            Ring { begin: begin - count, mask: count as u64 - 1 }
        };
        let rings = (0..layout.rooms()).map(&mut ring).collect();
        Self {
            entries: vec![Entry::default(); begin],
            rings,
            senders: vec![Window::starting_at(1); layout.connections()],
            messages: 0,
        }
    }

    /// Distinct messages that were written down.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Compares a delivery with what is written down, or writes it down. The room and the sender must exist.
    #[inline]
    pub(super) fn compare(&mut self, room: usize, mark: Mark, offset: u64) -> Compared {
        let Ring { begin, mask } = self.rings[room];
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
        self.entries[place] = Entry { offset, sender: mark.sender, sequence: mark.sequence, repeated };
        self.messages += u64::from(!repeated);
        match sight {
            Sight::Next | Sight::Ahead => Compared::Same,
            Sight::Late => Compared::Overtaken,
            Sight::Duplicate => Compared::Repeated,
        }
    }
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
}
