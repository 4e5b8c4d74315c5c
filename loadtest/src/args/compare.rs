//! What was typed after `compare`: which reports to compare, and when that is a failure.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Compares reports that runs wrote with --json, noise taken into account: says of each figure whether it is better, worse
/// or within noise, by a bootstrap over the intervals of each run (and over rounds, when there are several).
///
/// Exit code: 0; 1 when --fail-on applies; 64 when a file is no report.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// The base first, then what to compare with it, each by itself.
    #[arg(value_name = "FILE", conflicts_with_all = ["base", "new"], required_unless_present = "base")]
    pub(crate) files: Vec<PathBuf>,

    /// Rounds of the base. As many as of --new are taken for interleaved, and compared in pairs.
    #[arg(long, value_name = "FILE", num_args = 1.., value_delimiter = ',', requires = "new")]
    pub(crate) base: Vec<PathBuf>,

    /// Rounds of what is compared with it.
    #[arg(long, value_name = "FILE", num_args = 1.., value_delimiter = ',', requires = "base")]
    pub(crate) new: Vec<PathBuf>,

    /// Exit with code 1 when a figure is worse beyond noise; worse:5 only when it is so by more than 5 percent.
    #[arg(long, value_name = "worse[:PERCENT]")]
    pub(crate) fail_on: Option<FailOn>,

    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FailOn {
    /// Share by which a figure must be worse.
    pub(crate) by: f64,
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("expected worse or worse:PERCENT, got {text:?}");
        match text.split_once(':') {
            None if text == "worse" => Ok(Self { by: 0.0 }),
            Some(("worse", percent)) => match percent.trim_end_matches('%').parse::<f64>() {
                Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(Self { by: percent / 100.0 }),
                _ => Err(error()),
            },
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_worse_by_a_percentage() {
        assert_eq!("worse".parse(), Ok(FailOn { by: 0.0 }));
        assert_eq!("worse:2.5".parse(), Ok(FailOn { by: 0.025 }));
        for text in ["", "better", "worse:", "worse:x", "worse:-1", "worse:inf"] {
            assert!(text.parse::<FailOn>().is_err(), "{text}");
        }
    }
}
