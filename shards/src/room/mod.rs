//! What happens in rooms (step 6 and 8 of the path of a message).
//!
//! A room belongs to its owner shard, which alone sequences it ([`owned`]); who is in it on this shard is local
//! knowledge ([`directory`]). Nothing here knows a socket, a ring or a dialect.

pub mod absent;
pub mod created;
pub mod dedupe;
pub mod directory;
pub mod epochs;
pub mod history;
pub mod history_budget;
pub mod index;
pub mod name;
pub mod owned;
pub mod pattern;
pub mod receipts;
pub mod roster;
pub mod seats;
pub mod typing;
