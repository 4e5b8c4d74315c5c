//! The newest messages of a room, and what a client that was away missed of them.
//!
//! Bounded by count, bytes and age; the oldest go first. Offsets in it are consecutive: changes of messages stand among
//! them, and the message that was changed is replaced by what it is now.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::HistoryLimits;
use crate::id::{MessageId, Offset};
use crate::protocol::message::{Eyes, Publication};

/// A room's kept messages.
#[derive(Debug, Default)]
pub struct History {
    messages: VecDeque<Arc<Publication>>,
    bytes: usize,
}

/// One page of a history.
#[derive(Debug)]
pub struct Page {
    /// Oldest first.
    pub messages: Vec<Arc<Publication>>,
    /// Whether there are more in the direction that was asked for.
    pub more: bool,
}

impl History {
    /// Nothing kept.
    pub const NEW: Self = Self { messages: VecDeque::new(), bytes: 0 };

    /// Keeps a message; the number of older ones that had to go before their time.
    pub fn push(&mut self, message: Arc<Publication>, limits: &HistoryLimits) -> usize {
        self.bytes += message.cost();
        self.messages.push_back(message);
        let mut dropped = 0;
        while self.messages.len() > limits.messages_max || self.bytes > limits.bytes_max {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    /// Drops what is older than its age allows. What lies behind an offset that somebody absent still waits for has
    /// an age of its own.
    pub fn expire(&mut self, unix_ms: u64, limits: &HistoryLimits, waiting: Option<Waiting>) {
        while self.messages.front().is_some_and(|oldest| due_unix_ms(oldest, limits, waiting) <= unix_ms) {
            self.pop();
        }
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
    }

    /// When the oldest message will be too old.
    #[must_use]
    pub fn next_due_unix_ms(&self, limits: &HistoryLimits, waiting: Option<Waiting>) -> Option<u64> {
        self.messages.front().map(|oldest| due_unix_ms(oldest, limits, waiting))
    }

    /// The message of that id, in its present state.
    #[must_use]
    pub fn find(&self, id: MessageId) -> Option<&Arc<Publication>> {
        // Ids of messages grow with their offsets, and what is looked for is mostly new.
        let messages = self.messages.iter().rev().filter(|message| message.change().is_none());
        messages.take_while(|message| message.id >= id).find(|message| message.id == id)
    }

    /// The entry at an offset.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<&Arc<Publication>> {
        self.messages.get(self.index(offset)?)
    }

    fn index(&self, offset: Offset) -> Option<usize> {
        usize::try_from(offset.checked_sub(self.first_offset()?)?).ok()
    }

    /// Puts a message's present state in its place.
    pub fn replace(&mut self, message: Arc<Publication>) {
        let Some(index) = self.index(message.offset) else { return };
        if let Some(place) = self.messages.get_mut(index) {
            self.bytes = self.bytes + message.cost() - place.cost();
            *place = message;
        }
    }

    /// The messages between two offsets, the first excluded and the last included; no changes.
    pub fn between(&self, after: Offset, last: Offset) -> impl Iterator<Item = &Arc<Publication>> {
        let first = self.index(after + 1).unwrap_or(0);
        let entries = self.messages.iter().skip(first);
        entries.take_while(move |entry| entry.offset <= last).filter(|entry| entry.change().is_none())
    }

    /// Drops everything up to an offset; how many messages that was.
    pub fn evict(&mut self, offset: Offset) -> usize {
        let before = self.messages.len();
        while self.messages.front().is_some_and(|oldest| oldest.offset <= offset) {
            self.pop();
        }
        before - self.messages.len()
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.cost();
        }
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Publication>> {
        self.messages.iter()
    }

    /// Number of kept messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Offset of the oldest message.
    #[must_use]
    pub fn first_offset(&self) -> Option<Offset> {
        self.messages.front().map(|message| message.offset)
    }

    /// Bytes of the kept messages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything behind `offset` up to `last` that somebody may see, or `None` when any of it is gone or it is too
    /// much. Never a part: a client gets exactly what it missed, or nothing.
    ///
    /// Messages come in their present state, so changes of them are not listed apart; what has become of an earlier
    /// message is, once.
    #[must_use]
    pub fn after(
        &self,
        offset: Offset,
        last: Offset,
        eyes: Eyes<'_>,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Publication>>> {
        if offset >= last {
            return (offset == last).then(Vec::new);
        }
        let skipped = self.index(offset + 1)?;
        let entries = self.messages.iter().skip(skipped).take_while(|entry| entry.offset <= last);
        // What somebody is not shown itself says nothing of its changes either.
        let is_shown = |at| at > offset && self.at(at).is_some_and(|message| visible(eyes)(&message));
        let wanted = |entry: &&Arc<Publication>| {
            entry.change().is_none_or(|change| !is_shown(change.of) && self.is_last_change(entry, last))
        };
        let missed: Vec<_> = entries.filter(visible(eyes)).filter(wanted).cloned().collect();
        let bytes: usize = missed.iter().map(|message| message.cost()).sum();
        (bytes <= bytes_max).then_some(missed)
    }

    /// Whether no later change of the same message stands before `last`.
    fn is_last_change(&self, change: &Publication, last: Offset) -> bool {
        let later = self.index(change.offset + 1).unwrap_or(0);
        let mut later = self.messages.iter().skip(later).take_while(|entry| entry.offset <= last);
        !later.any(|entry| entry.id == change.id)
    }

    /// The newest `count` messages that somebody may see, oldest first, as far as `bytes_max` reaches.
    #[must_use]
    pub fn newest(&self, count: usize, eyes: Eyes<'_>, bytes_max: usize) -> Vec<Arc<Publication>> {
        self.page_back(None, count, eyes, bytes_max).messages
    }

    /// A page between two exclusive bounds: forward from `after`, else backward from `before` or the end.
    #[must_use]
    pub fn page(
        &self,
        before: Option<Offset>,
        after: Option<Offset>,
        limit: usize,
        eyes: Eyes<'_>,
        bytes_max: usize,
    ) -> Page {
        let Some(bound) = after else { return self.page_back(before, limit, eyes, bytes_max) };
        let inside = |message: &&Arc<Publication>| {
            message.offset > bound && before.is_none_or(|end| message.offset < end)
        };
        let candidates = self.messages.iter().filter(inside).filter(visible(eyes)).filter(is_message);
        take(candidates, limit, bytes_max)
    }

    fn page_back(&self, before: Option<Offset>, limit: usize, eyes: Eyes<'_>, bytes_max: usize) -> Page {
        let inside = |message: &&Arc<Publication>| before.is_none_or(|end| message.offset < end);
        let candidates = self.messages.iter().rev().filter(inside).filter(visible(eyes));
        let candidates = candidates.filter(is_message);
        let mut page = take(candidates, limit, bytes_max);
        page.messages.reverse();
        page
    }
}

/// Somebody absent waits for what lies behind an offset, for so many milliseconds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The offset.
    pub behind: Offset,
    /// Age in milliseconds.
    pub ttl_ms: u64,
}

fn due_unix_ms(entry: &Publication, limits: &HistoryLimits, waiting: Option<Waiting>) -> u64 {
    let since_ms = entry.change().map_or(entry.unix_ms, |change| change.unix_ms);
    let awaited = waiting.filter(|waiting| entry.offset > waiting.behind);
    since_ms + awaited.map_or(limits.ttl_ms, |waiting| waiting.ttl_ms.max(limits.ttl_ms))
}

fn is_message(entry: &&Arc<Publication>) -> bool {
    entry.change().is_none()
}

fn visible<'a>(eyes: Eyes<'_>) -> impl FnMut(&&'a Arc<Publication>) -> bool {
    move |message| !message.exclude.hides_from(eyes)
}

/// Takes messages while they fit; at least one, so that a page always advances.
fn take<'a>(candidates: impl Iterator<Item = &'a Arc<Publication>>, limit: usize, bytes_max: usize) -> Page {
    let mut page = Page { messages: Vec::new(), more: false };
    let mut bytes = 0;
    for message in candidates {
        bytes += message.cost();
        if page.messages.len() >= limit || (bytes > bytes_max && !page.messages.is_empty()) {
            page.more = true;
            break;
        }
        page.messages.push(Arc::clone(message));
    }
    page
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::id::SessionId;
    use crate::protocol::message::{Except, Revised, Revision};

    const ME: Eyes<'_> = Eyes { session: SessionId(1), user: "me" };

    fn message(offset: Offset, content: &str, exclude: Except) -> Arc<Publication> {
        let content = Bytes::copy_from_slice(content.as_bytes());
        Arc::new(Publication { content, exclude, ..Publication::sample("r", offset, offset * 1000) })
    }

    /// Changes the message at an offset, as the room's owner does.
    fn edit(history: &mut History, of: Offset, content: &str) {
        let offset = history.messages.back().expect("there are messages").offset + 1;
        let message = Publication::clone(history.at(of).expect("it is kept"));
        let by = Arc::clone(&message.sender);
        let revision = Revision { kind: Revised::Edited, unix_ms: offset * 1000, by, offset, of };
        let content = Bytes::copy_from_slice(content.as_bytes());
        let now = Publication { content, revision: Some(Box::new(revision)), ..message };
        history.replace(Arc::new(now.clone()));
        history.push(Arc::new(Publication { offset, ..now }), &HistoryLimits::default());
    }

    fn filled(last: Offset, limits: &HistoryLimits) -> History {
        let mut history = History::default();
        for offset in 1..=last {
            history.push(message(offset, "x", Except::Nobody), limits);
        }
        history
    }

    fn offsets(messages: &[Arc<Publication>]) -> Vec<Offset> {
        messages.iter().map(|message| message.offset).collect()
    }

    #[test]
    fn recovery_is_exact_or_nothing() {
        let limits = HistoryLimits { messages_max: 3, ..HistoryLimits::default() };
        let history = filled(5, &limits);
        assert_eq!(history.after(2, 5, ME, 9999).as_deref().map(offsets), Some(vec![3, 4, 5]));
        assert_eq!(history.after(5, 5, ME, 9999).map(|missed| missed.len()), Some(0));
        assert!(history.after(1, 5, ME, 9999).is_none(), "offset 2 is gone");
        assert!(history.after(6, 5, ME, 9999).is_none(), "ahead of the room");
        assert!(history.after(2, 5, ME, 10).is_none(), "too much for one reply");
        assert!(History::default().after(0, 5, ME, 9999).is_none());
    }

    #[test]
    fn what_somebody_was_excluded_from_stays_hidden() {
        let mut history = filled(2, &HistoryLimits::default());
        history.push(message(3, "x", Except::Session(ME.session)), &HistoryLimits::default());
        history.push(message(4, "x", Except::User("you".into())), &HistoryLimits::default());
        let you = Eyes { user: "you", ..ME };
        assert_eq!(history.after(0, 4, you, 9999).as_deref().map(offsets), Some(vec![1, 2]));
        assert_eq!(history.after(0, 3, ME, 9999).as_deref().map(offsets), Some(vec![1, 2]));
        assert_eq!(
            offsets(&history.newest(9, Eyes { session: SessionId(2), user: "me" }, 9999)),
            [1, 2, 3, 4]
        );
        assert_eq!(offsets(&history.newest(1, you, 9999)), [2]);
    }

    #[test]
    fn pages_walk_both_ways() {
        let history = filled(9, &HistoryLimits::default());
        let page = history.page(None, None, 3, ME, 9999);
        assert_eq!((offsets(&page.messages), page.more), (vec![7, 8, 9], true));
        let page = history.page(Some(3), None, 3, ME, 9999);
        assert_eq!((offsets(&page.messages), page.more), (vec![1, 2], false));
        let page = history.page(None, Some(5), 3, ME, 9999);
        assert_eq!((offsets(&page.messages), page.more), (vec![6, 7, 8], true));
        let page = history.page(Some(8), Some(5), 5, ME, 9999);
        assert_eq!((offsets(&page.messages), page.more), (vec![6, 7], false));
    }

    #[test]
    fn age_and_bytes_bound_it() {
        let limits = HistoryLimits { ttl_ms: 2_500, ..HistoryLimits::default() };
        let mut history = filled(5, &limits);
        history.expire(5_000, &limits, None);
        assert_eq!(history.len(), 3);
        history.expire(50_000, &limits, None);
        assert_eq!((history.len(), history.bytes()), (0, 0));
        let one = message(1, "x", Except::Nobody).cost();
        let limits = HistoryLimits { bytes_max: one * 2, ..HistoryLimits::default() };
        assert_eq!(filled(5, &limits).len(), 2);
    }

    #[test]
    fn what_somebody_waits_for_is_kept_longer() {
        let limits = HistoryLimits { ttl_ms: 2_500, ..HistoryLimits::default() };
        let mut history = filled(5, &limits);
        let waiting = Some(Waiting { behind: 3, ttl_ms: 100_000 });
        history.expire(50_000, &limits, waiting);
        assert_eq!(history.first_offset(), Some(4));
        assert_eq!(history.next_due_unix_ms(&limits, waiting), Some(104_000));
        history.expire(200_000, &limits, waiting);
        assert!(history.is_empty());
    }

    #[test]
    fn a_replay_shows_what_became_of_messages() {
        let mut history = filled(3, &HistoryLimits::default());
        edit(&mut history, 1, "first");
        edit(&mut history, 1, "second");
        edit(&mut history, 3, "third");
        let contents = |messages: &[Arc<Publication>]| -> Vec<(Offset, String)> {
            let text = |message: &Arc<Publication>| String::from_utf8_lossy(&message.content).into_owned();
            messages.iter().map(|message| (message.offset, text(message))).collect()
        };
        let entry = |offset, text: &str| (offset, text.to_owned());
        let missed = history.after(0, 6, ME, 9999).expect("all is kept");
        assert_eq!(contents(&missed), [entry(1, "second"), entry(2, "x"), entry(3, "third")]);
        let missed = history.after(2, 6, ME, 9999).expect("all is kept");
        assert_eq!(contents(&missed), [entry(3, "third"), entry(5, "second")], "one for each message");
        let missed = history.after(3, 4, ME, 9999).expect("all is kept");
        assert_eq!(contents(&missed), [entry(4, "first")], "only up to the end asked for");
        assert_eq!(contents(&history.newest(2, ME, 9999)), [entry(2, "x"), entry(3, "third")]);
        assert_eq!(history.between(1, 6).map(|message| message.offset).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn messages_are_found_by_id() {
        let mut ids = crate::id::MessageIds::default();
        let mut history = History::default();
        let mut known = Vec::new();
        for offset in 1..=5 {
            let id = ids.next(1, &mut rand::rng());
            known.push(id);
            let message = Publication { id, ..Publication::clone(&message(offset, "x", Except::Nobody)) };
            history.push(Arc::new(message), &HistoryLimits::default());
        }
        edit(&mut history, 2, "y");
        for (offset, id) in (1..).zip(known) {
            assert_eq!(history.find(id).map(|message| message.offset), Some(offset));
        }
        assert!(history.find(ids.next(1, &mut rand::rng())).is_none());
    }

    proptest! {
        #[test]
        fn what_is_recovered_has_no_gap(last in 0u64..40, kept in 1usize..20, from in 0u64..50) {
            let limits = HistoryLimits { messages_max: kept, ..HistoryLimits::default() };
            let history = filled(last, &limits);
            match history.after(from, last, ME, usize::MAX) {
                Some(missed) => prop_assert_eq!(offsets(&missed), (from + 1..=last).collect::<Vec<_>>()),
                None => prop_assert!(from > last || last - from > kept as u64),
            }
        }
    }
}
