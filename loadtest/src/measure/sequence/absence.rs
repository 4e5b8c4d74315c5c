//! Members that go away and come back: what they may miss, what a recovery owes them, and messages that may have ended
//! with their sender.

use serde::{Deserialize, Serialize};

use super::{Checker, Mark, Window, narrow};

/// What became of members that were away, in deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Absences {
    /// Went past while a member was away that did not ask for them, or was told that they are gone. No loss.
    pub(crate) missed: u64,
    /// Were given again by a recovery.
    pub(crate) recovered: u64,
    /// Were not given by a recovery that claims to be complete; they count as lost too.
    pub(crate) gaps: u64,
    /// Were given by a recovery to a member that had them; they count as duplicates too.
    pub(crate) duplicates: u64,
    /// Members that asked for a recovery and were refused one.
    pub(crate) refused: u64,
}

/// The time in which a room's offsets count on: from one epoch to the next.
pub(super) struct Stream {
    epoch: String,
    /// The offset that the first of us joined at.
    base: u64,
    /// Messages in the room's streams before this one.
    before: u64,
}

impl Stream {
    /// How many messages of all streams are up to this offset.
    fn position(&self, offset: u64) -> u64 {
        self.before + offset.saturating_sub(self.base)
    }
}

impl Checker {
    /// The epoch and the offset that a member has come to; `None` before its first join.
    pub(crate) fn position(&self, index: usize) -> Option<(&str, u64)> {
        let member = &self.members[index];
        let stream = &self.streams[self.layout.room_of(index)][member.stream?];
        Some((&stream.epoch, member.offsets.newest()))
    }

    /// A member is away, and nothing is expected of it. `last` is the number of its last message, when that and those
    /// before it may not have reached the server.
    pub(crate) fn on_away(&mut self, index: usize, last: Option<u32>) {
        let member = &mut self.members[index];
        member.expected = Some(0);
        member.left_at = (member.offsets.newest(), member.offsets_seen);
        let (room, sender) = (self.layout.room_of(index), narrow(index));
        for sequence in last.map(|last| self.log.unseen(index, last)).unwrap_or_default() {
            if self.doubtful.insert((sender, sequence)) {
                self.sent[room] -= 1;
            }
        }
    }

    /// The connection has joined its room, whose newest message has this offset in this epoch; for the first time, or
    /// again. `recovered` is what the answer says of a recovery that was asked for; what it brought was told before.
    pub(crate) fn on_entered(&mut self, index: usize, epoch: &str, offset: u64, recovered: Option<bool>) {
        let room = self.layout.room_of(index);
        let now = self.stream(room, epoch, offset);
        let Some(then) = self.members[index].stream else {
            self.on_joined(index, offset);
            self.members[index].stream = Some(now);
            return;
        };
        let streams = &self.streams[room];
        let member = &mut self.members[index];
        member.expected = None;
        if recovered == Some(true) && then == now {
            let (newest, seen) = member.left_at;
            self.absences.gaps += offset.saturating_sub(newest).saturating_sub(member.offsets_seen - seen);
            return;
        }
        // Who claims to continue another stream, or goes back in one, is wrong about order.
        let is_wrong = recovered == Some(true) || (then == now && offset < member.offsets.newest());
        self.faults.order += u64::from(is_wrong);
        self.absences.refused += u64::from(recovered == Some(false));
        let had = streams[then].position(member.offsets.newest());
        let missed = streams[now].position(offset).saturating_sub(had);
        member.missed += missed;
        self.absences.missed += missed;
        member.offsets = Window::starting_at(offset.saturating_add(1));
        (member.joined_at, member.offsets_seen, member.stream) = (offset, 0, Some(now));
    }

    /// A recovery brought one of our messages.
    pub(crate) fn on_recovered(&mut self, index: usize, mark: Mark, offset: u64) {
        let before = self.faults.duplicates;
        self.on_delivery(index, mark, offset);
        self.absences.recovered += 1;
        self.absences.duplicates += self.faults.duplicates - before;
    }

    /// What became of those who were away.
    pub(crate) fn absences(&self) -> Absences {
        self.absences
    }

    /// Messages that ended with their sender, as far as anybody can tell: it was cut off, and nobody has seen them.
    pub(crate) fn cut_off(&self) -> u64 {
        self.doubtful.len() as u64
    }

    /// Whether a member is in a stream that its room has left behind.
    pub(super) fn is_behind(&self, index: usize, room: usize) -> bool {
        self.members[index].stream.is_some_and(|stream| stream + 1 < self.streams[room].len())
    }

    fn stream(&mut self, room: usize, epoch: &str, offset: u64) -> usize {
        let streams = &mut self.streams[room];
        if let Some(known) = streams.iter().rposition(|stream| stream.epoch == epoch) {
            return known;
        }
        let before = streams.last().map_or(0, |last| last.position(self.log.newest(room)));
        if !streams.is_empty() {
            self.is_renewed = true;
            self.log.restart(room);
        }
        streams.push(Stream { epoch: epoch.to_owned(), base: offset, before });
        streams.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Faults;
    use crate::scenario::Layout;

    fn mark(sequence: u32) -> Mark {
        Mark { sender: 0, sequence, intended_us: 0 }
    }

    /// Connections 0, which sends, and 1 in one room whose newest offset is 40; both see message 1 at 41.
    fn checker() -> Checker {
        let mut checker = Checker::new(Layout::new(2, 1, 0.0), 100.0, true);
        for index in [0, 1] {
            checker.on_entered(index, "e", 40, None);
        }
        send(&mut checker, 1, &[0, 1]);
        checker
    }

    /// Message `sequence` at offset 40 + `sequence`, as these members see it.
    fn send(checker: &mut Checker, sequence: u32, seen_by: &[usize]) {
        checker.on_sent(0);
        for index in seen_by {
            checker.on_delivery(*index, mark(sequence), 40 + u64::from(sequence));
        }
    }

    #[test]
    fn who_comes_back_without_recovery_has_missed_and_lost_nothing() {
        let mut checker = checker();
        checker.on_away(1, Some(0));
        send(&mut checker, 2, &[0]);
        send(&mut checker, 3, &[0]);
        assert!(checker.is_complete(), "nothing is expected of who is away");
        checker.on_entered(1, "e", 43, None);
        send(&mut checker, 4, &[0, 1]);
        assert_eq!(checker.absences(), Absences { missed: 2, ..Absences::default() });
        assert_eq!((checker.faults(), checker.is_complete()), (Faults::default(), true));
        send(&mut checker, 5, &[0]);
        assert_eq!(checker.faults().lost, 1, "a loss after the return is one");
    }

    #[test]
    fn a_whole_recovery_is_no_fault_and_a_lost_one_is_a_gap_and_a_loss() {
        for (brought, gaps) in [(&[2, 3][..], 0), (&[2], 1), (&[3], 1), (&[], 2)] {
            let mut checker = checker();
            checker.on_away(1, Some(0));
            send(&mut checker, 2, &[0]);
            send(&mut checker, 3, &[0]);
            assert_eq!(checker.position(1), Some(("e", 41)));
            for sequence in brought {
                checker.on_recovered(1, mark(*sequence), 40 + u64::from(*sequence));
            }
            checker.on_entered(1, "e", 43, Some(true));
            let recovered = brought.len() as u64;
            assert_eq!(checker.absences(), Absences { recovered, gaps, ..Absences::default() });
            assert_eq!(checker.faults(), Faults { lost: gaps, ..Faults::default() });
        }
    }

    #[test]
    fn what_a_recovery_brings_again_is_a_duplicate() {
        let mut checker = checker();
        checker.on_away(1, Some(0));
        checker.on_recovered(1, mark(1), 41);
        checker.on_entered(1, "e", 41, Some(true));
        assert_eq!(checker.absences().duplicates, 1);
        assert_eq!(checker.faults(), Faults { duplicates: 1, ..Faults::default() });
    }

    #[test]
    fn messages_that_end_with_their_sender_are_expected_only_if_they_turn_up() {
        let mut checker = checker();
        send(&mut checker, 2, &[]);
        send(&mut checker, 3, &[]);
        checker.on_away(0, Some(3));
        assert_eq!((checker.cut_off(), checker.is_complete()), (2, true));
        checker.on_delivery(1, mark(2), 42);
        assert_eq!((checker.cut_off(), checker.faults()), (1, Faults::default()));
        checker.on_entered(0, "e", 41, None);
        assert_eq!(checker.faults().lost, 1, "the sender must see it too");
    }

    #[test]
    fn a_restarted_server_begins_another_stream() {
        let mut checker = checker();
        send(&mut checker, 2, &[0]);
        checker.on_away(0, Some(2));
        checker.on_away(1, Some(0));
        checker.on_entered(0, "f", 0, Some(false));
        // In the new stream offsets begin anew.
        checker.on_sent(0);
        checker.on_delivery(0, mark(3), 1);
        checker.on_entered(1, "f", 1, Some(false));
        checker.on_sent(0);
        [0, 1].into_iter().for_each(|index| checker.on_delivery(index, mark(4), 2));
        assert_eq!(checker.absences(), Absences { missed: 2, refused: 2, ..Absences::default() });
        assert_eq!((checker.faults(), checker.uncompared()), (Faults::default(), 0));
    }

    #[test]
    fn going_back_in_a_stream_is_a_fault() {
        let mut checker = checker();
        checker.on_away(1, Some(0));
        checker.on_entered(1, "e", 40, None);
        assert_eq!(checker.faults().order, 1);
    }
}
