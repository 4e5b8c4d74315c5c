//! A room whose session was resumed by another connection: what it gives fits behind what its client has had.

use super::super::super::ledger::{Heard, Ledger, Told};
use super::{Position, View};

/// Whether a client was told that something of a room is gone. It is told again with each resume until the server knows
/// that it has heard so, because a gap must not become a silent one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Gap {
    #[default]
    None,
    /// It has heard so.
    Told,
    /// It has answered a ping since.
    Answered,
}

/// What a resumed session says of one room.
#[derive(Debug)]
pub(in super::super) struct Replay<'a> {
    pub(in super::super) recovered: bool,
    pub(in super::super) at: &'a Position,
    pub(in super::super) missed: &'a [Heard],
    /// Whether nothing may come again: it is certain what the client had got.
    pub(in super::super) exact: bool,
}

impl Replay<'_> {
    /// Behind which offset it begins. Where that is earlier than what the client had, messages are in it that show what
    /// became of them later.
    fn from(&self, had: u64) -> u64 {
        self.missed.first().map_or(had, |first| had.min(first.offset - 1))
    }
}

impl View {
    /// An answer said that what was missed is gone, or gave it.
    pub(in super::super) fn note_recovery(&mut self, recovered: bool) {
        self.gap = if recovered { Gap::None } else { Gap::Told };
    }

    /// A ping asks how far the client has got. The next comes when the server has read the answer to the one before.
    pub(in super::super) fn note_progress(&mut self) {
        self.gap = if self.gap == Gap::Told { Gap::Answered } else { Gap::None };
    }

    /// Whether the client may be told of the same gap again.
    pub(in super::super) fn may_hear_of_gap_again(&self) -> bool {
        self.gap != Gap::None
    }

    /// The room of an earlier connection of the session, in the hands of the one that resumed it.
    pub(in super::super) fn take_over(&mut self, connection: u64, session: u64) {
        (self.connection, self.session) = (connection, session);
        // What was still due is in the answer, or lost with it.
        self.owed.clear();
    }

    /// The session was resumed by a connection that was not in the room.
    pub(in super::super) fn resume(&mut self, replay: &Replay<'_>, now_ms: u64, ledger: &mut Ledger) {
        let had = self.last.filter(|_| self.anchored);
        if had.is_none() && self.epoch != replay.at.epoch {
            // What a pattern brought before may be of an older epoch.
            self.restart(&replay.at.epoch);
        }
        self.take_missed(replay, had, ledger);
        if !replay.recovered {
            self.leave();
            self.restart(&replay.at.epoch);
        } else if let Some(had) = had {
            let told = Told::Replay(replay.from(had), replay.at.offset);
            self.miss_between(had, told, replay.at, ledger);
        }
        let since_ms = self.since_ms;
        self.epoch.clone_from(&replay.at.epoch);
        self.member = true;
        self.anchored = true;
        self.since_ms = since_ms.or(Some(now_ms));
        self.last = Some(replay.at.offset.max(self.last.unwrap_or(0)));
        self.kept = None;
        self.note_recovery(replay.recovered);
    }

    /// Messages that may be given again, because they told no place.
    pub(in super::super) fn allow_again(&mut self, unplaced: impl IntoIterator<Item = (String, u64)>) {
        self.by_answer.extend(unplaced);
    }

    /// Messages of a session that a Socket.IO client wants to take up, be it let in or not: what it missed, one by one.
    /// When it is not let in they are perhaps not all, and a change may be missing that another one behind them shows.
    pub(in super::super) fn catch_up(
        &mut self,
        missed: &[Heard],
        (exact, is_all): (bool, bool),
        ledger: &mut Ledger,
    ) {
        let had = self.last.filter(|_| self.anchored);
        let Some(last) = missed.last() else { return };
        if had.is_none() && self.epoch != last.epoch {
            // What a pattern brought before may be of an older epoch.
            self.restart(&last.epoch);
        }
        let at = Position { epoch: last.epoch.clone(), offset: last.offset.max(had.unwrap_or(0)) };
        let replay = Replay { recovered: true, at: &at, missed, exact };
        self.take_missed(&replay, had, ledger);
        // What an earlier resume gave, which did not say up to where, may show changes behind it, too.
        let from = replay.from(had.unwrap_or(0));
        let from = self.resumed_from.map_or(from, |known| known.min(from));
        self.resumed_from = Some(from);
        if let Some(had) = had {
            let to = if is_all { at.offset } else { u64::MAX };
            self.miss_between(had, Told::Replay(from, to), &at, ledger);
        }
        self.last = Some(at.offset.max(self.last.unwrap_or(0)));
        self.anchored = true;
    }

    /// The client is let in: what it has not been given by now comes live.
    ///
    /// Where the session began at another place than the last that it saw, and what is in front of that in other states,
    /// it may get once more what it had before.
    pub(in super::super) fn go_on(&mut self, inexact: bool, now_ms: u64) {
        if inexact {
            self.by_answer.extend(self.received.iter().cloned());
        }
        self.resumed_from = self.resumed_from.or(self.last);
        self.member = true;
        self.since_ms = self.since_ms.or(Some(now_ms));
        self.kept = None;
        self.note_recovery(true);
    }

    /// The session was resumed by a connection that is in the room: `past` is what the session had before, and live
    /// messages may still wait behind the answer.
    pub(in super::super) fn merge(&mut self, past: &Self, replay: &Replay<'_>, ledger: &mut Ledger) {
        let had = past.last.filter(|_| past.anchored);
        self.note_recovery(replay.recovered);
        if replay.recovered {
            self.take_missed_of(past, replay, had, ledger);
            self.received.extend(past.received.iter().cloned());
            if self.epoch.is_empty() {
                self.epoch.clone_from(&replay.at.epoch);
            }
            if let Some(had) = had {
                self.owed.push((had, replay.at.offset, replay.from(had)));
            }
        } else if !replay.missed.is_empty() {
            ledger.violate("without a recovery nothing is replayed", format!("{replay:?}"));
        }
    }

    /// At the end of a run: what a session had missed came, be it behind the answer.
    pub(in super::super) fn check_owed(&self, ledger: &mut Ledger) {
        for (had, to, from) in &self.owed {
            let absent = (had + 1..=*to).filter(|at| !self.received.contains(&(self.epoch.clone(), *at)));
            ledger.miss(self.connection, &self.room, &self.epoch, absent, Told::Replay(*from, *to));
        }
    }

    fn take_missed(&mut self, replay: &Replay<'_>, had: Option<u64>, ledger: &mut Ledger) {
        let past = self.clone();
        self.take_missed_of(&past, replay, had, ledger);
    }

    fn take_missed_of(&mut self, past: &Self, replay: &Replay<'_>, had: Option<u64>, ledger: &mut Ledger) {
        const EXACTLY: &str = "a resumed session gives what was missed, in order";
        let other = replay.recovered && had.is_some() && past.epoch != replay.at.epoch;
        // Another connection of the session may have got more meanwhile.
        let ahead = replay.exact && replay.recovered && had.is_some_and(|had| had > replay.at.offset);
        if other || ahead || (!replay.recovered && !replay.missed.is_empty()) {
            ledger.violate(EXACTLY, format!("{had:?} of {} was resumed as {replay:?}", past.epoch));
        }
        let mut last = None;
        for heard in replay.missed {
            ledger.receive(heard, self.connection, self.session);
            if replay.recovered && self.member && past.connection != self.connection {
                // What came live is newer.
                self.states.entry(heard.id.clone()).or_insert(heard.state);
            } else {
                self.states.insert(heard.id.clone(), heard.state);
            }
            let misplaced = last.is_some_and(|last| heard.offset <= last) || heard.offset > replay.at.offset;
            if misplaced || heard.epoch != replay.at.epoch || heard.room != self.room {
                ledger.violate(EXACTLY, self.says(heard));
            }
            last = Some(heard.offset);
            let again = past.received.contains(&(heard.epoch.clone(), heard.offset))
                || had.is_some_and(|had| heard.offset <= had);
            ledger.totals.resume_messages += 1;
            ledger.totals.resume_repeats += u64::from(again);
            let by_answer = past.by_answer.contains(&(heard.epoch.clone(), heard.offset));
            if again && replay.exact && !by_answer {
                let what = format!("{}; it had {had:?}", self.says(heard));
                ledger.doubt("a resumed session gives nothing twice", what);
            }
            self.received.insert((heard.epoch.clone(), heard.offset));
        }
    }

    /// What did not come behind what the client had, up to there.
    fn miss_between(&self, had: u64, told: Told, to: &Position, ledger: &mut Ledger) {
        let Position { epoch, offset } = to;
        let absent = (had + 1..=*offset).filter(|at| !self.received.contains(&(epoch.clone(), *at)));
        ledger.miss(self.connection, &self.room, epoch, absent, told);
    }
}
