//! The rooms of a shard that somebody created and nobody has closed: how many there may be, and whose.

use std::sync::Arc;

use ahash::HashMap;

/// Such rooms of a process.
const ROOMS_MAX: usize = 65_536;
/// Bytes that what their creators decided may take, in a process.
const BYTES_MAX: usize = 64 << 20;
/// Such rooms that one user may have on each shard, so that nobody takes the places of all others.
const ROOMS_PER_OWNER_MAX: usize = 256;

/// The created rooms of a shard, counted.
#[derive(Debug, Default)]
pub struct CreatedRooms {
    rooms: usize,
    bytes: usize,
    by_owner: HashMap<Arc<str>, usize>,
}

/// Why there may not be another room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// One sentence for a developer.
    pub message: &'static str,
    /// The bound that is reached.
    pub limit: usize,
}

impl CreatedRooms {
    /// Whether a user may create another room; the one room with which a bound of bytes is passed still may.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn admit(&self, owner: &str, shards: usize) -> Result<(), Full> {
        self.admit_any(shards)?;
        let owned = self.by_owner.get(owner).copied().unwrap_or_default();
        if owned >= ROOMS_PER_OWNER_MAX {
            let message = "the user has created too many rooms and not closed them";
            return Err(Full { message, limit: ROOMS_PER_OWNER_MAX });
        }
        Ok(())
    }

    /// Whether another room may be created, whoever does it.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn admit_any(&self, shards: usize) -> Result<(), Full> {
        let rooms_max = (ROOMS_MAX / shards).max(1);
        let bytes_max = BYTES_MAX / shards;
        let full = |message, limit| Err(Full { message, limit });
        if self.rooms >= rooms_max {
            return full("too many rooms were created and not closed", rooms_max);
        }
        if self.bytes >= bytes_max {
            return full("the rooms that were created and not closed take too many bytes", bytes_max);
        }
        Ok(())
    }

    /// A user has created a room that takes so many bytes.
    pub fn add(&mut self, owner: &Arc<str>, bytes: usize) {
        self.rooms += 1;
        self.bytes += bytes;
        *self.by_owner.entry(Arc::clone(owner)).or_default() += 1;
    }

    /// Such a room is gone.
    pub fn remove(&mut self, owner: &str, bytes: usize) {
        self.rooms -= 1;
        self.bytes -= bytes;
        if let Some(owned) = self.by_owner.get_mut(owner) {
            *owned -= 1;
            if *owned == 0 {
                self.by_owner.remove(owner);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms
    }

    /// What they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_does_not_take_the_places_of_others() {
        let mut created = CreatedRooms::default();
        let owner: Arc<str> = "a".into();
        for _ in 0..ROOMS_PER_OWNER_MAX {
            assert_eq!(created.admit("a", 1), Ok(()));
            created.add(&owner, 10);
        }
        assert_eq!(created.admit("a", 1).map_err(|full| full.limit), Err(ROOMS_PER_OWNER_MAX));
        assert_eq!(created.admit("b", 1), Ok(()));
        created.remove("a", 10);
        assert_eq!(created.admit("a", 1), Ok(()));
    }

    #[test]
    fn what_creators_decide_is_bounded_in_bytes_and_given_back() {
        let mut created = CreatedRooms::default();
        created.add(&"a".into(), BYTES_MAX / 4 - 1);
        assert_eq!(created.admit("b", 4), Ok(()));
        created.add(&"a".into(), 1);
        assert_eq!(created.admit("b", 4).map_err(|full| full.limit), Err(BYTES_MAX / 4));
        created.remove("a", BYTES_MAX / 4 - 1);
        created.remove("a", 1);
        assert_eq!((created.rooms(), created.bytes(), created.by_owner.len()), (0, 0, 0));
    }

    #[test]
    fn all_together_are_bounded() {
        let mut created = CreatedRooms::default();
        for number in 0..ROOMS_MAX / 64 {
            assert_eq!(created.admit("a", 64), Ok(()));
            created.add(&number.to_string().into(), 1);
        }
        assert_eq!(created.admit("a", 64).map_err(|full| full.limit), Err(ROOMS_MAX / 64));
    }
}
