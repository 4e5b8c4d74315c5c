//! What the flags of a ramp mean.

use anyhow::{Result, ensure};

use super::Mode;
use crate::args::{Args, RampWhat};
use crate::capacity::Range;

/// The limit of a search that was given none, in milliseconds.
pub(crate) const MAX_P99_MS: f64 = 50.0;
const RATE_TO: u64 = 1_000_000;
/// The highest message rate that can be asked for.
const RATE_MAX: u64 = 10_000_000;

/// Judges the flags.
///
/// # Errors
/// Names the flag that is wrong, and why.
pub(super) fn check(args: &Args, mode: Mode) -> Result<()> {
    let ramp = &args.ramp_args;
    let Some(what) = ramp.ramp_what else {
        ensure!(ramp.ramp_min.is_none(), "--ramp-min needs --ramp-what: nothing is searched otherwise");
        return Ok(());
    };
    ensure!(
        mode == Mode::Ramp(what),
        "--ramp-what has its own traffic: neither --idle nor --churn goes with it"
    );
    let slow = args.stop_fraction + args.slow_fraction;
    ensure!(slow == 0.0, "--stop-fraction and --slow-fraction do not go with --ramp-what");
    ensure!(
        ramp.ramp_factor.is_finite() && (1.05..=100.0).contains(&ramp.ramp_factor),
        "--ramp-factor must be from 1.05 to 100"
    );
    ensure!((0.001..=0.5).contains(&ramp.ramp_resolution), "--ramp-resolution must be from 0.001 to 0.5");
    ensure!(!ramp.ramp_window.0.is_zero(), "--ramp-window must be above 0");
    ensure!((1..=100).contains(&ramp.repeats), "--repeats must be from 1 to 100");
    let max = match what {
        RampWhat::Rate => RATE_MAX,
        RampWhat::Connections => args.connections as u64,
    };
    let Range { from, to, .. } = range(args, what);
    ensure!(from >= 1, "--ramp-from must be at least 1");
    ensure!(from <= to, "--ramp-from {from} exceeds --ramp-to {to}");
    ensure!(to <= max, "--ramp-to {to} exceeds {max}");
    Ok(())
}

/// What is to be searched.
pub(crate) fn range(args: &Args, what: RampWhat) -> Range {
    let ramp = &args.ramp_args;
    #[expect(clippy::cast_possible_truncation, reason = "a rate is at most 1e7")]
    let (from, to) = match what {
        RampWhat::Rate => ((args.rate as u64).max(1), RATE_TO),
        RampWhat::Connections => ((args.connections as u64 / 16).max(1), args.connections as u64),
    };
    let to = ramp.ramp_to.unwrap_or(to);
    Range {
        from: ramp.ramp_from.unwrap_or_else(|| from.min(to)),
        to,
        factor: ramp.ramp_factor,
        resolution: ramp.ramp_resolution,
        repeats: ramp.repeats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn settings(flags: &[&str]) -> Result<Settings> {
        let args = Args::try_parse_from(["loadtest"].iter().chain(flags)).expect("these flags parse");
        Settings::from_args(args)
    }

    #[test]
    fn errors_name_their_flag() {
        for (flags, named) in [
            (&["--ramp-what", "rate", "--idle"][..], "--ramp-what"),
            (&["--ramp-what", "rate", "--churn", "5"], "--ramp-what"),
            (&["--ramp-what", "rate", "--stop-fraction", "0.5"], "--stop-fraction"),
            (&["--ramp-what", "rate", "--ramp-factor", "1"], "--ramp-factor"),
            (&["--ramp-what", "rate", "--ramp-factor", "NaN"], "--ramp-factor"),
            (&["--ramp-what", "rate", "--ramp-resolution", "0"], "--ramp-resolution"),
            (&["--ramp-what", "rate", "--ramp-window", "0s"], "--ramp-window"),
            (&["--ramp-what", "rate", "--repeats", "0"], "--repeats"),
            (&["--ramp-what", "rate", "--ramp-from", "0"], "--ramp-from"),
            (&["--ramp-what", "rate", "--ramp-from", "9", "--ramp-to", "8"], "--ramp-from"),
            (&["--ramp-what", "rate", "--ramp-to", "10000001"], "--ramp-to"),
            (&["--ramp-what", "connections", "--ramp-to", "1001"], "--ramp-to"),
            (&["--ramp-min", "5"], "--ramp-min"),
        ] {
            let error = settings(flags).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(named), "{flags:?}: {error:?}");
        }
    }

    #[test]
    fn ranges_follow_from_the_shape() {
        let of = |flags: &[&str], what| {
            let range = range(&settings(flags).expect("fine").args, what);
            (range.from, range.to)
        };
        assert_eq!(of(&["--ramp-what", "rate", "--rate", "250"], RampWhat::Rate), (250, 1_000_000));
        assert_eq!(of(&["--ramp-what", "rate", "--ramp-to", "50"], RampWhat::Rate), (50, 50));
        let connections = ["--ramp-what", "connections", "--connections", "8", "--rooms", "1"];
        assert_eq!(of(&connections, RampWhat::Connections), (1, 8));
    }
}
