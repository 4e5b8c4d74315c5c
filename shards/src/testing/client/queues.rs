//! Queued rooms, as one client of a user sees them: what was kept for it comes when it is back.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::Heard;
use super::super::scenario::Scenario;
use super::view::Position;
use super::{Client, Link, Stage};

impl Client {
    /// The client is in a room, and so is its user.
    pub(super) fn enter_queue(&mut self, room: &str, at: &Position, around: &mut Around<'_>) {
        let leaving = self.link.as_mut().is_none_or(|link| link.view(room).leaving > 0);
        if let Some(user) = self.user().filter(|_| Scenario::is_queued(room) && !leaving) {
            around.ledger.enter_queue(user, room, &at.epoch, at.offset);
        }
    }

    /// The client leaves a room for good, or has left it.
    pub(super) fn leave_queue(&self, room: &str, around: &mut Around<'_>) {
        if let Some(user) = self.user().filter(|_| room.starts_with("queue.")) {
            around.ledger.leave_queue(user, room);
        }
    }

    /// A message of a room reached the client as its member.
    pub(super) fn get_queued(&self, heard: &Heard, kept: bool, around: &mut Around<'_>) {
        let Some(user) = self.user().filter(|_| Scenario::is_queued(&heard.room) && !heard.change) else {
            return;
        };
        let again = around.ledger.get_queued(user, &heard.room, &heard.epoch, heard.offset);
        // What a pattern brought before the user was a member is none that was kept.
        let covered = self.link.as_ref().is_some_and(Link::is_covered);
        if !(again && kept) || covered {
            return;
        }
        around.ledger.totals.kept_repeats += 1;
        let sole = around.ledger.queues.sole.contains(user) && self.ghosts.is_empty();
        let accounted = |socket: &usize| around.network.sockets[*socket].accounted == Some(true);
        let exact = self.before.iter().all(accounted);
        if sole && exact {
            around.ledger.doubt("what was kept comes once", format!("{user} got {heard:?} again"));
        }
    }

    /// A message that was kept for the user.
    pub(super) fn on_kept(&mut self, heard: &Heard, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        around.ledger.totals.kept += 1;
        let number = link.number;
        let forced = link.is_forced(&heard.room);
        let view = link.view(&heard.room);
        let fair = view.member || forced || view.busy_parts > 0;
        if !fair || !Scenario::is_queued(&heard.room) {
            let what = format!("connection {number} heard {heard:?}");
            around.ledger.violate("only members of queued rooms are kept messages for", what);
        }
        view.keep(heard, around.ledger);
        self.get_queued(heard, true, around);
    }

    /// Something went wrong in a room.
    pub(super) fn on_room_error(&self, room: &Value, reason: &Value, around: &mut Around<'_>) {
        let room = room.as_str().unwrap_or_default();
        if reason != "resync" || !Scenario::is_queued(room) {
            around.ledger.violate("pushes are of known kinds", format!("{reason} of {room}"));
        }
        around.ledger.totals.resyncs += 1;
        self.note_resync(room, around);
    }

    /// The client knows that something of a room is gone.
    pub(super) fn note_resync(&self, room: &str, around: &mut Around<'_>) {
        if let Some(user) = self.user() {
            around.ledger.note_resync(user, room);
        }
    }

    /// The connection came while a room's owner perhaps did not know of the end of an earlier one: what only that one
    /// was given counts as delivered to a user who is there, and may be lost.
    pub(super) fn note_overlap(&self, around: &mut Around<'_>) {
        let (Some(link), Some(user)) = (&self.link, self.user()) else { return };
        if link.overlaps {
            around.ledger.queues.sole.remove(user);
        }
    }

    /// At the end: the user has got everything of its queued rooms.
    pub(super) fn check_queues(&self, around: &mut Around<'_>) {
        let Some(link) = self.link.as_ref().filter(|link| link.stage == Stage::Open && link.settled) else {
            return;
        };
        let Some(user) = self.user() else { return };
        let ttl_ms = around.scenario.config.queue_ttl_ms;
        for (room, _) in link.views.iter().filter(|(_, view)| view.is_sure()) {
            around.ledger.check_queue(user, room, around.now.ms, ttl_ms);
        }
    }
}
