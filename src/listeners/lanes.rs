//! What waits for one listener: in order for each key, in batches, bounded. Pure; time is an argument.
//!
//! A key with a batch on its way is *busy*: its further events wait until that has ended, while events of other keys
//! go on. A batch is made of the keys that have waited longest, and of each the oldest events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::event::SharedEvent;

/// Bounds of what waits, and how it is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneLimits {
    /// Events that may wait, those on their way included.
    pub(crate) events_max: usize,
    /// Bytes that they may hold.
    pub(crate) bytes_max: usize,
    /// Events of one batch.
    pub(crate) batch_max: usize,
    /// Milliseconds for which an event waits for others to share its batch.
    pub(crate) batch_wait_ms: u64,
}

/// An event that waits for one listener.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its place in the order of all that was taken, and its name in the outbox.
    pub(super) number: u64,
    pub(super) event: SharedEvent,
    /// When it was taken, which its age counts from.
    pub(super) taken_unix_ms: u64,
}

/// Events that go out together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    keys: Vec<Arc<str>>,
    bytes: usize,
}

/// What waits of one key, each event with the time at which it came.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(u64, Entry)>,
    busy: bool,
}

/// The lanes of one listener, one for each key.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: LaneLimits,
    /// By key; one that is busy is here even if nothing of it waits.
    by_key: HashMap<Arc<str>, Lane>,
    /// Keys that are not busy and of which something waits, first come first.
    ready: VecDeque<Arc<str>>,
    /// Events of those keys.
    ready_events: usize,
    events: usize,
    bytes: usize,
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Self {
        Self {
            limits,
            by_key: HashMap::default(),
            ready: VecDeque::new(),
            ready_events: 0,
            events: 0,
            bytes: 0,
        }
    }

    /// Events that wait or are on their way, and the bytes that they hold.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }

    /// Puts an event behind those of its key.
    ///
    /// # Errors
    /// The event, when too much waits.
    pub(super) fn push(&mut self, key: &str, entry: Entry, now_ms: u64) -> Result<(), Entry> {
        let bytes = entry.event.cost();
        if self.events >= self.limits.events_max || self.bytes + bytes > self.limits.bytes_max {
            return Err(entry);
        }
        self.events += 1;
        self.bytes += bytes;
        if let Some(lane) = self.by_key.get_mut(key) {
            lane.waiting.push_back((now_ms, entry));
            self.ready_events += usize::from(!lane.busy);
            return Ok(());
        }
        let key: Arc<str> = key.into();
        let lane = Lane { waiting: VecDeque::from([(now_ms, entry)]), busy: false };
        self.by_key.insert(Arc::clone(&key), lane);
        self.ready.push_back(key);
        self.ready_events += 1;
        Ok(())
    }

    /// The next batch.
    ///
    /// # Errors
    /// When there will be one, unless enough events come before; `None` when nothing is ready.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<Batch, Option<u64>> {
        let oldest = self.ready.front().and_then(|key| self.by_key[key].waiting.front());
        let Some(due_ms) = oldest.map(|(queued_ms, _)| queued_ms + self.limits.batch_wait_ms) else {
            return Err(None);
        };
        if self.ready_events < self.limits.batch_max && now_ms < due_ms {
            return Err(Some(due_ms));
        }
        let mut batch = Batch { entries: Vec::new(), keys: Vec::new(), bytes: 0 };
        while batch.entries.len() < self.limits.batch_max {
            let Some(key) = self.ready.pop_front() else { break };
            let lane = self.by_key.get_mut(&key).expect("a ready key has a lane");
            self.ready_events -= lane.waiting.len();
            let taken = lane.waiting.len().min(self.limits.batch_max - batch.entries.len());
            batch.entries.extend(lane.waiting.drain(..taken).map(|(_, entry)| entry));
            lane.busy = true;
            batch.keys.push(key);
        }
        batch.bytes = batch.entries.iter().map(|entry| entry.event.cost()).sum();
        Ok(batch)
    }

    /// A batch has ended, whatever became of it.
    pub(super) fn end(&mut self, batch: Ended) {
        self.events -= batch.events;
        self.bytes -= batch.bytes;
        for key in batch.keys {
            match self.by_key.get_mut(&key) {
                Some(lane) if !lane.waiting.is_empty() => {
                    lane.busy = false;
                    self.ready_events += lane.waiting.len();
                    self.ready.push_back(key);
                }
                _ => drop(self.by_key.remove(&key)),
            }
        }
    }
}

/// What a batch took, to be given back.
#[derive(Debug)]
pub(super) struct Ended {
    keys: Vec<Arc<str>>,
    events: usize,
    bytes: usize,
}

impl Batch {
    /// Takes the batch apart: its events, and what is to be given back to the lanes.
    pub(super) fn open(self) -> (Vec<Entry>, Ended) {
        let ended = Ended { events: self.entries.len(), keys: self.keys, bytes: self.bytes };
        (self.entries, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;

    const LIMITS: LaneLimits =
        LaneLimits { events_max: 100, bytes_max: 1 << 20, batch_max: 3, batch_wait_ms: 10 };

    fn entry(number: u64) -> Entry {
        Entry { number, event: Arc::new(event("a", "{}")), taken_unix_ms: 0 }
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.entries.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn a_key_waits_for_its_own_and_for_no_other() {
        let mut lanes = Lanes::new(LIMITS);
        for (number, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "a")] {
            lanes.push(key, entry(number), 0).expect("room");
        }
        let first = lanes.take(0).expect("enough are there");
        assert_eq!(numbers(&first), [1, 2, 4], "of one key in order");
        lanes.push("a", entry(6), 1).expect("room");
        assert_eq!(lanes.take(1).map(|batch| numbers(&batch)), Err(Some(10)), "only b is ready");
        let second = lanes.take(10).expect("it has waited");
        assert_eq!(numbers(&second), [3]);
        assert_eq!(lanes.take(50).map(|batch| numbers(&batch)), Err(None), "a is on its way");
        lanes.end(first.open().1);
        assert_eq!(numbers(&lanes.take(50).expect("a again")), [5, 6]);
        lanes.end(second.open().1);
        assert_eq!(lanes.load().0, 2);
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_waited() {
        let mut lanes = Lanes::new(LIMITS);
        lanes.push("a", entry(1), 5).expect("room");
        assert_eq!(lanes.take(5).map(|batch| numbers(&batch)), Err(Some(15)));
        lanes.push("b", entry(2), 6).expect("room");
        lanes.push("b", entry(3), 6).expect("room");
        let batch = lanes.take(6).expect("three are there");
        assert_eq!(numbers(&batch), [1, 2, 3]);
        lanes.end(batch.open().1);
        assert_eq!(lanes.load(), (0, 0));
        assert!(lanes.by_key.is_empty() && lanes.ready.is_empty() && lanes.ready_events == 0);
    }

    #[test]
    fn what_is_on_its_way_counts() {
        let cost = entry(1).event.cost();
        let mut lanes = Lanes::new(LaneLimits { events_max: 2, bytes_max: 2 * cost, batch_max: 1, ..LIMITS });
        lanes.push("a", entry(1), 0).expect("room");
        lanes.push("a", entry(2), 0).expect("room");
        let batch = lanes.take(0).expect("one");
        assert_eq!(lanes.push("a", entry(3), 0).expect_err("no room").number, 3);
        lanes.end(batch.open().1);
        lanes.push("a", entry(3), 0).expect("room again");
        let mut by_bytes = Lanes::new(LaneLimits { bytes_max: cost, ..LIMITS });
        by_bytes.push("a", entry(1), 0).expect("room");
        assert!(by_bytes.push("a", entry(2), 0).is_err());
    }
}
