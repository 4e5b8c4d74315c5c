//! Identities of streams.
//!
//! A room in which nothing was ever sent need not be remembered for its epoch's sake: forgotten and created again, it
//! gets the same one, since position 0 of its stream is still position 0. One that somebody created and closed does
//! not: it may be for others when it comes again. Once a stream with messages is forgotten, its name and the few that
//! share a place with it get another, so that no offset of the old stream ever fits the new.

use ahash::{HashMap, RandomState};
use rand::Rng;

use crate::id::Epoch;

/// Places that names are spread over.
const PLACES: u64 = 1 << 16;

/// Gives rooms their epochs.
#[derive(Debug)]
pub struct Epochs {
    hasher: RandomState,
    /// Streams that have ended, by the place of their names.
    ended: HashMap<u64, u64>,
}

impl Epochs {
    /// Epochs that nobody can guess.
    pub fn new(random: &mut impl Rng) -> Self {
        let mut seed = || random.next_u64();
        Self { hasher: RandomState::with_seeds(seed(), seed(), seed(), seed()), ended: HashMap::default() }
    }

    fn place(&self, room: &str) -> u64 {
        self.hasher.hash_one(room) % PLACES
    }

    /// The epoch of a room that is created now.
    #[must_use]
    pub fn of(&self, room: &str) -> Epoch {
        let ended = self.ended.get(&self.place(room)).copied().unwrap_or_default();
        Epoch(self.hasher.hash_one((room, ended)))
    }

    /// A room in which messages were sent, or which somebody created, is forgotten.
    pub fn stream_ended(&mut self, room: &str) {
        *self.ended.entry(self.place(room)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_lasts_until_its_stream_ends() {
        let mut epochs = Epochs::new(&mut rand::rng());
        let first = epochs.of("a");
        assert_eq!(epochs.of("a"), first);
        assert_ne!(epochs.of("b"), first);
        epochs.stream_ended("a");
        assert_ne!(epochs.of("a"), first);
        assert_ne!(Epochs::new(&mut rand::rng()).of("a"), first);
    }

    #[test]
    fn the_end_of_a_stream_concerns_few_other_rooms() {
        let mut epochs = Epochs::new(&mut rand::rng());
        let names: Vec<String> = (0..1000).map(|number| format!("room:{number}")).collect();
        let before: Vec<_> = names.iter().map(|name| epochs.of(name)).collect();
        for number in 0..100 {
            epochs.stream_ended(&format!("ended:{number}"));
        }
        let changed = names.iter().zip(before).filter(|(name, epoch)| epochs.of(name) != *epoch).count();
        assert!(changed < 50, "{changed} of 1000");
    }
}
