//! What was typed of limits beyond which a run has failed, so that CI may stop; those that have always been there
//! are with the other flags.

use clap::Args;
use serde::Serialize;

use super::limit;

/// Limits; each that is missed makes the exit code 1.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Thresholds (exit code 1 when one is missed)")]
pub(crate) struct ThresholdArgs {
    /// Fail below so many deliveries a second in the measured window.
    #[arg(long, env = "ROOMCAST_LOADTEST_MIN_DELIVERIES", value_parser = limit, value_name = "PER_SECOND")]
    pub(crate) min_deliveries: Option<f64>,

    /// Fail when the 99th percentile of the time from a connect to the answer that makes the connection ready exceeds
    /// so many milliseconds; connects after the first count too.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_CONNECT_P99", value_parser = limit, value_name = "MS")]
    pub(crate) max_connect_p99: Option<f64>,

    /// Fail below so many connects a second when everybody connects at first, or with --churn.
    #[arg(long, env = "ROOMCAST_LOADTEST_MIN_CONNECTS", value_parser = limit, value_name = "PER_SECOND")]
    pub(crate) min_connects: Option<f64>,

    /// Fail when a connection costs the server more bytes of resident memory than this; needs --server-pid.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_RSS_PER_CONNECTION", value_parser = limit, value_name = "BYTES")]
    pub(crate) max_rss_per_connection: Option<f64>,

    /// With --kind soak: fail when the server's resident memory is larger by more than so many percent in the last
    /// third of the measured window than in the first; needs --server-pid.
    #[arg(long, env = "ROOMCAST_LOADTEST_MAX_RSS_GROWTH", value_parser = limit, value_name = "PERCENT")]
    pub(crate) max_rss_growth: Option<f64>,
}
