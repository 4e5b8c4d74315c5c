//! Brings together what decides a run: what was typed, then the environment, then the scenario's file, then the
//! defaults; the earlier wins.

use std::ffi::OsString;
use std::fmt;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use super::scenario_file::ScenarioFile;

/// Why the words make no run. A wish for help is one too.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The words themselves are wrong, or ask for help.
    Words(clap::Error),
    /// The scenario is.
    Scenario(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(error) => write!(out, "{error}"),
            Self::Scenario(text) => out.write_str(text),
        }
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// Names the flag, or the file and its key, that is wrong.
pub(crate) fn parse(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, Refusal> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let matches = Cli::command().try_get_matches_from(&words).map_err(Refusal::Words)?;
    if matches.subcommand().is_some() {
        return Cli::from_arg_matches(&matches).map_err(Refusal::Words);
    }
    let scenario = matches.get_one::<String>("scenario").map_or("steady", String::as_str);
    let file = ScenarioFile::find(scenario).map_err(Refusal::Scenario)?;
    let from_file = file.words(&Cli::command(), |id| is_given(&matches, id)).map_err(Refusal::Scenario)?;
    let (program, typed) = words.split_at(1.min(words.len()));
    let all = program.iter().cloned().chain(from_file).chain(typed.iter().cloned());
    // What was typed made sense alone, so whatever is wrong now came with the file.
    Cli::command()
        .try_get_matches_from(all)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| Refusal::Scenario(file.blame(&error)))
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::args::{Args, Kind, shipped};
    use crate::settings::Settings;

    /// A file that is gone when this is dropped.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("roomcast-loadtest-{}-{name}.toml", std::process::id()));
            fs::write(&path, text).expect("the temporary directory takes a file");
            Self(path)
        }

        fn parse(&self, flags: &[&str]) -> Result<Args, String> {
            let path = self.0.to_str().expect("an ASCII path");
            parse(["loadtest", "--scenario", path].iter().chain(flags).copied())
                .map(|cli| cli.run)
                .map_err(|refusal| refusal.to_string())
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn every_shipped_scenario_is_valid_and_says_what_it_is() {
        for (name, _) in shipped() {
            // What rolls the server nobody can know.
            let kill = format!("--kill-pid={}", std::process::id());
            let own: &[&str] = match name {
                "drain" => &["--drain-command=true"],
                "kill" => &[&kill, "--url=ws://127.0.0.1:1,ws://127.0.0.1:2"],
                _ => &[],
            };
            let cli = parse(["loadtest", "--scenario", name].iter().chain(own))
                .map_err(|refusal| refusal.to_string());
            let settings = Settings::from_args(cli.expect(name).run);
            assert!(settings.is_ok(), "{name}: {:?}", settings.err());
            assert!(!ScenarioFile::find(name).expect(name).about().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_file_wins_over_defaults_and_flags_win_over_it() {
        let file =
            File::new("wins", "kind = \"chat\"\nrate = 7\nrooms = 3\nidle = false\nduration = \"3s\"\n");
        let args = file.parse(&["--rooms", "5"]).expect("valid");
        assert_eq!((args.kind, args.rate, args.rooms), (Kind::Chat, 7.0, 5));
        assert_eq!((args.duration.to_string(), args.idle), ("3s".to_owned(), false));
        assert_eq!(args.connections, 1000, "not in the file: the default");
        let args = file.parse(&["--rate=1", "--kind", "steady"]).expect("valid");
        assert_eq!((args.kind, args.rate, args.rooms), (Kind::Steady, 1.0, 3));
    }

    #[test]
    fn switches_are_true_or_false() {
        assert!(File::new("on", "idle = true\n").parse(&[]).expect("valid").idle);
        assert!(!File::new("off", "idle = false\n").parse(&[]).expect("valid").idle);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, text, named) in [
            ("key", "raet = 5\n", "raet"),
            ("value", "rate = \"fast\"\n", "--rate"),
            ("switch", "quiet = 3\n", "quiet"),
            ("truth", "rate = true\n", "rate"),
            ("table", "[rate]\nx = 1\n", "rate"),
            ("self", "scenario = \"chat\"\n", "scenario"),
            ("about", "about = 3\n", "about"),
            ("toml", "rate = = 5\n", "line 1"),
        ] {
            let file = File::new(name, text);
            let error = file.parse(&[]).expect_err(text);
            assert!(error.contains(named), "{text:?}: {error}");
            assert!(error.contains(".toml"), "the file is named: {error}");
        }
        let error = parse(["loadtest", "--scenario", "nosuch"]).expect_err("unknown").to_string();
        assert!(error.contains("nosuch") && error.contains("broadcast"), "{error}");
        let error = parse(["loadtest", "--scenario", "/nosuch/x.toml"]).expect_err("absent").to_string();
        assert!(error.contains("/nosuch/x.toml"), "{error}");
    }
}
