//! What was typed for a ramp: what is searched for, where, and how thoroughly.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// The flags of a search for the highest rate or number of connections.
#[derive(Debug, Clone, Args, Serialize)]
#[command(
    next_help_heading = "A ramp: search for the most that keeps --max-p99 (default 50) and loses nothing"
)]
pub(crate) struct RampArgs {
    /// What is searched for: messages a second with --connections held open, or connections in rooms of the size
    /// --connections / --rooms, each with its share of --rate.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_WHAT", value_enum, value_name = "WHAT")]
    pub(crate) ramp_what: Option<RampWhat>,

    /// The first value to try; by default --rate, or a sixteenth of --connections.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_FROM", value_name = "N")]
    pub(crate) ramp_from: Option<u64>,

    /// The highest value to try; by default 1,000,000 messages a second, or --connections.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_TO", value_name = "N")]
    pub(crate) ramp_to: Option<u64>,

    /// By how much the value grows until it fails; from then on the gap is halved.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_FACTOR", default_value_t = 2.0, value_name = "FACTOR")]
    pub(crate) ramp_factor: f64,

    /// How near the answer must be to the lowest value that failed, as a part of it.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_RESOLUTION", default_value_t = 0.05, value_name = "FRACTION")]
    pub(crate) ramp_resolution: f64,

    /// Length of one measured window.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_WINDOW", default_value = "5s", value_name = "TIME")]
    pub(crate) ramp_window: HumanDuration,

    /// Time of traffic before each window; it counts for loss and order, not for latency.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_SETTLE", default_value = "500ms", value_name = "TIME")]
    pub(crate) ramp_settle: HumanDuration,

    /// Windows at the answer; more than half of them must pass.
    #[arg(long, env = "ROOMCAST_LOADTEST_REPEATS", default_value_t = 3, value_name = "N")]
    pub(crate) repeats: u32,

    /// Fail when the answer is below this.
    #[arg(long, env = "ROOMCAST_LOADTEST_RAMP_MIN", value_name = "N")]
    pub(crate) ramp_min: Option<u64>,
}

/// What grows in a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RampWhat {
    /// Messages a second over all rooms.
    Rate,
    /// Connections, with their rooms and their messages.
    Connections,
}
