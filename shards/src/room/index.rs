//! Rooms by name, where whoever has them knows their names: a map that holds keys and nothing else.

use ahash::RandomState;
use hashbrown::HashTable;

/// Keys of rooms by the names of the rooms, which `name_of` gives.
#[derive(Debug, Default)]
pub struct NameIndex {
    keys: HashTable<u32>,
    hasher: RandomState,
}

impl NameIndex {
    /// The key of the room of that name.
    pub fn find<'a>(&self, name: &str, name_of: impl Fn(u32) -> &'a str) -> Option<u32> {
        self.keys.find(self.hasher.hash_one(name), |key| name_of(*key) == name).copied()
    }

    /// Adds a room of a name that is not there.
    pub fn insert<'a>(&mut self, name: &str, key: u32, name_of: impl Fn(u32) -> &'a str) {
        let Self { keys, hasher } = self;
        keys.insert_unique(hasher.hash_one(name), key, |key| hasher.hash_one(name_of(*key)));
    }

    /// Removes a room.
    pub fn remove(&mut self, name: &str, key: u32) {
        if let Ok(entry) = self.keys.find_entry(self.hasher.hash_one(name), |known| *known == key) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_keys() {
        let names: Vec<String> = (0..1_000).map(|number| format!("room {number}")).collect();
        let name_of = |key: u32| names[key as usize].as_str();
        let mut index = NameIndex::default();
        for (key, name) in (0..).zip(&names) {
            assert_eq!(index.find(name, name_of), None);
            index.insert(name, key, name_of);
        }
        for (key, name) in (0..).zip(&names) {
            assert_eq!(index.find(name, name_of), Some(key));
            if key % 2 == 0 {
                index.remove(name, key);
                assert_eq!(index.find(name, name_of), None);
            }
        }
        assert_eq!(index.keys.len(), 500);
    }
}
