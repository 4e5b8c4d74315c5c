//! Redis or Valkey, as the gateway reaches it.

pub(crate) mod connect;
