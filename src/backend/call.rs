//! One backend behind its queue, its bound on concurrency, its breaker and its retries.
//!
//! A request has one deadline, from its arrival here: waiting for its turn, calling, and calling again all end by then,
//! whatever the backend does. Since futures are never dropped between a breaker's leave and what came of it, every
//! leave is given back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::{Breaker, BreakerSettings};
use super::failure::Failure;
use super::http_client::{Answer, CallError, Endpoint};
use super::meter::{Ending, Meter, Report};

/// The first pause before a call is repeated is at most so long, and each further one twice as long as the one before.
const PAUSE_MS: u64 = 100;
const PAUSE_MS_MAX: u64 = 5_000;

/// Bytes of requests that may wait for one backend or be worked on by it, so that one that hangs leaves room for others
/// among all that is asked; a longer one goes alone.
const BYTES_MAX: u32 = 8 << 20;

/// How a backend is treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Treatment {
    /// Within which a request is answered, or fails.
    pub(crate) time_max: Duration,
    /// Requests that the backend works on at once.
    pub(crate) concurrency: usize,
    /// Requests that wait besides.
    pub(crate) queue: usize,
    /// How often a request is repeated; only where it may be.
    pub(crate) retries: u32,
    /// When it is left alone.
    pub(crate) breaker: BreakerSettings,
}

/// One backend.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Its name in metrics and errors.
    pub(crate) name: String,
    endpoint: Endpoint,
    treatment: Treatment,
    turns: Semaphore,
    bytes: Semaphore,
    breaker: Mutex<Breaker>,
    /// What is counted of it.
    pub(crate) meter: Meter,
    /// Where the breaker's time begins.
    started: Instant,
}

impl Backend {
    /// A backend that nothing is known of yet.
    pub(crate) fn new(name: String, endpoint: Endpoint, treatment: Treatment) -> Self {
        Self {
            name,
            endpoint,
            treatment,
            turns: Semaphore::new(treatment.concurrency),
            bytes: Semaphore::new(BYTES_MAX as usize),
            breaker: Mutex::new(Breaker::new(treatment.breaker)),
            meter: Meter::default(),
            started: Instant::now(),
        }
    }

    /// Asks, and reads the answer with `read`, which says as well whether that is a refusal.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer within the time, or none that makes sense.
    pub(crate) async fn ask<T>(
        &self,
        body: Bytes,
        read: impl Fn(&Answer) -> Result<(T, bool), Failure>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let deadline = began + self.treatment.time_max;
        let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX).min(BYTES_MAX);
        let room = self.bytes.try_acquire_many(bytes).map_err(|_| Failure::QueueFull);
        let turn = match &room {
            Ok(_) => self.turn(deadline).await,
            Err(failure) => Err(*failure),
        };
        let asked = match turn {
            Ok(_turn) => {
                let _running = Counted::new(&self.meter, |numbers| &mut numbers.running);
                self.call(body, read, deadline).await
            }
            Err(failure) => Err(failure),
        };
        let ending = match &asked {
            Ok((_, false)) => Ending::Answered,
            Ok((_, true)) => Ending::Refused,
            Err(failure) => Ending::Failed(*failure),
        };
        self.meter.note(ending, began.elapsed());
        asked.map(|(answer, _)| answer)
    }

    /// Waits for a turn, behind those who came before.
    async fn turn(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        if self.meter.numbers().waiting >= self.treatment.queue as u64 {
            return Err(Failure::QueueFull);
        }
        let _waiting = Counted::new(&self.meter, |numbers| &mut numbers.waiting);
        match timeout_at(deadline, self.turns.acquire()).await {
            Ok(turn) => Ok(turn.expect("nobody closes it")),
            Err(_) => Err(Failure::Call(CallError::Timeout)),
        }
    }

    async fn call<T>(
        &self,
        body: Bytes,
        read: impl Fn(&Answer) -> Result<T, Failure>,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let mut repeated = 0;
        loop {
            let leave = self.breaker(|breaker, now_ms| breaker.leave(now_ms)).ok_or(Failure::BreakerOpen)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.endpoint.post(body.clone(), left).await.map_err(Failure::Call);
            let retry_after = answer.as_ref().ok().and_then(retry_after);
            let outcome = answer.and_then(|answer| judge(&answer).and_then(|()| read(&answer)));
            let failed = outcome.as_ref().is_err_and(|failure| failure.is_the_backends());
            self.breaker(|breaker, now_ms| breaker.note(leave, failed, now_ms));
            let Err(failure) = outcome else { return outcome };
            if repeated == self.treatment.retries || !may_repeat(failure, retry_after) {
                return Err(failure);
            }
            let pause = pause(repeated).max(retry_after.unwrap_or_default());
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
            repeated += 1;
            self.meter.numbers().retries += 1;
        }
    }

    fn breaker<T>(&self, act: impl FnOnce(&mut Breaker, u64) -> T) -> T {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        act(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner), now_ms)
    }

    /// How it does, for the metrics.
    pub(crate) fn report(&self) -> Report {
        Report {
            name: self.name.clone(),
            numbers: self.meter.numbers().clone(),
            breaker: self.breaker(|breaker, now_ms| breaker.standing(now_ms)),
        }
    }
}

/// One more in a number that says how many there are now, for as long as it lives.
struct Counted<'a> {
    meter: &'a Meter,
    number: fn(&mut super::meter::Numbers) -> &mut u64,
}

impl<'a> Counted<'a> {
    fn new(meter: &'a Meter, number: fn(&mut super::meter::Numbers) -> &mut u64) -> Self {
        *number(&mut meter.numbers()) += 1;
        Self { meter, number }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *(self.number)(&mut self.meter.numbers()) -= 1;
    }
}

/// Whether an answer is one at all: what says that the backend could not do its work is not.
fn judge(answer: &Answer) -> Result<(), Failure> {
    let status = answer.status;
    let is_of_now = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_success() || (status.is_client_error() && !is_of_now.contains(&status)) {
        Ok(())
    } else {
        Err(Failure::Status(status))
    }
}

/// Whether the same request may succeed soon, and did certainly no harm that a second one adds to.
fn may_repeat(failure: Failure, retry_after: Option<Duration>) -> bool {
    match failure {
        Failure::Call(error) => error == CallError::Connect,
        Failure::Status(StatusCode::TOO_MANY_REQUESTS) => retry_after.is_some(),
        Failure::Status(status) => matches!(status.as_u16(), 502..=504),
        Failure::QueueFull | Failure::BreakerOpen | Failure::Malformed => false,
    }
}

/// How long the backend wants to be left alone; dates are not read, as clocks differ.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Full jitter: anything up to a bound that doubles, so that those who failed together do not come back together.
fn pause(repeated: u32) -> Duration {
    let bound_ms = PAUSE_MS.saturating_mul(1 << repeated.min(16)).min(PAUSE_MS_MAX);
    Duration::from_millis(rand::random_range(0..=bound_ms))
}
