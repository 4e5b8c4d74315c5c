//! Delivers a listener's events to where they must arrive: in batches, in order for each key, again until they have
//! arrived or are given up.
//!
//! One task for each listener makes batches and starts one task for each, as many at once as may be. Nothing of this
//! waits for another listener, and nobody who hands an event over waits for it to be delivered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::event::SharedEvent;
use super::lanes::{Batch, Entry, LaneLimits, Lanes};
use super::numbers::Numbers;
use super::outbox::Outbox;
use super::settings::{DeliverySettings, Name};
use super::template::fits_anywhere;
use super::transport::{Transport, Verdict};

/// What is said of a dead letter whose listener had no room for it.
const NO_ROOM: &str = "too many events waited for the listener";

/// One listener's deliveries.
#[derive(Debug)]
pub(super) struct Deliverer {
    name: Name,
    lanes: Mutex<Lanes>,
    /// Something came, or a batch has ended.
    changed: Notify,
    transport: Transport,
    settings: DeliverySettings,
    outbox: Arc<Outbox>,
    numbers: Arc<Numbers>,
    /// Where the time of the lanes begins.
    started: Instant,
}

impl Deliverer {
    pub(super) fn new(
        name: Name,
        limits: LaneLimits,
        transport: Transport,
        settings: DeliverySettings,
        outbox: Arc<Outbox>,
        numbers: Arc<Numbers>,
    ) -> Self {
        Self {
            name,
            lanes: Mutex::new(Lanes::new(limits)),
            changed: Notify::new(),
            transport,
            settings,
            outbox,
            numbers,
            started: Instant::now(),
        }
    }

    /// Whether an event has the fields that are needed to deliver it.
    pub(super) fn fits(&self, event: &SharedEvent) -> bool {
        self.transport.fits(event)
    }

    /// Puts an event that is in the outbox behind those that wait; without room for it it is a dead letter.
    pub(super) fn queue(&self, entry: Entry) {
        let key = self.settings.key.as_ref().map(|key| key.text(&entry.event, fits_anywhere));
        // What has no key has the order of all others that have none.
        let key = key.and_then(Result::ok).unwrap_or_default();
        let now_ms = self.now_ms();
        match self.lanes().push(&key, entry, now_ms) {
            Ok(()) => self.changed.notify_one(),
            Err(entry) => {
                self.numbers.dropped.add(1);
                self.bury(entry, NO_ROOM);
            }
        }
    }

    /// Events and bytes that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        self.lanes().load()
    }

    /// Delivers what is queued, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let turns = Arc::new(Semaphore::new(self.settings.concurrency));
        loop {
            let turn = Arc::clone(&turns).acquire_owned().await;
            let batch = self.next_batch().await;
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                this.deliver(batch).await;
                drop(turn);
            });
        }
    }

    async fn next_batch(&self) -> Batch {
        loop {
            let (now_ms, taken) = (self.now_ms(), self.lanes().take(self.now_ms()));
            match taken {
                Ok(batch) => return batch,
                Err(None) => self.changed.notified().await,
                Err(Some(due_ms)) => {
                    let wait = Duration::from_millis(due_ms.saturating_sub(now_ms).max(1));
                    let _ = timeout(wait, self.changed.notified()).await;
                }
            }
        }
    }

    async fn deliver(&self, batch: Batch) {
        let (entries, ended) = batch.open();
        let mut groups = vec![entries];
        while let Some(group) = groups.pop() {
            // One event that is refused must not take others with it: each is tried alone, in its order.
            if let Err(refused) = self.deliver_group(group).await {
                groups.extend(refused.into_iter().rev().map(|entry| vec![entry]));
            }
        }
        self.lanes().end(ended);
        self.changed.notify_one();
    }

    /// Delivers some events together, or buries them; gives them back when they are refused together.
    async fn deliver_group(&self, mut group: Vec<Entry>) -> Result<(), Vec<Entry>> {
        let time_max = Duration::from_millis(self.settings.time_max_ms);
        let mut attempts = 0;
        while !group.is_empty() {
            attempts += 1;
            match self.transport.send(&self.name, &group, attempts, time_max).await {
                Verdict::Delivered => {
                    self.numbers.delivered.add(group.len());
                    group.drain(..).for_each(|entry| self.outbox.delivered(&entry));
                }
                Verdict::Refused(_) if group.len() > 1 => return Err(group),
                Verdict::Refused(reason) => self.give_up(group.drain(..), &reason),
                Verdict::Failed(reason) if attempts >= self.settings.attempts_max => {
                    self.give_up(group.drain(..), &reason);
                }
                Verdict::Failed(reason) => {
                    let oldest = unix_ms().saturating_sub(self.settings.age_max_ms);
                    let old = group.extract_if(.., |entry| entry.taken_unix_ms < oldest);
                    self.give_up(old, &reason);
                    if !group.is_empty() {
                        self.numbers.retries.add(1);
                        sleep(pause(attempts, self.settings.pause_ms)).await;
                    }
                }
            }
        }
        Ok(())
    }

    fn give_up(&self, entries: impl Iterator<Item = Entry>, reason: &str) {
        for entry in entries {
            self.numbers.failed.add(1);
            self.bury(entry, reason);
        }
    }

    fn bury(&self, entry: Entry, reason: &str) {
        self.numbers.dead.add(1);
        self.outbox.bury(&self.name, entry, reason);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after so many attempts: twice as long each time up to the longest, and of random length above half of it, so
/// that many that failed at once do not all come back at once.
fn pause(attempts: u32, (first_ms, longest_ms): (u64, u64)) -> Duration {
    let longest = first_ms.saturating_mul(1 << (attempts - 1).min(30)).min(longest_ms);
    Duration::from_millis(longest).mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// The present time.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(in crate::listeners) mod tests;
