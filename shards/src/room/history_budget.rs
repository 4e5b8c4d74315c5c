//! All histories of a shard together: bounded by bytes, the oldest message of whichever room goes first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{Epoch, Offset};

/// Entries beyond the kept messages after which those of messages that are gone are dropped.
const STALE_MAX: usize = 1024;

/// A kept message, by the stream and the position in it.
#[derive(Debug)]
pub struct Kept {
    /// The room.
    pub room: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// The position.
    pub offset: Offset,
}

/// The kept messages of a shard, oldest first, and what they take.
#[derive(Debug, Default)]
pub struct HistoryBudget {
    kept: VecDeque<Kept>,
    /// Bytes of all histories of the shard.
    bytes: usize,
    /// Messages of all histories of the shard.
    messages: usize,
}

impl HistoryBudget {
    /// Notes that a room's history has changed from so many bytes and messages to so many.
    pub fn change(&mut self, (bytes, messages): (usize, usize), (bytes_now, messages_now): (usize, usize)) {
        self.bytes = self.bytes + bytes_now - bytes;
        self.messages = self.messages + messages_now - messages;
    }

    /// Notes a message that was kept.
    pub fn push(&mut self, kept: Kept) {
        self.kept.push_back(kept);
    }

    /// The message to forget next, while there is more than `bytes_max`.
    pub fn next_to_forget(&mut self, bytes_max: usize) -> Option<Kept> {
        if self.bytes > bytes_max { self.kept.pop_front() } else { None }
    }

    /// Drops entries of messages that are gone already, when there are many: amortised, a constant a message.
    pub fn compact(&mut self, is_kept: impl FnMut(&Kept) -> bool) {
        if self.kept.len() > 2 * self.messages + STALE_MAX {
            self.kept.retain(is_kept);
        }
    }

    /// Bytes of all histories of the shard.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(offset: Offset) -> Kept {
        Kept { room: "r".into(), epoch: Epoch(1), offset }
    }

    #[test]
    fn the_oldest_goes_first_and_only_while_there_is_too_much() {
        let mut budget = HistoryBudget::default();
        for offset in 1..=3 {
            budget.push(kept(offset));
            budget.change((0, 0), (10, 1));
        }
        assert!(budget.next_to_forget(30).is_none());
        assert_eq!(budget.next_to_forget(25).map(|kept| kept.offset), Some(1));
        budget.change((10, 1), (0, 0));
        assert!(budget.next_to_forget(25).is_none());
        assert_eq!(budget.bytes(), 20);
    }

    #[test]
    fn entries_of_messages_that_are_gone_do_not_pile_up() {
        let mut budget = HistoryBudget::default();
        for offset in 0..10_000 {
            budget.push(kept(offset));
            budget.compact(|kept| kept.offset == 0);
        }
        assert!(budget.kept.len() <= STALE_MAX + 2, "{}", budget.kept.len());
    }
}
