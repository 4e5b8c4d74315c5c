//! Values by small numbers that are used again: connections and rooms of a shard.
//!
//! As a slab, but in chunks that never move. A vector that doubles would copy every connection of a shard in one turn,
//! and leave the halves that it grew out of behind as memory that nothing else is large enough for.

use std::ops::{Index, IndexMut};

/// Values of one chunk.
const CHUNK: usize = 64;
/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
enum Slot<T> {
    /// Free, and which one is free next.
    Free(u32),
    Taken(T),
}

/// Values by slot. A slot that was freed last is taken first.
#[derive(Debug)]
pub struct Slots<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: u32,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slots<T> {
    /// The slot that the next value gets.
    ///
    /// # Panics
    /// When there are 2³² values already, which no memory holds.
    #[must_use]
    pub fn next_slot(&self) -> u32 {
        if self.free != NONE {
            return self.free;
        }
        u32::try_from(self.end()).ok().filter(|slot| *slot != NONE).expect("fewer than 2^32 values")
    }

    /// Takes a slot for a value.
    pub fn insert(&mut self, value: T) -> u32 {
        let slot = self.next_slot();
        if self.free == NONE {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            let chunk = self.chunks.last_mut().expect("one was added if there was none with room");
            chunk.push(Slot::Taken(value));
        } else {
            let place = self.place_mut(slot as usize).expect("a free slot is one of ours");
            if let Slot::Free(next) = std::mem::replace(place, Slot::Taken(value)) {
                self.free = next;
            }
        }
        self.len += 1;
        slot
    }

    /// Frees a slot and gives its value back.
    pub fn remove(&mut self, slot: usize) -> Option<T> {
        let free = self.free;
        let place = self.place_mut(slot).filter(|place| matches!(place, Slot::Taken(_)))?;
        let Slot::Taken(value) = std::mem::replace(place, Slot::Free(free)) else { return None };
        self.free = u32::try_from(slot).unwrap_or(NONE);
        self.len -= 1;
        if self.len == 0 {
            // Nothing is left to keep the order of slots for.
            *self = Self::default();
        }
        Some(value)
    }

    /// The value of a slot, if it is taken.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&T> {
        match self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)? {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// As [`Slots::get`], to change it.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        match self.place_mut(slot)? {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// The values with their slots, in the order of slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.chunks.iter().flatten().enumerate().filter_map(|(slot, place)| match place {
            Slot::Taken(value) => Some((slot, value)),
            Slot::Free(_) => None,
        })
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot behind all that were ever taken.
    #[must_use]
    pub fn end(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn place_mut(&mut self, slot: usize) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }
}

/// Whoever has a slot by something that holds it knows that it is taken.
impl<T> Index<usize> for Slots<T> {
    type Output = T;

    fn index(&self, slot: usize) -> &T {
        self.get(slot).expect("the slot is taken")
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, slot: usize) -> &mut T {
        self.get_mut(slot).expect("the slot is taken")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_never_move() {
        let mut slots = Slots::default();
        slots.insert(0_u64);
        let first: *const u64 = &raw const slots[0];
        for value in 1..10_000 {
            assert_eq!(u64::from(slots.insert(value)), value);
        }
        assert_eq!(first, &raw const slots[0]);
        assert_eq!((slots.len(), slots.get(10_000), slots.get(usize::MAX)), (10_000, None, None));
    }

    #[test]
    fn the_last_value_takes_the_memory_with_it() {
        let mut slots = Slots::default();
        for value in 0..1_000 {
            slots.insert(value);
        }
        for slot in 0..1_000 {
            assert_eq!(slots.remove(slot), Some(slot));
            assert_eq!(slots.remove(slot), None, "it was free already");
        }
        assert!(slots.is_empty() && slots.chunks.capacity() == 0);
        assert_eq!(slots.insert(7), 0);
    }

    proptest! {
        #[test]
        fn they_hold_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 0_usize..200), 1..600)) {
            let mut slots = Slots::default();
            let mut map = HashMap::new();
            for (number, (add, slot)) in steps.into_iter().enumerate() {
                if add {
                    let next = slots.next_slot();
                    prop_assert_eq!(slots.insert(number), next);
                    prop_assert_eq!(map.insert(next as usize, number), None);
                } else {
                    prop_assert_eq!(slots.remove(slot), map.remove(&slot));
                }
                prop_assert_eq!(slots.len(), map.len());
            }
            let mut expected: Vec<_> = map.into_iter().collect();
            expected.sort_unstable();
            prop_assert_eq!(slots.iter().map(|(slot, value)| (slot, *value)).collect::<Vec<_>>(), expected);
        }
    }
}
