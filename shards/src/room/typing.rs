//! Who is writing in a room: held by the server, so that a client that dies does not write for ever.
//!
//! Only edges are told: a user begins, and a user has stopped, sent, left, or has been silent for too long.

use std::sync::Arc;

/// Milliseconds after which a user who said that it writes no longer does.
pub const EXPIRY_MS: u64 = 6_000;
/// Users who may write in one room at a time; nobody reads a longer list.
const USERS_MAX: usize = 1000;

/// The users who write in a room, those who began first in front.
#[derive(Debug, Default)]
pub struct Typing {
    users: Vec<(Arc<str>, u64)>,
}

impl Typing {
    /// Nobody writes.
    pub const NOBODY: Self = Self { users: Vec::new() };

    /// A user writes, or still does; whether that is news.
    pub fn start(&mut self, user: &Arc<str>, now_ms: u64) -> bool {
        let until_ms = now_ms + EXPIRY_MS;
        if let Some((_, until)) = self.users.iter_mut().find(|(known, _)| known == user) {
            *until = until_ms;
            return false;
        }
        let room = self.users.len() < USERS_MAX;
        if room {
            self.users.push((Arc::clone(user), until_ms));
        }
        room
    }

    /// A user no longer writes; whether that is news.
    pub fn stop(&mut self, user: &str) -> bool {
        let at = self.users.iter().position(|(known, _)| **known == *user);
        at.map(|at| self.users.remove(at)).is_some()
    }

    /// Gives those whose time is over to `stopped`.
    pub fn expire(&mut self, now_ms: u64, mut stopped: impl FnMut(Arc<str>)) {
        self.users.retain(|(user, until_ms)| {
            let over = *until_ms <= now_ms;
            if over {
                stopped(Arc::clone(user));
            }
            !over
        });
    }

    /// When the next of them stops.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.users.iter().map(|(_, until_ms)| *until_ms).min()
    }

    /// The users who write.
    pub fn users(&self) -> impl Iterator<Item = &Arc<str>> {
        self.users.iter().map(|(user, _)| user)
    }

    /// Whether nobody writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_edges_are_news() {
        let mut typing = Typing::default();
        let alice: Arc<str> = "alice".into();
        assert!(typing.start(&alice, 0));
        assert!(!typing.start(&alice, 1_000));
        assert!(typing.stop("alice") && !typing.stop("alice"));
    }

    #[test]
    fn whoever_is_silent_no_longer_writes() {
        let mut typing = Typing::default();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        typing.start(&alice, 0);
        typing.start(&bob, 1_000);
        typing.start(&alice, 2_000);
        assert_eq!(typing.next_due_ms(), Some(7_000));
        let mut stopped = Vec::new();
        typing.expire(7_000, |user| stopped.push(user));
        assert_eq!(stopped, [bob]);
        assert_eq!(typing.users().collect::<Vec<_>>(), [&alice]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut typing = Typing::default();
        for number in 0..USERS_MAX + 5 {
            assert_eq!(typing.start(&number.to_string().into(), 0), number < USERS_MAX);
        }
    }
}
