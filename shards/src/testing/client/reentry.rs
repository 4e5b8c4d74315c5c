//! A Socket.IO client that leaves its namespace and comes back over the same transport: it begins anew, whatever it names.

use super::super::host::Around;
use super::sessions::Hold;
use super::{Client, Link, Stage};
use crate::protocol::profile::Dialect;

impl Client {
    /// Whether the client is in a namespace that it can leave.
    pub(super) fn may_reenter(&self) -> bool {
        let Some(link) = &self.link else { return false };
        let is_in = link.stage == Stage::Open && matches!(link.hold, Hold::Held(_));
        // A token of the request itself counts for all that follow, whatever a later one says.
        let shows = self.grant.is_none() || link.talk.token.is_some();
        self.dialect == Dialect::SocketIo && is_in && shows && !link.talk.is_amid_event()
    }

    /// Leaves the namespace and asks to enter it again; the conversation is another one.
    pub(super) fn reenter(&mut self, around: &mut Around<'_>) {
        self.send_text("41", around);
        let Some(left) = self.link.take() else { return };
        around.ledger.totals.reentries += 1;
        if let Some(user) = &left.user {
            around.ledger.comings.entry(user.clone()).or_default().go(left.number, false, around.now.ms);
            // What was on its way counts as delivered to a client that leaves.
            around.ledger.queues.sole.remove(user);
        }
        if let Some(session) = &mut self.session {
            (session.over, session.gone) = (true, true);
            session.rooms.clear();
            session.unsure = left.views.keys().cloned().collect();
        }
        for (room, mut view) in left.views {
            if let Some(position) = view.leave() {
                self.positions.insert(room, position);
            }
        }
        self.connections += 1;
        let number = self.index as u64 * 1_000 + self.connections;
        let link = self.new_link(number, left.socket, around);
        let (reader, guilty, strays) = (left.reader, left.guilty, left.talk.strays);
        self.link = Some(Link { reader, guilty, stage: Stage::Authenticating, ..link });
        if around.dice.percent(70) {
            self.begin_resume(around);
        }
        let token = self.grant.is_some().then(|| self.token(false, around));
        let Some(link) = &mut self.link else { return };
        (link.talk.token, link.talk.returns, link.talk.strays) = (token, true, strays);
        self.ask_to_enter(around);
    }
}
