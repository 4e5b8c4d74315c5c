//! How connections end: closed, reset or dead, and what is remembered of them.

use super::super::host::Around;
use super::super::network::{ClientEnd, ServerEnd};
use super::{Client, Link, Stage};
use crate::effect::Release;

/// Milliseconds within which bytes must have come of a frame that is being sent; shards may pause so long.
const PROGRESS_MS: u64 = 1_000;

impl Client {
    pub(super) fn on_close(&mut self, code: Option<u16>, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.close_code = code;
        if let Some(session) = self.session.as_mut().filter(|session| session.over && code == Some(1000)) {
            // The server has read what stood in front of the client's close frame.
            session.gone |= link.talk.deaf;
        }
        let fair = match code {
            Some(4409) => {
                around.ledger.totals.slow_closes += 1;
                true
            }
            Some(1012) => true,
            Some(4410) => {
                around.ledger.totals.replaced += 1;
                link.replaced || link.contested || !self.ghosts.is_empty()
            }
            Some(1008) => link.guilty || link.talk.deaf || self.pace != usize::MAX,
            Some(4429) => around.scenario.limited,
            _ => link.guilty || link.talk.deaf || link.stage == Stage::Ending,
        };
        match code {
            Some(1008) => around.ledger.totals.silent_closes += 1,
            Some(4401 | 4408) => around.ledger.totals.auth_closes += 1,
            _ => {}
        }
        if !fair {
            around.ledger.violate("connections end for a reason", format!("{} got {code:?}", link.number));
        }
        link.stage = Stage::Ending;
    }

    /// Notices that the server let the socket go.
    pub(super) fn notice_end(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let socket = &mut around.network.sockets[link.socket];
        if socket.server == ServerEnd::Open || !socket.is_read() {
            return;
        }
        let told = link.close_code.is_some() || link.stage == Stage::Ending;
        let reset = socket.server == ServerEnd::Released(Release::Reset);
        // What reached it little by little through a small buffer was not all there in time.
        let busy = link.reader.is_amid_frame() && link.fed_ms + PROGRESS_MS > around.now.ms;
        let slow = reset && (busy || self.pace != usize::MAX);
        let excused = told || link.guilty || link.talk.deaf || link.replaced || slow;
        if !excused {
            let what = format!("connection {} ended without a close frame: {:?}", link.number, socket.server);
            around.ledger.violate("connections end for a reason", what);
        }
        socket.finish();
        self.lose(around);
    }

    /// The connection is over: what it had is remembered, to be recovered by the next one.
    pub(super) fn lose(&mut self, around: &mut Around<'_>) {
        if around.dice.percent(50) {
            // Some clients handle an event as it comes, others when they are let in.
            self.handle_early(false, around);
        }
        let Some(link) = self.link.take() else { return };
        around.ledger.note(|| format!("{:>6} {} lost", around.now.ms, link.number));
        note_going(&link, around);
        self.keep_session(&link, around);
        if link.replaced {
            return;
        }
        self.before.push(link.socket);
        for (room, mut view) in link.views {
            if let Some(position) = view.leave() {
                self.positions.insert(room, position);
            }
        }
        self.rest_until_ms = around.now.ms + around.dice.between(5, 900);
    }

    /// All of its connections are reset at once.
    pub(in super::super) fn cut(&mut self, around: &mut Around<'_>) {
        for ghost in std::mem::take(&mut self.ghosts) {
            let primary = self.link.replace(ghost);
            self.vanish(around);
            self.link = primary;
        }
        if self.link.is_some() {
            self.vanish(around);
        }
    }

    /// The client dies: its socket is reset.
    pub(super) fn vanish(&mut self, around: &mut Around<'_>) {
        if let Some(link) = &self.link {
            around.network.sockets[link.socket].reset();
            around.ledger.totals.deaths += 1;
        }
        self.lose(around);
    }
}

/// The user has a connection less; whether the client ended it itself, so that the server cannot have known before.
fn note_going(link: &Link, around: &mut Around<'_>) {
    let by_client = link.close_code.is_none()
        && around.network.sockets[link.socket].client != ClientEnd::Open
        && around.network.sockets[link.socket].server == ServerEnd::Open
        && !around.network.sockets[link.socket].behind
        && around.network.sockets[link.socket].unacknowledged() == 0;
    if let Some(user) = &link.user {
        let comings = around.ledger.comings.entry(user.clone()).or_default();
        comings.go(link.number, by_client, around.now.ms);
    }
}
