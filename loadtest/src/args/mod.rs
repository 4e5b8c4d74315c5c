//! What was typed: flags and their environment variables, each explained for `--help`; `values` reads the odd ones,
//! `servers` those of where to connect, `chat`, `disrupt` and `ramp` hold those of one kind of run, `report` and `compare` those of subcommands, `thresholds` those that decide the exit
//! code; `scenario_file` is what a scenario adds to them, and `parse` brings all together.
//!
//! Nothing is judged here beyond the shape of one value; what the values mean together is `settings`.

mod agents;
mod chat;
mod compare;
mod disrupt;
mod parse;
mod plan;
mod ramp;
mod report;
mod scenario_file;
mod servers;
mod thresholds;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

pub(crate) use agents::{AgentArgs, Agents, AgentsArgs};
pub(crate) use chat::ChatArgs;
pub(crate) use compare::CompareArgs;
pub(crate) use disrupt::{DisruptArgs, Recovery};
pub(crate) use parse::{Refusal, parse};
pub(crate) use plan::PlanArgs;
pub(crate) use ramp::{RampArgs, RampWhat};
pub(crate) use report::ReportArgs;
pub(crate) use scenario_file::{list_shipped, shipped};
pub(crate) use servers::{ServerPids, Urls};
pub(crate) use thresholds::ThresholdArgs;
use values::limit;
pub(crate) use values::{HumanDuration, Shares, SourceIps};

/// Drives WebSocket connections against a Roomcast gateway with an open loop of messages, and checks every delivery
/// for latency, loss, duplicates and order. With --scenario chat it also types, confirms, changes status, and leaves and
/// joins rooms.
///
/// Connection i is in room i modulo --rooms, unless --zipf says otherwise.
///
/// Exit codes, for scripts and CI: 0 when all went well; 1 when a threshold (--max-…, --min-…) was missed, a duplicate,
/// an order fault or a gap after a recovery was seen, a join was never answered, a connection failed, was closed
/// or never came back, or the run was interrupted (SIGINT, SIGTERM) before its end; 64 when the settings are wrong.
#[derive(Debug, Parser)]
#[command(
    name = "roomcast-loadtest",
    version,
    args_override_self = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    /// What to do instead of a run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) run: Args,
}

/// What there is to do besides a run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Report(ReportArgs),
    Compare(CompareArgs),
    /// Lists the shipped scenarios; with a NAME prints that one's file, to begin one's own with.
    Scenarios {
        /// The one to print.
        name: Option<String>,
    },
    /// Runs a short ladder against a server (a minute or two) and says what this machine holds, what ends first, and which
    /// setting would move that.
    ///
    /// Exit code: 0; 1 when the server held nothing or it was interrupted; 64 when the settings are wrong.
    Plan(PlanArgs),
    /// Waits to do a part of a run that another process coordinates (--agents HOST:PORT), until it is ended.
    Agent(AgentArgs),
}

/// The flags of a run.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub(crate) struct Args {
    /// Where to connect: ws://HOST:PORT/PATH; a query such as ?profile=native is passed on. Several addresses
    /// (ws://A:1/ws,ws://B:2/ws) are nodes of one installation: every room has members on all of them, as far as it has
    /// as many, and whoever loses its node comes back to another.
    #[arg(
        long,
        env = "ROOMCAST_LOADTEST_URL",
        default_value = "ws://127.0.0.1:3000/ws",
        value_name = "URL[,URL…]"
    )]
    pub(crate) url: Urls,

    /// A shipped scenario by its name (see the subcommand scenarios), or a TOML file of one's own. Its keys are the
    /// names of these flags; flags that are typed, and environment variables, win over it.
    #[arg(long, env = "ROOMCAST_LOADTEST_SCENARIO", default_value = "steady", value_name = "NAME|FILE.toml")]
    pub(crate) scenario: String,

    /// What the connections do; scenarios set it.
    #[arg(long, env = "ROOMCAST_LOADTEST_KIND", value_enum, default_value_t = Kind::Steady)]
    pub(crate) kind: Kind,

    /// Connections to hold open; with --churn at most so many at a time.
    #[arg(long, env = "ROOMCAST_LOADTEST_CONNECTIONS", default_value_t = 1000, value_name = "N")]
    pub(crate) connections: usize,

    /// Rooms that the connections are spread over.
    #[arg(long, env = "ROOMCAST_LOADTEST_ROOMS", default_value_t = 10, value_name = "N")]
    pub(crate) rooms: usize,

    /// Sizes of the rooms by Zipf's law with this exponent: room r has a share of the connections in proportion to
    /// 1 / (r + 1)^EXPONENT, and at least one. 0 makes all rooms equally large.
    #[arg(long, env = "ROOMCAST_LOADTEST_ZIPF", default_value_t = 0.0, value_name = "EXPONENT")]
    pub(crate) zipf: f64,

    /// What a room's name begins with; its number follows.
    #[arg(long, env = "ROOMCAST_LOADTEST_ROOM_PREFIX", default_value = "bench:", value_name = "TEXT")]
    pub(crate) room_prefix: String,

    /// Messages a second over all rooms, evenly spaced; each becomes one delivery a member of its room.
    #[arg(long, env = "ROOMCAST_LOADTEST_RATE", default_value_t = 100.0, value_name = "PER_SECOND")]
    pub(crate) rate: f64,

    /// Bytes of a message's content.
    #[arg(long, env = "ROOMCAST_LOADTEST_PAYLOAD_SIZE", default_value_t = 128, value_name = "BYTES")]
    pub(crate) payload_size: usize,

    /// Time of traffic before the measured window (such as 500ms, 10s, 5m); it counts for loss and order, not for latency.
    #[arg(long, env = "ROOMCAST_LOADTEST_WARMUP", default_value = "2s", value_name = "TIME")]
    pub(crate) warmup: HumanDuration,

    /// Length of the measured window.
    #[arg(long, env = "ROOMCAST_LOADTEST_DURATION", default_value = "10s", value_name = "TIME")]
    pub(crate) duration: HumanDuration,

    /// How long to wait for outstanding deliveries, without any progress, once sending has ended.
    #[arg(long, env = "ROOMCAST_LOADTEST_GRACE", default_value = "5s", value_name = "TIME")]
    pub(crate) grace: HumanDuration,

    /// How long to wait for outstanding deliveries in all, although they still come; what has not come by then is lost.
    #[arg(long, env = "ROOMCAST_LOADTEST_GRACE_MAX", default_value = "60s", value_name = "TIME")]
    pub(crate) grace_max: HumanDuration,

    /// Connects a second; 0 is as fast as the server answers.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP", default_value_t = 0.0, value_name = "PER_SECOND")]
    pub(crate) ramp: f64,

    /// Connections that may be on their way at a time; too many overflow the backlog of the server's listener.
    #[arg(long, env = "ROOMCAST_LOADTEST_IN_FLIGHT", default_value_t = 128, value_name = "N")]
    pub(crate) in_flight: usize,

    /// Protocol spoken. The last two are for comparison with other servers: they number no messages, so that order is
    /// checked for each sender alone.
    #[arg(long, env = "ROOMCAST_LOADTEST_DIALECT", value_enum, default_value_t = Dialect::Event)]
    pub(crate) dialect: Dialect,

    /// Several dialects in the same rooms instead of one, by share: event=0.7,topic=0.3.
    #[arg(long, env = "ROOMCAST_LOADTEST_DIALECTS", conflicts_with = "dialect", value_name = "NAME=SHARE,…")]
    pub(crate) dialects: Option<Shares>,

    /// Secret to sign HS256 tokens with; without a secret no token is sent. Prefer --secret-file: a command line is no secret.
    #[arg(
        long,
        env = "ROOMCAST_LOADTEST_SECRET",
        hide_env_values = true,
        conflicts_with = "secret_file",
        value_name = "TEXT"
    )]
    #[serde(skip)]
    pub(crate) secret: Option<String>,

    /// File that holds the secret, white space at its end not counted; or a private key in PEM (ES256, EdDSA, RS256).
    #[arg(long, env = "ROOMCAST_LOADTEST_SECRET_FILE", value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// What a user's name (the token's `sub`) begins with; the connection's number follows.
    #[arg(long, env = "ROOMCAST_LOADTEST_USER_PREFIX", default_value = "bench-", value_name = "TEXT")]
    pub(crate) user_prefix: String,

    /// File to write the report to as JSON, beside the table on standard output.
    #[arg(long, env = "ROOMCAST_LOADTEST_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// File to write the report to as one self-contained page with charts.
    #[arg(long, env = "ROOMCAST_LOADTEST_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Process whose CPU time and resident memory are accounted as the server's; with several addresses one for each,
    /// in their order.
    #[arg(long, env = "ROOMCAST_LOADTEST_SERVER_PID", value_name = "PID[,PID…]")]
    pub(crate) server_pid: Option<ServerPids>,

    /// Fail when the 99th percentile of latency exceeds so many milliseconds.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_P99", value_parser = limit, value_name = "MS")]
    pub(crate) max_p99: Option<f64>,

    /// Fail when more deliveries than this are lost.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_LOSS", default_value_t = 0, value_name = "N")]
    pub(crate) max_loss: u64,

    /// Fail when a delivery costs the server more CPU microseconds than this; needs --server-pid.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_CPU_PER_DELIVERY", value_parser = limit, value_name = "US")]
    pub(crate) max_cpu_per_delivery: Option<f64>,

    /// Source addresses to spread connections over, 127.0.0.1 to 127.0.0.N; auto takes more than one when the
    /// connections outnumber the ports of one. Loopback targets only.
    #[arg(long, env = "ROOMCAST_LOADTEST_SOURCE_IPS", default_value = "auto", value_name = "auto|N")]
    pub(crate) source_ips: SourceIps,

    /// No progress on standard error.
    #[arg(long, env = "ROOMCAST_LOADTEST_QUIET")]
    pub(crate) quiet: bool,

    /// Share of the clients, 0 to 1, that become slow consumers: they never send, have a small receive buffer,
    /// and stop reading after --stop-after. They do not count for loss; what the server closes them with is reported.
    #[arg(long, env = "ROOMCAST_LOADTEST_STOP_FRACTION", default_value_t = 0.0, value_name = "SHARE")]
    pub(crate) stop_fraction: f64,

    /// Share of the clients, 0 to 1, that read only --slow-rate bytes a second after --stop-after; in all else like
    /// those that stop.
    #[arg(long, env = "ROOMCAST_LOADTEST_SLOW_FRACTION", default_value_t = 0.0, value_name = "SHARE")]
    pub(crate) slow_fraction: f64,

    /// Bytes a second that slow readers read.
    #[arg(long, env = "ROOMCAST_LOADTEST_SLOW_RATE", default_value_t = 1024, value_name = "BYTES")]
    pub(crate) slow_rate: usize,

    /// Time of traffic (warmup included) after which the slow consumers stop reading.
    #[arg(long, env = "ROOMCAST_LOADTEST_STOP_AFTER", default_value = "0s", value_name = "TIME")]
    pub(crate) stop_after: HumanDuration,

    /// Instead of traffic: connect and close so many times in all, without joining a room.
    #[arg(long, env = "ROOMCAST_LOADTEST_CHURN", conflicts_with = "idle", value_name = "N")]
    pub(crate) churn: Option<u64>,

    /// Instead of traffic: connect, join, and hold the connections for --duration.
    #[arg(long, env = "ROOMCAST_LOADTEST_IDLE")]
    pub(crate) idle: bool,

    /// CPU to pin this process to, counted from 0.
    #[arg(long, env = "ROOMCAST_LOADTEST_CPU", value_name = "N")]
    pub(crate) cpu: Option<usize>,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) thresholds: ThresholdArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) chat: ChatArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) disrupt: DisruptArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) ramp_args: RampArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) agents: AgentsArgs,
}

#[cfg(test)]
impl Args {
    /// The flags of a run, as if typed.
    pub(crate) fn try_parse_from<T: Into<std::ffi::OsString> + Clone>(
        words: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        <Cli as Parser>::try_parse_from(words).map(|cli| cli.run)
    }
}

/// What a traffic run consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Messages at a steady rate.
    Steady,
    /// The same messages; also typing, receipts, presence, and rooms that are left and joined.
    Chat,
    /// The same messages, until everybody is cut off at once and comes back at once.
    Storm,
    /// The same messages, while connections say goodbye and come back.
    Churn,
    /// The same messages, while the server is drained and started anew.
    Drain,
    /// The same messages, until one of several servers is killed; its clients go on at the others.
    Kill,
    /// Messages at a steady rate, for long: the end is compared with the beginning.
    Soak,
}

impl Kind {
    /// Whether connections go away and are to come back.
    pub(crate) fn is_disruptive(self) -> bool {
        matches!(self, Self::Storm | Self::Churn | Self::Drain | Self::Kill)
    }
}

/// Which protocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    /// `roomcast.event.v1`: room:join, message:send, message:received.
    Event,
    /// `roomcast.topic.v1`: subscribe, message.
    Topic,
    /// Socket.IO 5 over Engine.IO 4, WebSocket only: room:join with an acknowledgement, message:send, message:received.
    /// The path is /socket.io/ unless --url has one.
    Socketio,
    /// For comparison: the NATS protocol over WebSocket; a room is a subject.
    Nats,
    /// For comparison: one nchan channel a room, named by the end of --url's path; a message is its content alone.
    Nchan,
}

impl Dialect {
    /// Whether every message bears its place in the room.
    pub(crate) fn has_offsets(self) -> bool {
        !matches!(self, Self::Nats | Self::Nchan)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_is_consistent_and_every_flag_is_explained() {
        let command = Cli::command();
        command.clone().debug_assert();
        for flag in command.get_arguments() {
            assert!(flag.get_help().is_some(), "{}", flag.get_id());
        }
    }

    #[test]
    fn every_limit_is_a_finite_number() {
        let is_limit = |name: &str| name.starts_with("max-") || name.starts_with("min-");
        let command = Cli::command();
        let run = command.get_arguments().filter_map(|flag| flag.get_long()).filter(|name| is_limit(name));
        let plan = command.find_subcommand("plan").expect("there is one").get_arguments();
        let plan = plan.filter_map(|flag| flag.get_long()).filter(|name| is_limit(name));
        let all = run.map(|name| (None, name)).chain(plan.map(|name| (Some("plan"), name)));
        let mut count = 0;
        for (subcommand, name) in all {
            for value in ["NaN", "inf", "-1"] {
                let flag = format!("--{name}={value}");
                let words = ["loadtest"].into_iter().chain(subcommand).chain([flag.as_str()]);
                let error = Cli::try_parse_from(words).expect_err(&flag).to_string();
                assert!(error.contains(name), "{error}");
            }
            count += 1;
        }
        assert!(count >= 11, "{count}");
    }

    #[test]
    fn modes_exclude_each_other() {
        assert!(Cli::try_parse_from(["loadtest", "--churn", "10", "--idle"]).is_err());
        assert!(Cli::try_parse_from(["loadtest", "--secret", "a", "--secret-file", "b"]).is_err());
        assert!(Cli::try_parse_from(["loadtest"]).is_ok());
    }
}
