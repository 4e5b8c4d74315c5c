//! What the flags of storms, churn, drains and kills may be, alone and beside the others.

use anyhow::{Result, ensure};

use super::Mode;
use crate::args::{Args, Dialect, Kind, Recovery};

/// Connections a second beyond any machine.
const CHURN_RATE_MAX: f64 = 1e6;

/// Judges the flags.
///
/// # Errors
/// Names the flag that is wrong, and why.
pub(super) fn check(args: &Args, mode: Mode) -> Result<()> {
    let disrupt = &args.disrupt;
    let (fraction, rate) = (disrupt.storm_fraction, disrupt.churn_rate);
    ensure!(fraction > 0.0 && fraction <= 1.0, "--storm-fraction must be above 0, at most 1");
    ensure!(rate > 0.0 && rate <= CHURN_RATE_MAX, "--churn-rate must be above 0, at most 1e6");
    if !args.kind.is_disruptive() {
        for (flag, is_given) in [
            ("--max-reconnect", disrupt.max_reconnect.is_some()),
            ("--recovery", disrupt.recovery != Recovery::None),
            ("--drain-command", disrupt.drain_command.is_some()),
            ("--kill-pid", disrupt.kill_pid.is_some()),
            ("--disrupt-after", disrupt.disrupt_after.is_some()),
        ] {
            ensure!(
                !is_given,
                "{flag} needs --kind storm, churn, drain or kill: nobody comes back otherwise"
            );
        }
        return Ok(());
    }
    ensure!(
        matches!(mode, Mode::Traffic | Mode::Idle),
        "--kind: storms, churn, drains and kills happen to a run of traffic, or to one with --idle"
    );
    ensure!(
        matches!(args.dialect, Dialect::Event | Dialect::Topic),
        "--dialect: who comes back speaks event or topic"
    );
    let slow = args.stop_fraction + args.slow_fraction;
    ensure!(slow == 0.0, "--stop-fraction, --slow-fraction: who comes back reads all that it gets");
    if let Some(after) = disrupt.disrupt_after {
        ensure!(after.0 <= args.duration.0, "--disrupt-after is beyond --duration");
    }
    ensure!(
        args.kind != Kind::Churn || disrupt.max_reconnect.is_none(),
        "--max-reconnect: with --kind churn somebody is always away"
    );
    ensure!(
        disrupt.drain_command.as_ref().is_none_or(|command| !command.trim().is_empty()),
        "--kind drain rolls the server: say how with --drain-command"
    );
    let has_one_process = args.server_pid.as_ref().is_some_and(|pids| pids.0.len() == 1);
    ensure!(
        args.kind != Kind::Drain || disrupt.drain_command.is_some() || has_one_process,
        "--kind drain needs --drain-command or one --server-pid"
    );
    ensure!(
        (args.kind == Kind::Kill) == disrupt.kill_pid.is_some(),
        "--kind kill and --kill-pid need each other"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn errors_name_their_flag() {
        for (flags, named) in [
            (&["--kind", "storm", "--storm-fraction", "0"][..], "--storm-fraction"),
            (&["--kind", "storm", "--storm-fraction", "NaN"], "--storm-fraction"),
            (&["--kind", "churn", "--churn-rate", "0"], "--churn-rate"),
            (&["--kind", "churn", "--max-reconnect", "1s"], "--max-reconnect"),
            (&["--max-reconnect", "1s"], "--max-reconnect"),
            (&["--recovery", "offset"], "--recovery"),
            (&["--kind", "drain"], "--drain-command"),
            (&["--kind", "drain", "--drain-command", " "], "say how with --drain-command"),
            (&["--kind", "kill"], "--kill-pid"),
            (&["--kind", "kill", "--kill-pid", "1"], "several addresses in --url"),
            (&["--kind", "kill", "--kill-pid", "4294967295"], "--kill-pid 4294967295: no such process"),
            (&["--kind", "storm", "--kill-pid", "1"], "--kill-pid"),
            (&["--kill-pid", "1"], "--kill-pid"),
            (&["--kind", "storm", "--dialect", "nats"], "--dialect"),
            (&["--kind", "storm", "--stop-fraction", "0.1"], "--stop-fraction"),
            (&["--kind", "storm", "--disrupt-after", "1h"], "--disrupt-after"),
            (&["--kind", "storm", "--churn", "5"], "--kind"),
        ] {
            let args = Args::try_parse_from(["loadtest"].iter().chain(flags)).expect("these flags parse");
            let error = Settings::from_args(args).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(named), "{flags:?}: {error:?}");
        }
    }
}
