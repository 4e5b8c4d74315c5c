//! How far apart two sides are, and how much of that is noise: a bootstrap over rounds and, within them, over intervals.
//!
//! Rounds drift with the machine, intervals within a round scatter, so both are drawn again: first rounds, then intervals of
//! each. When both sides have as many rounds these were interleaved, and a round is drawn together with its partner, so
//! that what slowed down both does not count. Seeded, so that the same files always say the same.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const DRAWS: usize = 2000;
const SEED: u64 = 0x0072_6f6f_6d63;
/// Samples of a side, over all rounds, below which its spread is unknown.
const SAMPLES_MIN: usize = 5;

/// The ratio of new to base, with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) ratio: f64,
    /// None when there are too few samples to know the spread.
    pub(super) interval: Option<(f64, f64)>,
}

/// Samples of one side: for each round those of its intervals.
pub(super) type Rounds = Vec<Vec<f64>>;

/// Compares the medians of two sides; `None` when one of them has no samples, or one that is zero.
pub(super) fn compare(base: &Rounds, new: &Rounds) -> Option<Ratio> {
    let ratio = (log_level(new)? - log_level(base)?).exp();
    let samples = |rounds: &Rounds| rounds.iter().map(Vec::len).sum::<usize>();
    if samples(base) < SAMPLES_MIN || samples(new) < SAMPLES_MIN {
        return Some(Ratio { ratio, interval: None });
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let mut draws: Vec<f64> = (0..DRAWS).filter_map(|_| draw(base, new, &mut random)).collect();
    draws.sort_by(f64::total_cmp);
    let end = |share: usize| draws.get(draws.len() * share / 1000).map(|log| log.exp());
    Some(Ratio { ratio, interval: end(25).zip(end(975)) })
}

/// The median of each round, averaged over the rounds by their logarithms.
pub(super) fn level(rounds: &Rounds) -> Option<f64> {
    log_level(rounds).map(f64::exp)
}

fn log_level(rounds: &Rounds) -> Option<f64> {
    let logs = rounds.iter().map(|round| log_median(&mut round.clone())).collect::<Option<Vec<_>>>()?;
    (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
}

fn log_median(samples: &mut [f64]) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let (low, high) = (samples.get(samples.len().checked_sub(1)? / 2)?, samples.get(samples.len() / 2)?);
    let median = f64::midpoint(*low, *high);
    (median > 0.0).then(|| median.ln())
}

/// The logarithm of the ratio of one draw.
fn draw(base: &Rounds, new: &Rounds, random: &mut StdRng) -> Option<f64> {
    let is_paired = base.len() == new.len();
    let base_rounds: Vec<usize> = base.iter().map(|_| random.random_range(0..base.len())).collect();
    let new_rounds: Vec<usize> = if is_paired {
        base_rounds.clone()
    } else {
        new.iter().map(|_| random.random_range(0..new.len())).collect()
    };
    let mut drawn = |rounds: &Rounds, chosen: &[usize]| {
        let again = chosen.iter().map(|number| {
            let round = &rounds[*number];
            round.iter().map(|_| round[random.random_range(0..round.len())]).collect()
        });
        log_level(&again.collect())
    };
    Some(drawn(new, &new_rounds)? - drawn(base, &base_rounds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals that scatter by 10 % around a level.
    fn round(level: f64, seed: u64) -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..30).map(|_| level * random.random_range(0.95..1.05)).collect()
    }

    fn interval(base: &Rounds, new: &Rounds) -> (f64, f64) {
        compare(base, new).expect("samples").interval.expect("enough of them")
    }

    #[test]
    fn what_is_alike_is_within_its_interval_and_what_differs_is_not() {
        let (low, high) = interval(&vec![round(5.0, 1)], &vec![round(5.0, 2)]);
        assert!(low < 1.0 && high > 1.0 && high - low < 0.1, "{low} {high}");
        let (low, high) = interval(&vec![round(5.0, 1)], &vec![round(6.0, 2)]);
        assert!(low > 1.1 && high < 1.3, "{low} {high}");
    }

    #[test]
    fn drift_that_both_sides_share_cancels_out() {
        let drift = [1.0, 1.6, 0.7, 1.3];
        let side = |level: f64, seed: u64| {
            drift.iter().zip(seed..).map(|(drift, seed)| round(level * drift, seed)).collect()
        };
        let (low, high) = interval(&side(5.0, 10), &side(5.5, 20));
        assert!(low > 1.05 && high < 1.15, "{low} {high}");
        // Without partners the drift counts as noise.
        let (low, high) = interval(&side(5.0, 10), &side(5.5, 20)[..3].to_vec());
        assert!(low < 1.0 && high > 1.2, "{low} {high}");
    }

    #[test]
    fn few_samples_have_a_ratio_but_no_interval_and_zero_has_none() {
        let few = compare(&vec![vec![2.0, 2.0]], &vec![vec![3.0]]).expect("samples");
        assert!((few.ratio - 1.5).abs() < 1e-9 && few.interval.is_none());
        assert_eq!(compare(&vec![vec![0.0; 9]], &vec![vec![1.0; 9]]), None);
        assert_eq!(compare(&Vec::new(), &vec![vec![1.0; 9]]), None);
        assert_eq!(compare(&vec![Vec::new()], &vec![vec![1.0; 9]]), None);
    }

    #[test]
    fn the_same_samples_always_say_the_same() {
        let (base, new) = (vec![round(5.0, 1)], vec![round(5.1, 2)]);
        assert_eq!(compare(&base, &new), compare(&base, &new));
    }
}
