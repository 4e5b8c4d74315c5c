//! How many connections the control plane serves at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

/// Connections that are served at a time.
pub(super) const CONNECTIONS_MAX: u32 = 256;
/// Connections beyond [`CONNECTIONS_MAX`] that are told so at a time; still further ones are just closed.
const REFUSALS_MAX: u32 = 256;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) served: Arc<Semaphore>,
    pub(super) told: Arc<Semaphore>,
    pub(super) refused: AtomicU64,
}

impl Places {
    pub(super) fn new() -> Self {
        let places = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self { served: places(CONNECTIONS_MAX), told: places(REFUSALS_MAX), refused: AtomicU64::new(0) }
    }

    /// Connections that are served now.
    pub(super) fn taken(&self) -> u64 {
        (CONNECTIONS_MAX as usize).saturating_sub(self.served.available_permits()) as u64
    }

    /// Connections that found no place so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until no connection is served.
    pub(super) async fn all_free(&self) {
        // Fails only for a closed semaphore, and none is ever closed.
        let _ = self.served.acquire_many(CONNECTIONS_MAX).await;
    }
}
