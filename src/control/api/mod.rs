//! The server API: what the services behind the gateway ask of it.
//!
//! `gateway` is the way into the data plane and back, for whoever on this thread has something to say there.

#[allow(dead_code, reason = "the routes come next")]
mod gateway;

pub(crate) use gateway::{DataPlane, Publish};
pub(super) use gateway::{Owners, QUESTIONS_MAX};
