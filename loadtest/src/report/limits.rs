//! The thresholds beside those that concern messages themselves.

use super::Report;
use super::judge::Threshold;
use crate::args::Args;

impl Report {
    /// Those that were set, and what was found.
    pub(super) fn limits(&self, args: &Args) -> Vec<Threshold> {
        let max_reconnect = args.disrupt.max_reconnect.map(|max| max.0.as_secs_f64());
        let args = &args.thresholds;
        let connects = &self.connects;
        let rate = self.traffic.as_ref().map(|traffic| traffic.deliveries_per_second);
        let rss = self.server.as_ref().and_then(|server| server.bytes_per_connection);
        let reconnect = self.disruption.as_ref().and_then(|found| found.seconds_until_all_back);
        let growth = self.soak.as_ref().and_then(|soak| soak.rss_growth_percent);
        let at_most = |flag, of, limit: Option<f64>, found| {
            limit.map(|limit| Threshold::at_most(flag, of, limit, found))
        };
        let at_least = |flag, of, limit: Option<f64>, found| {
            limit.map(|limit| Threshold::at_least(flag, of, limit, found))
        };
        [
            at_least("--min-deliveries", "deliveries a second", args.min_deliveries, rate),
            at_least("--min-connects", "connects a second", args.min_connects, Some(connects.per_second)),
            at_most(
                "--max-connect-p99",
                "p99 of connecting, ms",
                args.max_connect_p99,
                connects.latency.p99(),
            ),
            at_most("--max-rss-per-connection", "bytes a connection", args.max_rss_per_connection, rss),
            at_most("--max-rss-growth", "percent of RSS growth", args.max_rss_growth, growth),
            at_most("--max-reconnect", "seconds until all are back", max_reconnect, reconnect),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_missed_beyond_them_and_without_a_figure() {
        let most = |found| Threshold::at_most("--max-x", "ms", 3.0, found).failure();
        assert_eq!(most(Some(3.0)), None);
        assert_eq!(most(Some(3.5)), Some("ms: 3.50, --max-x 3".to_owned()));
        let least = |found| Threshold::at_least("--min-x", "a second", 3.0, found).failure();
        assert_eq!(least(Some(3.0)), None);
        assert_eq!(least(Some(2.0)), Some("a second: 2.00, --min-x 3".to_owned()));
        assert_eq!(least(None), Some("--min-x: nothing was measured".to_owned()));
    }
}
