//! The data plane of Roomcast: WebSocket connections, rooms and what is sent in them, on shards that share
//! nothing.
//!
//! # Map
//!
//! The folders are the steps of a message's path:
//!
//! ```text
//!           home shard of the sender                                              owner shard of the room
//! client ─► rim recv ─► connection ─► protocol decode ─► access ─► mesh ──► room: dedupe, offset, history
//!                                                                              │ one item a shard
//! client ◄─ rim send ◄─ connection::outbound_queue ◄─ room::directory ◄─ protocol encode ◄──┘
//! ```
//!
//! [`shard::Shard`] is the pure state machine that walks it: inputs in, [`effect::Effects`] out, time as an
//! argument. [`rim`] gives it sockets, rings and a clock; `testing` gives it simulated ones.
//!
//! # Invariants
//!
//! - Only `rim` makes system calls; nothing else imports glommio, sockets or clocks.
//! - A room's offsets are given out by its owner shard alone.
//! - Only `connection::outbound_queue` judges a client slow.
//! - Input never panics; a bug may.

pub mod access;
pub mod alarm;
pub mod backend;
pub mod clock;
pub mod coalescing;
pub mod config;
pub mod connection;
pub mod durable;
pub mod effect;
pub mod engine;
pub mod gateway_event;
pub mod id;
pub mod mesh;
pub mod metrics;
pub mod protocol;
pub mod rim;
pub mod room;
pub mod shard;
pub mod slots;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timer_wheel;
pub mod user;
