//! Queued rooms: what each member has got over all of its sockets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::scenario::Scenario;
use super::Ledger;

/// What one member got of one stream.
#[derive(Debug, Default)]
struct Queue {
    /// Up to where it need not have got anything.
    from: u64,
    got: BTreeSet<u64>,
}

/// Members' queues, by user, room and epoch, and the users who must synchronise.
#[derive(Debug, Default)]
pub(in super::super) struct Queues {
    queues: BTreeMap<(String, String, String), Queue>,
    resyncs: BTreeSet<(String, String)>,
    /// Users with one client, for whom everything can be said exactly.
    pub(in super::super) sole: BTreeSet<String>,
}

impl Ledger {
    /// A user became a member of a queued room, or still is one.
    pub(in super::super) fn enter_queue(&mut self, user: &str, room: &str, epoch: &str, offset: u64) {
        let key = (user.to_owned(), room.to_owned(), epoch.to_owned());
        self.queues.queues.entry(key).or_insert_with(|| Queue { from: offset, ..Queue::default() });
    }

    /// A user left a queued room for good.
    pub(in super::super) fn leave_queue(&mut self, user: &str, room: &str) {
        self.queues.queues.retain(|(known, of, _), _| known != user || of != room);
    }

    /// A user must synchronise.
    pub(in super::super) fn note_resync(&mut self, user: &str, room: &str) {
        self.queues.resyncs.insert((user.to_owned(), room.to_owned()));
    }

    /// A user got something; whether it had it before.
    pub(in super::super) fn get_queued(&mut self, user: &str, room: &str, epoch: &str, offset: u64) -> bool {
        let key = (user.to_owned(), room.to_owned(), epoch.to_owned());
        let queue = if room.starts_with("user:") {
            Some(self.queues.queues.entry(key).or_default())
        } else {
            self.queues.queues.get_mut(&key)
        };
        queue.is_some_and(|queue| !queue.got.insert(offset))
    }

    /// At the end, for a user who is there and in the room: it got everything, or knows that it has not.
    pub(in super::super) fn check_queue(&mut self, user: &str, room: &str, now_ms: u64, ttl_ms: u64) {
        let resync = self.queues.resyncs.contains(&(user.to_owned(), room.to_owned()));
        if resync || !self.queues.sole.contains(user) || !Scenario::is_queued(room) {
            return;
        }
        let mine = self.queues.queues.iter().filter(|((known, of, _), _)| known == user && of == room);
        let mut missing = mine.filter_map(|((.., epoch), queue)| {
            let mut due = self.stream(room, epoch)?.iter().filter(|(offset, entry)| {
                let send = &self.sends[entry.number];
                let own = send.exclude && send.user.as_deref() == Some(user);
                let due = **offset > queue.from && entry.change.is_none() && !own;
                due && send.sent_ms + ttl_ms > now_ms && !queue.got.contains(offset)
            });
            due.next().map(|(offset, entry)| format!("{user} did not get {offset} of {room}: {entry:?}"))
        });
        if let Some(what) = missing.next() {
            drop(missing);
            return self.violate("a queued message reaches its user", what);
        }
        drop(missing);
        self.totals.queues_complete += 1;
    }
}
