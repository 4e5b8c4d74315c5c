//! What `--scenario chat` found beside deliveries: counts, two latencies, and what the thresholds say of them.

use serde::{Deserialize, Serialize};

use super::judge::Threshold;
use super::table::Rows;
use crate::args::ChatArgs;
use crate::measure::{Latency, Packed, Percentiles};

/// What became of everything that is no message; counts are of the whole run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ChatReport {
    pub(crate) presence: Presence,
    pub(crate) joins: Joins,
    pub(crate) typing: Typing,
    pub(crate) receipts: Receipts,
    pub(crate) members: Members,
    /// Events that were due, but could not be sent.
    pub(crate) unsent: u64,
}

/// Changes of status and who learnt of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Presence {
    /// `presence:update-status` sent.
    pub(crate) updates_sent: u64,
    /// `presence:changed` that they were to cause at the other members of the rooms.
    pub(crate) changes_expected: u64,
    /// Those that came.
    pub(crate) changes_received: u64,
    /// Those that came to somebody in another room.
    pub(crate) misrouted: u64,
    /// `presence:changed` that no update of this run caused.
    pub(crate) others_received: u64,
    #[serde(flatten)]
    pub(crate) latency: MeasuredLatency,
}

/// Side rooms that were joined again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Joins {
    /// `room:join` sent, each after a `room:leave`.
    pub(crate) sent: u64,
    /// Those that were answered with `room:joined`.
    pub(crate) joined: u64,
    /// Those that were answered with an error.
    pub(crate) refused: u64,
    #[serde(flatten)]
    pub(crate) latency: MeasuredLatency,
}

/// Who was seen to type.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Typing {
    /// `message:typing` sent with `isTyping` true.
    pub(crate) starts_sent: u64,
    /// The same with false.
    pub(crate) stops_sent: u64,
    /// `user:typing` received, of both kinds.
    pub(crate) edges_received: u64,
}

/// Messages that were confirmed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Receipts {
    /// `message:read` sent.
    pub(crate) sent: u64,
    /// `message:status` received.
    pub(crate) statuses_received: u64,
}

/// News of the rooms' members; connecting causes them too.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Members {
    /// `room:member-joined` and `room:member-left` received.
    pub(crate) edges_received: u64,
    /// `room:count` received.
    pub(crate) counts_received: u64,
}

/// From when something was due until its effect arrived, of what was due in the measured window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MeasuredLatency {
    pub(super) latency_ms: Percentiles,
    /// How many times that is of.
    pub(super) latencies: u64,
    histogram: Packed,
}

impl MeasuredLatency {
    /// What a histogram says.
    pub(crate) fn of(latency: &Latency) -> Self {
        Self { latency_ms: latency.percentiles(), latencies: latency.count(), histogram: Packed::of(latency) }
    }

    /// Adds what another generator measured.
    pub(super) fn merge(&mut self, other: &Self) {
        let mut sum = self.histogram.unpack();
        sum.add(&other.histogram.unpack());
        *self = Self::of(&sum);
    }

    /// The 99th percentile, if anything was measured.
    pub(super) fn p99(&self) -> Option<f64> {
        (self.latencies > 0).then_some(self.latency_ms.p99)
    }

    /// What `flag` makes of it.
    fn failures(&self, flag: &str, max_ms: Option<f64>) -> Vec<String> {
        let p99 = self.latency_ms.p99;
        match max_ms {
            Some(_) if self.latencies == 0 => vec![format!("{flag}: no latency was measured")],
            Some(max) if p99 > max => vec![format!("p99 {p99:.2} ms, {flag} {max}")],
            _ => Vec::new(),
        }
    }

    pub(super) fn rows(&self, rows: &mut Rows, of: &str) {
        if self.latencies == 0 {
            return;
        }
        rows.add(&format!("{of} latency p50"), format!("{:.3} ms", self.latency_ms.p50));
        rows.add(&format!("{of} latency p99"), format!("{:.3} ms", self.latency_ms.p99));
    }
}

impl Presence {
    /// Changes that did not come.
    pub(crate) fn missing(&self) -> u64 {
        self.changes_expected.saturating_sub(self.changes_received)
    }
}

impl Joins {
    /// Joins to which the server said nothing.
    pub(crate) fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.joined + self.refused)
    }
}

impl ChatReport {
    /// Adds what another generator found.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { presence, joins, typing, receipts, members, unsent } = other;
        self.presence.updates_sent += presence.updates_sent;
        self.presence.changes_expected += presence.changes_expected;
        self.presence.changes_received += presence.changes_received;
        self.presence.misrouted += presence.misrouted;
        self.presence.others_received += presence.others_received;
        self.presence.latency.merge(&presence.latency);
        self.joins.sent += joins.sent;
        self.joins.joined += joins.joined;
        self.joins.refused += joins.refused;
        self.joins.latency.merge(&joins.latency);
        self.typing.starts_sent += typing.starts_sent;
        self.typing.stops_sent += typing.stops_sent;
        self.typing.edges_received += typing.edges_received;
        self.receipts.sent += receipts.sent;
        self.receipts.statuses_received += receipts.statuses_received;
        self.members.edges_received += members.edges_received;
        self.members.counts_received += members.counts_received;
        self.unsent += unsent;
    }

    /// The limits that were set for this part.
    pub(super) fn thresholds(&self, args: &ChatArgs) -> Vec<Threshold> {
        [
            ("--max-presence-p99", "p99 of presence, ms", args.max_presence_p99, self.presence.latency.p99()),
            ("--max-join-p99", "p99 of joins, ms", args.max_join_p99, self.joins.latency.p99()),
        ]
        .into_iter()
        .filter_map(|(flag, of, limit, found)| Some(Threshold::at_most(flag, of, limit?, found)))
        .collect()
    }

    /// What is not allowed.
    pub(super) fn failures(&self, args: &ChatArgs) -> Vec<String> {
        let mut failures = self.presence.latency.failures("--max-presence-p99", args.max_presence_p99);
        failures.extend(self.joins.latency.failures("--max-join-p99", args.max_join_p99));
        let missing = self.presence.missing();
        // What never came is later than all others: beyond one in a hundred the percentile is no time at all.
        if args.max_presence_p99.is_some() && missing * 100 > self.presence.changes_expected {
            failures.push(format!("--max-presence-p99: {missing} changes of presence never came"));
        }
        if self.presence.misrouted > 0 {
            failures.push(format!("{} misrouted changes of presence", self.presence.misrouted));
        }
        if self.joins.unanswered() > 0 {
            failures.push(format!("{} joins were never answered", self.joins.unanswered()));
        }
        failures
    }

    /// What is allowed, and should be known all the same.
    pub(super) fn warnings(&self) -> Vec<String> {
        [
            (self.presence.missing(), "changes of presence never came"),
            (self.joins.refused, "joins were refused"),
            (self.unsent, "chat events could not be sent"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }

    pub(super) fn rows(&self, rows: &mut Rows) {
        let Self { presence, joins, typing, receipts, members, .. } = self;
        rows.add("presence updates sent", format!("{}", presence.updates_sent));
        rows.add(
            "presence changes received",
            format!("{} of {}", presence.changes_received, presence.changes_expected),
        );
        presence.latency.rows(rows, "presence");
        rows.add("joins sent", format!("{}", joins.sent));
        rows.add("joins answered", format!("{}", joins.joined));
        joins.latency.rows(rows, "join");
        rows.add("typing starts, stops sent", format!("{}, {}", typing.starts_sent, typing.stops_sent));
        rows.add("typing edges received", format!("{}", typing.edges_received));
        rows.add("receipts sent", format!("{}", receipts.sent));
        rows.add("statuses received", format!("{}", receipts.statuses_received));
        rows.add("member edges received", format!("{}", members.edges_received));
        rows.add("member counts received", format!("{}", members.counts_received));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    /// Presence that took 80 ms a hundred times, and joins that took 5 ms.
    fn report() -> ChatReport {
        let latency = |us| {
            let mut latency = Latency::new();
            (0..100).for_each(|_| latency.record(us));
            MeasuredLatency::of(&latency)
        };
        let presence = Presence {
            changes_expected: 100,
            changes_received: 100,
            latency: latency(80_000),
            ..Presence::default()
        };
        let joins = Joins { sent: 100, joined: 99, refused: 1, latency: latency(5_000) };
        ChatReport { presence, joins, ..ChatReport::default() }
    }

    /// What fails with these thresholds.
    fn failures(report: &ChatReport, flags: &[&str]) -> String {
        let args = Args::try_parse_from(["loadtest"].iter().chain(flags)).expect("valid flags").chat;
        report.failures(&args).join("; ")
    }

    #[test]
    fn thresholds_are_each_for_their_own_latency() {
        let report = report();
        assert_eq!(failures(&report, &[]), "");
        assert_eq!(failures(&report, &["--max-presence-p99", "90", "--max-join-p99", "6"]), "");
        assert!(failures(&report, &["--max-presence-p99", "70", "--max-join-p99", "6"]).contains("presence"));
        assert!(failures(&report, &["--max-presence-p99", "90", "--max-join-p99", "4"]).contains("join"));
        assert!(failures(&ChatReport::default(), &["--max-join-p99", "4"]).contains("no latency"));
    }

    #[test]
    fn what_never_came_is_no_good_latency() {
        let mut report = report();
        report.presence.changes_expected = 101;
        assert_eq!(failures(&report, &["--max-presence-p99", "90"]), "");
        report.presence.changes_expected = 102;
        assert!(failures(&report, &["--max-presence-p99", "90"]).contains("2 changes"));
        assert_eq!(failures(&report, &[]), "");
        assert_eq!(report.warnings(), ["2 changes of presence never came", "1 joins were refused"]);
        report.joins.sent += 3;
        assert!(failures(&report, &[]).contains("3 joins were never answered"));
    }
}
