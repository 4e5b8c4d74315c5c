//! A circuit breaker: a backend that fails is left alone for a while, and then tried with care. Pure; time is an argument.
//!
//! *Closed*, it counts calls and failures of a window. When enough calls failed, and at least half of all, it *opens*: nothing
//! is asked. After a time it is *half-open*: a few probes may go; one that fails opens it again, and when all of them
//! succeeded it is closed.

/// Parts that the window is counted in: what is older leaves part by part.
const PARTS: usize = 8;

/// When a breaker opens, and how it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerSettings {
    /// Failures in the window from which on it may open.
    pub(crate) failures: u32,
    /// Milliseconds over which they are counted.
    pub(crate) window_ms: u64,
    /// Milliseconds for which nothing is asked.
    pub(crate) open_ms: u64,
    /// Probes that must succeed, and that may be on their way at once.
    pub(crate) probes: u32,
}

/// How a breaker stands, as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

/// Leave to call, to be given back with what came of it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Leave {
    /// What came of a call that began before the state last changed says nothing of the present one.
    era: u64,
}

/// One backend's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Changes of state so far.
    era: u64,
}

#[derive(Debug)]
enum State {
    Closed(Window),
    Open { until_ms: u64 },
    HalfOpen { begun: u32, succeeded: u32 },
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed(Window::default()), era: 0 }
    }

    /// How it stands.
    pub(crate) fn standing(&self, now_ms: u64) -> Standing {
        match self.state {
            State::Closed(_) => Standing::Closed,
            State::Open { until_ms } if now_ms < until_ms => Standing::Open,
            State::Open { .. } | State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }

    /// Leave to call now, unless the backend is to be left alone.
    pub(crate) fn leave(&mut self, now_ms: u64) -> Option<Leave> {
        if let State::Open { until_ms } = self.state
            && now_ms >= until_ms
        {
            self.change(State::HalfOpen { begun: 0, succeeded: 0 });
        }
        match &mut self.state {
            State::Closed(_) => {}
            State::Open { .. } => return None,
            State::HalfOpen { begun, .. } if *begun >= self.settings.probes => return None,
            State::HalfOpen { begun, .. } => *begun += 1,
        }
        Some(Leave { era: self.era })
    }

    /// Notes what came of a call.
    pub(crate) fn note(&mut self, leave: Leave, failed: bool, now_ms: u64) {
        if leave.era != self.era {
            return;
        }
        let BreakerSettings { failures: failures_min, window_ms, open_ms, probes } = self.settings;
        let open = State::Open { until_ms: now_ms + open_ms };
        match &mut self.state {
            State::Closed(window) => {
                window.note(failed, now_ms, window_ms);
                let (calls, failures) = window.sums();
                if failures >= failures_min && failures * 2 >= calls {
                    self.change(open);
                }
            }
            // Nothing was let go while it was open.
            State::Open { .. } => {}
            State::HalfOpen { .. } if failed => self.change(open),
            State::HalfOpen { succeeded, .. } => {
                *succeeded += 1;
                if *succeeded >= probes {
                    self.change(State::Closed(Window::default()));
                }
            }
        }
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

/// Calls and failures of the latest time.
#[derive(Debug, Default)]
struct Window {
    /// The number of the newest part.
    newest: u64,
    /// Calls and failures of each part, at its number's remainder.
    parts: [(u32, u32); PARTS],
}

impl Window {
    fn note(&mut self, failed: bool, now_ms: u64, window_ms: u64) {
        let number = now_ms / (window_ms / PARTS as u64).max(1);
        let at = |number: u64| usize::try_from(number % PARTS as u64).expect("less than the parts");
        let passed = number.saturating_sub(self.newest).min(PARTS as u64);
        for behind in 0..passed {
            self.parts[at(number - behind)] = (0, 0);
        }
        self.newest = self.newest.max(number);
        let (calls, failures) = &mut self.parts[at(self.newest)];
        *calls = calls.saturating_add(1);
        *failures = failures.saturating_add(u32::from(failed));
    }

    fn sums(&self) -> (u32, u32) {
        self.parts.iter().fold((0, 0), |(calls, failures), part| {
            (part.0.saturating_add(calls), part.1.saturating_add(failures))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 3, window_ms: 8_000, open_ms: 5_000, probes: 2 };

    fn call(breaker: &mut Breaker, failed: bool, now_ms: u64) -> bool {
        let leave = breaker.leave(now_ms);
        let called = leave.is_some();
        if let Some(leave) = leave {
            breaker.note(leave, failed, now_ms);
        }
        called
    }

    fn opened(at_ms: u64) -> Breaker {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..3 {
            assert!(call(&mut breaker, true, at_ms));
        }
        assert_eq!(breaker.standing(at_ms), Standing::Open);
        breaker
    }

    #[test]
    fn it_opens_when_enough_failed_and_closes_after_its_probes() {
        let mut breaker = opened(1_000);
        assert!(!call(&mut breaker, false, 5_999));
        assert_eq!(breaker.standing(6_000), Standing::HalfOpen);
        let probes = [breaker.leave(6_000), breaker.leave(6_000), breaker.leave(6_000)];
        let [Some(first), Some(second), None] = probes else { panic!("two probes: {probes:?}") };
        breaker.note(first, false, 6_100);
        assert_eq!(breaker.standing(6_100), Standing::HalfOpen);
        breaker.note(second, false, 6_200);
        assert_eq!(breaker.standing(6_200), Standing::Closed);
        assert!(call(&mut breaker, true, 6_300), "it counts anew");
        assert_eq!(breaker.standing(6_300), Standing::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_again() {
        let mut breaker = opened(0);
        assert!(call(&mut breaker, true, 5_000));
        assert_eq!(breaker.standing(9_999), Standing::Open);
        assert_eq!(breaker.standing(10_000), Standing::HalfOpen);
    }

    #[test]
    fn old_failures_and_few_among_many_do_not_count() {
        let mut breaker = Breaker::new(SETTINGS);
        for at_ms in [0, 1_000, 9_000, 10_000, 18_000] {
            assert!(call(&mut breaker, true, at_ms), "two in a window are not three");
        }
        let mut breaker = Breaker::new(SETTINGS);
        for number in 0..300 {
            assert!(call(&mut breaker, number % 3 == 0, 0), "a third is not half");
        }
    }

    #[test]
    fn what_began_before_it_opened_says_nothing_after() {
        let mut breaker = Breaker::new(SETTINGS);
        let slow = breaker.leave(0).expect("closed");
        let slower = breaker.leave(0).expect("closed");
        for _ in 0..3 {
            call(&mut breaker, true, 0);
        }
        let probe = breaker.leave(5_000).expect("half-open");
        breaker.note(slow, false, 5_000);
        breaker.note(slower, true, 5_000);
        assert_eq!(breaker.standing(5_000), Standing::HalfOpen);
        breaker.note(probe, true, 5_000);
        assert_eq!(breaker.standing(5_000), Standing::Open);
    }

    proptest! {
        /// Whatever happens: while it is open nothing is asked, and it is not open for longer than it was told.
        #[test]
        fn an_open_one_asks_nothing_and_opens_no_longer_than_told(
            calls in proptest::collection::vec((0u64..3_000, any::<bool>()), 1..200),
        ) {
            let mut breaker = Breaker::new(SETTINGS);
            let (mut now_ms, mut open_since_ms) = (0, None);
            for (pause_ms, failed) in calls {
                now_ms += pause_ms;
                let standing = breaker.standing(now_ms);
                if let Some(since_ms) = open_since_ms {
                    prop_assert_eq!(standing == Standing::Open, now_ms < since_ms + SETTINGS.open_ms);
                }
                let called = call(&mut breaker, failed, now_ms);
                prop_assert_eq!(called, standing != Standing::Open);
                let opens = breaker.standing(now_ms) == Standing::Open;
                open_since_ms = if standing == Standing::Open { open_since_ms } else { opens.then_some(now_ms) };
            }
        }
    }
}
