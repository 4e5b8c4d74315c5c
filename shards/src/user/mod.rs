//! Who: users over all of their sockets, on the shard that owns them; and who watches them, on each home shard.
//!
//! A user belongs to the shard that owns its room `user:{id}`, because every connection enters that room before its
//! first command is read: the owner learns of sockets without being told apart. [`users`] is the register, [`presence`]
//! one user's state, [`rooms`] where it is, [`session`] and [`progress`] what a lost connection can be resumed from,
//! [`watch`] the local half.

pub mod presence;
pub mod progress;
pub mod rooms;
pub mod session;
pub mod users;
pub mod watch;
