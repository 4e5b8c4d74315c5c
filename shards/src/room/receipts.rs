//! Up to where each user has got and read a room's messages: two cursors a user, held by the room's owner.
//!
//! A receipt moves a cursor forward and never back. The senders of the messages that it passed hear of a lone one at
//! once; when more follow, what they mean is collected for a while, so that clients which confirm each message by itself
//! cost them one push and not a hundred, and those of several readers share a write.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::HashMap;

use crate::durable::Cursor;
use crate::engine::codec::Reached;
use crate::id::Offset;
use crate::protocol::reply::ReceiptStatus;

/// Milliseconds between two times at which the senders in a room hear of receipts.
pub const COALESCE_MS: u64 = 1_000;
/// Users whose cursors one room keeps; the one that was first goes first.
const USERS_MAX: usize = 10_000;
/// Receipts that may wait for their senders in one room; beyond it those of others wait no longer, but are lost.
const PENDING_MAX: usize = 20_000;
/// Moments of a cursor that are remembered, so that older messages keep the time at which they were read.
const STEPS_MAX: usize = 16;

/// One user's way through a room, in one respect.
#[derive(Debug, Default)]
struct Track {
    offset: Offset,
    /// Offsets reached and when, ascending; the oldest are forgotten.
    steps: VecDeque<(Offset, u64)>,
}

impl Track {
    /// Moves forward; from where, if that was a move.
    fn advance(&mut self, offset: Offset, unix_ms: u64) -> Option<Offset> {
        if offset <= self.offset {
            return None;
        }
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back((offset, unix_ms));
        Some(std::mem::replace(&mut self.offset, offset))
    }

    fn saved(&self) -> Cursor {
        self.steps.iter().copied().collect()
    }

    fn restore(saved: Cursor) -> Self {
        let offset = saved.last().map_or(0, |(offset, _)| *offset);
        Self { offset, steps: saved.into_iter().rev().take(STEPS_MAX).rev().collect() }
    }

    /// When a message was passed, as far as that is remembered: not before.
    fn passed_unix_ms(&self, offset: Offset) -> Option<u64> {
        self.steps.iter().find(|(reached, _)| *reached >= offset).map(|(_, unix_ms)| *unix_ms)
    }
}

#[derive(Debug, Default)]
struct Ways {
    delivered: Track,
    read: Track,
}

/// Whom a receipt concerns: sender, reader, and whether the messages were read.
type Key = (Arc<str>, Arc<str>, bool);

/// The cursors of a room's users, and what the senders of its messages have yet to hear.
#[derive(Debug, Default)]
pub struct Receipts {
    cursors: HashMap<Arc<str>, Ways>,
    by_age: VecDeque<Arc<str>>,
    pending: HashMap<Key, ReceiptStatus>,
    due_ms: Option<u64>,
    /// The earliest moment at which senders may hear again.
    quiet_until_ms: u64,
}

impl Receipts {
    /// Moves a user's cursor; from where, if it moved, and how many cursors of others had to be forgotten.
    pub fn advance(
        &mut self,
        user: &Arc<str>,
        read: bool,
        offset: Offset,
        unix_ms: u64,
    ) -> (Option<Offset>, usize) {
        let mut forgotten = 0;
        if !self.cursors.contains_key(user) {
            while self.by_age.len() >= USERS_MAX {
                forgotten += usize::from(
                    self.by_age.pop_front().is_some_and(|oldest| self.cursors.remove(&oldest).is_some()),
                );
            }
            self.by_age.push_back(Arc::clone(user));
        }
        let cursor = self.cursors.entry(Arc::clone(user)).or_default();
        // What was read has arrived.
        let delivered = cursor.delivered.advance(offset, unix_ms);
        let moved = if read { cursor.read.advance(offset, unix_ms) } else { delivered };
        (moved, forgotten)
    }

    /// Up to where a user has got and read, and since when.
    #[must_use]
    pub fn reached(&self, user: &str) -> Reached {
        let last = |track: &Track| track.steps.back().copied().unwrap_or_default();
        self.cursors.get(user).map_or(Reached::default(), |cursor| Reached {
            delivered: last(&cursor.delivered),
            read: last(&cursor.read),
        })
    }

    /// Up to where a user has got or read.
    #[must_use]
    pub fn offset(&self, user: &str, read: bool) -> Offset {
        self.cursors.get(user).map_or(
            0,
            |cursor| {
                if read { cursor.read.offset } else { cursor.delivered.offset }
            },
        )
    }

    /// A user's way through the room, as it is kept: delivered, and read.
    #[must_use]
    pub fn saved(&self, user: &str) -> Option<(Cursor, Cursor)> {
        self.cursors.get(user).map(|ways| (ways.delivered.saved(), ways.read.saved()))
    }

    /// Everybody whose way is known, those first who were first.
    pub fn users(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_age.iter()
    }

    /// Takes up a user's way where it was, unless there are too many.
    pub fn restore(&mut self, user: Arc<str>, (delivered, read): (Cursor, Cursor)) {
        if self.by_age.len() < USERS_MAX {
            let ways = Ways { delivered: Track::restore(delivered), read: Track::restore(read) };
            self.cursors.insert(Arc::clone(&user), ways);
            self.by_age.push_back(user);
        }
    }

    /// Notes that a sender must hear of a receipt; whether there was room for it.
    pub fn tell(&mut self, sender: &Arc<str>, receipt: &ReceiptStatus, now_ms: u64) -> bool {
        let key = (Arc::clone(sender), Arc::clone(&receipt.user), receipt.read);
        if self.pending.len() >= PENDING_MAX && !self.pending.contains_key(&key) {
            return false;
        }
        self.pending.insert(key, receipt.clone());
        self.due_ms.get_or_insert(self.quiet_until_ms.max(now_ms));
        true
    }

    /// When senders must hear.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// What waits to be told is due at once.
    pub fn hasten(&mut self) {
        self.due_ms = self.due_ms.map(|_| 0);
    }

    /// What senders must hear by now.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<(Arc<str>, ReceiptStatus)> {
        if self.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return Vec::new();
        }
        self.due_ms = None;
        self.quiet_until_ms = now_ms + COALESCE_MS;
        let mut due: Vec<_> = std::mem::take(&mut self.pending)
            .into_iter()
            .map(|((sender, ..), status)| (sender, status))
            .collect();
        // Maps have no order; clients and tests like one.
        let order = |(sender, status): &(Arc<str>, ReceiptStatus)| {
            (Arc::clone(sender), Arc::clone(&status.user), status.offset, status.read)
        };
        due.sort_by_cached_key(order);
        due
    }

    /// Who has got a message, when, and when they read it: at most `max` users, by name.
    #[must_use]
    pub fn of_message(&self, offset: Offset, max: usize) -> Vec<(Arc<str>, u64, Option<u64>)> {
        let passed = |(user, cursor): (&Arc<str>, &Ways)| {
            let delivered = cursor.delivered.passed_unix_ms(offset)?;
            Some((Arc::clone(user), delivered, cursor.read.passed_unix_ms(offset)))
        };
        let mut users: Vec<_> = self.cursors.iter().filter_map(passed).collect();
        users.sort_unstable();
        users.truncate(max);
        users
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(user: &str, offset: Offset) -> ReceiptStatus {
        ReceiptStatus { room: "r".into(), user: user.into(), read: true, message: None, offset, unix_ms: 0 }
    }

    #[test]
    fn a_cursor_only_moves_forward() {
        let mut receipts = Receipts::default();
        let alice: Arc<str> = "alice".into();
        assert_eq!(receipts.advance(&alice, false, 3, 10).0, Some(0));
        assert_eq!(receipts.advance(&alice, false, 2, 20).0, None);
        assert_eq!(receipts.advance(&alice, true, 5, 30).0, Some(0), "read for the first time");
        assert_eq!((receipts.offset("alice", false), receipts.offset("alice", true)), (5, 5));
        assert_eq!(receipts.of_message(2, 9), [(Arc::clone(&alice), 10, Some(30))]);
        assert_eq!(receipts.of_message(4, 9), [(alice, 30, Some(30))]);
        assert_eq!(receipts.of_message(6, 9), []);
    }

    #[test]
    fn a_hundred_receipts_are_one_push() {
        let mut receipts = Receipts::default();
        let sender: Arc<str> = "s".into();
        receipts.tell(&sender, &status("alice", 1), 500);
        assert_eq!(receipts.take_due(500).len(), 1, "a lone one is told at once");
        for offset in 2..=100 {
            assert!(receipts.tell(&sender, &status("alice", offset), 1_000));
        }
        receipts.tell(&sender, &status("bob", 7), 1_050);
        assert!(receipts.take_due(1_499).is_empty());
        let due = receipts.take_due(1_500);
        let told: Vec<_> = due.iter().map(|(_, status)| (&*status.user, status.offset)).collect();
        assert_eq!(told, [("alice", 100), ("bob", 7)]);
        assert_eq!(receipts.due_ms(), None);
    }

    #[test]
    fn cursors_are_bounded() {
        let mut receipts = Receipts::default();
        for number in 0..=USERS_MAX {
            let (_, forgotten) = receipts.advance(&number.to_string().into(), true, 1, 0);
            assert_eq!(forgotten, usize::from(number == USERS_MAX));
        }
        assert_eq!((receipts.cursors.len(), receipts.offset("0", true)), (USERS_MAX, 0));
    }

    proptest! {
        #[test]
        fn what_is_read_has_arrived_and_in_order(moves in prop::collection::vec((any::<bool>(), 0u64..50), 0..60)) {
            let mut receipts = Receipts::default();
            let user: Arc<str> = "u".into();
            let (mut delivered, mut read) = (0, 0);
            for (at, (is_read, offset)) in (1u64..).zip(moves) {
                receipts.advance(&user, is_read, offset, at);
                delivered = delivered.max(offset);
                if is_read {
                    read = read.max(offset);
                }
                prop_assert_eq!((receipts.offset("u", false), receipts.offset("u", true)), (delivered, read));
            }
            for (_, delivered_at, read_at) in receipts.of_message(10, 1) {
                prop_assert!(read_at.is_none_or(|read_at| read_at >= delivered_at));
            }
        }
    }
}
