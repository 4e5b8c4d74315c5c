//! All state is told anew: to shorten the log, or to mend one that has missed something.
//!
//! A segment is begun, and every shard asked to tell all of its state, a little each turn, among what else it writes. When
//! all have, and it is on disk, the log begins with that segment and older ones are removed. Until then both are there:
//! whenever the process ends, what is read makes the same state.

use std::sync::PoisonError;

use roomcast_shards::durable::codec::encode;

use super::super::metrics::StoreMetrics;
use super::super::segment::{HEAD_BYTES, path_of};
use super::super::state::Condition;
use super::{Durability, Writer};

/// A log shorter than this is not worth shortening, unless the whole store may not be much larger.
const LOG_BYTES_MIN: u64 = 64 << 20;

/// State that is being told.
#[derive(Debug)]
pub(super) struct Telling {
    /// The segment with which the log is to begin.
    first: u64,
    round: u64,
    missing: usize,
    /// What had been written when it began.
    since_bytes: u64,
}

impl Telling {
    /// A shard has told everything.
    pub(super) fn hear(&mut self, round: u64) {
        if round == self.round {
            self.missing = self.missing.saturating_sub(1);
        }
    }
}

impl Writer {
    /// Begins to shorten the log when it has become much longer than the state that it tells.
    pub(super) fn shorten(&mut self) {
        let least = LOG_BYTES_MIN.min(self.settings.bytes_max / 4);
        let due = self.book.since_bytes > least.max(self.book.told_bytes);
        if !due || self.book.telling.is_some() || self.segment.is_none() || !self.can_tell() {
            return;
        }
        if let Err(error) = self.begin_telling() {
            self.lose(&error);
        }
    }

    /// Tries whether the disk can be written again.
    pub(super) fn mend(&mut self) {
        if !self.can_tell() {
            return;
        }
        // What is there is incomplete, and must not keep the whole from being written.
        if self.disk_bytes() > self.settings.bytes_max / 2 {
            self.remove_before(u64::MAX);
        }
        if let Err(error) = self.begin_telling() {
            self.lose(&error);
        }
    }

    /// Whether all who have something to tell are there.
    fn can_tell(&self) -> bool {
        self.alone || !self.links.is_empty()
    }

    fn begin_telling(&mut self) -> std::io::Result<()> {
        if let Some(segment) = &self.segment {
            segment.sync()?;
        }
        self.begin_segment()?;
        self.book.round += 1;
        let first = self.segment.as_ref().map_or(0, |segment| segment.number);
        let records = self.values.lock().unwrap_or_else(PoisonError::into_inner).records();
        records.iter().for_each(|record| encode(record, &mut self.book.frame));
        let written = self.write_frame();
        self.book.frame.truncate(HEAD_BYTES);
        written?;
        // What waits on a disk that only pretends to be back is not told to anybody.
        if let Some(segment) = &self.segment {
            segment.sync()?;
        }
        let (round, missing) = (self.book.round, self.links.len());
        self.book.telling = Some(Telling { first, round, missing, since_bytes: self.book.since_bytes });
        self.links.iter().for_each(|link| link.ask(round));
        self.finish_telling();
        Ok(())
    }

    /// When all is told and on disk, the log begins there.
    pub(super) fn finish_telling(&mut self) {
        let Some(telling) = self.book.telling.take_if(|telling| telling.missing == 0) else { return };
        let running = match self.settings.durability {
            Durability::Batch => Condition::Batch,
            Durability::Async => Condition::Async,
        };
        let Some(segment) = &self.segment else { return };
        let told = segment.sync().and_then(|()| self.state.set(telling.first, running, Some(segment.end())));
        if let Err(error) = told {
            return self.lose(&error);
        }
        self.book.told_bytes = self.book.since_bytes - telling.since_bytes;
        self.book.since_bytes = 0;
        self.remove_before(telling.first);
        StoreMetrics::count(&self.metrics.compactions, 1);
        if self.book.failure.take().is_some() {
            self.metrics.set_failed(false);
            tracing::info!(event = "store_mended", bytes = self.disk_bytes(), "all state is on disk again");
        }
        tracing::debug!(event = "store_shortened", first = telling.first, bytes = self.disk_bytes());
    }

    /// Removes segments whose state is told by later ones.
    fn remove_before(&mut self, first: u64) {
        let older: Vec<u64> = self.sizes.range(..first).map(|(number, _)| *number).collect();
        let present = self.segment.as_ref().map(|segment| segment.number);
        for number in older.into_iter().filter(|number| Some(*number) != present) {
            let path = path_of(&self.dir(), number);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(event = "store_file_stays", path = %path.display(), %error);
                }
                // Its place among the numbers is remembered, so that the next one is larger.
                _ => drop(self.sizes.insert(number, 0)),
            }
        }
        let last = self.sizes.last_key_value().map(|(number, _)| *number);
        self.sizes.retain(|number, bytes| *bytes > 0 || Some(*number) == last || Some(*number) == present);
        self.note_size();
    }
}
