//! To which core: who owns a room, and what crosses between shards (step 5 of the path of a message).

pub mod item;
mod router;

pub use router::Router;
