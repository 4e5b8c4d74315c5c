//! What was typed of connections that go away and come back: storms, churn, a server that is rolled, and one that dies.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::HumanDuration;

/// The flags of `--kind storm`, `churn`, `drain` and `kill`.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Connections that come back (--kind storm, churn, drain or kill)")]
pub(crate) struct DisruptArgs {
    /// Time from the beginning of the measured window until the storm, the churn, the drain or the kill; a quarter of
    /// --duration unless given.
    #[arg(long, env = "ROOMCAST_LOADTEST_DISRUPT_AFTER", value_name = "TIME")]
    pub(crate) disrupt_after: Option<HumanDuration>,

    /// How clients that come back ask for what they missed: not at all, or by joining with the epoch and offset that
    /// they have. Every recovery is checked for gaps and duplicates.
    #[arg(long, env = "ROOMCAST_LOADTEST_RECOVERY", value_enum, default_value_t = Recovery::None)]
    pub(crate) recovery: Recovery,

    /// With --kind storm: share of the connections, above 0 to 1, that are cut off at once.
    #[arg(long, env = "ROOMCAST_LOADTEST_STORM_FRACTION", default_value_t = 1.0, value_name = "SHARE")]
    pub(crate) storm_fraction: f64,

    /// With --kind churn: connections a second that say goodbye and come back at once.
    #[arg(long, env = "ROOMCAST_LOADTEST_CHURN_RATE", default_value_t = 50.0, value_name = "PER_SECOND")]
    pub(crate) churn_rate: f64,

    /// With --kind drain: shell command that rolls the server; it runs beside the load, and its output is discarded but
    /// for the last line of its standard error when it fails; that ends the run if nobody has been sent away yet.
    /// Without one the process of --server-pid gets SIGTERM, and something else must start the next.
    #[arg(long, env = "ROOMCAST_LOADTEST_DRAIN_COMMAND", value_name = "COMMAND")]
    pub(crate) drain_command: Option<String>,

    /// With --kind kill: process that gets SIGKILL. When it is one of --server-pid, only connections to its address may
    /// end, and all of them must.
    #[arg(long, env = "ROOMCAST_LOADTEST_KILL_PID", value_name = "PID")]
    pub(crate) kill_pid: Option<u32>,

    /// How long to wait for all to be back once sending has ended.
    #[arg(long, env = "ROOMCAST_LOADTEST_RECONNECT_TIMEOUT", default_value = "60s", value_name = "TIME")]
    pub(crate) reconnect_timeout: HumanDuration,

    /// Fail when it takes longer than this from the first connection that is lost until all are back.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_RECONNECT", value_name = "TIME")]
    pub(crate) max_reconnect: Option<HumanDuration>,
}

/// How clients that come back ask for what they missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Recovery {
    /// Not at all.
    None,
    /// By the epoch and offset that they have of their room.
    Offset,
}
