//! Identities of streams.
//!
//! A room in which nothing was ever sent need not be remembered for its epoch's sake: forgotten and created again, it
//! gets the same one, since position 0 of its stream is still position 0. Once a stream with messages is forgotten, all
//! rooms created later get others, so that no offset of the old stream ever fits the new.

use ahash::RandomState;
use rand::Rng;

use crate::id::Epoch;

/// Gives rooms their epochs.
#[derive(Debug)]
pub struct Epochs {
    hasher: RandomState,
    streams_ended: u64,
}

impl Epochs {
    /// Epochs that nobody can guess.
    pub fn new(random: &mut impl Rng) -> Self {
        let mut seed = || random.next_u64();
        Self { hasher: RandomState::with_seeds(seed(), seed(), seed(), seed()), streams_ended: 0 }
    }

    /// The epoch of a room that is created now.
    #[must_use]
    pub fn of(&self, room: &str) -> Epoch {
        Epoch(self.hasher.hash_one((room, self.streams_ended)))
    }

    /// A room in which messages were sent is forgotten.
    pub fn stream_ended(&mut self) {
        self.streams_ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_lasts_until_a_stream_ends() {
        let mut epochs = Epochs::new(&mut rand::rng());
        let first = epochs.of("a");
        assert_eq!(epochs.of("a"), first);
        assert_ne!(epochs.of("b"), first);
        epochs.stream_ended();
        assert_ne!(epochs.of("a"), first);
        assert_ne!(Epochs::new(&mut rand::rng()).of("a"), first);
    }
}
