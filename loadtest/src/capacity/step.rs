//! One trial of a search: what was asked for, what was found, and why it does not count as passed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::{Faults, Percentiles};

/// What a trial must keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// 99th percentile of latency in milliseconds.
    pub(crate) p99_ms: f64,
    /// Deliveries that may be lost.
    pub(crate) loss: u64,
    /// Share of its core above which the generator may have been what limited the trial.
    pub(crate) generator_cpu_share: f64,
    /// Lateness of messages, in milliseconds at the 99th percentile, above which the open loop was not one.
    pub(crate) send_lag_p99_ms: f64,
}

/// What was found in one window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Connections that were to be open.
    pub(crate) connections: usize,
    /// Those of them that were not, or not to the end.
    pub(crate) missing_connections: u64,
    /// Messages a second that were due.
    pub(crate) rate: f64,
    /// Messages that were due, but could not be sent.
    pub(crate) messages_unsent: u64,
    /// Length of the measured window; shorter than asked for when the outcome was certain before.
    pub(crate) seconds: f64,
    /// Deliveries received in the window, over its length.
    pub(crate) deliveries_per_second: f64,
    /// From intended sending to receipt.
    pub(crate) latency_ms: Percentiles,
    /// Deliveries that the latency is of.
    pub(crate) latencies: u64,
    /// What went wrong, the settling before the window included.
    pub(crate) faults: Faults,
    /// The generator's CPU time over wall time.
    pub(crate) generator_cpu_share: f64,
    pub(crate) send_lag_p99_ms: f64,
    /// What it cost the server, when that is known.
    pub(crate) server: Option<StepServer>,
    /// Whether it was given up before its end, since it could not pass any more.
    pub(crate) cut_short: bool,
    /// Why it failed; empty when it passed.
    pub(crate) causes: Vec<Cause>,
}

/// What a window cost the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepServer {
    /// CPU time over wall time; 1 is one core.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    /// The thread that used most, and its CPU time over wall time.
    pub(crate) busiest_thread: String,
    pub(crate) busiest_thread_cpu_share: f64,
    pub(crate) resident_bytes: u64,
}

/// Why a trial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    /// Connections could not be opened, or ended.
    Connections,
    /// Deliveries were lost.
    Loss,
    /// Deliveries came twice, out of order, to the wrong member, or broken.
    Faults,
    /// Deliveries took too long, or none came.
    P99,
    /// The generator had no time for more, so that nothing is known of the server.
    Generator,
}

impl Step {
    /// Notes all causes for which the step fails. Latency counts from when a message was due, so a server that
    /// passes does so whatever the generator did; only when something failed, that may have been the generator's fault.
    pub(crate) fn judge(&mut self, limits: Limits) {
        let Faults { lost, duplicates, order, misrouted, malformed } = self.faults;
        let late = self.send_lag_p99_ms > limits.send_lag_p99_ms;
        let unsent = self.messages_unsent > 0 && self.missing_connections == 0;
        let hopeless = self.cut_short && self.missing_connections == 0;
        let busy = self.generator_cpu_share > limits.generator_cpu_share;
        let causes = [
            (Cause::Connections, self.missing_connections > 0),
            (Cause::Loss, lost > limits.loss),
            (Cause::Faults, duplicates + order + misrouted + malformed > 0),
            (Cause::P99, self.latencies == 0 || self.latency_ms.p99 > limits.p99_ms || hopeless),
        ];
        self.causes = causes.into_iter().filter(|(_, holds)| *holds).map(|(cause, _)| cause).collect();
        if unsent || ((late || busy) && !self.passed()) {
            self.causes.push(Cause::Generator);
        }
    }

    /// Whether nothing speaks against it.
    pub(crate) fn passed(&self) -> bool {
        self.causes.is_empty()
    }

    /// The step in a line.
    pub(crate) fn line(&self) -> String {
        let Self { connections, rate, deliveries_per_second, generator_cpu_share, .. } = self;
        let server = self.server.as_ref().map(|server| format!(", server {:.0} %", server.cpu_share * 100.0));
        let verdict = match &self.causes[..] {
            [] => "passed".to_owned(),
            causes => {
                format!("FAILED: {}", causes.iter().map(Cause::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        format!(
            "{connections} connections, {rate:.0} messages/s: {deliveries_per_second:.0} deliveries/s, p99 {:.2} ms, \
             lost {}, generator {:.0} %{}: {verdict}",
            self.latency_ms.p99,
            self.faults.lost,
            generator_cpu_share * 100.0,
            server.unwrap_or_default(),
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Connections => "connections",
            Self::Loss => "loss",
            Self::Faults => "faults",
            Self::P99 => "p99",
            Self::Generator => "generator at its limit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { p99_ms: 50.0, loss: 0, generator_cpu_share: 0.9, send_lag_p99_ms: 5.0 };

    fn fine() -> Step {
        let latency_ms = Percentiles { p99: 50.0, ..Percentiles::default() };
        Step { connections: 10, rate: 100.0, latencies: 1000, latency_ms, ..Step::default() }
    }

    #[test]
    fn each_cause_fails_a_step() {
        for (cause, spoil) in [
            (Cause::Connections, (|step| step.missing_connections = 1) as fn(&mut Step)),
            (Cause::Loss, |step| step.faults.lost = 1),
            (Cause::Faults, |step| step.faults.order = 1),
            (Cause::Faults, |step| step.faults.duplicates = 1),
            (Cause::P99, |step| step.latency_ms.p99 = 50.1),
            (Cause::P99, |step| step.latencies = 0),
            (Cause::P99, |step| step.cut_short = true),
            (Cause::Generator, |step| step.messages_unsent = 1),
        ] {
            let mut step = fine();
            spoil(&mut step);
            step.judge(LIMITS);
            assert_eq!(step.causes, [cause], "{step:?}");
            assert!(step.line().ends_with(&format!("FAILED: {cause}")), "{}", step.line());
        }
        let mut step = fine();
        step.generator_cpu_share = 0.95;
        step.judge(LIMITS);
        step.send_lag_p99_ms = 5.1;
        step.judge(LIMITS);
        assert!(step.passed(), "busy and late, but all arrived in time");
        step.faults.lost = 1;
        step.judge(LIMITS);
        assert_eq!(step.causes, [Cause::Loss, Cause::Generator]);
        let mut step = fine();
        step.judge(LIMITS);
        assert!(step.passed() && step.line().ends_with(": passed"));
    }

    #[test]
    fn losses_may_be_allowed() {
        let mut step = fine();
        step.faults.lost = 3;
        step.judge(Limits { loss: 3, ..LIMITS });
        assert!(step.passed());
    }
}
