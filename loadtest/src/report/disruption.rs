//! What a storm, churn, a drain or a kill did to the connections, and what came of those who were away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MeasuredLatency;
use super::table::{Rows, details};
use crate::measure::Absences;

/// Close codes that send a client away in order, to come back.
const ORDERLY: [&str; 3] = ["1001", "1012", "1013"];

/// The kind that nobody announces, and after which the other servers have all.
const KILL: &str = "kill";
/// Share of goodbyes above which churn was not what was asked for.
const UNSAID_SHARE_MAX: f64 = 0.05;

/// Connections that went and came back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DisruptionReport {
    /// storm, churn, drain or kill.
    pub(crate) kind: String,
    /// Connections that were cut off, said goodbye or were sent away, each time counted.
    pub(crate) gone: u64,
    /// Goodbyes that churn asked for in its time.
    #[serde(default)]
    pub(crate) goodbyes_due: u64,
    /// Those of them that nobody was there to say, as all were away already.
    #[serde(default)]
    pub(crate) goodbyes_unsaid: u64,
    /// Those that became ready again.
    pub(crate) back: u64,
    /// Connections that were still away when the time was over.
    pub(crate) never_back: u64,
    /// Connections that a drain never sent away, or that outlived their server.
    pub(crate) never_gone: u64,
    /// What a drain or a kill ended connections with, by close code or otherwise.
    pub(crate) closes: BTreeMap<String, u64>,
    /// Attempts to come back that failed, and were made again.
    pub(crate) failed_attempts: BTreeMap<String, u64>,
    /// From the first that was gone until all were back; nothing when they never were.
    pub(crate) seconds_until_all_back: Option<f64>,
    /// How long connections were away.
    #[serde(flatten)]
    pub(crate) away: MeasuredLatency,
    /// What became of the deliveries meanwhile.
    #[serde(flatten)]
    pub(crate) absences: Absences,
    /// Messages that ended with their sender.
    pub(crate) messages_cut_off: u64,
    /// How the command that rolls the server failed.
    pub(crate) command_failed: Option<String>,
}

impl DisruptionReport {
    /// Connections that came back a second, until all were.
    fn per_second(&self) -> Option<f64> {
        self.seconds_until_all_back.map(|seconds| self.back as f64 / seconds.max(1e-9))
    }

    /// Adds what another generator found.
    pub(super) fn absorb(&mut self, other: Self) {
        self.gone += other.gone;
        self.goodbyes_due += other.goodbyes_due;
        self.goodbyes_unsaid += other.goodbyes_unsaid;
        self.back += other.back;
        self.never_back += other.never_back;
        self.never_gone += other.never_gone;
        for (counts, others) in
            [(&mut self.closes, other.closes), (&mut self.failed_attempts, other.failed_attempts)]
        {
            others.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count);
        }
        let both = self.seconds_until_all_back.zip(other.seconds_until_all_back);
        self.seconds_until_all_back = both.map(|(a, b)| a.max(b));
        self.away.merge(&other.away);
        let Absences { missed, recovered, gaps, duplicates, refused } = other.absences;
        self.absences.missed += missed;
        self.absences.recovered += recovered;
        self.absences.gaps += gaps;
        self.absences.duplicates += duplicates;
        self.absences.refused += refused;
        self.messages_cut_off += other.messages_cut_off;
        self.command_failed = self.command_failed.take().or(other.command_failed);
    }

    /// What is not allowed, in words.
    pub(super) fn failures(&self) -> Vec<String> {
        let rude: u64 = self
            .closes
            .iter()
            .filter(|(name, _)| !ORDERLY.contains(&name.as_str()))
            .map(|(_, count)| count)
            .sum();
        let Absences { gaps, duplicates, refused, .. } = self.absences;
        let is_kill = self.kind == KILL;
        [
            (self.gone == 0, "nobody was away: there was no disruption".to_owned()),
            (self.never_back > 0, format!("{} connections never came back", self.never_back)),
            (self.never_gone > 0, format!("{} connections were never sent away", self.never_gone)),
            (
                rude > 0 && !is_kill,
                format!("{rude} connections were ended by the drain without a code that says so"),
            ),
            (refused > 0 && is_kill, format!("{refused} recoveries were refused at other servers")),
            (gaps > 0, format!("{gaps} deliveries are missing from recoveries that claim to be complete")),
            (duplicates > 0, format!("{duplicates} deliveries were recovered that the client had")),
        ]
        .into_iter()
        .filter_map(|(is_wrong, text)| is_wrong.then_some(text))
        .chain(self.command_failed.iter().map(|status| format!("--drain-command failed: {status}")))
        .collect()
    }

    /// What is allowed, and should be known all the same.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { goodbyes_due: due, goodbyes_unsaid: unsaid, .. } = self;
        (*unsaid as f64 > *due as f64 * UNSAID_SHARE_MAX).then(|| {
            format!("churn fell short of --churn-rate: of {due} goodbyes that were due, {unsaid} found nobody connected")
        })
    }

    pub(super) fn rows(&self, rows: &mut Rows) {
        rows.add(&format!("{}: went away", self.kind), format!("{}{}", self.gone, details(&self.closes)));
        rows.add("came back", format!("{}", self.back));
        if let Some((seconds, rate)) = self.seconds_until_all_back.zip(self.per_second()) {
            rows.add("until all were back", format!("{seconds:.3} s, {rate:.0} a second"));
        }
        let failed: u64 = self.failed_attempts.values().sum();
        rows.add("attempts that failed", format!("{failed}{}", details(&self.failed_attempts)));
        self.away.rows(rows, "away,");
        let Absences { missed, recovered, gaps, duplicates, refused } = self.absences;
        rows.add("missed while away", format!("{missed}"));
        rows.add("recovered", format!("{recovered}"));
        rows.add("recovery gaps", format!("{gaps}"));
        rows.add("recovery duplicates", format!("{duplicates}"));
        rows.add("recoveries refused", format!("{refused}"));
        rows.add("messages cut off", format!("{}", self.messages_cut_off));
    }
}
