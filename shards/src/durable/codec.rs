//! Records as bytes. Numbers are LEB128, texts and bytes have their length in front; a byte tells the kind.
//!
//! A change here is another format: the number of it is in the store's state file, see `src/store/state.rs`.

mod read;
mod write;

pub use read::{Malformed, Reader};
pub use write::encode;

/// What a record is, as its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Entry = 1,
    Room,
    Gone,
    Renewed,
    Member,
    MemberGone,
    Receipt,
    Name,
    Session,
    SessionGone,
    Seen,
    Place,
    Value,
    Values,
    Told,
    SessionRoom,
    Revoked,
    /// A session with rooms that it was granted; one without them is written as ever.
    GrantedSession,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Entry,
        Self::Room,
        Self::Gone,
        Self::Renewed,
        Self::Member,
        Self::MemberGone,
        Self::Receipt,
        Self::Name,
        Self::Session,
        Self::SessionGone,
        Self::Seen,
        Self::Place,
        Self::Value,
        Self::Values,
        Self::Told,
        Self::SessionRoom,
        Self::Revoked,
        Self::GrantedSession,
    ];
}

#[cfg(test)]
mod tests;
