//! The key spaces in memory: what is told anew when the log is, and all there is without a store.

use std::collections::BTreeMap;

use bytes::Bytes;
use roomcast_shards::durable::{Record, Space};

/// Bytes of all keys and values together.
const BYTES_MAX: usize = 64 << 20;
/// What an entry takes beside its bytes.
const ENTRY_BYTES: usize = 96;

/// There is no room for another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room is left in the store for another value")]
pub(crate) struct NoRoom;

/// Bytes by bytes, in spaces of their own.
#[derive(Debug, Default)]
pub(super) struct Values {
    by_key: BTreeMap<(Space, Bytes), Bytes>,
    bytes: usize,
}

impl Values {
    /// What was there before.
    pub(super) fn new(by_key: BTreeMap<(Space, Bytes), Bytes>) -> Self {
        let bytes = by_key.iter().map(|((_, key), value)| cost(key, value)).sum();
        Self { by_key, bytes }
    }

    /// Sets a value.
    pub(super) fn put(&mut self, space: Space, key: Bytes, value: Bytes) -> Result<(), NoRoom> {
        let before = self.get(space, &key).map_or(0, |value| cost(&key, value));
        let bytes = self.bytes - before + cost(&key, &value);
        if bytes > BYTES_MAX {
            return Err(NoRoom);
        }
        self.bytes = bytes;
        self.by_key.insert((space, key), value);
        Ok(())
    }

    /// Removes a value; whether there was one.
    pub(super) fn remove(&mut self, space: Space, key: Bytes) -> bool {
        let place = (space, key);
        let removed = self.by_key.remove(&place);
        self.bytes -= removed.as_ref().map_or(0, |value| cost(&place.1, value));
        removed.is_some()
    }

    /// A value.
    pub(super) fn get(&self, space: Space, key: &Bytes) -> Option<&Bytes> {
        self.by_key.get(&(space, key.clone()))
    }

    /// All values of a space, by key.
    pub(super) fn all(&self, space: Space) -> Vec<(Bytes, Bytes)> {
        let here = self.by_key.range((space, Bytes::new())..).take_while(|((known, _), _)| *known == space);
        here.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    /// What tells all of them anew.
    pub(super) fn records(&self) -> Vec<Record> {
        let value = |((space, key), value): (&(Space, Bytes), &Bytes)| Record::Value {
            space: *space,
            key: key.clone(),
            value: Some(value.clone()),
        };
        std::iter::once(Record::Values).chain(self.by_key.iter().map(value)).collect()
    }
}

fn cost(key: &Bytes, value: &Bytes) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_do_not_mix_and_bytes_are_given_back() {
        let mut values = Values::default();
        let big = Bytes::from(vec![0; BYTES_MAX - 2 * ENTRY_BYTES - 2]);
        values.put(Space::Outbox, "a".into(), big.clone()).unwrap();
        values.put(Space::DeadLetters, "a".into(), Bytes::new()).unwrap();
        assert_eq!(values.put(Space::Outbox, "b".into(), Bytes::new()), Err(NoRoom));
        assert_eq!(values.put(Space::Outbox, "a".into(), big), Ok(()), "it takes its own place");
        assert_eq!(values.all(Space::DeadLetters), [("a".into(), Bytes::new())]);
        assert!(values.remove(Space::Outbox, "a".into()) && !values.remove(Space::Outbox, "a".into()));
        assert!(values.remove(Space::DeadLetters, "a".into()));
        assert_eq!((values.bytes, values.records().len()), (0, 1));
    }
}
