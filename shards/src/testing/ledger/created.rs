//! Rooms that clients created: who may know of them, and until when they are what they are.

use std::collections::{BTreeMap, BTreeSet};

use super::Ledger;

/// A room that some client asked for, by its number in the room's metadata.
#[derive(Debug)]
pub(in super::super) struct Creation {
    /// The creator, if it has a name.
    pub(in super::super) owner: Option<String>,
    pub(in super::super) private: bool,
    /// Users who may enter beside the creator.
    pub(in super::super) members: Vec<String>,
    pub(in super::super) members_max: Option<u64>,
}

impl Creation {
    /// Whether a user may know of it.
    pub(in super::super) fn is_open_to(&self, user: Option<&str>) -> bool {
        let named =
            |user: &str| self.owner.as_deref() == Some(user) || self.members.iter().any(|m| m == user);
        !self.private || user.is_none_or(named)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(in super::super) struct CreatedRooms {
    pub(in super::super) creations: Vec<Creation>,
    /// Which room and epoch became of which creation.
    by_epoch: BTreeMap<(String, String), usize>,
    /// Names that were ever asked for.
    pub(in super::super) names: BTreeSet<String>,
    /// Streams of rooms that were closed, and when that was known.
    closed: BTreeMap<(String, String), u64>,
}

impl Ledger {
    /// A client learned that a room is what a creation made it.
    pub(in super::super) fn know_created(&mut self, room: &str, epoch: &str, number: usize) {
        let known = *self.created.by_epoch.entry((room.to_owned(), epoch.to_owned())).or_insert(number);
        if known != number || number >= self.created.creations.len() {
            self.violate("a created room is created once", format!("{room} {epoch}: {number} and {known}"));
        }
    }

    /// What is known of how a stream's room was created.
    pub(in super::super) fn creation(&self, room: &str, epoch: &str) -> Option<&Creation> {
        let number = self.created.by_epoch.get(&(room.to_owned(), epoch.to_owned()))?;
        self.created.creations.get(*number)
    }

    /// A user was told something of a room.
    pub(in super::super) fn tell_of(&mut self, room: &str, epoch: &str, user: Option<&str>, what: &str) {
        let outsider = self.creation(room, epoch).is_some_and(|creation| !creation.is_open_to(user));
        if outsider {
            let what = format!("{user:?} heard of {room} {epoch}: {what}");
            self.violate("nothing of a private room reaches an outsider", what);
        }
    }

    /// So many users are in a room.
    pub(in super::super) fn count_members(&mut self, room: &str, epoch: &str, members: u64) {
        let max = self.creation(room, epoch).and_then(|creation| creation.members_max);
        if max.is_some_and(|max| members > max) {
            self.violate("maxMembers is never exceeded", format!("{members} of {max:?} in {room} {epoch}"));
        }
    }

    /// The room is closed, and everybody out of it.
    pub(in super::super) fn close(&mut self, room: &str, epoch: &str, now_ms: u64) {
        self.created.closed.entry((room.to_owned(), epoch.to_owned())).or_insert(now_ms);
    }

    /// A join that was asked for then was answered with that stream.
    pub(in super::super) fn check_closed(&mut self, room: &str, epoch: &str, asked_ms: u64) {
        let closed = self.created.closed.get(&(room.to_owned(), epoch.to_owned())).copied();
        if closed.is_some_and(|closed_ms| closed_ms < asked_ms) {
            let what = format!("{room} {epoch} was closed at {closed:?} and joined at {asked_ms}");
            self.violate("a closed room's epoch never comes back", what);
        }
    }
}
