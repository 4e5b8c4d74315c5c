//! What one connection knows of one room, and whether what it hears fits.

mod resumed;

use std::collections::{BTreeMap, BTreeSet};

use super::super::ledger::{Heard, Ledger, State, Told};
use super::super::scenario::Scenario;

use resumed::Gap;
pub(super) use resumed::Replay;

/// Where a client was when it lost a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: String,
    pub(super) offset: u64,
}

/// One room as one connection sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    room: String,
    connection: u64,
    /// What the connection is to the rooms.
    session: u64,
    /// Whether the connection is in the room, as far as answers say.
    pub(super) member: bool,
    /// Joins and leaves that were not answered yet.
    pub(super) busy: u32,
    /// Those of them that are parts of a larger command, whose answer may come late.
    pub(super) busy_parts: u32,
    /// Leaves that were not answered yet: what comes meanwhile may have gaps.
    pub(super) leaving: u32,
    /// From when on every message sent must come.
    pub(super) since_ms: Option<u64>,
    pub(super) epoch: String,
    last: Option<u64>,
    /// Whether nothing may be missing behind `last`.
    anchored: bool,
    /// Epochs and offsets.
    received: BTreeSet<(String, u64)>,
    /// What a resumed session has yet to bring: behind an offset up to another; and behind which it began.
    owed: Vec<(u64, u64, u64)>,
    /// The last message of those that were kept for the user.
    kept: Option<u64>,
    /// What became of the messages that came, in the order in which that was told.
    states: BTreeMap<String, State>,
    /// Whether the client was told that something is gone, and the server perhaps does not know that it has heard so.
    gap: Gap,
    /// A session that does not say up to where was resumed behind this offset, and nothing has come live since.
    resumed_from: Option<u64>,
    /// Messages that came in an answer or told no place, which are given again unless the client has confirmed them.
    by_answer: BTreeSet<(String, u64)>,
    /// What a recovery of the topic dialect has given so far.
    pub(super) missed: Vec<Heard>,
}

impl View {
    pub(super) fn new(room: &str, connection: u64, session: u64) -> Self {
        Self { room: room.to_owned(), connection, session, ..Self::default() }
    }

    /// The connection enters the room: what became of messages meanwhile it may not have heard.
    pub(super) fn forget_states(&mut self) {
        if !self.member {
            self.states.clear();
        }
    }

    /// What the connection is to the rooms has changed.
    pub(super) fn take_session(&mut self, session: u64) {
        self.session = session;
    }

    /// Whether answers leave no doubt that the connection is in the room.
    pub(super) fn is_sure(&self) -> bool {
        self.member && self.busy == 0 && self.busy_parts == 0 && self.leaving == 0
    }

    /// Whether a message lies behind what came already.
    pub(super) fn is_behind(&self, heard: &Heard) -> bool {
        heard.epoch == self.epoch && self.last.is_some_and(|last| heard.offset <= last)
    }

    /// From where the room could be recovered.
    pub(super) fn position(&self) -> Option<Position> {
        let offset = self.last.filter(|_| self.anchored)?;
        Some(Position { epoch: self.epoch.clone(), offset })
    }

    /// A live message. `covered` when an answer promised that all messages come from now on.
    pub(super) fn message(&mut self, heard: &Heard, covered: bool, ledger: &mut Ledger) {
        ledger.receive(heard, self.connection, self.session);
        if heard.epoch != self.epoch {
            if self.anchored && self.member && self.leaving == 0 {
                ledger.violate("a room's epoch lasts as long as its members", self.says(heard));
            }
            self.restart(&heard.epoch);
        }
        if !self.received.insert((heard.epoch.clone(), heard.offset)) {
            ledger.violate("no duplicate at a member", self.says(heard));
        }
        if let Some(last) = self.last {
            if heard.offset <= last {
                ledger.violate("offsets at a member increase", self.says(heard));
            }
            self.skip(last, heard.offset.saturating_sub(1), ledger);
        }
        if !self.anchored {
            self.states.clear();
        }
        self.states.insert(heard.id.clone(), heard.state);
        self.last = Some(heard.offset);
        self.anchored |= covered;
    }

    /// A message that was kept for the user; whether the connection had it.
    pub(super) fn keep(&mut self, heard: &Heard, ledger: &mut Ledger) {
        ledger.receive(heard, self.connection, self.session);
        if heard.epoch != self.epoch {
            if self.anchored && self.member && self.leaving == 0 {
                ledger.violate("a room's epoch lasts as long as its members", self.says(heard));
            }
            self.restart(&heard.epoch);
        }
        let late = self.anchored && self.last.is_some_and(|last| heard.offset > last);
        if late || self.kept.is_some_and(|kept| heard.offset <= kept) {
            ledger.violate("what was kept comes in order, before what is new", self.says(heard));
        }
        self.kept = Some(heard.offset);
        self.received.insert((heard.epoch.clone(), heard.offset));
    }

    /// Offsets behind `after` up to `until` did not come.
    fn skip(&mut self, after: u64, until: u64, ledger: &mut Ledger) {
        self.anchored &= self.leaving == 0 || until <= after;
        let told = self.resumed_from.take().map_or(Told::Live, |from| Told::Replay(from, until));
        if self.anchored {
            ledger.miss(self.connection, &self.room, &self.epoch, after + 1..=until, told);
        }
    }

    fn restart(&mut self, epoch: &str) {
        epoch.clone_into(&mut self.epoch);
        self.last = None;
        self.kept = None;
        self.owed.clear();
        self.resumed_from = None;
        self.states.clear();
        self.anchored = false;
    }

    /// An answer let the connection in at this position.
    pub(super) fn enter(&mut self, at: &Position, now_ms: u64, ledger: &mut Ledger) {
        if self.epoch != at.epoch {
            if self.anchored && self.member {
                let what = format!("{self:?} entered at {at:?}");
                ledger.violate("a room's epoch lasts as long as its members", what);
            }
            self.restart(&at.epoch);
        }
        if self.member
            && let Some(last) = self.last
        {
            if at.offset < last && self.anchored {
                ledger.violate("a join's offset fits the live messages", format!("{at:?} after {last}"));
            }
            self.skip(last, at.offset, ledger);
        }
        if !self.member {
            self.since_ms = Some(now_ms);
        }
        self.member = true;
        self.anchored = true;
        self.last = Some(at.offset.max(self.last.unwrap_or(0)));
    }

    /// The connection is in the room, without being told where that stands.
    pub(super) fn enter_somewhere(&mut self, now_ms: u64) {
        self.forget_states();
        // What a pattern brought before may be of an older epoch.
        self.anchored &= self.member;
        self.member = true;
        self.since_ms = self.since_ms.or(Some(now_ms));
    }

    /// A recovery gave these messages, up to the room's offset.
    pub(super) fn recover(&mut self, asked: &Position, missed: &[Heard], at: &Position, ledger: &mut Ledger) {
        const EXACTLY: &str = "a recovery gives exactly what was missed";
        if at.epoch != asked.epoch || at.offset < asked.offset {
            return ledger.violate(EXACTLY, format!("{asked:?} was recovered at {at:?}"));
        }
        if self.epoch != at.epoch {
            self.restart(&at.epoch);
        }
        // In its own room a user receives live messages before it can ask for those missed, and a pattern may have
        // brought some of a room that was left.
        let newest = !self.member && self.last.is_none_or(|last| last <= asked.offset);
        let mut last = asked.offset;
        let told = Told::Replay(asked.offset, at.offset);
        for heard in missed {
            ledger.receive(heard, self.connection, self.session);
            self.states.insert(heard.id.clone(), heard.state);
            if heard.offset <= last || heard.offset > at.offset || heard.epoch != at.epoch {
                ledger.violate(EXACTLY, self.says(heard));
            }
            ledger.miss(self.connection, &self.room, &at.epoch, last + 1..heard.offset, told);
            last = heard.offset;
            self.by_answer.insert((heard.epoch.clone(), heard.offset));
            if !self.received.insert((heard.epoch.clone(), heard.offset)) && newest {
                ledger.violate("no duplicate at a member", self.says(heard));
            }
        }
        ledger.miss(self.connection, &self.room, &at.epoch, last + 1..=at.offset, told);
        self.last = self.last.max(Some(at.offset));
    }

    /// The connection is out of the room; where it was. What a pattern brought of a queued room says nothing of what is
    /// kept for its members.
    pub(super) fn leave(&mut self) -> Option<Position> {
        let followed = self.member || !Scenario::is_queued(&self.room);
        let position = self.position().filter(|_| followed);
        self.leaving = self.leaving.saturating_sub(1);
        self.gap = Gap::None;
        self.member = false;
        self.anchored = false;
        self.since_ms = None;
        self.resumed_from = None;
        self.owed.clear();
        // Whoever enters anew may be given again what another socket of the user has not confirmed.
        self.kept = None;
        self.states.clear();
        position
    }

    /// A pattern no longer covers the room.
    pub(super) fn uncover(&mut self) {
        self.anchored &= self.member;
    }

    /// At the end of a run: everything sent since then arrived, unless it was the connection's own and excluded.
    pub(super) fn check_complete(&self, since_ms: u64, ledger: &mut Ledger) {
        let mut absent = Vec::new();
        for (_, epoch, stream) in ledger.streams().filter(|(room, ..)| *room == self.room) {
            let known = self.epoch == epoch;
            let behind = |offset| known && self.anchored && self.last.is_some_and(|last| offset > last);
            let of_epoch = stream.iter().filter(|(offset, entry)| {
                let sent_ms = ledger.sends[entry.number].sent_ms;
                let promised = (entry.change.is_none() && sent_ms > since_ms) || behind(**offset);
                promised && !self.received.contains(&(epoch.to_owned(), **offset))
            });
            absent.extend(of_epoch.map(|(offset, _)| (epoch.to_owned(), *offset)));
        }
        for (epoch, offset) in absent {
            let told = self.resumed_from.map_or(Told::Live, |from| Told::Replay(from, u64::MAX));
            ledger.miss(self.connection, &self.room, &epoch, offset..=offset, told);
        }
        self.check_states(ledger);
    }

    /// Whoever has followed a room knows what became of its messages.
    fn check_states(&self, ledger: &mut Ledger) {
        if !(self.is_sure() && self.anchored) {
            return;
        }
        let stale = self.states.iter().find(|(id, state)| !ledger.final_states(id).contains(state));
        if let Some((id, state)) = stale {
            let what = format!(
                "connection {} has {id} of {} as {state:?}, others as {:?}",
                self.connection,
                self.room,
                ledger.final_states(id)
            );
            ledger.violate("the final state is everywhere the same", what);
        }
    }

    fn says(&self, heard: &Heard) -> String {
        format!("connection {} at {:?} of {} heard {heard:?}", self.connection, self.last, self.epoch)
    }
}
