//! Recognises a send that is repeated, by its sender and the sender's own name for it.
//!
//! Bounded by a window of time and a number of entries; the oldest go first.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ahash::HashMap;

use crate::id::{MessageId, Offset};

/// Entries that one room keeps.
pub const ENTRIES_MAX: usize = 4096;

/// What the first of equal sends became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// Its offset.
    pub offset: Offset,
    /// When it was accepted.
    pub unix_ms: u64,
}

type Key = (Arc<str>, Box<str>);

/// The recent sends of a room that had a name.
#[derive(Debug, Default)]
pub struct Dedupe {
    accepted: HashMap<Key, Accepted>,
    by_age: VecDeque<(u64, Key)>,
}

impl Dedupe {
    /// What became of an equal send within the window, if there was one.
    pub fn find(&mut self, sender: &Arc<str>, client_id: &str, now_ms: u64) -> Option<Accepted> {
        self.expire(now_ms);
        self.accepted.get(&(Arc::clone(sender), client_id.into())).copied()
    }

    /// Remembers a send until `expires_ms`; whether an older one had to go before its time.
    pub fn remember(
        &mut self,
        sender: &Arc<str>,
        client_id: &str,
        accepted: Accepted,
        expires_ms: u64,
    ) -> bool {
        let key: Key = (Arc::clone(sender), client_id.into());
        if let Entry::Vacant(entry) = self.accepted.entry(key.clone()) {
            entry.insert(accepted);
            self.by_age.push_back((expires_ms, key));
        }
        let full = self.by_age.len() > ENTRIES_MAX;
        if full {
            self.pop();
        }
        full
    }

    /// Forgets what is past the window.
    pub fn expire(&mut self, now_ms: u64) {
        while self.by_age.front().is_some_and(|(expires, _)| *expires <= now_ms) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, key)) = self.by_age.pop_front() {
            self.accepted.remove(&key);
        }
    }

    /// All that is remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &str, Accepted)> {
        let known = |key: &Key| self.accepted.get(key).copied();
        self.by_age.iter().filter_map(move |(_, key)| Some((&key.0, &*key.1, known(key)?)))
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(offset: Offset) -> Accepted {
        Accepted { id: crate::id::MessageIds::default().next(offset, &mut rand::rng()), offset, unix_ms: 0 }
    }

    #[test]
    fn a_repeat_within_the_window_is_recognised() {
        let mut dedupe = Dedupe::default();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let first = accepted(1);
        dedupe.remember(&alice, "x", first, 100);
        assert_eq!(dedupe.find(&alice, "x", 99), Some(first));
        assert_eq!(dedupe.find(&bob, "x", 99), None);
        assert_eq!(dedupe.find(&alice, "x", 100), None);
        assert!(dedupe.is_empty());
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let mut dedupe = Dedupe::default();
        let alice: Arc<str> = "alice".into();
        for number in 0..ENTRIES_MAX as u64 + 10 {
            assert_eq!(
                dedupe.remember(&alice, &number.to_string(), accepted(number), 100),
                number >= ENTRIES_MAX as u64
            );
        }
        assert_eq!(dedupe.accepted.len(), ENTRIES_MAX);
        assert_eq!(dedupe.find(&alice, "9", 0), None);
        assert!(dedupe.find(&alice, "10", 0).is_some());
    }
}
