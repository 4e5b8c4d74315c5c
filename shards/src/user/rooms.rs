//! The rooms that a user's connections have chosen to be in, as the user's owner knows them.
//!
//! A room whose last connection was lost still counts for the grace, each for its own: one end for all would move on
//! with every loss, and never come for a user who keeps coming and going.

use std::sync::Arc;

use thin_vec::ThinVec;

/// Rooms without a connection that one user keeps; further ones are dropped at once.
pub const LOST_MAX: usize = 1024;

/// The rooms of one user.
#[derive(Debug, Default)]
pub struct Rooms {
    /// Those with connections in them, and how many.
    held: ThinVec<(Arc<str>, u32)>,
    /// Those within their grace, and until when: as all graces are equally long, in the order of their ends.
    lost: ThinVec<(Arc<str>, u64)>,
}

impl Rooms {
    /// A connection entered a room; whether the user was not in it before.
    pub fn enter(&mut self, room: &Arc<str>) -> bool {
        if let Some((_, count)) = self.held.iter_mut().find(|(known, _)| known == room) {
            *count += 1;
            return false;
        }
        if self.held.is_empty() {
            // Most users are in one room: a vector would make room for four.
            self.held.reserve_exact(1);
        }
        self.held.push((Arc::clone(room), 1));
        let lost = self.lost.iter().position(|(known, _)| known == room);
        lost.map(|at| self.lost.remove(at)).is_none()
    }

    /// A connection left a room. With `until_ms` it was lost, and the room stays until then if no other is there.
    pub fn leave(&mut self, room: &str, until_ms: Option<u64>) {
        let Some(at) = self.held.iter().position(|(known, _)| **known == *room) else { return };
        self.held[at].1 -= 1;
        if self.held[at].1 > 0 {
            return;
        }
        let (room, _) = self.held.swap_remove(at);
        if let Some(until_ms) = until_ms.filter(|_| self.lost.len() < LOST_MAX) {
            self.lost.push((room, until_ms));
        }
    }

    /// Forgets the rooms whose grace is over.
    pub fn expire(&mut self, now_ms: u64) {
        self.lost.retain(|(_, until_ms)| *until_ms > now_ms);
        if self.lost.is_empty() {
            self.lost = ThinVec::new();
        }
    }

    /// When the next grace is over.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.lost.first().map(|(_, until_ms)| *until_ms)
    }

    /// All of them, each once.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let held = self.held.iter().map(|(room, _)| room);
        held.chain(self.lost.iter().map(|(room, _)| room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rooms: &Rooms) -> Vec<&str> {
        rooms.iter().map(|room| &**room).collect()
    }

    #[test]
    fn each_room_has_a_grace_of_its_own() {
        let mut rooms = Rooms::default();
        for (number, room) in ["a", "b", "c"].into_iter().enumerate() {
            assert!(rooms.enter(&room.into()));
            rooms.leave(room, Some(10 + number as u64));
        }
        assert_eq!((rooms.next_due_ms(), names(&rooms)), (Some(10), vec!["a", "b", "c"]));
        assert!(!rooms.enter(&"b".into()), "it was not seen to go");
        rooms.expire(10);
        assert_eq!((rooms.next_due_ms(), names(&rooms)), (Some(12), vec!["b", "c"]));
        rooms.leave("b", None);
        rooms.expire(12);
        assert_eq!((rooms.next_due_ms(), names(&rooms)), (None, vec![]));
    }

    #[test]
    fn a_user_who_comes_and_goes_keeps_a_bounded_number() {
        let mut rooms = Rooms::default();
        for number in 0..10_000 {
            let room: Arc<str> = number.to_string().into();
            rooms.expire(number);
            rooms.enter(&room);
            rooms.leave(&room, Some(number + 100));
            assert!(rooms.iter().count() <= 100);
        }
        for number in 0..2 * LOST_MAX {
            let room: Arc<str> = format!("at once {number}").into();
            rooms.enter(&room);
            rooms.leave(&room, Some(20_000));
        }
        assert_eq!(rooms.iter().count(), LOST_MAX);
    }

    #[test]
    fn an_idle_user_takes_one_entry() {
        let mut rooms = Rooms::default();
        rooms.enter(&"a".into());
        rooms.leave("a", Some(10));
        rooms.enter(&"a".into());
        rooms.expire(20);
        assert_eq!(rooms.held.capacity(), 1);
    }
}
