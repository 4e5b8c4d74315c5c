//! Why a store cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store cannot be opened. Nothing in its directory was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process uses it.
    #[error("--store {}: another process uses this store{}", .dir.display(), holder(*.pid))]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The process, if it has said so.
        pid: Option<u32>,
    },
    /// It was written by another version.
    #[error(
        "--store {}: its format is {found}, and this version of roomcast reads format {expected}; start the version that \
         wrote it, or name another directory",
        .dir.display()
    )]
    Format {
        /// The store's directory.
        dir: PathBuf,
        /// The number of the format that it is in.
        found: u64,
        /// The number of ours.
        expected: u64,
    },
    /// There is something else in the directory.
    #[error("--store {}: {what}; name an empty directory, or one that a store was in before", .dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Bytes in the middle of the log are not what was written.
    #[error(
        "{} is damaged at byte {at}: what was acknowledged may be lost behind it. Restore the directory from a copy, or \
         move it away to begin with an empty store",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// The log is shorter than it was.
    #[error(
        "{}: {what} is missing, and what was acknowledged with it. Restore the directory from a copy, or move it away to \
         begin with an empty store",
        .path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is missing of it.
        what: String,
    },
    /// The system does not let it be read or written.
    #[error("{}: {error}", .path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

impl StoreError {
    /// What the system says of a path.
    pub(super) fn system(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { path: path.to_owned(), error }
    }
}
