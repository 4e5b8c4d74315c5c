//! Whether every member of a room saw every message, once, in the one order. A few words of state for each member, no
//! allocation for a delivery.
//!
//! Three questions are asked of a delivery: is its offset the next at this member (else: a gap, a late one, or one
//! seen before); did all members see the same message at this offset of the room (`room_log`); and is it new in the room, rather than a message that was published twice.

use super::faults::Faults;
use super::marker::Mark;
use super::room_log::{Compared, RoomDigest, RoomLog};
use super::sender_log::SenderLog;
use super::window::{Sight, Window};
use crate::scenario::Layout;

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
}

impl Checker {
    /// `rate` is the messages a second over all rooms, from which the memory of each room follows; `has_offsets` says
    /// whether every message bears its place in the room.
    pub(crate) fn new(layout: Layout, rate: f64, has_offsets: bool) -> Self {
        Self {
            members: std::iter::repeat_with(Member::absent).take(layout.connections()).collect(),
            sent: vec![0; layout.rooms()],
            log: RoomLog::new(&layout, rate),
            senders: (!has_offsets).then(|| SenderLog::new(layout.clone())),
            layout,
            faults: Faults::default(),
            deliveries: 0,
            uncompared: 0,
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
        let compared = self.log.compare(room, mark, offset);
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
        expected.saturating_sub(member.received)
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members in one room; connection 0 sends messages 1 to `sent`.
    fn checker(sent: u64) -> Checker {
        let mut checker = Checker::new(Layout::new(2, 1, 0.0), 100.0, true);
        checker.on_joined(0, 40);
        checker.on_joined(1, 40);
        (0..sent).for_each(|_| checker.on_sent(0));
        checker
    }

    fn mark(sequence: u32) -> Mark {
        Mark { sender: 0, sequence, intended_us: 0 }
    }

    /// Member 0 sees messages 1 to `sent` at offsets 41 on; member 1 sees `seen`, as (message, offset).
    fn faults_when(sent: u32, seen: &[(u32, u64)]) -> Faults {
        let mut checker = checker(u64::from(sent));
        for sequence in 1..=sent {
            checker.on_delivery(0, mark(sequence), 40 + u64::from(sequence));
        }
        for (sequence, offset) in seen {
            checker.on_delivery(1, mark(*sequence), *offset);
        }
        checker.faults()
    }

    #[test]
    fn a_perfect_run_has_no_faults() {
        assert_eq!(faults_when(3, &[(1, 41), (2, 42), (3, 43)]), Faults::default());
    }

    #[test]
    fn a_planted_loss_is_one_loss_wherever_it_is() {
        let lost = Faults { lost: 1, ..Faults::default() };
        assert_eq!(faults_when(3, &[(2, 42), (3, 43)]), lost);
        assert_eq!(faults_when(3, &[(1, 41), (3, 43)]), lost);
        assert_eq!(faults_when(3, &[(1, 41), (2, 42)]), lost);
    }

    #[test]
    fn a_planted_duplicate_is_one_duplicate_and_hides_no_loss() {
        assert_eq!(
            faults_when(3, &[(1, 41), (1, 41), (2, 42), (3, 43)]),
            Faults { duplicates: 1, ..Faults::default() }
        );
        assert_eq!(
            faults_when(3, &[(1, 41), (2, 42), (2, 42)]),
            Faults { duplicates: 1, lost: 1, ..Faults::default() }
        );
    }

    #[test]
    fn a_planted_swap_is_one_order_fault() {
        let swapped = faults_when(4, &[(1, 41), (3, 43), (2, 42), (4, 44)]);
        assert_eq!(swapped, Faults { order: 1, ..Faults::default() });
    }

    #[test]
    fn members_that_disagree_about_an_offset_are_found() {
        let disagreeing = faults_when(3, &[(1, 41), (3, 42), (2, 43)]);
        assert_eq!(disagreeing, Faults { order: 2, ..Faults::default() });
        // Two messages at one offset: the second is no duplicate.
        assert_eq!(faults_when(2, &[(1, 41), (2, 41)]), Faults { order: 1, ..Faults::default() });
    }

    #[test]
    fn a_message_published_twice_is_a_duplicate_at_each_member() {
        let mut checker = checker(2);
        for member in [0, 1] {
            for (sequence, offset) in [(1, 41), (1, 42), (2, 43)] {
                checker.on_delivery(member, mark(sequence), offset);
            }
        }
        assert_eq!(checker.faults(), Faults { duplicates: 2, ..Faults::default() });
    }

    #[test]
    fn messages_of_one_sender_that_overtake_each_other_are_found() {
        let mut checker = checker(2);
        for member in [0, 1] {
            for (sequence, offset) in [(2, 41), (1, 42)] {
                checker.on_delivery(member, mark(sequence), offset);
            }
        }
        assert_eq!(checker.faults(), Faults { order: 1, ..Faults::default() });
    }

    #[test]
    fn offsets_that_skip_without_a_loss_are_order_faults_but_foreign_messages_are_not() {
        let mut checker = checker(2);
        checker.on_delivery(0, mark(1), 41);
        checker.on_foreign(0, 42);
        checker.on_delivery(0, mark(2), 43);
        checker.on_delivery(1, mark(1), 41);
        checker.on_delivery(1, mark(2), 43);
        assert_eq!(checker.faults(), Faults { order: 1, ..Faults::default() });
    }

    #[test]
    fn without_offsets_each_sender_is_followed_alone() {
        // Two senders; member 1 sees their messages interleaved otherwise than member 0, which cannot be told.
        let faults_when = |seen: &[(u32, u32)]| {
            let mut checker = Checker::new(Layout::new(2, 1, 0.0), 100.0, false);
            checker.on_joined(0, 0);
            checker.on_joined(1, 0);
            for (sender, sequence) in [(0, 1), (1, 1), (0, 2), (0, 3)] {
                checker.on_sent(0);
                checker.on_unnumbered(0, Mark { sender, sequence, intended_us: 0 });
            }
            for (sender, sequence) in seen {
                checker.on_unnumbered(1, Mark { sender: *sender, sequence: *sequence, intended_us: 0 });
            }
            assert_eq!(checker.unseen(), 0);
            checker.faults()
        };
        assert_eq!(faults_when(&[(1, 1), (0, 1), (0, 2), (0, 3)]), Faults::default());
        assert_eq!(faults_when(&[(0, 1), (0, 3), (1, 1)]), Faults { lost: 1, ..Faults::default() });
        assert_eq!(
            faults_when(&[(0, 1), (0, 3), (0, 2), (0, 2), (1, 1)]),
            Faults { order: 1, duplicates: 1, ..Faults::default() }
        );
        assert_eq!(
            faults_when(&[(0, 1), (0, 2), (0, 3), (7, 1)]),
            Faults { lost: 1, misrouted: 1, ..Faults::default() }
        );
    }

    #[test]
    fn who_left_misses_nothing_afterwards_and_who_is_forgiven_nothing_at_all() {
        let mut checker = checker(1);
        checker.on_left(1, false);
        checker.on_sent(0);
        assert_eq!(checker.faults().lost, 3);
        assert_eq!(checker.unseen(), 2);
        checker.on_delivery(0, mark(1), 41);
        checker.on_delivery(0, mark(2), 42);
        assert_eq!((checker.faults().lost, checker.unseen(), checker.is_complete()), (1, 0, false));
        let mut forgiving = self::checker(1);
        forgiving.on_left(1, true);
        forgiving.on_delivery(0, mark(1), 41);
        assert!(forgiving.is_complete());
    }

    #[test]
    fn what_is_written_off_is_lost_once_and_spoils_nothing_afterwards() {
        let mut checker = checker(3);
        for (sequence, offset) in [(1, 41), (2, 42), (3, 43)] {
            checker.on_delivery(0, mark(sequence), offset);
        }
        checker.on_delivery(1, mark(1), 41);
        checker.write_off();
        let lost = Faults { lost: 2, ..Faults::default() };
        assert_eq!((checker.faults(), checker.is_complete()), (lost, true));
        checker.on_sent(0);
        checker.on_delivery(0, mark(4), 44);
        assert_eq!((checker.faults().since(lost).lost, checker.is_complete()), (1, false));
        checker.on_delivery(1, mark(4), 44);
        assert_eq!((checker.faults(), checker.is_complete()), (lost, true));
    }

    #[test]
    fn who_joins_again_misses_only_what_is_sent_from_then_on() {
        let mut checker = checker(2);
        for (sequence, offset) in [(1, 41), (2, 42)] {
            checker.on_delivery(0, mark(sequence), offset);
        }
        checker.on_left(1, false);
        checker.write_off();
        checker.on_joined(1, 42);
        assert_eq!((checker.faults().lost, checker.is_complete()), (2, true));
        checker.on_sent(0);
        checker.on_delivery(0, mark(3), 43);
        assert_eq!(checker.faults().lost, 3);
        checker.on_delivery(1, mark(3), 43);
        assert_eq!(checker.faults(), Faults { lost: 2, ..Faults::default() });
    }

    #[test]
    fn strangers_are_misrouted_and_never_panic() {
        let mut checker = Checker::new(Layout::new(2, 2, 0.0), 1.0, true);
        checker.on_delivery(0, Mark { sender: 1, ..mark(1) }, 1);
        checker.on_delivery(0, Mark { sender: u32::MAX, ..mark(1) }, u64::MAX);
        assert_eq!(checker.faults().misrouted, 2);
    }
}
