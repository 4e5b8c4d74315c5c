//! Who on this shard watches whose presence.
//!
//! Changes come to every shard that has watchers at all; which connections they concern is local knowledge, and so is
//! whether a watcher may know: it must share a room or an account with the user at that moment.

use std::sync::Arc;

use ahash::{HashMap, HashSet};

use crate::protocol::push::PresenceChange;

/// Users and rooms that one connection may watch.
pub const WATCHES_MAX: usize = 1024;

/// What a connection watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A user.
    User(Arc<str>),
    /// The members of a room.
    Room(Arc<str>),
    /// The users of an account, in a namespace.
    Account(Arc<str>),
    /// Everybody visible.
    Everybody,
}

impl Target {
    /// The user who is watched by name.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<str>> {
        match self {
            Self::User(user) => Some(user),
            _ => None,
        }
    }
}

/// The watches of all connections of a shard.
#[derive(Debug, Default)]
pub struct Watches {
    watchers: HashMap<Target, HashSet<u32>>,
}

impl Watches {
    /// Adds a connection's watch; whether it is the first of the shard.
    pub fn add(&mut self, target: Target, slot: u32) -> bool {
        let first = self.watchers.is_empty();
        self.watchers.entry(target).or_default().insert(slot);
        first
    }

    /// Takes a watch back; whether it was the last of the shard.
    pub fn remove(&mut self, target: &Target, slot: u32) -> bool {
        let Some(slots) = self.watchers.get_mut(target) else { return false };
        slots.remove(&slot);
        if !slots.is_empty() {
            return false;
        }
        self.watchers.remove(target);
        self.watchers.is_empty()
    }

    /// The connections that a change concerns, if they may know of it: each once, in a fixed order. Members of rooms
    /// that are too large are left out.
    pub fn concerned(&self, change: &PresenceChange, is_large: impl Fn(&str) -> bool) -> Vec<u32> {
        let of = |target: &Target| self.watchers.get(target).into_iter().flatten().copied();
        let mut slots: Vec<u32> = of(&Target::User(Arc::clone(&change.user))).collect();
        slots.extend(of(&Target::Everybody));
        if let Some(account) = &change.account {
            slots.extend(of(&Target::Account(Arc::clone(account))));
        }
        for room in change.rooms.iter().filter(|room| !is_large(room)) {
            slots.extend(of(&Target::Room(Arc::clone(room))));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Whether nobody watches anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::command::Status;

    fn change(user: &str, account: Option<&str>, rooms: &[&str]) -> PresenceChange {
        PresenceChange {
            user: user.into(),
            account: account.map(Into::into),
            rooms: rooms.iter().map(|room| (*room).into()).collect(),
            status: Status::Online,
            text: None,
            last_seen_unix_ms: 0,
            edge: true,
            told: None,
        }
    }

    #[test]
    fn a_watcher_hears_once_however_many_of_its_watches_match() {
        let mut watches = Watches::default();
        assert!(watches.add(Target::User("a".into()), 1));
        assert!(!watches.add(Target::Room("r".into()), 1));
        watches.add(Target::Room("r".into()), 2);
        watches.add(Target::Account("7".into()), 3);
        watches.add(Target::Everybody, 4);
        let none = |_: &str| false;
        assert_eq!(watches.concerned(&change("a", Some("7"), &["r"]), none), [1, 2, 3, 4]);
        assert_eq!(watches.concerned(&change("b", None, &["r"]), none), [1, 2, 4]);
        assert_eq!(watches.concerned(&change("a", None, &["r"]), |room| room == "r"), [1, 4]);
        for (target, slot) in [(Target::Room("r".into()), 1), (Target::Room("r".into()), 2)] {
            assert!(!watches.remove(&target, slot));
        }
        assert!(!watches.remove(&Target::User("a".into()), 1));
        assert!(!watches.remove(&Target::Account("7".into()), 3));
        assert!(watches.remove(&Target::Everybody, 4) && watches.is_empty());
    }
}
