//! What was typed for `--scenario chat`: how much chat there is beside the messages, and how late it may be.

use clap::Args;
use serde::Serialize;

use super::limit;

/// The flags that only `--scenario chat` looks at.
#[derive(Debug, Clone, Args, Serialize)]
#[command(
    next_help_heading = "With --scenario chat (the server's rate limits apply; few connections soon exceed them)"
)]
pub(crate) struct ChatArgs {
    /// Typing starts a second over all connections; each is followed by its stop after 2 s. 0 is none.
    #[arg(long, env = "ROOMCAST_LOADTEST_TYPING_RATE", default_value_t = 100.0, value_name = "PER_SECOND")]
    pub(crate) typing_rate: f64,

    /// Share of the messages received, 0 to 1, that are answered by a receipt (message:read); of those that come
    /// within a second of a connection's last receipt the newest is answered for all.
    #[arg(long, env = "ROOMCAST_LOADTEST_RECEIPTS", default_value_t = 0.2, value_name = "FRACTION")]
    pub(crate) receipts: f64,

    /// Status updates a second over all connections, away and online in turn; every connection watches the members
    /// of its room. 0 is neither updates nor watching.
    #[arg(long, env = "ROOMCAST_LOADTEST_PRESENCE_RATE", default_value_t = 20.0, value_name = "PER_SECOND")]
    pub(crate) presence_rate: f64,

    /// Connections a second that leave a room and join it again 100 ms later. It is a second room, which the members
    /// of each room share and nobody sends to, so that no message is missed. 0 is none, and no such rooms.
    #[arg(long, env = "ROOMCAST_LOADTEST_JOIN_RATE", default_value_t = 50.0, value_name = "PER_SECOND")]
    pub(crate) join_rate: f64,

    /// Fail when the 99th percentile of the time from an update that is due to its presence:changed at the watchers
    /// exceeds so many milliseconds, or more than one in a hundred never comes.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_PRESENCE_P99", value_parser = limit, value_name = "MS")]
    pub(crate) max_presence_p99: Option<f64>,

    /// Fail when the 99th percentile of the time from a join that is due to its room:joined exceeds so many
    /// milliseconds.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_JOIN_P99", value_parser = limit, value_name = "MS")]
    pub(crate) max_join_p99: Option<f64>,
}
