//! What was typed: subcommands, flags and their environment variables. What it means is `settings`' business.
//!
//! The settings' flags are made from the table of [`crate::settings::table`], all of them as plain text, so that a
//! bad value is reported the same way wherever it came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::events::Form;
use crate::exit::Failure;
use crate::settings::table::{self, Kind, SECTIONS, Setting};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "roomcast",
    version,
    about = "A sharded WebSocket gateway for chat and realtime rooms",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Subcommands,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Subcommands {
    /// Serve clients until SIGTERM or SIGINT
    #[command(after_help = NOTATION)]
    Serve(TypedSettings),
    /// Serve on 127.0.0.1:3000 with a random secret, a chat page at / and ready tokens for two users
    #[command(after_help = NOTATION)]
    Dev(TypedSettings),
    /// Print a token signed with the secret
    Token(TokenArgs),
    /// Check whether this host can serve with these settings, and what limits it
    #[command(after_help = NOTATION)]
    Check(TypedSettings),
    /// Print the effective settings as a configuration file, secrets left out
    #[command(after_help = NOTATION)]
    Config(TypedSettings),
    /// Print the OpenAPI 3.1 description of the server API
    Openapi,
    /// Print the catalogue of events: names, data, replies, pushes, errors and close codes
    Events(EventsArgs),
}

const NOTATION: &str = "A flag wins over its environment variable, that over the configuration file. \
    DURATION is a number with ms, s, m or h; SIZE is bytes, or a number with KiB, MiB or GiB; \
    RATE is N/DURATION or N/DURATION,BURST (BURST is N if left out), or off.";

/// Settings as typed, not yet understood.
#[derive(Debug, Default)]
pub(crate) struct TypedSettings {
    /// The configuration file.
    pub(crate) config: Option<PathBuf>,
    /// By name of the setting.
    pub(crate) values: BTreeMap<&'static str, Typed>,
}

/// The texts given for one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    /// At least one.
    pub(crate) texts: Vec<String>,
    /// Whether they come from the environment, not from the command line.
    pub(crate) from_env: bool,
}

/// What `roomcast token` mints.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// User id: 1 to 120 printable ASCII characters without space, *, " and \
    #[arg(long, value_name = "USER")]
    pub(crate) sub: String,
    /// Role of the user
    #[arg(long, value_enum, default_value_t = Role::Employee)]
    pub(crate) user_type: Role,
    /// Account of the user
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Permission, EVENT or EVENT:PATTERN or *; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub(crate) permissions: Vec<String>,
    /// Room to join on connecting; may be repeated
    #[arg(long = "room", value_name = "ROOM")]
    pub(crate) rooms: Vec<String>,
    /// Time until the token expires, a number with s, m or h
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) ttl: String,
    /// The token's iss
    #[arg(long, value_name = "TEXT", env = "ROOMCAST_JWT_ISSUER")]
    pub(crate) issuer: Option<String>,
    /// The token's aud; may be repeated, or separated by commas
    #[arg(long, value_name = "TEXT", env = "ROOMCAST_JWT_AUDIENCE", value_delimiter = ',')]
    pub(crate) audience: Vec<String>,
    /// HS256, HS384 or HS512 [default: HS256]
    #[arg(long, value_name = "ALGORITHM", env = "ROOMCAST_JWT_ALGORITHM")]
    pub(crate) algorithm: Option<String>,
    /// Secret to sign with; other users of the host can see flags, so prefer the environment or a file
    #[arg(long, value_name = "SECRET", env = "ROOMCAST_JWT_SECRET", hide_env_values = true)]
    pub(crate) jwt_secret: Option<String>,
    /// File with the secret to sign with
    #[arg(long, value_name = "FILE", env = "ROOMCAST_JWT_SECRET_FILE")]
    pub(crate) jwt_secret_file: Option<String>,
}

/// How `roomcast events` prints.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// For people, as Markdown (the default)
    #[arg(long)]
    pub(crate) markdown: bool,
    /// For programs, as an AsyncAPI 3.0 document in JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) asyncapi: bool,
}

impl EventsArgs {
    /// The form that was asked for.
    pub(crate) fn form(&self) -> Form {
        match (self.markdown, self.asyncapi) {
            (false, true) => Form::AsyncApi,
            _ => Form::Markdown,
        }
    }
}

/// The roles that a token can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Employee,
    Guest,
    Supervisor,
}

/// Reads the command line.
///
/// Returns `None` when it asked for help or the version, which then has been printed.
/// # Errors
/// A [`Failure`] with the exit code for bad settings; it names the flag.
pub(crate) fn parse() -> Result<Option<Cli>, Failure> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    if error.use_stderr() {
        return Err(Failure::settings(error.to_string().trim_start_matches("error: ").trim_end()));
    }
    // A closed pipe (as in `roomcast --help | head -1`) is no failure.
    let _ = error.print();
    Ok(None)
}

impl Args for TypedSettings {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("ROOMCAST_CONFIG")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file (TOML) with the same names, and with profiles; roomcast config prints one");
        SECTIONS.iter().fold(command.arg(config), |command, section| {
            let args = section.settings.iter().map(|setting| flag(setting).help_heading(section.title));
            command.args(args)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting. Its default is only shown, not applied: the configuration file comes in between.
fn flag(setting: &'static Setting) -> Arg {
    // clap keeps a name of a variable for as long as the process runs, and there is one for each setting.
    let env: &'static str = setting.env().leak();
    let mut arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value)
        .env(env)
        .hide_env_values(true)
        .allow_hyphen_values(!matches!(setting.kind, Kind::List(_) | Kind::Switch))
        .help(setting.help)
        .action(if matches!(setting.kind, Kind::List(_)) { ArgAction::Append } else { ArgAction::Set });
    if let Kind::List(separator) = setting.kind {
        arg = arg.value_delimiter(separator);
    }
    if setting.kind == Kind::Switch {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    match setting.default {
        Some(default) => arg.default_value(default),
        None => arg,
    }
}

impl FromArgMatches for TypedSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = Self::default();
        typed.update_from_arg_matches(matches)?;
        Ok(typed)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        // Deployment tools pass on what they have not got as an empty variable.
        self.config =
            matches.get_one::<PathBuf>("config").filter(|path| !path.as_os_str().is_empty()).cloned();
        for setting in table::all() {
            let from_env = match matches.value_source(setting.name) {
                Some(ValueSource::CommandLine) => false,
                Some(ValueSource::EnvVariable) => true,
                _ => continue,
            };
            let texts: Vec<String> =
                matches.get_many::<String>(setting.name).into_iter().flatten().cloned().collect();
            if from_env && texts.iter().all(String::is_empty) {
                continue;
            }
            self.values.insert(setting.name, Typed { texts, from_env });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<TypedSettings, clap::Error> {
        let command = TypedSettings::augment_args(Command::new("roomcast"));
        let matches = command.try_get_matches_from(["roomcast"].iter().chain(args))?;
        TypedSettings::from_arg_matches(&matches)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_what_was_typed_is_kept() {
        let typed = parse(&["--listen", "a,b", "--listen=c", "--no-websocket", "--limit-events", "1/1s,2"]);
        let typed = typed.expect("known flags");
        assert_eq!(
            typed.values.keys().copied().collect::<Vec<_>>(),
            ["limit-events", "listen", "no-websocket"]
        );
        assert_eq!(typed.values["listen"].texts, ["a", "b", "c"]);
        assert_eq!(typed.values["no-websocket"].texts, ["true"]);
        assert_eq!(typed.values["limit-events"].texts, ["1/1s,2"]);
    }

    #[test]
    fn unknown_flags_are_named() {
        let error = parse(&["--auth-timeuot", "1s"]).expect_err("unknown").to_string();
        assert!(error.contains("--auth-timeuot") && error.contains("--auth-timeout"), "{error}");
    }

    #[test]
    fn every_setting_is_a_flag_with_help_and_a_variable_of_its_name() {
        let command = TypedSettings::augment_args(Command::new("roomcast"));
        for setting in table::all() {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(setting.name));
            let arg = arg.unwrap_or_else(|| panic!("--{} is a flag", setting.name));
            let env = arg.get_env().and_then(|env| env.to_str()).expect("a variable");
            assert_eq!(env, format!("ROOMCAST_{}", setting.name.to_uppercase().replace('-', "_")));
            assert!(setting.help.ends_with('.'), "{}", setting.name);
        }
        assert_eq!(command.get_arguments().count(), table::all().count() + 1, "only --config is no setting");
    }
}
