//! The Socket.IO dialect: Engine.IO protocol 4 and Socket.IO protocol 5, between bytes and meaning (protocol §7).
//!
//! `packet` reads what clients send, `event` makes envelopes of it, `binary` takes attachments in and out of JSON,
//! `write` makes what they get, and `payload` is the body of a polling request, which carries the same packets.

pub mod binary;
pub mod event;
pub mod namespace;
pub mod packet;
pub mod payload;
pub mod write;

pub use namespace::{Namespace, Namespaces, ROOT};
