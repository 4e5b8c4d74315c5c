//! Opening a store: nobody else may use it, its format must be ours, and all of it is read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomcast_shards::config::HistoryLimits;
use roomcast_shards::durable::codec::{Reader, encode};
use roomcast_shards::durable::{Record, Replay, Saved, Space};
use roomcast_shards::id::Epoch;

use super::StoreSettings;
use super::error::StoreError;
use super::segment::{self, Frames, HEAD_BYTES, Segment, path_of};
use super::state::{self, Condition, LogEnd, State, StateFile};

/// The file that tells other processes to stay away.
const LOCK: &str = "lock";
/// How often the progress of reading is logged.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Keys of the store's own space.
const SESSION_KEY: &[u8] = b"session-key";
const EPOCH_SEEDS: &[u8] = b"epoch-seeds";

/// Secrets that stay the same for as long as the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secrets {
    /// Signs tokens of sessions.
    pub(crate) session_key: [u8; 32],
    /// What epochs are made from.
    pub(crate) epoch_seeds: [u64; 4],
}

/// A store that was read.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) state: StateFile,
    pub(super) segment: Segment,
    pub(super) sizes: BTreeMap<u64, u64>,
    pub(super) saved: Saved,
    pub(super) secrets: Secrets,
}

/// Opens a store, or makes one.
pub(super) fn open(settings: &StoreSettings, limits: &HistoryLimits) -> Result<Opened, StoreError> {
    let dir = &settings.dir;
    fs::create_dir_all(dir).map_err(StoreError::system(dir))?;
    // What another version wrote is not touched, not even its lock.
    let known = state::read(dir)?;
    let segments = segment::list(dir)?;
    if known.is_none() && !segments.is_empty() {
        return Err(StoreError::Foreign {
            dir: dir.clone(),
            what: "it holds a log without its file `state`",
        });
    }
    let lock = lock(dir)?;
    let mut state = match state::read(dir)? {
        Some(state) => StateFile::open(dir, state),
        None => StateFile::create(dir),
    }
    .map_err(StoreError::system(dir))?;
    let mut sizes: BTreeMap<u64, u64> = segment::list(dir)?.into_iter().collect();
    let mut saved = read(dir, &mut sizes, state.state(), limits)?;
    let (segment, secrets) = begin(settings, &mut state, &mut sizes, &mut saved)?;
    Ok(Opened { lock, state, segment, sizes, saved, secrets })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let options = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options().map_err(StoreError::system(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(StoreError::Locked { dir: dir.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::System { path, error }),
    }
    // For whoever comes too late; that it is not there matters to nobody else.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Reads the log.
fn read(
    dir: &Path,
    sizes: &mut BTreeMap<u64, u64>,
    state: State,
    limits: &HistoryLimits,
) -> Result<Saved, StoreError> {
    let began = Instant::now();
    let older: Vec<u64> = sizes.range(..state.first).map(|(number, _)| *number).collect();
    for number in older {
        // Later segments tell what was in it; the process ended before it could remove it.
        let path = path_of(dir, number);
        fs::remove_file(&path).map_err(StoreError::system(&path))?;
        sizes.remove(&number);
    }
    complete(dir, sizes, state)?;
    let bytes_max: u64 = sizes.values().sum();
    let (mut replay, mut reader) = (Replay::new(limits.clone()), Reader::default());
    let (mut bytes_read, mut told) = (0, began);
    let last = sizes.last_key_value().map(|(number, _)| *number);
    for (number, size) in sizes.iter_mut() {
        let is_last = Some(*number) == last;
        let torn_allowed = state.condition.is_doubtful() || is_last && closed_at(state, *number).is_none();
        *size = read_segment(dir, *number, torn_allowed, &mut reader, &mut replay)?;
        if *size == 0 && !is_last {
            *size = fill(dir, *number).map_err(StoreError::system(&path_of(dir, *number)))?;
        }
        bytes_read += *size;
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            let percent = bytes_read * 100 / bytes_max.max(1);
            tracing::info!(event = "store_loading", percent, entries = replay.entries);
        }
    }
    let entries = replay.entries;
    let saved = replay.finish();
    tracing::info!(
        event = "store_loaded",
        dir = %dir.display(),
        condition = ?state.condition,
        bytes = bytes_read,
        entries,
        kept = saved.entries(),
        rooms = saved.rooms.len(),
        users = saved.users.len(),
        took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    );
    Ok(saved)
}

/// Finds what is missing by the segments' sizes, before anything is changed. When the end of any stream may be missing
/// anyway, so may segments.
fn complete(dir: &Path, sizes: &BTreeMap<u64, u64>, state: State) -> Result<(), StoreError> {
    if state.condition.is_doubtful() {
        return Ok(());
    }
    let missing = |number, what: String| Err(StoreError::Missing { path: path_of(dir, number), what });
    let begins = sizes.keys().next().copied();
    let mut expected = state.end.map_or(begins, |_| Some(state.first)).unwrap_or(state.first);
    let last = sizes.keys().next_back().copied();
    for (&number, &size) in sizes {
        if number != expected {
            return missing(expected, "the file".to_owned());
        }
        expected += 1;
        let least = closed_at(state, number).unwrap_or(0);
        if size < least {
            return missing(number, format!("the end from byte {size} to {least}"));
        }
        if size == 0 && state.end.is_some() && Some(number) != last {
            return missing(number, "all of it".to_owned());
        }
    }
    match state.end {
        Some(end) if expected <= end.segment => missing(expected, "the file".to_owned()),
        _ => Ok(()),
    }
}

/// How long a segment was when the process that wrote it said goodbye: nothing of it can be torn.
fn closed_at(state: State, number: u64) -> Option<u64> {
    let LogEnd { segment, bytes } = state.end.filter(|_| state.condition == Condition::Clean)?;
    (segment == number).then_some(bytes)
}

/// Leaves no segment empty that others follow, as earlier versions and a failed disk do: from now on it would be damage.
fn fill(dir: &Path, number: u64) -> io::Result<u64> {
    let mut frame = vec![0; HEAD_BYTES];
    encode(&Record::Told { round: 0 }, &mut frame);
    let mut segment = Segment::create(dir, number)?;
    segment.write(&mut frame)?;
    segment.sync()?;
    Ok(segment.bytes)
}

/// Reads a segment; its bytes without an end that is torn, which is cut off.
fn read_segment(
    dir: &Path,
    number: u64,
    torn_allowed: bool,
    reader: &mut Reader,
    replay: &mut Replay,
) -> Result<u64, StoreError> {
    let path = path_of(dir, number);
    let bytes = fs::read(&path).map_err(StoreError::system(&path))?;
    let mut frames = Frames::of(&bytes);
    let mut at = 0;
    for frame in frames.by_ref() {
        let read = reader.read(frame, |record| replay.take(record));
        read.map_err(|_| StoreError::Damaged { path: path.clone(), at })?;
        at += (HEAD_BYTES + frame.len()) as u64;
    }
    let end = frames.end() as u64;
    if end < bytes.len() as u64 {
        if !torn_allowed || !frames.ends_torn() {
            return Err(StoreError::Damaged { path, at: end });
        }
        let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
            file.set_len(end)?;
            file.sync_all()
        });
        cut.map_err(StoreError::system(&path))?;
        tracing::info!(event = "store_end_cut", path = %path.display(), bytes = bytes.len() as u64 - end);
    }
    Ok(end)
}

/// Begins a segment with what this process changes at its start; from then on the store is being written.
fn begin(
    settings: &StoreSettings,
    state: &mut StateFile,
    sizes: &mut BTreeMap<u64, u64>,
    saved: &mut Saved,
) -> Result<(Segment, Secrets), StoreError> {
    let State { first, condition, .. } = state.state();
    let first = sizes.keys().next().copied().unwrap_or(first);
    let doubtful = condition.is_doubtful();
    let mut records = Vec::new();
    if doubtful {
        records = saved.renew(|| Epoch(rand::random()));
        tracing::warn!(
            event = "store_doubtful",
            rooms = records.len(),
            ?condition,
            "the last messages may be missing, so all rooms begin a new epoch"
        );
    }
    let secrets = secrets(saved, doubtful, &mut records);
    let mut frame = vec![0; HEAD_BYTES];
    records.iter().for_each(|record| encode(record, &mut frame));
    // An empty end becomes the beginning.
    let number = sizes.last_key_value().map_or(first, |(number, size)| number + u64::from(*size > 0));
    let path = path_of(&settings.dir, number);
    let begun = Segment::create(&settings.dir, number).and_then(|mut segment| {
        if frame.len() > HEAD_BYTES {
            segment.write(&mut frame)?;
        }
        segment.sync()?;
        state.set(first, settings.durability.condition(), Some(segment.end()))?;
        Ok(segment)
    });
    let segment = begun.map_err(StoreError::system(&path))?;
    sizes.insert(number, segment.bytes);
    Ok((segment, secrets))
}

/// The store's secrets, made when it has none. Streams that nothing is known of must not get an epoch that one had whose
/// messages are lost.
fn secrets(saved: &mut Saved, doubtful: bool, records: &mut Vec<Record>) -> Secrets {
    let mut secret = |key: &'static [u8], renew: bool| -> [u8; 32] {
        let place = (Space::Meta, Bytes::from_static(key));
        let known = saved.values.get(&place).and_then(|value| <[u8; 32]>::try_from(&value[..]).ok());
        if let Some(known) = known.filter(|_| !renew) {
            return known;
        }
        let new: [u8; 32] = rand::random();
        let value = Bytes::copy_from_slice(&new);
        let (space, key) = place.clone();
        records.push(Record::Value { space, key, value: Some(value.clone()) });
        saved.values.insert(place, value);
        new
    };
    let session_key = secret(SESSION_KEY, false);
    let seeds = secret(EPOCH_SEEDS, doubtful);
    let mut epoch_seeds = [0; 4];
    for (seed, bytes) in epoch_seeds.iter_mut().zip(seeds.as_chunks::<8>().0) {
        *seed = u64::from_le_bytes(*bytes);
    }
    Secrets { session_key, epoch_seeds }
}
