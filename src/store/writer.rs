//! The thread `store`: takes what was handed over, writes it in group commits, says when it is on disk.
//!
//! A commit begins at once when nothing was written for the interval, and at most once an interval under load; what comes
//! meanwhile shares it. When the disk fails, the state file says so first, and then nobody waits any more: the service
//! goes on in memory. Every second the store tries to begin anew: everybody tells all of their state, and once that is on
//! disk nothing is missing again. A log that has grown too long is shortened in the same way.

mod telling;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use roomcast_shards::durable::codec::encode;
use roomcast_shards::durable::{Batch, Record};
use roomcast_shards::rim::StoreLink;
use tokio::sync::watch;

use super::handle::Message;
use super::metrics::StoreMetrics;
use super::segment::{HEAD_BYTES, Segment};
use super::state::{Condition, StateFile};
use super::values::Values;
use super::{Durability, StoreSettings};
use telling::Telling;

/// Bytes after which a frame takes no further batch.
const FRAME_BYTES_MAX: usize = 8 << 20;
/// Bytes after which another segment is begun.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// With `async`, how often what was written is made safe against a loss of power.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How often a failed disk is tried, and its failure logged.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Who waits for what was written.
#[derive(Debug)]
enum Source {
    Shard(usize),
    Values,
}

/// The store's own state.
pub(super) struct Writer {
    pub(super) settings: StoreSettings,
    pub(super) receiver: Receiver<Message>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) values: Arc<Mutex<Values>>,
    pub(super) kept: watch::Sender<u64>,
    pub(super) metrics: Arc<StoreMetrics>,
    pub(super) state: StateFile,
    /// The segment that is written; `None` while the disk fails.
    pub(super) segment: Option<Segment>,
    /// Bytes of all segments by number, the present one at what it had when it was begun.
    pub(super) sizes: BTreeMap<u64, u64>,
    pub(super) links: Vec<Arc<StoreLink>>,
    /// Whether no shard writes.
    pub(super) alone: bool,
    pub(super) book: Book,
}

/// What is under way.
pub(super) struct Book {
    frame: Vec<u8>,
    records: u64,
    /// Whose batches are in the frame, the last of each, and their bytes.
    taken: Vec<(Source, u64)>,
    taken_bytes: usize,
    commit_began: Instant,
    synced: Instant,
    unsynced: bool,
    telling: Option<Telling>,
    round: u64,
    /// Bytes that the whole state takes, and that were written since it was told.
    told_bytes: u64,
    since_bytes: u64,
    tried: Instant,
    failure: Option<String>,
    stopping: bool,
}

impl Book {
    /// Nothing is under way; so much of the log was there before.
    pub(super) fn new(log_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            frame: vec![0; HEAD_BYTES],
            records: 0,
            taken: Vec::new(),
            taken_bytes: 0,
            commit_began: now,
            synced: now,
            unsynced: false,
            telling: None,
            round: 0,
            told_bytes: 0,
            since_bytes: log_bytes,
            tried: now,
            failure: None,
            stopping: false,
        }
    }
}

impl Writer {
    /// Serves until it is told to stop, or nobody is left to write.
    pub(super) fn run(mut self) {
        while !self.book.stopping {
            match self.receiver.recv_timeout(self.patience()) {
                Ok(message) => {
                    self.take(message);
                    self.gather();
                    self.commit();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keep_house();
        }
        self.finish();
    }

    fn patience(&self) -> Duration {
        let due = if self.book.failure.is_some() {
            self.book.tried + RETRY_INTERVAL
        } else if self.book.unsynced {
            self.book.synced + SYNC_INTERVAL
        } else {
            return RETRY_INTERVAL;
        };
        due.saturating_duration_since(Instant::now())
    }

    /// Takes what else there is, and waits for more until the next commit may begin.
    fn gather(&mut self) {
        let due = self.book.commit_began + self.settings.commit_interval;
        while self.book.frame.len() < FRAME_BYTES_MAX && !self.book.stopping {
            let left = due.saturating_duration_since(Instant::now());
            let next = if left.is_zero() {
                self.receiver.try_recv().map_err(|_| ())
            } else {
                self.receiver.recv_timeout(left).map_err(|_| ())
            };
            match next {
                Ok(message) => self.take(message),
                Err(()) if left.is_zero() => return,
                Err(()) => {}
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Attach(shard, link) => {
                debug_assert_eq!(shard.index(), self.links.len(), "shards are attached in order");
                self.links.push(link);
            }
            Message::Shard(shard, batch) => self.take_batch(Source::Shard(shard.index()), batch),
            Message::Alone => self.alone = true,
            Message::Values(batch) => self.take_batch(Source::Values, batch),
            Message::Stop => self.book.stopping = true,
        }
    }

    fn take_batch(&mut self, source: Source, batch: Batch) {
        let book = &mut self.book;
        book.taken.push((source, batch.number));
        book.taken_bytes += batch.bytes;
        for record in &batch.records {
            if let (Record::Told { round }, Some(telling)) = (record, &mut book.telling) {
                telling.hear(*round);
            }
            if self.segment.is_some() {
                encode(record, &mut book.frame);
            }
        }
        book.records += batch.records.len() as u64;
    }

    /// Writes the frame and lets those go on who wait for it, be it on disk or not to be written.
    fn commit(&mut self) {
        let began = Instant::now();
        self.book.commit_began = began;
        self.metrics.note_commit(Some(began));
        if self.segment.is_none() {
            StoreMetrics::count(&self.metrics.lost_records, self.book.records);
        } else if self.book.frame.len() > HEAD_BYTES {
            match self.write_frame() {
                Ok(()) => {
                    let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.metrics.observe_commit(us);
                    StoreMetrics::count(&self.metrics.records, self.book.records);
                }
                Err(error) => self.lose(&error),
            }
        }
        self.metrics.note_commit(None);
        self.book.frame.truncate(HEAD_BYTES);
        self.book.records = 0;
        self.acknowledge();
        self.finish_telling();
    }

    fn write_frame(&mut self) -> io::Result<()> {
        let bytes = self.book.frame.len() as u64;
        self.make_room(bytes)?;
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.write(&mut self.book.frame)?;
        match self.settings.durability {
            Durability::Batch => segment.sync()?,
            Durability::Async => self.book.unsynced = true,
        }
        self.book.since_bytes += bytes;
        StoreMetrics::count(&self.metrics.written_bytes, bytes);
        self.note_size();
        Ok(())
    }

    /// Another segment when this one is long enough; an error when the store would become too large.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        if self.disk_bytes() + bytes > self.settings.bytes_max {
            return Err(io::Error::other(format!(
                "the store would become larger than --store-max-bytes ({} bytes): raise it, or lower --history-total",
                self.settings.bytes_max
            )));
        }
        match &self.segment {
            Some(segment) if segment.bytes + bytes > SEGMENT_BYTES_MAX => {
                segment.sync()?;
                self.begin_segment()
            }
            _ => Ok(()),
        }
    }

    /// Begins a segment behind all others, unless the present one is empty.
    fn begin_segment(&mut self) -> io::Result<()> {
        if self.segment.as_ref().is_some_and(|segment| segment.bytes == 0) {
            return Ok(());
        }
        let number = self.sizes.last_key_value().map_or(1, |(number, _)| number + 1);
        self.segment = Some(Segment::create(&self.settings.dir, number)?);
        // Whatever becomes of it, its number is not used again.
        self.sizes.insert(number, 0);
        Ok(())
    }

    fn note_size(&mut self) {
        if let Some(segment) = &self.segment {
            self.sizes.insert(segment.number, segment.bytes);
        }
        self.metrics.disk_bytes.store(self.disk_bytes(), Ordering::Relaxed);
    }

    fn disk_bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    fn acknowledge(&mut self) {
        let book = &mut self.book;
        self.waiting.fetch_sub(book.taken_bytes, Ordering::Relaxed);
        book.taken_bytes = 0;
        for (source, number) in book.taken.drain(..) {
            match source {
                Source::Shard(shard) => self.links[shard].commit(number),
                Source::Values => drop(self.kept.send_replace(number)),
            }
        }
    }

    /// The disk has failed: from now on nothing that anybody is told is believed to be on it.
    fn lose(&mut self, error: &io::Error) {
        StoreMetrics::count(&self.metrics.errors, 1);
        StoreMetrics::count(&self.metrics.lost_records, self.book.records);
        self.segment = None;
        self.book.telling = None;
        self.book.unsynced = false;
        self.book.tried = Instant::now();
        if self.book.failure.replace(error.to_string()).is_none() {
            self.metrics.set_failed(true);
            self.report();
            let first = self.state.state().first;
            if let Err(error) = self.state.set(first, Condition::Lost, None) {
                tracing::error!(
                    event = "store_unmarked",
                    %error,
                    "the store cannot even be marked as incomplete: after a crash offsets may come twice"
                );
            }
        }
    }

    fn report(&self) {
        let Some(failure) = &self.book.failure else { return };
        tracing::error!(
            event = "store_failed",
            dir = %self.settings.dir.display(),
            error = %failure,
            lost_records = self.metrics.lost_records.load(Ordering::Relaxed),
            "what is sent now is kept in memory only"
        );
    }

    /// What is due beside writing.
    fn keep_house(&mut self) {
        let now = Instant::now();
        if self.book.unsynced && self.book.synced + SYNC_INTERVAL <= now {
            self.book.synced = now;
            self.book.unsynced = false;
            if let Some(Err(error)) = self.segment.as_ref().map(Segment::sync) {
                self.lose(&error);
            }
        }
        if self.book.failure.is_some() && self.segment.is_none() && self.book.tried + RETRY_INTERVAL <= now {
            self.book.tried = now;
            self.report();
            self.mend();
        }
        self.shorten();
    }

    /// Nobody writes any more.
    fn finish(mut self) {
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        self.commit();
        let Some(segment) = &self.segment else { return };
        let complete = self.book.failure.is_none();
        let first = self.state.state().first;
        let end = Some(segment.end());
        let closed = segment
            .sync()
            .and_then(|()| if complete { self.state.set(first, Condition::Clean, end) } else { Ok(()) });
        match closed {
            Ok(()) => tracing::info!(event = "store_closed", bytes = self.disk_bytes()),
            Err(error) => tracing::error!(event = "store_failed", %error),
        }
    }

    fn dir(&self) -> PathBuf {
        self.settings.dir.clone()
    }
}
