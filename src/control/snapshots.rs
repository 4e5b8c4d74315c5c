//! Asks the shards for their counters, and notices the ones that do not answer.

use std::fmt;
use std::time::Duration;

use roomcast_shards::id::ShardId;
use roomcast_shards::metrics::Metrics;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

/// A shard that takes longer to answer is unresponsive; its loop turns within milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// Rounds that a shard may leave unanswered before no more are asked: a shard's command queue is bounded, and who
/// finds it full waits.
const ROUNDS_MAX: u64 = 16;

/// Where a shard's answer goes.
pub(super) type Answers = mpsc::Sender<(ShardId, Metrics)>;
/// Asks all shards once.
pub(super) type Ask = Box<dyn Fn(Answers) + Send + Sync>;

/// What the shards counted.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// By shard; of an unresponsive one, what it said last.
    pub(super) shards: Vec<Metrics>,
    /// Shards that did not answer in time.
    pub(super) unresponsive: usize,
    /// By shard: whether it has obeyed all that it was sent before [`Snapshots::take`] was called. A shard obeys in
    /// order, so its answer to a younger question proves it.
    pub(super) caught_up: Vec<bool>,
}

/// The shards' counters, for any number of requests at once.
pub(super) struct Snapshots {
    ask: Ask,
    state: Mutex<State>,
}

struct State {
    latest: Vec<Metrics>,
    /// Rounds that were asked, and by shard how many of them it answered. It answers them in order, so one that
    /// answered fewer still owes the newest.
    asked: u64,
    answered: Vec<u64>,
    asked_at: Option<Instant>,
    /// Whether the shards were asked then, and not too many rounds were open.
    asked_then: bool,
    sender: Answers,
    answers: mpsc::Receiver<(ShardId, Metrics)>,
}

impl Snapshots {
    pub(super) fn new(shards: usize, ask: Ask) -> Self {
        // As many as can be on their way at all, so a shard never finds it full.
        let rounds = usize::try_from(ROUNDS_MAX).expect("a small constant");
        let (sender, answers) = mpsc::channel(shards.max(1) * rounds);
        let state = State {
            latest: vec![Metrics::default(); shards],
            asked: 0,
            answered: vec![0; shards],
            asked_at: None,
            asked_then: false,
            sender,
            answers,
        };
        Self { ask, state: Mutex::new(state) }
    }

    /// The counters as of now; takes [`ANSWER_TIME_MAX`] at most, twice that if another request is asking.
    ///
    /// Whoever had to wait for another's round shares the next one with all who waited too.
    pub(super) async fn take(&self) -> Snapshot {
        let wanted_at = Instant::now();
        let mut state = self.state.lock().await;
        if state.asked_at.is_none_or(|asked_at| asked_at < wanted_at) {
            state.refresh(&self.ask).await;
        }
        let caught_up = state.answered.iter().map(|answered| state.asked_then && *answered == state.asked);
        let caught_up = caught_up.collect();
        Snapshot { shards: state.latest.clone(), unresponsive: state.owing(), caught_up }
    }
}

impl State {
    async fn refresh(&mut self, ask: &Ask) {
        while let Ok(answer) = self.answers.try_recv() {
            self.note(answer);
        }
        self.asked_then = self.answered.iter().all(|answered| self.asked - answered < ROUNDS_MAX);
        if self.asked_then {
            self.asked += 1;
            ask(self.sender.clone());
        }
        self.asked_at = Some(Instant::now());
        let all = async {
            while self.owing() > 0 {
                let Some(answer) = self.answers.recv().await else { return };
                self.note(answer);
            }
        };
        // Too late is no failure: what came counts, and who did not answer shows as owing.
        let _ = timeout(ANSWER_TIME_MAX, all).await;
    }

    fn note(&mut self, (ShardId(index), metrics): (ShardId, Metrics)) {
        let index = usize::from(index);
        self.latest[index] = metrics;
        self.answered[index] += 1;
    }

    fn owing(&self) -> usize {
        self.answered.iter().filter(|answered| **answered < self.asked).count()
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex as Shared;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn counted(rooms: u64) -> Metrics {
        Metrics { rooms, ..Metrics::default() }
    }

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn a_shard_that_does_not_answer_keeps_its_last_values_until_it_does() {
        block_on(async {
            let late: Arc<Shared<Vec<Answers>>> = Arc::default();
            let (rounds, waiting) = (AtomicU64::new(0), Arc::clone(&late));
            let ask = move |answers: Answers| {
                let round = rounds.fetch_add(1, Ordering::Relaxed);
                answers.try_send((ShardId(0), counted(round))).unwrap();
                if round == 1 {
                    waiting.lock().unwrap().push(answers);
                } else {
                    answers.try_send((ShardId(1), counted(10 + round))).unwrap();
                }
            };
            let snapshots = Snapshots::new(2, Box::new(ask));
            let seen = |snapshot: Snapshot| {
                let rooms: Vec<u64> = snapshot.shards.iter().map(|shard| shard.rooms).collect();
                (rooms, snapshot.unresponsive, snapshot.caught_up)
            };
            assert_eq!(seen(snapshots.take().await), (vec![0, 10], 0, vec![true, true]));
            let before = Instant::now();
            assert_eq!(seen(snapshots.take().await), (vec![1, 10], 1, vec![true, false]));
            assert!(before.elapsed() >= ANSWER_TIME_MAX);
            late.lock().unwrap()[0].try_send((ShardId(1), counted(11))).unwrap();
            assert_eq!(seen(snapshots.take().await), (vec![2, 12], 0, vec![true, true]));
        });
    }

    #[test]
    fn requests_at_the_same_time_share_a_round_and_a_dead_shard_is_not_asked_for_ever() {
        block_on(async {
            let rounds = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&rounds);
            let ask = move |answers: Answers| {
                counter.fetch_add(1, Ordering::Relaxed);
                answers.try_send((ShardId(1), counted(1))).unwrap();
            };
            let snapshots = Snapshots::new(2, Box::new(ask));
            let (one, two, three) = tokio::join!(snapshots.take(), snapshots.take(), snapshots.take());
            assert_eq!([one, two, three].map(|snapshot| snapshot.unresponsive), [1; 3]);
            assert_eq!(rounds.load(Ordering::Relaxed), 2, "two came while the first was asking");
            for _ in 0..ROUNDS_MAX + 3 {
                // Gives up at once; the round counts as asked all the same.
                let _ = timeout(Duration::from_millis(1), snapshots.take()).await;
            }
            assert_eq!(rounds.load(Ordering::Relaxed), ROUNDS_MAX);
            assert_eq!(snapshots.take().await.caught_up, [false; 2], "who was not asked has proved nothing");
        });
    }
}
