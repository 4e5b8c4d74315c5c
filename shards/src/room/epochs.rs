//! Identities of streams.
//!
//! A room in which nothing was ever sent need not be remembered for its epoch's sake: forgotten and created again, it
//! gets the same one, since position 0 of its stream is still position 0. One that somebody created and closed does
//! not: it may be for others when it comes again. Once a stream with messages is forgotten, its name and the few that
//! share a place with it get another, so that no offset of the old stream ever fits the new.

use ahash::{HashMap, RandomState};
use rand::Rng;

use crate::config::RoomClass;
use crate::id::Epoch;

/// Places that names are spread over.
const PLACES: u64 = 1 << 16;

/// Gives rooms their epochs.
#[derive(Debug)]
pub struct Epochs {
    hasher: RandomState,
    /// The same for rooms that forget their messages: these begin anew with every process.
    fleeting: RandomState,
    /// Streams that have ended, by the place of their names.
    ended: HashMap<u64, u64>,
}

impl Epochs {
    /// Epochs that nobody can guess; the same as in an earlier process that was given the same seeds.
    pub fn new(random: &mut impl Rng, seeds: Option<[u64; 4]>) -> Self {
        let mut hasher = |seeds: Option<[u64; 4]>| {
            let [a, b, c, d] = seeds.unwrap_or_else(|| std::array::from_fn(|_| random.next_u64()));
            RandomState::with_seeds(a, b, c, d)
        };
        Self { hasher: hasher(seeds), fleeting: hasher(None), ended: HashMap::default() }
    }

    /// The place of a room's name.
    #[must_use]
    pub fn place(&self, room: &str) -> u64 {
        self.hasher.hash_one(room) % PLACES
    }

    /// The epoch of a room that is created now.
    #[must_use]
    pub fn of(&self, room: &str, class: RoomClass) -> Epoch {
        let ended = self.ended.get(&self.place(room)).copied().unwrap_or_default();
        let hasher = if class == RoomClass::Ephemeral { &self.fleeting } else { &self.hasher };
        Epoch(hasher.hash_one((room, ended)))
    }

    /// A room in which messages were sent, or which somebody created, is forgotten; how many have ended at its place.
    pub fn stream_ended(&mut self, room: &str) -> u64 {
        let ended = self.ended.entry(self.place(room)).or_default();
        *ended += 1;
        *ended
    }

    /// How many will have ended at a room's place when its stream has.
    #[must_use]
    pub fn next_end(&self, room: &str) -> u64 {
        self.ended.get(&self.place(room)).copied().unwrap_or_default() + 1
    }

    /// Streams that have ended, by place.
    #[must_use]
    pub fn ended(&self) -> &HashMap<u64, u64> {
        &self.ended
    }

    /// Streams that have ended in earlier processes.
    pub fn restore(&mut self, ended: HashMap<u64, u64>) {
        self.ended = ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_lasts_until_its_stream_ends() {
        let mut epochs = Epochs::new(&mut rand::rng(), None);
        let first = epochs.of("a", RoomClass::Reliable);
        assert_eq!(epochs.of("a", RoomClass::Reliable), first);
        assert_ne!(epochs.of("b", RoomClass::Reliable), first);
        epochs.stream_ended("a");
        assert_ne!(epochs.of("a", RoomClass::Reliable), first);
        assert_ne!(Epochs::new(&mut rand::rng(), None).of("a", RoomClass::Reliable), first);
    }

    #[test]
    fn epochs_outlive_a_process_but_not_those_of_rooms_that_forget() {
        let mut epochs = Epochs::new(&mut rand::rng(), Some([1, 2, 3, 4]));
        epochs.stream_ended("a");
        let mut next = Epochs::new(&mut rand::rng(), Some([1, 2, 3, 4]));
        next.restore(epochs.ended().clone());
        assert_eq!(next.of("a", RoomClass::Queued), epochs.of("a", RoomClass::Queued));
        assert_ne!(next.of("a", RoomClass::Ephemeral), epochs.of("a", RoomClass::Ephemeral));
    }

    #[test]
    fn the_end_of_a_stream_concerns_few_other_rooms() {
        let mut epochs = Epochs::new(&mut rand::rng(), None);
        let names: Vec<String> = (0..1000).map(|number| format!("room:{number}")).collect();
        let before: Vec<_> = names.iter().map(|name| epochs.of(name, RoomClass::Reliable)).collect();
        for number in 0..100 {
            epochs.stream_ended(&format!("ended:{number}"));
        }
        let changed = names
            .iter()
            .zip(before)
            .filter(|(name, epoch)| epochs.of(name, RoomClass::Reliable) != *epoch)
            .count();
        assert!(changed < 50, "{changed} of 1000");
    }
}
