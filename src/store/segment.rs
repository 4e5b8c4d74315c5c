//! The files of the log: frames behind one another, each with its length and checksum in front.
//!
//! A frame is on disk whole, or does not count. Only the end of the last file may be torn: whoever wrote it never heard
//! that it was on disk. A segment is written by one process, which never comes back to it after an error: what the disk
//! holds then is anybody's guess. No other is begun behind an empty one, so only the last may be empty.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::state::LogEnd;

/// Bytes in front of a frame's own.
pub(super) const HEAD_BYTES: usize = 8;
const SUFFIX: &str = ".log";

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    /// Its number: segments are read in order.
    pub(super) number: u64,
    /// Bytes written.
    pub(super) bytes: u64,
}

/// The frames of a segment that was read.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Segment {
    /// Begins a segment in which nothing was ever written; its name is on disk afterwards.
    pub(super) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self { file, number, bytes: 0 })
    }

    /// Writes a frame, whose head is filled in: [`HEAD_BYTES`] in front are the caller's to leave.
    pub(super) fn write(&mut self, frame: &mut [u8]) -> io::Result<()> {
        let (head, body) = frame.split_at_mut(HEAD_BYTES);
        let length = u32::try_from(body.len()).map_err(|_| io::Error::other("a frame of 4 GiB"))?;
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        self.file.write_all(frame)?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Where it ends.
    pub(super) fn end(&self) -> LogEnd {
        LogEnd { segment: self.number, bytes: self.bytes }
    }

    /// Returns when all that was written is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl<'a> Frames<'a> {
    /// The frames in a segment's bytes.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Up to where frames were whole.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// Whether what follows the last whole frame can be the end that was being written when the process ended: nothing
    /// that is whole comes behind it.
    pub(super) fn ends_torn(&self) -> bool {
        let rest = &self.bytes[self.at..];
        let Some(length) = length_at(rest) else { return true };
        rest.get(HEAD_BYTES + length..).and_then(frame_at).is_none()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let frame = frame_at(&self.bytes[self.at..])?;
        self.at += HEAD_BYTES + frame.len();
        Some(frame)
    }
}

fn length_at(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(..4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length > 0)
}

fn frame_at(bytes: &[u8]) -> Option<&[u8]> {
    let frame = bytes.get(HEAD_BYTES..HEAD_BYTES + length_at(bytes)?)?;
    let crc = u32::from_le_bytes(bytes.get(4..HEAD_BYTES)?.try_into().ok()?);
    (crc32fast::hash(frame) == crc).then_some(frame)
}

/// The file of a segment.
pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}{SUFFIX}"))
}

/// The segments of a directory, ascending, with their bytes.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, u64)>, StoreError> {
    let read = |path: &Path| -> io::Result<Vec<(u64, u64)>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            if let Some(number) = number {
                segments.push((number, entry.metadata()?.len()));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    };
    read(dir).map_err(StoreError::system(dir))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Directory;
    use super::*;

    fn written(frames: &[&[u8]]) -> Vec<u8> {
        let dir = Directory::new();
        let mut segment = Segment::create(&dir.path, 3).unwrap();
        for frame in frames {
            let mut bytes = vec![0; HEAD_BYTES];
            bytes.extend_from_slice(frame);
            segment.write(&mut bytes).unwrap();
        }
        segment.sync().unwrap();
        let bytes = std::fs::read(path_of(&dir.path, 3)).unwrap();
        assert_eq!(list(&dir.path).unwrap(), [(3, bytes.len() as u64)]);
        assert_eq!(segment.bytes, bytes.len() as u64);
        bytes
    }

    #[test]
    fn a_torn_end_is_no_frame_wherever_it_is_torn() {
        let bytes = written(&[b"first", b"second"]);
        let first_end = HEAD_BYTES + 5;
        for end in 0..bytes.len() {
            let mut frames = Frames::of(&bytes[..end]);
            let whole = frames.by_ref().count();
            assert_eq!(whole, usize::from(end >= first_end), "{end}");
            assert!(frames.ends_torn() && frames.end() == whole * first_end, "{end}");
        }
        assert_eq!(Frames::of(&bytes).collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    }

    #[test]
    fn damage_in_the_middle_is_no_torn_end() {
        let bytes = written(&[b"first", b"second", b"third"]);
        for at in HEAD_BYTES + 5 + 4..HEAD_BYTES + 5 + HEAD_BYTES + 6 {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 1;
            let mut frames = Frames::of(&spoilt);
            assert_eq!(frames.by_ref().count(), 1, "{at}");
            assert!(!frames.ends_torn(), "{at}");
        }
    }

    #[test]
    fn zeros_behind_the_end_are_torn() {
        let mut bytes = written(&[b"first"]);
        bytes.resize(bytes.len() + 4096, 0);
        let mut frames = Frames::of(&bytes);
        assert_eq!((frames.by_ref().count(), frames.ends_torn()), (1, true));
    }
}
