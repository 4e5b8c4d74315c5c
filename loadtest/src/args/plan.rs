//! What was typed for `plan`.

use std::path::PathBuf;

use clap::Args;

use super::{HumanDuration, limit};

/// The flags of `plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    /// Where to connect: ws://HOST:PORT/PATH.
    #[arg(long, env = "ROOMCAST_LOADTEST_URL", default_value = "ws://127.0.0.1:3000/ws")]
    pub(crate) url: String,

    /// The server's process; without it, whoever listens at the URL's port is looked for, if that is this machine.
    #[arg(long, env = "ROOMCAST_LOADTEST_SERVER_PID", value_name = "PID")]
    pub(crate) server_pid: Option<u32>,

    /// File that holds the secret, or the private key in PEM, to sign tokens with; without it no token is sent.
    #[arg(long, env = "ROOMCAST_LOADTEST_SECRET_FILE", value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Idle connections to go up to.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub(crate) idle_connections: usize,

    /// Members of the rooms of the first search; there are 20 rooms.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) room_size: usize,

    /// Members of the one room of the second search.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) broadcast_size: usize,

    /// Length of one measured window; shorter is quicker and less certain.
    #[arg(long, default_value = "2s", value_name = "TIME")]
    pub(crate) window: HumanDuration,

    /// Windows at each answer; more than half of them must pass.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) repeats: u32,

    /// The highest deliveries a second to try.
    #[arg(long, default_value_t = 50_000_000, value_name = "N")]
    pub(crate) deliveries_max: u64,

    /// 99th percentile of latency to keep, in milliseconds.
    #[arg(long, default_value_t = 50.0, value_parser = limit, value_name = "MS")]
    pub(crate) max_p99: f64,

    /// CPU to pin this process to, counted from 0.
    #[arg(long, env = "ROOMCAST_LOADTEST_CPU", value_name = "N")]
    pub(crate) cpu: Option<usize>,

    /// File to write everything to as JSON, beside the statement on standard output.
    #[arg(long, env = "ROOMCAST_LOADTEST_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// File to write everything to as one page with charts.
    #[arg(long, env = "ROOMCAST_LOADTEST_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// No progress on standard error.
    #[arg(long, env = "ROOMCAST_LOADTEST_QUIET")]
    pub(crate) quiet: bool,
}
