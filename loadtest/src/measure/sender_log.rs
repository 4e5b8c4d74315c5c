//! What each member has heard of each sender, where messages bear no offsets: losses and duplicates are found as ever,
//! and order within each sender's messages. That two senders' messages come in one order for all cannot be told.

use super::marker::Mark;
use super::window::{Sight, Window};
use crate::scenario::Layout;

/// A window for every pair of members of a room.
pub(super) struct SenderLog {
    layout: Layout,
    /// Where each room's windows begin.
    bases: Vec<usize>,
    windows: Vec<Window>,
    /// For each sender the newest of its messages that anybody heard.
    newest: Vec<u32>,
}

/// The number of windows that it takes, as far as it can be counted.
pub(crate) fn windows_of(layout: &Layout) -> usize {
    (0..layout.rooms())
        .fold(0, |sum: usize, room| sum.saturating_add(layout.members_of(room).len().saturating_pow(2)))
}

impl SenderLog {
    /// Nothing was heard.
    pub(super) fn new(layout: Layout) -> Self {
        let mut bases = Vec::with_capacity(layout.rooms());
        let mut windows = 0;
        for room in 0..layout.rooms() {
            bases.push(windows);
            windows += layout.members_of(room).len().pow(2);
        }
        let newest = vec![0; layout.connections()];
        Self { layout, bases, windows: vec![Window::starting_at(1); windows], newest }
    }

    /// Takes notice of a delivery to a member of the sender's room; both must exist.
    #[inline]
    pub(super) fn observe(&mut self, member: usize, mark: Mark) -> Sight {
        let sender = mark.sender as usize;
        let layout = &self.layout;
        let room = layout.room_of(member);
        let place = layout.place_of(member) * layout.members_of(room).len() + layout.place_of(sender);
        let newest = &mut self.newest[sender];
        *newest = mark.sequence.max(*newest);
        self.windows[self.bases[room] + place].observe(u64::from(mark.sequence))
    }

    /// Messages that somebody has heard, or a later one of their senders.
    pub(super) fn messages(&self) -> u64 {
        self.newest.iter().map(|newest| u64::from(*newest)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_own_window() {
        let layout = Layout::new(5, 2, 0.0);
        assert_eq!(windows_of(&layout), 9 + 4);
        let mut log = SenderLog::new(layout);
        for member in 0..5 {
            for sender in (member % 2..5).step_by(2) {
                let mark =
                    Mark { sender: u32::try_from(sender).expect("small"), sequence: 1, intended_us: 0 };
                assert_eq!(log.observe(member, mark), Sight::Next, "{member} hears {sender}");
                assert_eq!(log.observe(member, mark), Sight::Duplicate, "{member} hears {sender}");
            }
        }
        assert_eq!(log.messages(), 5);
    }
}
