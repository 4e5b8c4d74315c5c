//! How many connections the control plane serves at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are served at a time.
pub(super) const CONNECTIONS_MAX: u32 = 256;
/// Connections beyond [`CONNECTIONS_MAX`] that are told so at a time; still further ones are just closed.
const REFUSALS_MAX: u32 = 256;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) served: Arc<Semaphore>,
    pub(super) told: Arc<Semaphore>,
    /// For callers of the server API, who stay; see [`Place`].
    pub(super) callers: Arc<Semaphore>,
    callers_max: u32,
    pub(super) refused: AtomicU64,
}

impl Places {
    /// Places, so many of them for callers of the server API.
    pub(super) fn new(callers_max: u32) -> Self {
        let places = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self {
            served: places(CONNECTIONS_MAX),
            told: places(REFUSALS_MAX),
            callers: places(callers_max),
            callers_max,
            refused: AtomicU64::new(0),
        }
    }

    /// Connections that are served now.
    pub(super) fn taken(&self) -> u64 {
        (CONNECTIONS_MAX as usize).saturating_sub(self.served.available_permits()) as u64 + self.callers()
    }

    /// Connections of callers of the server API now.
    pub(super) fn callers(&self) -> u64 {
        (self.callers_max as usize).saturating_sub(self.callers.available_permits()) as u64
    }

    /// Connections that found no place so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until no connection is served.
    pub(super) async fn all_free(&self) {
        // Fails only for a closed semaphore, and none is ever closed.
        let _ = self.served.acquire_many(CONNECTIONS_MAX).await;
        let _ = self.callers.acquire_many(self.callers_max).await;
    }
}

/// The place that a connection has: at first one of those for anybody, whose time is bounded. Whoever shows credentials
/// for the server API moves to one of its own, if there is one left, and may stay.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    permit: Mutex<OwnedSemaphorePermit>,
    stays: AtomicBool,
}

impl Place {
    pub(super) fn new(places: Arc<Places>, permit: OwnedSemaphorePermit) -> Self {
        Self { places, permit: Mutex::new(permit), stays: AtomicBool::new(false) }
    }

    /// Its client has shown credentials.
    pub(super) fn promote(&self) {
        if self.stays() {
            return;
        }
        if let Ok(permit) = Arc::clone(&self.places.callers).try_acquire_owned() {
            *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
            self.stays.store(true, Ordering::Relaxed);
        }
    }

    /// Whether its time is not bounded.
    pub(super) fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }
}
