//! What outlives the process: the records that shards leave behind, their bytes, and what is made of them at the next
//! start.
//!
//! A shard holds all of its state in memory and never reads it from a disk. So what is kept is a log: each [`Record`]
//! says what has changed, [`codec`] turns it into bytes and back, and a [`Replay`] of all of them gives the state as it
//! was. A log grows; once in a while every shard tells its whole state anew, and what is older is forgotten. That is also
//! how a log is mended that has missed something. Pure: files are `src/store`'s in the binary, or simulated.

pub mod codec;
mod record;
mod replay;

pub use record::{Batch, Card, Cursor, Record, RoomRecord, SessionRecord, Space};
pub use replay::{Replay, Saved, SavedRoom, SavedSession, SavedUser};
