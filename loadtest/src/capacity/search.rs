//! The search for the highest value that still passes: grows until something fails, then halves the gap, then confirms
//! the answer. A pure state machine: it names the next value to try, and is told how the trial went.
//!
//! One trial proves little on a noisy machine. So a value that passed once counts as passing for the moment, a value
//! fails only when it can no longer pass more than half of its trials, and the search ends only when its answer has
//! had all of them. An answer that fails then is a failure like any other, and the search goes on below it.

use std::collections::BTreeMap;

/// How far below the first value the search goes before it gives up.
const DOWN_MAX: u64 = 64;

/// What is searched, and how thoroughly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    /// The first value to try; at least 1.
    pub(crate) from: u64,
    /// The highest; at least `from`.
    pub(crate) to: u64,
    /// By how much values grow until one fails; above 1.
    pub(crate) factor: f64,
    /// Part of the lowest failing value to which the answer may be below it.
    pub(crate) resolution: f64,
    /// Trials of the answer; at least 1.
    pub(crate) repeats: u32,
}

/// Everything that was tried, and thereby what is next.
#[derive(Debug)]
pub(crate) struct Search {
    range: Range,
    tried: BTreeMap<u64, Tally>,
}

/// How the trials of one value went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Trials that passed.
    pub(crate) passed: u32,
    /// Trials that did not.
    pub(crate) failed: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    Fails,
    Undecided,
}

/// What is known when, or before, the search has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The highest value below all failing ones that passes, and its trials.
    pub(crate) passes: Option<(u64, Tally)>,
    /// The lowest value that fails; without one the end of the range was reached.
    pub(crate) fails: Option<u64>,
}

impl Search {
    /// Nothing is tried yet.
    pub(crate) fn new(range: Range) -> Self {
        Self { range, tried: BTreeMap::new() }
    }

    /// The value to try next; `None` when the search has ended.
    pub(crate) fn next(&self) -> Option<u64> {
        let undecided = |(_, tally): &(&u64, &Tally)| self.verdict(**tally) == Verdict::Undecided;
        if let Some((value, _)) = self.tried.iter().find(undecided) {
            return Some(*value);
        }
        let Range { from, to, resolution, repeats, .. } = self.range;
        let Answer { passes, fails } = self.answer();
        let confirmed = |tally: Tally| tally.passed + tally.failed >= repeats;
        match (passes, fails) {
            (None, None) => Some(from),
            (None, Some(fails)) => (fails > (from / DOWN_MAX).max(1)).then(|| self.below(fails)),
            (Some((value, _)), None) if value < to => Some(self.above(value).min(to)),
            (Some((value, _)), Some(fails))
                if (fails - value) as f64 > (resolution * fails as f64).max(1.0) =>
            {
                Some(value + (fails - value) / 2)
            }
            (Some((value, tally)), _) => (!confirmed(tally)).then_some(value),
        }
    }

    /// A trial of `value` passed, or did not.
    pub(crate) fn record(&mut self, value: u64, passed: bool) {
        let tally = self.tried.entry(value).or_default();
        if passed {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
    }

    /// What is known so far.
    pub(crate) fn answer(&self) -> Answer {
        let is = |verdict, tally: &Tally| self.verdict(*tally) == verdict;
        let fails = self.tried.iter().find(|(_, tally)| is(Verdict::Fails, tally)).map(|(value, _)| *value);
        let below = self.tried.range(..fails.unwrap_or(u64::MAX));
        let passes = below.rev().find(|(_, tally)| is(Verdict::Passes, tally));
        Answer { passes: passes.map(|(value, tally)| (*value, *tally)), fails }
    }

    fn verdict(&self, Tally { passed, failed }: Tally) -> Verdict {
        if failed * 2 >= self.range.repeats {
            Verdict::Fails
        } else if passed > failed {
            Verdict::Passes
        } else {
            Verdict::Undecided
        }
    }

    fn above(&self, value: u64) -> u64 {
        scaled(value, self.range.factor).max(value.saturating_add(1))
    }

    /// Twice as far as growth steps, since whoever begins too high is mostly far too high.
    fn below(&self, value: u64) -> u64 {
        scaled(value, self.range.factor.powi(-2)).min(value - 1).max(1)
    }
}

fn scaled(value: u64, factor: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
    let scaled = (value as f64 * factor) as u64;
    scaled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: Range = Range { from: 100, to: 100_000, factor: 2.0, resolution: 0.05, repeats: 3 };

    /// Searches with `passes` as the world; the answer and the values in the order in which they were tried.
    fn search(range: Range, mut passes: impl FnMut(u64) -> bool) -> (Answer, Vec<u64>) {
        let mut search = Search::new(range);
        let mut tried = Vec::new();
        while let Some(value) = search.next() {
            tried.push(value);
            search.record(value, passes(value));
            assert!(tried.len() < 10_000, "the search does not end: {tried:?}");
        }
        (search.answer(), tried)
    }

    #[test]
    fn grows_halves_and_confirms() {
        let (answer, tried) = search(RANGE, |value| value <= 1000);
        let expected = [
            100, 200, 400, 800, 1600, 1600, 1200, 1200, 1000, 1100, 1100, 1050,
            1050, // the gap is small enough
            1000, 1000,
        ];
        assert_eq!(tried, expected);
        let tally = Tally { passed: 3, failed: 0 };
        assert_eq!(answer, Answer { passes: Some((1000, tally)), fails: Some(1050) });
    }

    #[test]
    fn a_range_without_a_limit_ends_at_its_end() {
        let (answer, tried) = search(Range { to: 300, ..RANGE }, |_| true);
        assert_eq!(tried, [100, 200, 300, 300, 300]);
        assert_eq!(answer.fails, None);
    }

    #[test]
    fn whoever_begins_too_high_goes_down_and_gives_up_at_some_point() {
        let (answer, tried) = search(RANGE, |value| value <= 10);
        assert_eq!(&tried[..5], [100, 100, 25, 25, 6]);
        assert_eq!((answer.passes.map(|(value, _)| value), answer.fails), (Some(10), Some(11)));
        let (answer, tried) = search(RANGE, |_| false);
        assert_eq!((answer, tried.len()), (Answer { passes: None, fails: Some(1) }, 8));
    }

    #[test]
    fn an_answer_that_was_luck_is_taken_back() {
        let mut trials_of_800 = 0;
        let (answer, tried) = search(RANGE, |value| {
            trials_of_800 += u32::from(value == 800);
            value < 800 || (value == 800 && trials_of_800 == 1)
        });
        let (value, tally) = answer.passes.expect("400 passes");
        assert!((760..800).contains(&value) && answer.fails <= Some(800), "{answer:?}: {tried:?}");
        assert_eq!(tally, Tally { passed: 3, failed: 0 });
    }

    #[test]
    fn one_failure_among_three_is_noise() {
        let mut trials_of_800 = 0;
        let (answer, _) = search(Range { to: 800, ..RANGE }, |value| {
            trials_of_800 += u32::from(value == 800);
            value < 800 || trials_of_800 != 1
        });
        assert_eq!(answer, Answer { passes: Some((800, Tally { passed: 2, failed: 1 })), fails: None });
    }

    proptest! {
        #[test]
        fn the_bracket_holds_the_limit(
            limit in 2_u64..2_000_000, from in 1_u64..10_000, factor in 1.1_f64..4.0, repeats in 1_u32..6,
        ) {
            let range = Range { from, to: 1_000_000.max(from), factor, resolution: 0.05, repeats };
            let (answer, tried) = search(range, |value| value <= limit);
            prop_assert!(tried.iter().all(|value| (1..=range.to).contains(value)));
            match (answer.passes, answer.fails) {
                (Some((value, tally)), Some(fails)) => {
                    prop_assert!(value <= limit && limit < fails);
                    prop_assert!((fails - value) as f64 <= (fails as f64 * 0.05).max(1.0));
                    prop_assert_eq!(tally, Tally { passed: repeats, failed: 0 });
                }
                (Some((value, _)), None) => prop_assert!(value == range.to && limit >= range.to),
                (None, fails) => prop_assert!(fails.is_some_and(|fails| fails <= (from / DOWN_MAX).max(1)) && limit < from),
            }
        }

        #[test]
        fn noise_never_keeps_it_from_ending(outcomes in prop::collection::vec(any::<bool>(), 1..200), repeats in 1_u32..6) {
            let mut outcomes = outcomes.iter().cycle();
            let range = Range { repeats, ..RANGE };
            let mut search = Search::new(range);
            let mut windows = 0;
            while let Some(value) = search.next() {
                windows += 1;
                prop_assert!(windows < 1000);
                prop_assert!((1..=range.to).contains(&value));
                search.record(value, *outcomes.next().expect("it cycles"));
            }
            if let Some((value, tally)) = search.answer().passes {
                prop_assert!(tally.passed > tally.failed && tally.passed + tally.failed == repeats, "{}: {:?}", value, tally);
            }
        }
    }
}
