//! Which limits a run can keep: one that it does not measure is refused, as it could only fail, or be forgotten.

use anyhow::{Result, ensure};

use super::Mode;
use crate::args::{Args, Kind};

/// Judges the flags.
///
/// # Errors
/// Names the flag that is wrong, and why.
pub(super) fn check(args: &Args, mode: Mode) -> Result<()> {
    let limits = &args.thresholds;
    let cost = ("--max-cpu-per-delivery", args.max_cpu_per_delivery.is_some());
    let rate = ("--min-deliveries", limits.min_deliveries.is_some());
    let rss = ("--max-rss-per-connection", limits.max_rss_per_connection.is_some());
    let growth = ("--max-rss-growth", limits.max_rss_growth.is_some());
    let (unmeasured, why) = match mode {
        Mode::Traffic => (vec![], ""),
        Mode::Idle => (
            vec![("--max-p99", args.max_p99.is_some()), cost, rate],
            "--idle sends no messages, so there are no deliveries to measure",
        ),
        Mode::Churn(_) => (
            vec![("--max-p99", args.max_p99.is_some()), cost, rate],
            "--churn sends no messages, so there are no deliveries to measure",
        ),
        Mode::Ramp(_) => (
            vec![cost, rate, rss],
            "--ramp-what judges its windows by --max-p99 and loss, and measures nothing else over all of them",
        ),
    };
    for (flag, is_given) in unmeasured {
        ensure!(!is_given, "{flag}: {why}");
    }
    for (flag, is_given) in [cost, rss, growth] {
        ensure!(!is_given || args.server_pid.is_some(), "{flag} needs --server-pid");
    }
    ensure!(!growth.1 || args.kind == Kind::Soak, "--max-rss-growth needs --kind soak");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn limits_of_what_is_not_measured_are_refused() {
        let pid = format!("--server-pid={}", std::process::id());
        let error = |flags: &[&str]| {
            let args =
                Args::try_parse_from(["loadtest", &pid].iter().chain(flags)).expect("these flags parse");
            Settings::from_args(args).err().map(|error| format!("{error:#}"))
        };
        for (mode, limits) in [
            (&["--idle"][..], &["--max-p99=5", "--max-cpu-per-delivery=5", "--min-deliveries=5"][..]),
            (&["--churn=5"], &["--max-p99=5", "--max-cpu-per-delivery=5", "--min-deliveries=5"]),
            (
                &["--ramp-what=rate"],
                &["--max-cpu-per-delivery=5", "--min-deliveries=5", "--max-rss-per-connection=5"],
            ),
        ] {
            assert_eq!(error(mode), None);
            for limit in limits {
                let error = error(&[mode, &[*limit]].concat()).unwrap_or_default();
                let (flag, mode) = (limit.split('=').next(), mode[0].split('=').next());
                assert!([flag, mode].iter().flatten().all(|name| error.contains(name)), "{error:?}");
            }
        }
        for fine in [
            &["--max-p99=5", "--max-cpu-per-delivery=5", "--min-deliveries=5"][..],
            &["--idle", "--max-rss-per-connection=5", "--max-connect-p99=5"],
            &["--churn=5", "--min-connects=5"],
            &["--ramp-what=rate", "--max-p99=5"],
        ] {
            assert_eq!(error(fine), None, "{fine:?}");
        }
    }
}
