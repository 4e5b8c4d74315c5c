//! What is yet to be delivered, and what could not be: kept by the store when there is one.
//!
//! An event is in the outbox once for each listener that must have it, from when it is taken until it is delivered or is
//! a dead letter. Without a store both are in memory alone, and end with the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use roomcast_shards::durable::Space;
use serde::{Deserialize, Serialize};

use super::event::{Event, SharedEvent, Written as WrittenEvent};
use super::lanes::Entry;
use super::numbers::Count;
use super::settings::Name;
use crate::store::{Handle, NoRoom, Written};

/// Dead letters that are kept; the oldest go first.
const LETTERS_MAX: usize = 10_000;
/// Bytes that they may hold.
const LETTER_BYTES_MAX: usize = 16 << 20;

/// What an event is kept as.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    listener: Box<str>,
    #[serde(rename = "takenUnixMs")]
    taken_unix_ms: u64,
    event: WrittenEvent,
    /// Of dead letters, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An event that could not be delivered.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetter {
    pub(crate) number: u64,
    pub(crate) listener: Name,
    pub(crate) event: SharedEvent,
    pub(crate) taken_unix_ms: u64,
    pub(crate) reason: Arc<str>,
}

impl DeadLetter {
    /// As it is listed.
    pub(crate) fn describe(&self) -> serde_json::Value {
        let event = serde_json::from_str::<serde_json::Value>(&self.event.to_json()).unwrap_or_default();
        serde_json::json!({
            "number": self.number,
            "listener": &*self.listener,
            "reason": &*self.reason,
            "event": event,
        })
    }
}

/// The outbox and the dead letters of all listeners.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// The store; without one what waits is in the listeners' lanes alone.
    store: Option<Handle>,
    next: AtomicU64,
    letters: Mutex<Letters>,
    /// Dead letters that made way for newer ones.
    pub(super) letters_dropped: Count,
}

#[derive(Debug, Default)]
struct Letters {
    by_number: BTreeMap<u64, DeadLetter>,
    bytes: usize,
}

/// What a process left behind, in its order: each with the name of its listener.
pub(super) type Left = Vec<(Name, Entry)>;

impl Outbox {
    /// Opens it, with what the last process left behind.
    pub(super) fn open(store: Option<Handle>) -> (Self, Left) {
        let outbox = Self {
            store,
            next: AtomicU64::new(1),
            letters: Mutex::default(),
            letters_dropped: Count::default(),
        };
        let letters = outbox.load(Space::DeadLetters);
        let left = outbox.load(Space::Outbox);
        let last = letters.iter().chain(&left).map(|kept| kept.number).max();
        outbox.next.store(last.map_or(1, |last| last + 1), Ordering::Relaxed);
        letters.into_iter().for_each(|letter| outbox.add_letter(letter));
        let entry = |DeadLetter { number, listener, event, taken_unix_ms, .. }| {
            (listener, Entry { number, event, taken_unix_ms })
        };
        let left = left.into_iter().map(entry).collect();
        (outbox, left)
    }

    /// Whether what is in it is there for the next process.
    pub(super) fn outlives_process(&self) -> bool {
        self.store.is_some()
    }

    /// What is kept in a space, in its order; entries of the outbox as letters without a reason.
    fn load(&self, space: Space) -> Vec<DeadLetter> {
        let Some(store) = &self.store else { return Vec::new() };
        let read = |(key, value): (Bytes, Bytes)| {
            let number = u64::from_be_bytes(key[..].try_into().ok()?);
            let Kept { listener, taken_unix_ms, event, reason } = serde_json::from_slice(&value).ok()?;
            let event = Arc::new(Event::new(event).ok()?);
            Some(DeadLetter {
                number,
                listener: listener.into(),
                event,
                taken_unix_ms,
                reason: reason.unwrap_or_default().into(),
            })
        };
        let values = store.load(space);
        let count = values.len();
        let read: Vec<_> = values.into_iter().filter_map(read).collect();
        if read.len() < count {
            tracing::error!(event = "outbox_unreadable", values = count - read.len(), ?space);
        }
        read
    }

    /// Takes an event for a listener; when it outlives the process is told by [`Outbox::kept`].
    ///
    /// # Errors
    /// [`NoRoom`] when the store is full.
    pub(super) fn put(
        &self,
        listener: &str,
        event: &SharedEvent,
        taken_unix_ms: u64,
    ) -> Result<(Entry, Option<Written>), NoRoom> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let written = self.write(Space::Outbox, number, (listener, event, taken_unix_ms), None)?;
        Ok((Entry { number, event: Arc::clone(event), taken_unix_ms }, written))
    }

    fn write(
        &self,
        space: Space,
        number: u64,
        (listener, event, taken_unix_ms): (&str, &SharedEvent, u64),
        reason: Option<&str>,
    ) -> Result<Option<Written>, NoRoom> {
        let Some(store) = &self.store else { return Ok(None) };
        let reason = reason.map(str::to_owned);
        let kept = Kept { listener: listener.into(), taken_unix_ms, event: event.to_written(), reason };
        let value = serde_json::to_vec(&kept).expect("texts and numbers are written");
        store.put(space, number.to_be_bytes().to_vec(), value).map(Some)
    }

    /// Returns when a change outlives the process, as far as the store promises.
    pub(super) async fn kept(&self, written: Option<Written>) {
        if let (Some(store), Some(written)) = (&self.store, written) {
            store.kept(written).await;
        }
    }

    /// An event is delivered.
    pub(super) fn delivered(&self, entry: &Entry) {
        self.remove(Space::Outbox, entry.number);
    }

    fn remove(&self, space: Space, number: u64) {
        if let Some(store) = &self.store {
            let _ = store.remove(space, number.to_be_bytes().to_vec());
        }
    }

    /// An event is given up. It is a dead letter before it leaves the outbox, so that a crash between the two keeps it.
    pub(super) fn bury(&self, listener: &Name, entry: Entry, reason: &str) {
        let Entry { number, event, taken_unix_ms } = entry;
        tracing::warn!(
            event = "dead_letter",
            listener = &**listener,
            name = &*event.name,
            id = &*event.id,
            reason
        );
        let written = (&**listener, &event, taken_unix_ms);
        if self.write(Space::DeadLetters, number, written, Some(reason)).is_err() {
            // The outbox gives its place, and only a crash in between could lose the letter.
            self.remove(Space::Outbox, number);
            let _ = self.write(Space::DeadLetters, number, written, Some(reason));
        }
        self.remove(Space::Outbox, number);
        let (listener, reason) = (Arc::clone(listener), reason.into());
        self.add_letter(DeadLetter { number, listener, event, taken_unix_ms, reason });
    }

    fn add_letter(&self, letter: DeadLetter) {
        let mut letters = self.letters();
        letters.bytes += letter.event.cost();
        letters.by_number.insert(letter.number, letter);
        while letters.by_number.len() > LETTERS_MAX || letters.bytes > LETTER_BYTES_MAX {
            let Some((number, letter)) = letters.by_number.pop_first() else { break };
            letters.bytes -= letter.event.cost();
            self.letters_dropped.add(1);
            self.remove(Space::DeadLetters, number);
        }
    }

    /// At most `limit` dead letters behind the one of that number, oldest first, and whether there are more.
    pub(crate) fn page(&self, after: u64, limit: usize) -> (Vec<DeadLetter>, bool) {
        let letters = self.letters();
        let mut behind = letters.by_number.range(after.saturating_add(1)..).map(|(_, letter)| letter);
        let page = behind.by_ref().take(limit).cloned().collect();
        (page, behind.next().is_some())
    }

    /// How many dead letters there are.
    pub(super) fn letters_count(&self) -> usize {
        self.letters().by_number.len()
    }

    /// A dead letter, which is none any more once [`Outbox::revive`] is told so.
    pub(super) fn letter(&self, number: u64) -> Option<DeadLetter> {
        self.letters().by_number.get(&number).cloned()
    }

    /// A dead letter is in the outbox again.
    pub(super) fn revive(&self, number: u64) {
        let mut letters = self.letters();
        if let Some(letter) = letters.by_number.remove(&number) {
            letters.bytes -= letter.event.cost();
        }
        drop(letters);
        self.remove(Space::DeadLetters, number);
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
