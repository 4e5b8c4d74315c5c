//! The one small file that says what the rest of the store is: its format, where the log begins, how it ended and where.
//!
//! It has its full size from the beginning and is overwritten in place, so that it can be written when the disk is full.
//! There are two copies, written in turn, each with a checksum: one of them is whole whatever happens.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::StoreError;

/// The number of the format of records, segments and this file.
pub(super) const FORMAT: u64 = 1;
/// The file's name.
pub(super) const NAME: &str = "state";
/// Bytes of one copy: what disks write whole, or not at all.
const COPY_BYTES: usize = 4096;
const MAGIC: &str = "roomcast-store";

/// How far what is in the log can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The process that wrote it has said goodbye: all is there.
    Clean,
    /// A process writes it that tells nobody what is not on disk.
    Batch,
    /// A process writes it that does not wait for the disk: the end of any stream may be missing.
    Async,
    /// Something could not be written: the end of any stream may be missing.
    Lost,
}

impl Condition {
    const ALL: [(Self, &str); 4] =
        [(Self::Clean, "clean"), (Self::Batch, "batch"), (Self::Async, "async"), (Self::Lost, "lost")];

    /// Whether the end of any stream may be missing.
    pub(super) fn is_doubtful(self) -> bool {
        matches!(self, Self::Async | Self::Lost)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).expect("all are listed").1
    }
}

/// A place up to which the log was on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// The segment.
    pub(super) segment: u64,
    /// Its bytes.
    pub(super) bytes: u64,
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    sequence: u64,
    /// The first segment that counts.
    pub(super) first: u64,
    /// How it ended.
    pub(super) condition: Condition,
    /// Where it ended when this was said; `None` in a store that is new, incomplete, or older than this field.
    pub(super) end: Option<LogEnd>,
}

/// The file, open for as long as the store is.
#[derive(Debug)]
pub(super) struct StateFile {
    file: File,
    state: State,
}

/// What the state file of a directory says; `None` when there is none.
pub(super) fn read(dir: &Path) -> Result<Option<State>, StoreError> {
    let path = dir.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::System { path, error }),
    };
    let copies = || bytes.chunks(COPY_BYTES).filter_map(|copy| std::str::from_utf8(copy).ok());
    if let Some(found) = copies().filter_map(format_of).find(|format| *format != FORMAT) {
        return Err(StoreError::Format { dir: dir.to_owned(), found, expected: FORMAT });
    }
    let newest = copies().filter_map(parse).max_by_key(|state| state.sequence);
    newest.map(Some).ok_or(StoreError::Damaged { path, at: 0 })
}

impl StateFile {
    /// Makes the file of a new store.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(dir.join(NAME))?;
        let state = State { sequence: 0, first: 1, condition: Condition::Clean, end: None };
        let mut this = Self { file, state };
        // Both copies, so that neither needs space later.
        this.set(state.first, state.condition, state.end)?;
        this.set(state.first, state.condition, state.end)?;
        File::open(dir)?.sync_all()?;
        Ok(this)
    }

    /// Opens the file that said this.
    pub(super) fn open(dir: &Path, state: State) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(dir.join(NAME))?;
        Ok(Self { file, state })
    }

    /// What it says.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Says something else, for good.
    pub(super) fn set(&mut self, first: u64, condition: Condition, end: Option<LogEnd>) -> io::Result<()> {
        let state = State { sequence: self.state.sequence + 1, first, condition, end };
        let copy = render(state);
        self.file.write_all_at(&copy, state.sequence % 2 * COPY_BYTES as u64)?;
        self.file.sync_data()?;
        self.state = state;
        Ok(())
    }
}

fn render(state: State) -> Vec<u8> {
    let State { sequence, first, condition, end } = state;
    let mut text =
        format!("{MAGIC} format={FORMAT} sequence={sequence} first={first} condition={}", condition.name());
    if let Some(LogEnd { segment, bytes }) = end {
        let _ = write!(text, " segment={segment} bytes={bytes}");
    }
    let crc = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, " crc={crc:08x}");
    let mut copy = text.into_bytes();
    copy.resize(COPY_BYTES, b'\n');
    copy
}

fn format_of(copy: &str) -> Option<u64> {
    let mut words = copy.lines().next()?.split(' ');
    if words.next() != Some(MAGIC) {
        return None;
    }
    words.next()?.strip_prefix("format=")?.parse().ok()
}

fn parse(copy: &str) -> Option<State> {
    let (body, crc) = copy.lines().next()?.split_once(" crc=")?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let value = |key: &str| body.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let condition = value("condition")?;
    let number = |key: &str| value(key)?.parse().ok();
    Some(State {
        sequence: number("sequence")?,
        first: number("first")?,
        condition: Condition::ALL.iter().find(|(_, name)| *name == condition)?.0,
        end: number("segment").zip(number("bytes")).map(|(segment, bytes)| LogEnd { segment, bytes }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Directory;
    use super::*;

    #[test]
    fn it_reads_what_was_said_last() {
        let dir = Directory::new();
        assert!(matches!(read(&dir.path), Ok(None)));
        let mut file = StateFile::create(&dir.path).unwrap();
        file.set(7, Condition::Lost, None).unwrap();
        let state = read(&dir.path).unwrap().unwrap();
        assert_eq!((state.first, state.condition, state.end), (7, Condition::Lost, None));
        let end = Some(LogEnd { segment: 9, bytes: 120 });
        StateFile::open(&dir.path, state).unwrap().set(8, Condition::Batch, end).unwrap();
        let state = read(&dir.path).unwrap().unwrap();
        assert_eq!((state.first, state.condition, state.end), (8, Condition::Batch, end));
    }

    #[test]
    fn a_copy_that_is_torn_leaves_the_other() {
        let dir = Directory::new();
        let mut file = StateFile::create(&dir.path).unwrap();
        file.set(7, Condition::Batch, None).unwrap();
        file.set(8, Condition::Async, None).unwrap();
        let torn = file.state.sequence % 2 * COPY_BYTES as u64;
        file.file.write_all_at(b"?", torn + 30).unwrap();
        assert_eq!(read(&dir.path).unwrap().map(|state| state.first), Some(7));
        file.file.write_all_at(b"?", (COPY_BYTES as u64 - torn) + 30).unwrap();
        assert!(matches!(read(&dir.path), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn another_format_is_refused() {
        let dir = Directory::new();
        let text = format!("{MAGIC} format=2 anything\n");
        std::fs::write(dir.path.join(NAME), text).unwrap();
        assert!(matches!(read(&dir.path), Err(StoreError::Format { found: 2, expected: 1, .. })));
    }
}
