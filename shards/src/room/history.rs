//! The newest messages of a room, and what a client that was away missed of them.
//!
//! Bounded by count, bytes and age; the oldest go first. Offsets in it are consecutive.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::HistoryLimits;
use crate::id::{Offset, SessionId};
use crate::protocol::message::Publication;

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

    /// Drops what is older than its age allows.
    pub fn expire(&mut self, unix_ms: u64, limits: &HistoryLimits) {
        while self.messages.front().is_some_and(|oldest| oldest.unix_ms + limits.ttl_ms <= unix_ms) {
            self.pop();
        }
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
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

    /// When the oldest message was accepted.
    #[must_use]
    pub fn oldest_unix_ms(&self) -> Option<u64> {
        self.messages.front().map(|message| message.unix_ms)
    }

    /// Everything behind `offset` that `session` may see, or `None` when any of it is gone or it is too much.
    ///
    /// `last` is the room's last offset. Never a part: a client gets exactly what it missed, or nothing.
    #[must_use]
    pub fn after(
        &self,
        offset: Offset,
        last: Offset,
        session: SessionId,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Publication>>> {
        if offset >= last {
            return (offset == last).then(Vec::new);
        }
        let first = self.messages.front()?.offset;
        if first > offset + 1 {
            return None;
        }
        let skipped = usize::try_from(offset + 1 - first).ok()?;
        let missed: Vec<_> = self.messages.iter().skip(skipped).filter(visible(session)).cloned().collect();
        let bytes: usize = missed.iter().map(|message| message.cost()).sum();
        (bytes <= bytes_max).then_some(missed)
    }

    /// The newest `count` messages that `session` may see, oldest first, as far as `bytes_max` reaches.
    #[must_use]
    pub fn newest(&self, count: usize, session: SessionId, bytes_max: usize) -> Vec<Arc<Publication>> {
        self.page_back(None, count, session, bytes_max).messages
    }

    /// A page between two exclusive bounds: forward from `after`, else backward from `before` or the end.
    #[must_use]
    pub fn page(
        &self,
        before: Option<Offset>,
        after: Option<Offset>,
        limit: usize,
        session: SessionId,
        bytes_max: usize,
    ) -> Page {
        let Some(bound) = after else { return self.page_back(before, limit, session, bytes_max) };
        let inside = |message: &&Arc<Publication>| {
            message.offset > bound && before.is_none_or(|end| message.offset < end)
        };
        let candidates = self.messages.iter().filter(inside).filter(visible(session));
        take(candidates, limit, bytes_max)
    }

    fn page_back(&self, before: Option<Offset>, limit: usize, session: SessionId, bytes_max: usize) -> Page {
        let inside = |message: &&Arc<Publication>| before.is_none_or(|end| message.offset < end);
        let candidates = self.messages.iter().rev().filter(inside).filter(visible(session));
        let mut page = take(candidates, limit, bytes_max);
        page.messages.reverse();
        page
    }
}

fn visible<'a>(session: SessionId) -> impl FnMut(&&'a Arc<Publication>) -> bool {
    move |message| message.exclude != Some(session)
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
    use crate::id::Epoch;
    use crate::protocol::message::MessageType;

    const ME: SessionId = SessionId(1);

    fn message(offset: Offset, content: &str, exclude: Option<SessionId>) -> Arc<Publication> {
        Arc::new(Publication {
            id: crate::id::MessageIds::default().next(offset, &mut rand::rng()),
            room: "r".into(),
            epoch: Epoch(1),
            offset,
            sender: "s".into(),
            kind: MessageType::Chat,
            content: Bytes::copy_from_slice(content.as_bytes()),
            metadata: None,
            client_id: None,
            unix_ms: offset * 1000,
            exclude,
        })
    }

    fn filled(last: Offset, limits: &HistoryLimits) -> History {
        let mut history = History::default();
        for offset in 1..=last {
            history.push(message(offset, "x", None), limits);
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
    fn what_a_session_was_excluded_from_stays_hidden() {
        let mut history = filled(2, &HistoryLimits::default());
        history.push(message(3, "x", Some(ME)), &HistoryLimits::default());
        assert_eq!(history.after(0, 3, ME, 9999).as_deref().map(offsets), Some(vec![1, 2]));
        assert_eq!(offsets(&history.newest(9, SessionId(2), 9999)), [1, 2, 3]);
        assert_eq!(offsets(&history.newest(1, ME, 9999)), [2]);
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
        history.expire(5_000, &limits);
        assert_eq!(history.len(), 3);
        history.expire(50_000, &limits);
        assert_eq!((history.len(), history.bytes()), (0, 0));
        let one = message(1, "x", None).cost();
        let limits = HistoryLimits { bytes_max: one * 2, ..HistoryLimits::default() };
        assert_eq!(filled(5, &limits).len(), 2);
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
