//! How long frames wait to share a write (before step 10 of the path of a message).
//!
//! A send costs microseconds whatever it carries up to some kilobytes, and everything else about a delivery costs a
//! tenth of that. So a shard with time to spare sends at once, and one that nears its capacity waits a little, sends
//! fewer and larger writes, and stays far from it. The load that decides is what the turns **would** take if nothing
//! waited, so that the wait does not end by its own success. Two figures tell it, taken whenever nothing waits: what a
//! send costs, and how many frames share one anyway. As both change with the traffic, now and then nothing waits for a
//! moment to take them anew.

/// Time over which load is measured, in microseconds.
const WINDOW_US: u64 = 25_000;
/// Weight of the newest window in the load.
const WEIGHT: f64 = 0.25;
/// Load up to which nothing waits.
const LOAD_FREE: f64 = 0.5;
/// Load from which on frames wait for as long as the budget allows.
const LOAD_FULL: f64 = 0.75;
/// The part of the budget that passes between two turns. Small, since a message between shards goes through three.
const GAP_DIVISOR: u64 = 8;
/// Windows of waiting after which nothing waits for [`FREE_WINDOWS`], to take the figures anew.
const WAITING_WINDOWS_MAX: u32 = 160;
/// In the first of them leaves what had waited; the second one tells.
const FREE_WINDOWS: u32 = 2;
/// Sends of a window that tell what one costs.
const SENDS_MIN: f64 = 20.0;

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
    /// Windows since frames began to wait, or ceased to.
    windows: u32,
    unshared: Unshared,
}

/// What sends are like when nothing waits.
#[derive(Debug, Clone, Copy)]
struct Unshared {
    /// Microseconds of one.
    send_us: f64,
    /// Frames in one.
    frames: f64,
}

impl Coalescing {
    /// Nothing measured. With a budget of 0 nothing ever waits.
    #[must_use]
    pub fn new(budget_ms: u64, now_us: u64) -> Self {
        Self {
            budget_ms,
            window_start_us: now_us,
            spent: Spent::default(),
            load: 0.0,
            wait_ms: 0,
            windows: 0,
            unshared: Unshared { send_us: 0.0, frames: 1.0 },
        }
    }

    /// Milliseconds that a frame may wait in its queue from now on, at most the budget.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms - self.wait_ms / GAP_DIVISOR
    }

    /// Microseconds from the beginning of one turn to that of the next, at least. A loop that slept between any two
    /// messages would pay for waking itself, and its clients, thousands of times a second.
    #[must_use]
    pub fn gap_us(&self) -> u64 {
        self.wait_ms * 1000 / GAP_DIVISOR
    }

    /// Share of its time, in percent, that the shard would need if nothing waited; above 100 it could not.
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
        let window = Window::between(self.spent, spent);
        (self.window_start_us, self.spent) = (now_us, spent);
        self.windows = self.windows.saturating_add(1);
        if self.wait_ms == 0 && self.windows >= FREE_WINDOWS && window.sends >= SENDS_MIN {
            self.unshared =
                Unshared { send_us: window.send_us / window.sends, frames: window.frames / window.sends };
        }
        let saved = if self.wait_ms == 0 { 0.0 } else { window.saved(self.unshared) };
        let load = (window.busy_us + saved * self.unshared.send_us) / elapsed_us as f64;
        // After a sleep what was before it says little.
        let passed = i32::try_from(elapsed_us / WINDOW_US).unwrap_or(i32::MAX);
        self.load += (load - self.load) * (1.0 - (1.0 - WEIGHT).powi(passed));
        self.decide();
    }

    /// How long frames wait in the next window.
    fn decide(&mut self) {
        let share = ((self.load - LOAD_FREE) / (LOAD_FULL - LOAD_FREE)).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the budget")]
        let wanted_ms = (self.budget_ms as f64 * share).round() as u64;
        let wait_ms = match self.wait_ms {
            // The figures must be known before the first wait, and after each.
            0 if self.windows < FREE_WINDOWS => 0,
            0 => wanted_ms,
            _ if self.windows >= WAITING_WINDOWS_MAX => 0,
            _ => wanted_ms,
        };
        if (wait_ms == 0) != (self.wait_ms == 0) {
            self.windows = 0;
        }
        self.wait_ms = wait_ms;
    }
}

/// What a window took.
#[derive(Debug, Clone, Copy)]
struct Window {
    busy_us: f64,
    send_us: f64,
    sends: f64,
    frames: f64,
}

impl Window {
    fn between(from: Spent, to: Spent) -> Self {
        let since = |get: fn(&Spent) -> u64| get(&to).saturating_sub(get(&from)) as f64;
        Self {
            busy_us: since(|spent| spent.busy_us),
            send_us: since(|spent| spent.send_us),
            sends: since(|spent| spent.sends),
            frames: since(|spent| spent.frames),
        }
    }

    /// Sends that there would have been besides if nothing had waited.
    fn saved(&self, unshared: Unshared) -> f64 {
        (self.frames / unshared.frames.max(1.0) - self.sends).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A shard of a thousand connections. A send costs a fixed part and one by its frames; everything else about a frame
    /// a tenth of the former.
    struct Modelled {
        coalescing: Coalescing,
        spent: Spent,
        now_us: u64,
        /// Frames that come together for one connection, so that they share a send without any wait.
        together: f64,
    }

    const SEND_US: f64 = 4.0;
    const FRAME_US: f64 = 0.5;

    impl Modelled {
        fn new(budget_ms: u64) -> Self {
            Self {
                coalescing: Coalescing::new(budget_ms, 0),
                spent: Spent::default(),
                now_us: 0,
                together: 1.0,
            }
        }

        /// Runs for a second; frames of one connection share a send if they come within the wait.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        fn run(&mut self, frames_per_s: f64) -> Vec<u64> {
            let mut waits = Vec::new();
            for _ in 0..100 {
                let frames = frames_per_s / 100.0;
                let others = frames_per_s / 1000.0 * self.coalescing.wait_ms() as f64 / 1000.0;
                let shared = self.together.max(1.0 + others);
                let sends = frames / shared;
                let send_us = sends * (SEND_US + shared * FRAME_US);
                let add = |to: &mut u64, what: f64| *to += what as u64;
                add(&mut self.spent.frames, frames);
                add(&mut self.spent.sends, sends);
                add(&mut self.spent.send_us, send_us);
                add(&mut self.spent.busy_us, (send_us + frames * SEND_US / 10.0).min(10_000.0));
                self.now_us += 10_000;
                self.coalescing.observe(self.spent, self.now_us);
                waits.push(self.coalescing.wait_ms());
            }
            waits
        }
    }

    #[test]
    fn nothing_waits_below_half_of_the_capacity() {
        let waits = Modelled::new(20).run(90_000.0);
        assert!(waits.iter().all(|wait| *wait == 0), "{waits:?}");
    }

    #[test]
    fn nearly_the_whole_budget_is_used_near_the_capacity() {
        let mut shard = Modelled::new(20);
        let mut waits = shard.run(180_000.0);
        for _ in 0..19 {
            waits.extend(shard.run(180_000.0));
        }
        assert_eq!(shard.coalescing.gap_us(), 2500);
        let first = waits.iter().position(|wait| *wait == 18).unwrap();
        assert!(first < 40, "{first}");
        // Now and then nothing waits, to see what that would be like; the wait does not swing otherwise.
        let free = waits[first..].iter().filter(|wait| **wait == 0).count();
        let between = waits[first..].iter().filter(|wait| !matches!(**wait, 0 | 18)).count();
        assert!((1..80).contains(&free) && between < 20, "{free} {between}");
        // The wait works: the shard is far from its capacity, and waits all the same.
        let busy = shard.spent.busy_us as f64 / shard.now_us as f64;
        assert!(busy < 0.55 && shard.coalescing.load_percent() > 75, "{busy}");
    }

    #[test]
    fn the_wait_ends_with_the_load() {
        let mut shard = Modelled::new(20);
        shard.run(200_000.0);
        // Sends are large now, and cost more than those that a shard without a wait would make.
        let waits = shard.run(80_000.0);
        assert_eq!(waits[99], 0, "{waits:?}");
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
    fn what_shares_a_send_anyway_is_no_reason_to_wait() {
        let mut shard = Modelled::new(20);
        shard.together = 50.0;
        assert!(shard.run(200_000.0).iter().all(|wait| *wait == 0));
        // Nor if it begins to while others wait: the next look without a wait tells.
        shard.together = 1.0;
        shard.run(200_000.0);
        shard.together = 50.0;
        for _ in 0..5 {
            shard.run(200_000.0);
        }
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
