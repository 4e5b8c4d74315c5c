//! What the flags of `--scenario chat` may be, alone and beside the others.

use anyhow::{Result, ensure};

use super::Mode;
use crate::args::{Args, Dialect, Kind};

/// Members of a room that may watch each other: the answer to `presence:watch` lists them all, and must be a frame that
/// we accept.
const WATCHED_MEMBERS_MAX: usize = 1000;
/// Events a second beyond any machine.
const RATE_MAX: f64 = 1e7;

/// Judges the flags.
///
/// # Errors
/// Names the flag that is wrong, and why.
pub(super) fn check(args: &Args, mode: Mode) -> Result<()> {
    let chat = &args.chat;
    for (flag, rate) in [
        ("--typing-rate", chat.typing_rate),
        ("--presence-rate", chat.presence_rate),
        ("--join-rate", chat.join_rate),
    ] {
        ensure!(rate.is_finite() && (0.0..=RATE_MAX).contains(&rate), "{flag} must be from 0 to 1e7");
    }
    ensure!((0.0..=1.0).contains(&chat.receipts), "--receipts must be from 0 to 1");
    let is_chat = args.kind == Kind::Chat;
    for (flag, threshold, rate_flag, rate) in [
        ("--max-presence-p99", chat.max_presence_p99, "--presence-rate", chat.presence_rate),
        ("--max-join-p99", chat.max_join_p99, "--join-rate", chat.join_rate),
    ] {
        let is_measured = is_chat && rate > 0.0;
        ensure!(
            threshold.is_none() || is_measured,
            "{flag} needs --kind chat and a {rate_flag} above 0: nothing is measured otherwise"
        );
    }
    if !is_chat {
        return Ok(());
    }
    ensure!(mode == Mode::Traffic, "--kind chat is about traffic: neither --idle nor --churn has any");
    ensure!(args.dialect == Dialect::Event, "--kind chat speaks only --dialect event");
    let members_max = super::layout(args).members_max();
    ensure!(
        chat.presence_rate == 0.0 || members_max <= WATCHED_MEMBERS_MAX,
        "--presence-rate: rooms of {members_max} members are too large to be watched as a whole; take more --rooms, or 0"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    /// What is said of `flags`; empty when they are fine.
    fn refusal(flags: &[&str]) -> String {
        let args = Args::try_parse_from(["loadtest"].iter().chain(flags)).expect("these flags parse");
        Settings::from_args(args).err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn errors_name_their_flag() {
        for (flags, named) in [
            (&["--kind", "chat", "--typing-rate", "inf"][..], "--typing-rate"),
            (&["--kind", "chat", "--presence-rate=-1"], "--presence-rate"),
            (&["--kind", "chat", "--join-rate", "NaN"], "--join-rate"),
            (&["--kind", "chat", "--receipts", "2"], "--receipts"),
            (&["--kind", "chat", "--idle"], "--kind"),
            (&["--kind", "chat", "--churn", "5"], "--kind"),
            (&["--kind", "chat", "--dialect", "topic"], "--dialect"),
            (&["--kind", "chat", "--connections", "1001", "--rooms", "1"], "--presence-rate"),
            (&["--max-join-p99", "5"], "--max-join-p99"),
            (&["--max-presence-p99", "5", "--kind", "chat", "--presence-rate", "0"], "--max-presence-p99"),
        ] {
            let refusal = refusal(flags);
            assert!(refusal.contains(named), "{flags:?}: {refusal:?}");
        }
    }

    #[test]
    fn large_rooms_and_thresholds_are_fine_where_they_mean_something() {
        let large = ["--kind", "chat", "--connections", "1001", "--rooms", "1", "--presence-rate", "0"];
        assert_eq!(refusal(&large), "");
        assert_eq!(refusal(&["--kind", "chat", "--max-join-p99", "5", "--max-presence-p99", "5"]), "");
        assert_eq!(refusal(&["--connections", "5000", "--rooms", "1"]), "");
    }
}
