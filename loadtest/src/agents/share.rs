//! Whether a run can be shared, and the flags that tell an agent of it.

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

use super::message::ROOMS_MAX;
use crate::args::{Agents, Args, Kind};
use crate::settings::{Mode, Settings};

/// Flags that are the coordinator's own business, or that it sends otherwise.
const OWN: [&str; 9] = [
    "agents",
    "agents_secret_file",
    "scenario",
    "json",
    "html",
    "secret",
    "secret_file",
    "server_pid",
    "quiet",
];

/// Judges whether several agents can do what the settings ask for.
///
/// # Errors
/// Names the flag that does not go with `--agents`, and why.
pub(super) fn check(settings: &Settings, agents: &Agents) -> Result<()> {
    let args = &settings.args;
    let count = match agents {
        Agents::Local(count) => *count,
        Agents::Remote(addresses) => addresses.len(),
    };
    check_kind(settings)?;
    match settings.mode {
        Mode::Traffic | Mode::Idle => {
            let layout = settings.layout();
            let least = (0..layout.rooms()).map(|room| layout.members_of(room).len()).min().unwrap_or(0);
            ensure!(
                least >= count,
                "--agents {count}: rooms of {least} members (--connections, --rooms, --zipf) do not span all agents"
            );
        }
        Mode::Churn(connects) => ensure!(
            args.connections >= count && connects >= count as u64,
            "--agents {count}: each needs a connection and a connect"
        ),
        Mode::Ramp(_) => {}
    }
    if let Agents::Remote(_) = agents {
        ensure!(
            args.server_pid.is_none(),
            "--server-pid: agents elsewhere cannot watch a process of this machine"
        );
        ensure!(args.agents.agents_secret_file.is_some(), "--agents HOST:PORT needs --agents-secret-file");
    }
    Ok(())
}

/// Judges what kind of run it is: on both ends of the line, since an agent must not do all that flags can ask for.
///
/// # Errors
/// Names the flag that asks for what is not shared.
pub(super) fn check_kind(settings: &Settings) -> Result<()> {
    let args = &settings.args;
    ensure!(args.kind == Kind::Steady, "--agents: of scenarios only those of --kind steady are shared yet");
    ensure!(args.disrupt.drain_command.is_none(), "--agents does not go with --drain-command");
    ensure!(args.disrupt.kill_pid.is_none(), "--agents does not go with --kill-pid");
    ensure!(args.stop_fraction == 0.0, "--agents does not go with --stop-fraction");
    ensure!(args.slow_fraction == 0.0, "--agents does not go with --slow-fraction");
    ensure!(args.dialects.is_none(), "--agents does not go with --dialects yet");
    ensure!(
        args.dialect.has_offsets(),
        "--agents: --dialect must number messages, so that order can be compared"
    );
    ensure!(args.rooms <= ROOMS_MAX, "--agents: at most {ROOMS_MAX} --rooms");
    ensure!(!matches!(settings.mode, Mode::Ramp(_)), "--agents does not go with --ramp-what yet");
    Ok(())
}

/// The flags for agent `number` of `of`.
pub(super) fn flags(args: &Args, mode: Mode, number: usize, of: usize) -> Vec<String> {
    let Ok(Value::Object(mut flags)) = serde_json::to_value(args) else {
        unreachable!("flags are an object of plain values");
    };
    let part = |whole: u64| whole / of as u64 + u64::from((number as u64) < whole % of as u64);
    if let Mode::Churn(connects) = mode {
        flags.insert("connections".to_owned(), part(args.connections as u64).into());
        flags.insert("churn".to_owned(), part(connects).into());
    }
    flags.insert("rate".to_owned(), (args.rate / of as f64).into());
    flags.insert("ramp".to_owned(), (args.ramp / of as f64).into());
    // Only one needs to watch the server.
    let watches = args.server_pid.as_ref().filter(|_| number == 0).map(|pid| format!("--server-pid={pid}"));
    words(&flags).into_iter().chain(watches).chain(["--quiet".to_owned()]).collect()
}

/// What one would have typed.
fn words(flags: &Map<String, Value>) -> Vec<String> {
    let flags = flags.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    flags
        .filter_map(|(key, value)| {
            let flag = format!("--{}", key.replace('_', "-"));
            match value {
                Value::Bool(true) => Some(flag),
                Value::Null | Value::Bool(false) | Value::Array(_) => None,
                Value::Number(number) => Some(format!("{flag}={number}")),
                Value::String(text) => Some(format!("{flag}={text}")),
                // Values that are one of several things, of which the one with a number is told so.
                Value::Object(one) => one.values().next().map(|value| format!("{flag}={value}")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(flags: &[&str]) -> Args {
        Args::try_parse_from(["loadtest"].iter().chain(flags)).expect("these flags parse")
    }

    fn refusal(flags: &[&str]) -> String {
        let settings = Settings::from_args(args(flags)).expect("fine for one");
        let agents = settings.args.agents.agents.clone().expect("given");
        check(&settings, &agents).err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn flags_say_the_same_again() {
        let whole = args(&[
            "--url=ws://127.0.0.1:1/ws?a=b",
            "--connections=77",
            "--rate=12.5",
            "--warmup=1500ms",
            "--dialect=topic",
            "--source-ips=3",
            "--idle",
            "--max-p99=50",
            "--room-prefix=a=b",
            "--agents=1",
            "--json=report.json",
            "--server-pid=1",
        ]);
        let mut words = flags(&whole, Mode::Idle, 0, 1);
        assert!(words.iter().all(|word| !word.contains("agents") && !word.contains("json")), "{words:?}");
        words.extend(["--agents=1", "--json=report.json"].map(str::to_owned));
        words.insert(0, "loadtest".to_owned());
        let again = Args::try_parse_from(&words).expect("what we say parses");
        let json = |args: &Args| {
            let mut json = serde_json::to_value(args).expect("plain values");
            json["quiet"] = Value::Null;
            json
        };
        assert_eq!(json(&again), json(&whole));
    }

    #[test]
    fn rates_and_connects_are_shared_and_one_watches_the_server() {
        let churn = args(&["--churn=11", "--connections=5", "--ramp=100", "--server-pid=1"]);
        let first = flags(&churn, Mode::Churn(11), 0, 2);
        let second = flags(&churn, Mode::Churn(11), 1, 2);
        for (words, expected) in [
            (&first, ["--churn=6", "--connections=3", "--ramp=50.0", "--server-pid=1"]),
            (&second, ["--churn=5", "--connections=2", "--ramp=50.0", "--rate=50.0"]),
        ] {
            assert!(expected.iter().all(|word| words.iter().any(|found| found == word)), "{words:?}");
        }
        assert!(!second.iter().any(|word| word.contains("server-pid")));
    }

    #[test]
    fn what_cannot_be_shared_is_refused() {
        for (flags, named) in [
            (&["--agents=2", "--stop-fraction=0.5"][..], "--stop-fraction"),
            (&["--agents=2", "--ramp-what=rate"], "--ramp-what"),
            (&["--agents=2", "--kind=storm"], "--kind"),
            (&["--agents=2", "--kind=chat"], "--kind"),
            (&["--agents=2", "--kind=drain", "--drain-command=true"], "--kind"),
            (&["--agents=2", "--slow-fraction=0.5"], "--slow-fraction"),
            (&["--agents=2", "--dialects=event=0.5,topic=0.5"], "--dialects"),
            (&["--agents=3", "--connections=20", "--rooms=10"], "do not span"),
            (&["--agents=2", "--connections=20", "--rooms=10", "--zipf=1"], "do not span"),
            (&["--agents=3", "--connections=2", "--churn=20"], "--agents 3"),
            (&["--agents=a:1"], "--agents-secret-file"),
            (&["--agents=a:1", "--agents-secret-file=x", "--server-pid=1"], "--server-pid"),
        ] {
            let refusal = refusal(flags);
            assert!(refusal.contains(named), "{flags:?}: {refusal:?}");
        }
        assert_eq!(refusal(&["--agents=2", "--connections=20", "--rooms=10"]), "");
    }
}
