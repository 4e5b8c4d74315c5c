//! Who is in which room on this shard: the local half of every room, and nobody else's.
//!
//! The owner sends one item a message; the directory says to which connections it goes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::{RoomClass, RoomClassRule};
use crate::id::{Epoch, Offset};
use crate::room::index::NameIndex;
use crate::room::name::local;
use crate::room::pattern::Pattern;
use crate::slots::Slots;

/// A room's key in the directory.
pub type RoomKey = u32;

/// The local half of a room.
#[derive(Debug)]
pub struct LocalRoom {
    /// Its name.
    pub name: Arc<str>,
    /// What happens to those who are slow.
    pub class: RoomClass,
    /// Slots of the connections that receive its messages.
    pub members: SmallVec<[u32; 4]>,
    /// The stream that its members are in.
    pub epoch: Epoch,
    /// The last entry of the stream that went to them.
    pub offset: Offset,
    /// Users in the room as far as known here: of those who joined, and of later counts.
    pub users: usize,
    /// Subscriptions, those included that the owner has not answered yet.
    references: u32,
}

/// All rooms with a subscription on this shard.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: Slots<LocalRoom>,
    by_name: NameIndex,
}

impl Directory {
    /// The room of that name, if anybody here subscribes to it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<RoomKey> {
        self.by_name.find(name, |key| &self.rooms[key as usize].name)
    }

    /// The room of that key.
    ///
    /// # Panics
    /// When the key is held beyond the subscription that it came with.
    #[must_use]
    pub fn get(&self, key: RoomKey) -> &LocalRoom {
        &self.rooms[key as usize]
    }

    /// The room of that key, to note where it stands.
    pub fn get_mut(&mut self, key: RoomKey) -> &mut LocalRoom {
        &mut self.rooms[key as usize]
    }

    /// Adds a subscription to a room, creating its local half if there is none.
    pub fn acquire(&mut self, name: &str, classes: &Classes) -> RoomKey {
        let key = self.find(name).unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let class = classes.of(&name);
            let room = LocalRoom {
                name: Arc::clone(&name),
                class,
                members: SmallVec::new(),
                epoch: Epoch(0),
                offset: 0,
                users: 0,
                references: 0,
            };
            let key = self.rooms.insert(room);
            self.by_name.insert(&name, key, |key| &self.rooms[key as usize].name);
            key
        });
        self.rooms[key as usize].references += 1;
        key
    }

    /// Takes a subscription back; the local half goes with the last.
    pub fn release(&mut self, key: RoomKey) {
        let room = &mut self.rooms[key as usize];
        room.references -= 1;
        if room.references == 0
            && let Some(room) = self.rooms.remove(key as usize)
        {
            self.by_name.remove(&room.name, key);
        }
    }

    /// Lets a connection receive the room's messages from now on.
    pub fn add_member(&mut self, key: RoomKey, slot: u32) {
        self.rooms[key as usize].members.push(slot);
    }

    /// Stops a connection from receiving the room's messages.
    pub fn remove_member(&mut self, key: RoomKey, slot: u32) {
        let members = &mut self.rooms[key as usize].members;
        if let Some(at) = members.iter().position(|member| *member == slot) {
            members.swap_remove(at);
        }
    }

    /// Number of rooms with a subscription here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether nobody here subscribes to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Connections times rooms.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.rooms.iter().map(|(_, room)| room.members.len()).sum()
    }
}

/// The table of room classes, with its patterns read.
#[derive(Debug, Default)]
pub struct Classes(Vec<(Pattern, RoomClass)>);

impl Classes {
    /// Reads the table; rules whose pattern is none were refused with the settings and are skipped.
    #[must_use]
    pub fn new(rules: &[RoomClassRule]) -> Self {
        Self(
            rules.iter().filter_map(|rule| Some((Pattern::parse(&rule.pattern).ok()?, rule.class))).collect(),
        )
    }

    /// The class of a room: the first rule that matches, else queued for `user:` and reliable for all others.
    #[must_use]
    pub fn of(&self, name: &str) -> RoomClass {
        let name = local(name);
        let by_rule = self.0.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, class)| *class);
        by_rule.unwrap_or(if name.starts_with("user:") { RoomClass::Queued } else { RoomClass::Reliable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_lives_as_long_as_its_last_subscription() {
        let mut directory = Directory::default();
        let classes = Classes::default();
        let key = directory.acquire("a", &classes);
        assert_eq!(directory.acquire("a", &classes), key);
        directory.add_member(key, 7);
        directory.remove_member(key, 8);
        assert_eq!((directory.get(key).members.as_slice(), directory.subscriptions()), (&[7][..], 1));
        directory.release(key);
        assert_eq!(directory.find("a"), Some(key));
        directory.release(key);
        assert!(directory.is_empty() && directory.find("a").is_none());
    }

    #[test]
    fn the_first_rule_decides_the_class() {
        let rule = |pattern: &str, class| RoomClassRule { pattern: pattern.into(), class };
        let classes = Classes::new(&[rule("live.*", RoomClass::Ephemeral), rule("**", RoomClass::Queued)]);
        assert_eq!(classes.of("live.a"), RoomClass::Ephemeral);
        assert_eq!(classes.of("a"), RoomClass::Queued);
        assert_eq!(Classes::default().of("a"), RoomClass::Reliable);
        assert_eq!(Classes::default().of("user:a"), RoomClass::Queued);
    }
}
