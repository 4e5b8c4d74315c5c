//! Scenarios as TOML files, shipped or one's own: each becomes the words that one would have typed instead.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;

use clap::{ArgAction, Command};
use toml::{Table, Value};

/// The key that describes a file; it is no flag.
const ABOUT: &str = "about";
/// Flags that make no sense in a file.
const FORBIDDEN: [&str; 3] = ["scenario", "help", "version"];

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

const SHIPPED: &[(&str, &str)] = &shipped![
    "steady",
    "broadcast",
    "chat",
    "ramp",
    "storm",
    "churn",
    "slow",
    "mixed",
    "drain",
    "kill",
    "soak"
];

/// The shipped scenarios: their names, and the text of their files.
pub(crate) fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.iter().copied()
}

/// The shipped scenarios, a line for each.
pub(crate) fn list_shipped() -> String {
    let mut list = String::new();
    for (name, text) in shipped() {
        let about = ScenarioFile::read(name, text).map(|file| file.about().to_owned());
        writeln!(list, "{name:<10} {}", about.unwrap_or_default()).expect("a String takes every write");
    }
    list
}

/// A scenario's file.
pub(super) struct ScenarioFile {
    name: String,
    keys: Table,
}

impl ScenarioFile {
    /// A shipped scenario by its name, or the file at a path.
    pub(super) fn find(scenario: &str) -> Result<Self, String> {
        if let Some((name, text)) = shipped().find(|(name, _)| *name == scenario) {
            return Self::read(name, text);
        }
        if !scenario.ends_with(".toml") {
            let names: Vec<_> = shipped().map(|(name, _)| name).collect();
            return Err(format!(
                "--scenario {scenario}: neither a file that ends in .toml nor one of {}",
                names.join(", ")
            ));
        }
        let text = fs::read_to_string(scenario).map_err(|error| format!("--scenario {scenario}: {error}"))?;
        Self::read(scenario, &text)
    }

    fn read(name: &str, text: &str) -> Result<Self, String> {
        let keys: Table = text.parse().map_err(|error| format!("{name}: {error}"))?;
        match keys.get(ABOUT) {
            None | Some(Value::String(_)) => Ok(Self { name: name.to_owned(), keys }),
            Some(_) => Err(format!("{name}: {ABOUT} must be a text")),
        }
    }

    /// What it is, in a line.
    pub(super) fn about(&self) -> &str {
        self.keys.get(ABOUT).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its keys as words of a command line, but for those flags that are given already.
    pub(super) fn words(
        &self,
        command: &Command,
        is_given: impl Fn(&str) -> bool,
    ) -> Result<Vec<OsString>, String> {
        let mut words = Vec::new();
        for (key, value) in self.keys.iter().filter(|(key, _)| *key != ABOUT) {
            let flag = command
                .get_arguments()
                .find(|flag| flag.get_long() == Some(key) && !FORBIDDEN.contains(&key.as_str()))
                .ok_or_else(|| format!("{}: unknown key {key:?}; keys are the flags' names", self.name))?;
            if is_given(flag.get_id().as_str()) {
                continue;
            }
            let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
            let word = match (value, is_switch) {
                (Value::Boolean(true), true) => format!("--{key}"),
                (Value::Boolean(false), true) => continue,
                (Value::String(text), false) => format!("--{key}={text}"),
                (Value::Integer(number), false) => format!("--{key}={number}"),
                (Value::Float(number), false) => format!("--{key}={number}"),
                (_, true) => return Err(format!("{}: {key} must be true or false", self.name)),
                (_, false) => return Err(format!("{}: {key} must be a number or a text", self.name)),
            };
            words.push(word.into());
        }
        Ok(words)
    }

    /// Says that the file is to blame for what clap found.
    pub(super) fn blame(&self, error: &clap::Error) -> String {
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        format!("{}: {}", self.name, text.strip_prefix("error: ").unwrap_or(text))
    }
}
