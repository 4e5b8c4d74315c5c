//! May they? Tokens, permissions, limits (step 4 of the path of a message).

pub mod limits;
pub mod permission;
pub mod revocations;
pub mod table;
pub mod token;
