//! One socket's life without the socket: request head, WebSocket, outbound queue (steps 2 and 9 of the path).
//!
//! Pure: bytes in, bytes out. The rim moves them.

mod client;
pub mod delivery_log;
pub mod engine;
pub mod handshake;
pub mod http;
pub mod outbound_queue;
pub mod trail;
pub mod websocket;

pub use client::{Connection, Dirty, Held, Phase, Rare, Resume, Subscription};
