//! Users' sockets, as their clients know them: when a user can have been seen to be there, and when not.

use std::collections::BTreeSet;

use super::Ledger;

/// How one user came and went.
#[derive(Debug)]
pub(in super::super) struct Comings {
    /// Its connections that are open.
    sockets: BTreeSet<u64>,
    /// Those of them that have surely entered its room.
    settled: BTreeSet<u64>,
    /// Since when it has none that has.
    gone_ms: Option<u64>,
    /// The longest time that it has been without; endless where nobody can say.
    longest_gone_ms: u64,
    /// What it has said of itself.
    pub(in super::super) said: BTreeSet<String>,
}

impl Default for Comings {
    fn default() -> Self {
        let (sockets, settled, said) = Default::default();
        Self { sockets, settled, gone_ms: Some(0), longest_gone_ms: 0, said }
    }
}

impl Comings {
    pub(in super::super) fn come(&mut self, connection: u64) {
        self.sockets.insert(connection);
    }

    /// A connection has entered the user's room.
    pub(in super::super) fn settle(&mut self, connection: u64, now_ms: u64) {
        if let Some(since_ms) = self.gone_ms.take() {
            self.longest_gone_ms = self.longest_gone_ms.max(now_ms - since_ms);
        }
        self.settled.insert(connection);
    }

    /// A connection ended, on the client's initiative or not.
    pub(in super::super) fn go(&mut self, connection: u64, by_client: bool, now_ms: u64) {
        self.sockets.remove(&connection);
        if self.settled.remove(&connection) && self.settled.is_empty() {
            self.gone_ms = Some(now_ms);
        }
        if !by_client {
            self.longest_gone_ms = u64::MAX;
        }
    }

    /// Whether it has a connection.
    pub(in super::super) fn is_there(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Whether it can have been without a connection for so long, by now.
    pub(in super::super) fn can_be_gone(&self, grace_ms: u64, now_ms: u64) -> bool {
        let now_gone = self.gone_ms.map_or(0, |since_ms| now_ms - since_ms);
        // It came before its client knew.
        self.longest_gone_ms.max(now_gone) >= grace_ms
    }
}

impl Ledger {
    /// At the end, when all clients know which of their connections the server has closed: nobody was said to be gone
    /// who was there, or back within the grace.
    pub(in super::super) fn check_flaps(&mut self) {
        for (user, what) in std::mem::take(&mut self.flaps) {
            if self.comings.get(&user).is_some_and(|comings| comings.longest_gone_ms < u64::MAX) {
                self.violate("presence does not flap within the grace", what);
            }
        }
    }
}
