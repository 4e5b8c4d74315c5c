//! How long pushes wait for others to share their write (before step 10 of the path of a message).
//!
//! A send costs microseconds whatever it carries up to some kilobytes, and everything else about a delivery costs a
//! tenth of that. So a shard with time to spare sends at once, and one that nears its capacity waits a little, sends
//! fewer and larger writes, and stays far from it. The load that decides is what the turns **would** take if nothing
//! were shared: it does not fall because sharing works, so that the wait does not swing.

/// Time over which load is measured, in microseconds.
const WINDOW_US: u64 = 25_000;
/// Weight of the newest window in the load.
const WEIGHT: f64 = 0.25;
/// Load up to which nothing waits.
const LOAD_FREE: f64 = 0.5;
/// Load from which on pushes wait for as long as the budget allows.
const LOAD_FULL: f64 = 0.75;
/// The part of the budget that may pass between two turns. Small, since a message between shards goes through three.
const GAP_DIVISOR: u64 = 8;

/// What a shard has spent so far; every figure only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Microseconds in turns, waiting not included.
    pub busy_us: u64,
    /// Microseconds of them in sends.
    pub send_us: u64,
    /// System calls that sent.
    pub sends: u64,
    /// Frames that left.
    pub frames: u64,
}

/// The rule, for one shard.
#[derive(Debug)]
pub struct Coalescing {
    budget_ms: u64,
    window_start_us: u64,
    /// As of the start of the window.
    spent: Spent,
    load: f64,
    /// Share of the budget that is used now.
    wait_ms: u64,
}

impl Coalescing {
    /// Nothing measured. With a budget of 0 nothing ever waits.
    #[must_use]
    pub fn new(budget_ms: u64, now_us: u64) -> Self {
        Self { budget_ms, window_start_us: now_us, spent: Spent::default(), load: 0.0, wait_ms: 0 }
    }

    /// Milliseconds that a frame may wait in its queue from now on, at most the budget.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms - self.wait_ms / GAP_DIVISOR
    }

    /// Microseconds from the beginning of one turn to that of the next, at least. The rest of the budget goes here: a
    /// loop that slept between any two messages would pay for waking itself, and its clients, thousands of times a second.
    #[must_use]
    pub fn gap_us(&self) -> u64 {
        self.wait_ms * 1000 / GAP_DIVISOR
    }

    /// Share of its time, in percent, that the shard would need if each frame were sent by itself; above 100 it could
    /// not.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    pub fn load_percent(&self) -> u64 {
        (self.load * 100.0).round() as u64
    }

    /// Looks at the figures as of now; call it once a turn.
    pub fn observe(&mut self, spent: Spent, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.window_start_us);
        if elapsed_us < WINDOW_US {
            return;
        }
        let load = load(self.spent, spent, elapsed_us);
        // After a sleep what was before it says little.
        let windows = i32::try_from(elapsed_us / WINDOW_US).unwrap_or(i32::MAX);
        self.load += (load - self.load) * (1.0 - (1.0 - WEIGHT).powi(windows));
        let share = ((self.load - LOAD_FREE) / (LOAD_FULL - LOAD_FREE)).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the budget")]
        let wait_ms = (self.budget_ms as f64 * share).round() as u64;
        self.wait_ms = wait_ms;
        (self.window_start_us, self.spent) = (now_us, spent);
    }
}

/// The time that turns took, and what the sends that were saved would have taken besides, over the time that passed.
fn load(from: Spent, to: Spent, elapsed_us: u64) -> f64 {
    let since = |get: fn(&Spent) -> u64| get(&to).saturating_sub(get(&from)) as f64;
    let sends = since(|spent| spent.sends);
    let saved = (since(|spent| spent.frames) - sends).max(0.0);
    let send_us = since(|spent| spent.send_us) / sends.max(1.0);
    (since(|spent| spent.busy_us) + saved * send_us) / elapsed_us as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A shard that gets so many frames a second, for which everything but sending takes a tenth of what a send does.
    struct Modelled {
        coalescing: Coalescing,
        spent: Spent,
        now_us: u64,
    }

    const SEND_US: f64 = 4.0;

    impl Modelled {
        fn new(budget_ms: u64) -> Self {
            Self { coalescing: Coalescing::new(budget_ms, 0), spent: Spent::default(), now_us: 0 }
        }

        /// Runs for a second; frames for one of 1,000 connections share a send if they come within the wait.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        fn run(&mut self, frames_per_s: f64) -> Vec<u64> {
            let mut waits = Vec::new();
            for _ in 0..100 {
                let frames = frames_per_s / 100.0;
                let shared = 1.0 + frames_per_s / 1000.0 * self.coalescing.wait_ms() as f64 / 1000.0;
                let sends = frames / shared;
                let add = |to: &mut u64, what: f64| *to += what as u64;
                add(&mut self.spent.frames, frames);
                add(&mut self.spent.sends, sends);
                add(&mut self.spent.send_us, sends * SEND_US);
                add(&mut self.spent.busy_us, sends * SEND_US + frames * SEND_US / 10.0);
                self.now_us += 10_000;
                self.coalescing.observe(self.spent, self.now_us);
                waits.push(self.coalescing.wait_ms());
            }
            waits
        }
    }

    #[test]
    fn nothing_waits_below_half_of_the_capacity() {
        let waits = Modelled::new(20).run(100_000.0);
        assert!(waits.iter().all(|wait| *wait == 0), "{waits:?}");
    }

    #[test]
    fn the_whole_budget_is_used_near_the_capacity_and_the_wait_does_not_swing() {
        let mut shard = Modelled::new(20);
        let waits = shard.run(180_000.0);
        assert_eq!((waits[99], shard.coalescing.gap_us()), (18, 2500));
        let first = waits.iter().position(|wait| *wait == 18).unwrap();
        assert!(first < 40 && waits[first..].iter().all(|wait| *wait == 18), "{waits:?}");
        // The wait works: the shard is far from its capacity, and waits all the same.
        let busy = shard.spent.busy_us as f64 / shard.now_us as f64;
        assert!(busy < 0.5 && shard.coalescing.load_percent() > 75, "{busy}");
    }

    #[test]
    fn the_wait_ends_with_the_load() {
        let mut shard = Modelled::new(20);
        shard.run(200_000.0);
        let waits = shard.run(1000.0);
        assert_eq!(waits[50], 0, "{waits:?}");
        // A sleep counts for what it lasted.
        shard.run(200_000.0);
        shard.now_us += 5_000_000;
        shard.coalescing.observe(shard.spent, shard.now_us);
        assert_eq!(shard.coalescing.wait_ms(), 0);
    }

    #[test]
    fn without_a_budget_nothing_waits() {
        assert!(Modelled::new(0).run(400_000.0).iter().all(|wait| *wait == 0));
    }

    proptest! {
        #[test]
        fn no_figures_bring_it_beyond_its_budget(
            steps in proptest::collection::vec(any::<[u32; 5]>(), 1..50),
            budget_ms in 0u64..1000,
        ) {
            let mut coalescing = Coalescing::new(budget_ms, 0);
            let (mut spent, mut now_us) = (Spent::default(), 0);
            for [busy, send, sends, frames, us] in steps {
                spent.busy_us += u64::from(busy);
                spent.send_us += u64::from(send);
                spent.sends += u64::from(sends);
                spent.frames += u64::from(frames);
                now_us += u64::from(us);
                coalescing.observe(spent, now_us);
                prop_assert!(coalescing.wait_ms() * 1000 + coalescing.gap_us() <= budget_ms * 1000 + 1000);
                prop_assert!(coalescing.load.is_finite());
            }
        }
    }
}
