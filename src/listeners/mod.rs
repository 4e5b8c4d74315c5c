//! Listeners: what happens is told to whoever was configured to hear of it.

pub(crate) mod bus;
pub(crate) mod gateway_queue;
