//! What the acceptor counts: written by its thread, read by the control plane when it is scraped.

use std::sync::atomic::AtomicU64;

/// Connections before any shard saw them. Each field is added to with relaxed ordering; they are only ever shown.
#[derive(Debug, Default)]
pub(crate) struct AcceptorMetrics {
    /// Connections taken from the listening sockets.
    pub(crate) accepted: AtomicU64,
    /// Refused because the process has as many connections as it may.
    pub(crate) refused_full: AtomicU64,
    /// Refused because their address has as many connections, or failed attempts, as it may.
    pub(crate) refused_address: AtomicU64,
    /// Refused because their shard had too many waiting to be taken over.
    pub(crate) refused_backlog: AtomicU64,
    /// Times that the kernel refused to hand out a connection, such as for want of descriptors.
    pub(crate) accept_errors: AtomicU64,
}

impl AcceptorMetrics {
    /// The refusals by their reasons.
    pub(super) fn refused(&self) -> [(&'static str, &AtomicU64); 3] {
        [("full", &self.refused_full), ("address", &self.refused_address), ("backlog", &self.refused_backlog)]
    }
}
