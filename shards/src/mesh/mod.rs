//! To which core: who owns a room, and what crosses between shards (step 5 of the path of a message).

pub mod administration;
pub mod item;
pub mod operation;
pub mod outcome;
mod router;

pub use router::Router;
