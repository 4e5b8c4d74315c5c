//! The end of a run, for a client: what it must have by then, and its farewell.

use super::super::host::Around;
use super::super::scenario::Scenario;
use super::answers::is_created;
use super::{Asked, Client, Stage};
use crate::protocol::profile::Dialect;

impl Client {
    /// Before the last checks it reads the histories of its rooms.
    pub(in super::super) fn audit(&mut self, around: &mut Around<'_>) {
        let Some(link) = self.link.as_ref().filter(|link| link.stage == Stage::Open) else { return };
        if self.dialect == Dialect::Topic {
            return;
        }
        for room in link.rooms() {
            let data = format!(r#"{{"roomId":"{room}","limit":1000}}"#);
            let asked = Asked::History { room, after: None, before: None, limit: 1_000, last: true };
            self.request("room:history", &data, asked, around);
        }
        self.audit_presence(around);
    }

    /// When all is quiet: every request was answered, and every promised message came.
    pub(in super::super) fn check_complete(&self, around: &mut Around<'_>) {
        let Some(link) = self.link.as_ref().filter(|link| link.stage == Stage::Open) else { return };
        if let Some((id, asked)) = link.asked.first_key_value() {
            let what = format!("connection {} waits for {id}: {asked:?}", link.number);
            around.ledger.violate("exactly one reply to a request", what);
        }
        let waits = link.awaited.values().map(|count| u64::from(*count)).sum::<u64>();
        if waits > link.errors {
            let what = format!("connection {} waits for {:?}", link.number, link.awaited);
            around.ledger.violate("exactly one reply to a request", what);
        }
        for view in link.views.values().filter(|view| view.member && view.busy == 0) {
            if let Some(since_ms) = view.since_ms {
                view.check_complete(since_ms, around.ledger);
                view.check_owed(around.ledger);
            }
        }
        self.check_patterns(around);
        self.check_ghosts(around);
        self.check_typing(around);
        self.check_queues(around);
        if around.scenario.generous && self.dialect != Dialect::Topic {
            around.ledger.check_receipts(link.number, link.user.as_deref(), &link.readings);
        }
    }

    /// Patterns bring every message of their rooms, unless membership brought it.
    fn check_patterns(&self, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        for covered in link.patterns.values() {
            let Some(since_ms) = covered.since_ms else { continue };
            for (room, view) in &link.views {
                let private = !Scenario::is_common(room) || is_created(room);
                if covered.pattern.matches(room) && !private {
                    view.check_complete(since_ms, around.ledger);
                }
            }
        }
    }

    /// The client goes for good, one way or another.
    pub(in super::super) fn farewell(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        match (link.stage, around.dice.between(0, 2)) {
            (Stage::Open, 0) => self.close(around),
            (_, 1) => {
                around.network.sockets[link.socket].finish();
                self.lose(around);
            }
            _ => self.vanish(around),
        }
    }

    /// Whether nothing of the client is left.
    pub(in super::super) fn is_gone(&self) -> bool {
        self.link.is_none() && self.ghosts.is_empty()
    }
}
