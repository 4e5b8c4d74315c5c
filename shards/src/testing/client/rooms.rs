//! Rooms and patterns as a connection comes into them and out again, and the live messages that they bring.

use super::super::host::Around;
use super::super::ledger::Heard;
use super::super::scenario::Scenario;
use super::answers::is_created;
use super::view::{Position, View};
use super::{Client, Covered, Link, Recovery};
use crate::room::pattern::Pattern;

impl Client {
    /// A pattern is known to all shards.
    pub(super) fn on_covered(&mut self, pattern: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if let Some(covered) = link.patterns.get_mut(pattern) {
            covered.busy = false;
            covered.since_ms.get_or_insert(around.now.ms);
        }
    }

    /// A pattern was given up.
    pub(super) fn on_uncovered(&mut self, pattern: &str) {
        if let Some(link) = &mut self.link {
            link.patterns.remove(pattern);
        }
    }

    /// An answer let the connection into a room.
    pub(super) fn on_joined(
        &mut self,
        room: &str,
        at: &Position,
        recovery: Option<Recovery>,
        recovered: Option<bool>,
        missed: &[Heard],
        around: &mut Around<'_>,
    ) {
        around.ledger.totals.joins += 1;
        self.enter_queue(room, at, around);
        missed.iter().for_each(|heard| self.get_queued(heard, false, around));
        let Some(link) = &mut self.link else { return };
        around.ledger.tell_of(room, &at.epoch, link.user.as_deref(), "joined");
        link.forget_room_news(room);
        let view = link.view(room);
        view.busy = view.busy.saturating_sub(1);
        view.forget_states();
        let mut gap = false;
        if let Some(recovered) = recovered {
            view.note_recovery(recovered);
        }
        match (recovery, recovered) {
            (None, None) => {}
            (Some(recovery), Some(true)) => {
                around.ledger.totals.recovered_true += 1;
                around.ledger.totals.recovered_messages += missed.len() as u64;
                view.recover(&recovery.from, missed, at, around.ledger);
                if recovery.bogus || Scenario::is_ephemeral(room) {
                    around.ledger.violate("nothing is recovered from nowhere", format!("{recovery:?}"));
                }
            }
            (Some(recovery), Some(false)) => {
                gap = true;
                around.ledger.totals.recovered_false += 1;
                let possible = !recovery.bogus && !Scenario::is_ephemeral(room);
                if possible && around.scenario.generous && recovery.from.epoch == at.epoch {
                    around.ledger.violate("what is kept can be recovered", format!("{recovery:?} at {at:?}"));
                }
            }
            (recovery, recovered) => {
                let what = format!("{recovered:?} to {recovery:?}");
                around.ledger.violate("a recovery is answered", what);
            }
        }
        if Scenario::is_queued(room) {
            // What was kept is in the answer, which tells no place.
            view.allow_again(missed.iter().map(|heard| (heard.epoch.clone(), heard.offset)));
        }
        view.enter(at, around.now.ms, around.ledger);
        if gap {
            self.note_resync(room, around);
        }
    }

    /// An answer let the connection out of a room.
    pub(super) fn on_left(&mut self, room: &str, around: &mut Around<'_>) {
        around.ledger.totals.leaves += 1;
        self.leave_queue(room, around);
        let Some(link) = &mut self.link else { return };
        link.forget_room_news(room);
        let view = link.view(room);
        view.busy = view.busy.saturating_sub(1);
        match view.leave() {
            Some(position) => self.positions.insert(room.to_owned(), position),
            // An earlier one is no longer where the client is.
            None => self.positions.remove(room),
        };
    }

    /// A live message, whichever way it came.
    pub(super) fn on_message(&mut self, heard: &Heard, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let matching = |covered: &&Covered| covered.pattern.matches(&heard.room);
        let by_pattern: Vec<_> = link.patterns.values().filter(matching).collect();
        // Whether a pattern brings what is in a created room depends on who may enter that.
        let promised =
            !is_created(&heard.room) && by_pattern.iter().any(|covered| covered.since_ms.is_some());
        let expected = !by_pattern.is_empty() || link.is_forced(&heard.room);
        let (number, forced) = (link.number, link.is_forced(&heard.room));
        around.ledger.tell_of(&heard.room, &heard.epoch, link.user.as_deref(), "message");
        let view = link.view(&heard.room);
        if view.member {
            around.ledger.totals.deliveries += 1;
        } else if expected {
            around.ledger.totals.pattern_deliveries += 1;
        } else if view.busy_parts == 0 {
            let what = format!("connection {number} is not in {} but heard {heard:?}", heard.room);
            around.ledger.violate("messages come to members only", what);
        }
        let covered = promised || (view.member && view.since_ms.is_some());
        // Before the answer to a command of several rooms the client may be a member already.
        let member = view.member || forced || view.busy_parts > 0;
        view.message(heard, covered, around.ledger);
        if member {
            self.get_queued(heard, false, around);
        }
    }
}

impl Link {
    /// Whether a pattern may bring messages of any room.
    pub(super) fn is_covered(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The client asks for a pattern, or gives it up; not while it waits for an answer about it.
    pub(super) fn expect_pattern(&mut self, pattern: &str, enter: bool) -> bool {
        let parsed = Pattern::parse(pattern).expect("the patterns of the scenario are some");
        let new = || Covered { pattern: parsed, since_ms: None, busy: false };
        let covered = self.patterns.entry(pattern.to_owned()).or_insert_with(new);
        if std::mem::replace(&mut covered.busy, true) {
            return false;
        }
        if !enter {
            covered.since_ms = None;
            let matching = self.views.iter_mut().filter(|(room, _)| covered.pattern.matches(room));
            matching.for_each(|(_, view)| view.uncover());
        }
        true
    }

    /// Whether the server put the connection into the room; without a token its user's name is not known.
    pub(super) fn is_forced(&self, room: &str) -> bool {
        self.forced.iter().any(|forced| forced == room)
            || (self.forced.is_empty() && room.starts_with("user:"))
    }

    pub(super) fn view(&mut self, room: &str) -> &mut View {
        self.views.entry(room.to_owned()).or_insert_with(|| View::new(room, self.number, self.session))
    }

    /// What was told of a room beside its messages counts no more: the connection comes into it, or leaves it.
    pub(super) fn forget_room_news(&mut self, room: &str) {
        self.typing.retain(|(known, _), _| known != room);
        for ((known, ..), (last, _)) in &mut self.readings {
            if known == room {
                *last = 0;
            }
        }
    }

    /// Rooms that the connection is surely in, and has not asked to leave.
    pub(super) fn rooms(&self) -> Vec<String> {
        let settled =
            self.views.iter().filter(|(_, view)| view.member && view.busy == 0 && view.busy_parts == 0);
        settled.map(|(room, _)| room.clone()).collect()
    }
}
