//! Defaults < file < environment < flags: which text counts for a setting, and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::backends::FileBackends;
use super::listeners::FileListeners;
use super::nearest::{did_you_mean, nearest};
use super::profiles::FileProfiles;
use super::table::{self, Kind};
use crate::args::TypedSettings;

/// Why the settings cannot be used; names the setting and where its value came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingError(pub(super) String);

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "from {}", path.display()),
            Self::Environment(variable) => write!(out, "from {variable}"),
            Self::Flag => out.write_str("from the command line"),
        }
    }
}

/// The texts of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    texts: Vec<String>,
    origin: Origin,
}

/// The text of every setting that has one, and the profiles and backends that the file defines.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    entries: BTreeMap<&'static str, Entry>,
    profiles: FileProfiles,
    backends: FileBackends,
    listeners: FileListeners,
}

impl Layers {
    /// Lays what was typed, and the file that it names, over the defaults.
    ///
    /// # Errors
    /// [`SettingError`] when the file cannot be read or has a key that is no setting.
    pub(crate) fn read(typed: TypedSettings) -> Result<Self, SettingError> {
        let mut layers = Self::defaults();
        if let Some(path) = &typed.config {
            let text = std::fs::read_to_string(path).map_err(|error| {
                SettingError(format!("--config: cannot read {}: {error}", path.display()))
            })?;
            layers.lay_file(&text, path)?;
        }
        for (name, typed) in typed.values {
            let setting = table::find(name).expect("flags are made from the table");
            let origin = if typed.from_env { Origin::Environment(setting.env()) } else { Origin::Flag };
            layers.entries.insert(setting.name, Entry { texts: typed.texts, origin });
        }
        Ok(layers)
    }

    fn defaults() -> Self {
        let entry = |text: &str| Entry { texts: vec![text.to_owned()], origin: Origin::Default };
        let defaults = table::all().filter_map(|setting| Some((setting.name, entry(setting.default?))));
        Self {
            entries: defaults.collect(),
            profiles: FileProfiles::default(),
            backends: FileBackends::default(),
            listeners: FileListeners::default(),
        }
    }

    fn lay_file(&mut self, text: &str, path: &Path) -> Result<(), SettingError> {
        let error = |what: String| SettingError(format!("--config {}: {what}", path.display()));
        // The parser's own message quotes the line, which may hold a secret.
        let file: toml::Table = text.parse().map_err(|problem: toml::de::Error| {
            let line = problem.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            error(format!("line {line}: {}", problem.message()))
        })?;
        for (key, value) in file {
            if key == "profiles" {
                self.profiles = FileProfiles::read(value).map_err(error)?;
                continue;
            }
            if key == "routes" {
                self.backends.read_routes(value).map_err(error)?;
                continue;
            }
            if key == "hooks" {
                self.backends.read_hooks(value).map_err(error)?;
                continue;
            }
            if key == "listeners" {
                self.listeners.read_listeners(value).map_err(error)?;
                continue;
            }
            if key == "events" {
                self.listeners.read_events(value).map_err(error)?;
                continue;
            }
            let setting = table::find(&key).ok_or_else(|| {
                let hint = did_you_mean(&key, table::all().map(|setting| setting.name));
                error(format!("unknown key {key:?}{hint}"))
            })?;
            let texts = match (setting.kind, value) {
                (Kind::List(_), Value::Array(items)) => items.iter().map(scalar).collect::<Option<Vec<_>>>(),
                (Kind::List(separator), Value::String(text)) => {
                    Some(text.split(separator).map(str::to_owned).collect())
                }
                (_, value) => scalar(&value).map(|text| vec![text]),
            };
            let texts = texts.ok_or_else(|| error(format!("{key}: expected {}", expected(setting.kind))))?;
            self.entries.insert(setting.name, Entry { texts, origin: Origin::File(path.to_owned()) });
        }
        Ok(())
    }

    /// Replaces a default, as `dev` does; what somebody has set stays.
    pub(super) fn set_default(&mut self, name: &str, text: &str) {
        let setting = table::find(name).expect("names of settings are in the table");
        if !self.is_given(name) {
            let entry = Entry { texts: vec![text.to_owned()], origin: Origin::Default };
            self.entries.insert(setting.name, entry);
        }
    }

    /// The profiles that there are.
    pub(super) fn profiles(&self) -> &FileProfiles {
        &self.profiles
    }

    /// The backends that the file names.
    pub(super) fn backends(&self) -> &FileBackends {
        &self.backends
    }

    /// The listeners that the file names.
    pub(super) fn listeners(&self) -> &FileListeners {
        &self.listeners
    }

    /// Whether somebody set it: a flag, a variable or the file.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.origin != Origin::Default)
    }

    /// The texts, empty when it is unset.
    pub(super) fn texts(&self, name: &str) -> &[String] {
        debug_assert!(table::find(name).is_some(), "{name} is in the table");
        self.entries.get(name).map_or(&[], |entry| &entry.texts)
    }

    /// The setting with its origin, for messages: `--shards (from ROOMCAST_SHARDS)`.
    pub(super) fn named(&self, name: &str) -> String {
        match self.entries.get(name) {
            Some(entry) => format!("--{name} ({})", entry.origin),
            None => format!("--{name}"),
        }
    }

    /// An error of this setting.
    pub(super) fn error(&self, name: &str, what: impl fmt::Display) -> SettingError {
        SettingError(format!("{}: {what}", self.named(name)))
    }

    /// Reads a setting that has a default.
    ///
    /// # Errors
    /// [`SettingError`] with what `read` says.
    pub(super) fn parse<T, E: fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, SettingError> {
        let value = self.parse_option(name, read)?;
        value.ok_or_else(|| self.error(name, "expected a value"))
    }

    /// Reads a setting that may be unset.
    ///
    /// # Errors
    /// As [`Layers::parse`].
    pub(super) fn parse_option<T, E: fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SettingError> {
        let text = self.texts(name).last();
        text.map(|text| read(text).map_err(|error| self.error(name, error))).transpose()
    }

    /// Reads every value of a list.
    ///
    /// # Errors
    /// As [`Layers::parse`].
    pub(super) fn parse_list<T, E: fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, SettingError> {
        self.texts(name).iter().map(|text| read(text).map_err(|error| self.error(name, error))).collect()
    }

    #[cfg(test)]
    pub(super) fn from_toml(text: &str) -> Result<Self, SettingError> {
        let mut layers = Self::defaults();
        layers.lay_file(text, Path::new("test.toml")).map(|()| layers)
    }
}

/// What to say of variables that look like settings and are none.
///
/// They are not refused: Kubernetes sets `ROOMCAST_SERVICE_HOST`, `ROOMCAST_PORT` and the like for a service of that
/// name, and the operator cannot help it.
pub(super) fn unknown_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    const KUBERNETES: [&str; 2] = ["SERVICE_", "PORT"];
    let unknown = |(variable, _): (OsString, OsString)| {
        let variable = variable.into_string().ok()?;
        let rest = variable.strip_prefix("ROOMCAST_")?;
        let name = rest.to_ascii_lowercase().replace('_', "-");
        let known = name == "config" || table::find(&name).is_some();
        if known || KUBERNETES.iter().any(|prefix| rest.starts_with(prefix)) {
            return None;
        }
        let hint = nearest(&name, table::all().map(|setting| setting.name))
            .and_then(table::find)
            .map(|setting| format!("; did you mean {}?", setting.env()))
            .unwrap_or_default();
        Some(format!("the variable {} is no setting and has no effect{hint}", variable.escape_debug()))
    };
    variables.filter_map(unknown).collect()
}

/// A number, text or truth of the file as one would type it.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::One | Kind::Secret => "a string or an integer",
        Kind::List(_) => "a string, or an array of strings",
        Kind::Switch => "true or false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Typed;

    #[test]
    fn a_later_layer_wins_and_is_named() {
        let mut typed = TypedSettings::default();
        let value = |text: &str, from_env| Typed { texts: vec![text.to_owned()], from_env };
        typed.values.insert("shards", value("2", true));
        typed.values.insert("profile", value("chat", false));
        let layers = Layers::read(typed).expect("no file");
        assert_eq!(layers.named("shards"), "--shards (from ROOMCAST_SHARDS)");
        assert_eq!(layers.named("profile"), "--profile (from the command line)");
        assert_eq!(layers.named("auth"), "--auth (default)");
        assert_eq!(layers.named("jwks"), "--jwks");
        assert_eq!(layers.texts("shards"), ["2"]);
        assert!(layers.is_given("profile") && !layers.is_given("auth"));
    }

    #[test]
    fn unknown_variables_are_told_of() {
        let names =
            ["ROOMCAST_SHARDS", "ROOMCAST_CONFIG", "ROOMCAST_SERVICE_HOST", "PATH", "ROOMCAST_AUTH_TIMOUT"];
        let variables = names.iter().map(|name| (OsString::from(name), OsString::new()));
        let expected = "the variable ROOMCAST_AUTH_TIMOUT is no setting and has no effect; \
                        did you mean ROOMCAST_AUTH_TIMEOUT?";
        assert_eq!(unknown_variables(variables), [expected]);
    }

    #[test]
    fn a_file_takes_scalars_and_arrays() {
        let text = "listen = [\"[::]:1\", \"0.0.0.0:2\"]\nshards = 2\nno-websocket = true\nlimits = 'off'\n";
        let layers = Layers::from_toml(text).expect("a good file");
        assert_eq!(layers.texts("listen"), ["[::]:1", "0.0.0.0:2"]);
        assert_eq!(layers.texts("shards"), ["2"]);
        assert_eq!(Layers::from_toml("listen = 'a,b'").expect("a good file").texts("listen"), ["a", "b"]);
        assert_eq!(layers.texts("no-websocket"), ["true"]);
        assert_eq!(layers.named("limits"), "--limits (from test.toml)");
    }

    #[test]
    fn what_a_file_gets_wrong_is_named_without_quoting_values() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Layers::from_toml(text).expect_err("bad").to_string(), expected);
        };
        check(
            "auth_timeout = 1",
            "--config test.toml: unknown key \"auth_timeout\" (did you mean \"auth-timeout\"?)",
        );
        check(
            "pingintervall = 1",
            "--config test.toml: unknown key \"pingintervall\" (did you mean \"ping-interval\"?)",
        );
        check("colour = 1", "--config test.toml: unknown key \"colour\"");
        check("shards = [1]", "--config test.toml: shards: expected a string or an integer");
        check("[profiles.p]\nbasis = 'chat'", "--config test.toml: profiles.p: unknown key \"basis\"");
        check("[limits]\nrate = 1", "--config test.toml: limits: expected a string or an integer");
        let error = Layers::from_toml("shards = 1\njwt-secret = 'hush\n").expect_err("no end").to_string();
        assert!(error.starts_with("--config test.toml: line 2") && !error.contains("hush"), "{error}");
    }
}
