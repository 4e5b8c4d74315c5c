//! Compares what was found with what is allowed, and says what should be known beside.

use serde::{Deserialize, Serialize};

use super::{DisruptionReport, Report};
use crate::args::Args;
use crate::capacity::Cause;
use crate::measure::Faults;

/// A limit that was set, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Threshold {
    /// The flag that set it.
    pub(crate) flag: String,
    /// What it is a limit of, with the unit.
    pub(crate) of: String,
    pub(crate) limit: f64,
    /// What was found; nothing when it could not be measured, which fails too.
    pub(crate) found: Option<f64>,
    pub(crate) passed: bool,
}

impl Threshold {
    /// At most `limit` is allowed.
    pub(super) fn at_most(flag: &str, of: &str, limit: f64, found: Option<f64>) -> Self {
        let passed = found.is_some_and(|found| found <= limit);
        Self { flag: flag.to_owned(), of: of.to_owned(), limit, found, passed }
    }

    /// At least `limit` is wanted.
    pub(super) fn at_least(flag: &str, of: &str, limit: f64, found: Option<f64>) -> Self {
        let passed = found.is_some_and(|found| found >= limit);
        Self { flag: flag.to_owned(), of: of.to_owned(), limit, found, passed }
    }

    /// What is wrong, in words.
    pub(super) fn failure(&self) -> Option<String> {
        let Self { flag, of, limit, .. } = self;
        match self.found {
            _ if self.passed => None,
            Some(found) => Some(format!("{of}: {found:.2}, {flag} {limit}")),
            None => Some(format!("{flag}: nothing was measured")),
        }
    }
}

impl Report {
    /// Compares what was found with what is allowed; what an earlier call said is forgotten.
    pub(crate) fn judge(&mut self, args: &Args) {
        self.thresholds = self.reach(args);
        self.warnings = self.notes();
        self.failures = self.faults(args);
    }

    /// The limits that were set.
    fn reach(&self, args: &Args) -> Vec<Threshold> {
        let mut thresholds = Vec::new();
        if let Some(traffic) = &self.traffic {
            let measured = (traffic.latencies > 0).then_some(traffic.latency_ms.p99);
            let limit = args.max_p99;
            thresholds.extend(
                limit.map(|limit| Threshold::at_most("--max-p99", "p99 latency, ms", limit, measured)),
            );
            let lost = traffic.faults.lost as f64;
            thresholds.push(Threshold::at_most(
                "--max-loss",
                "lost deliveries",
                args.max_loss as f64,
                Some(lost),
            ));
            let cost = self.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
            thresholds.extend(args.max_cpu_per_delivery.map(|limit| {
                Threshold::at_most("--max-cpu-per-delivery", "server CPU a delivery, µs", limit, cost)
            }));
        }
        if let Some(chat) = &self.chat {
            thresholds.extend(chat.thresholds(&args.chat));
        }
        thresholds.extend(self.limits(args));
        thresholds
    }

    /// What is not allowed, in words.
    fn faults(&self, args: &Args) -> Vec<String> {
        let mut failures = Vec::new();
        let mut fail_if = |failed: bool, text: String| {
            if failed {
                failures.push(text);
            }
        };
        fail_if(self.interrupted, "interrupted before its end".to_owned());
        fail_if(self.connects.failed > 0, format!("{} connects failed", self.connects.failed));
        fail_if(self.connects.ready == 0, "nobody connected".to_owned());
        let closed: u64 = self.closes.values().sum();
        fail_if(closed > 0, format!("{closed} connections were closed"));
        if let Some(traffic) = &self.traffic {
            let Faults { lost, duplicates, order, misrouted, malformed } = traffic.faults;
            fail_if(lost > args.max_loss, format!("{lost} deliveries lost, --max-loss {}", args.max_loss));
            fail_if(duplicates > 0, format!("{duplicates} duplicates"));
            fail_if(order > 0, format!("{order} order faults"));
            fail_if(misrouted > 0, format!("{misrouted} misrouted deliveries"));
            fail_if(malformed > 0, format!("{malformed} malformed deliveries"));
            let p99 = traffic.latency_ms.p99;
            if let Some(max) = args.max_p99 {
                fail_if(traffic.latencies == 0, "--max-p99: no latency was measured".to_owned());
                fail_if(p99 > max, format!("p99 {p99:.2} ms, --max-p99 {max}"));
            }
            if let Some(max) = args.max_cpu_per_delivery {
                let cost = self.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
                fail_if(cost.is_none(), "--max-cpu-per-delivery: the cost is unknown".to_owned());
                let cost = cost.unwrap_or(0.0);
                fail_if(cost > max, format!("{cost:.2} µs of CPU a delivery, --max-cpu-per-delivery {max}"));
            }
        }
        if let Some(chat) = &self.chat {
            failures.extend(chat.failures(&args.chat));
        }
        failures.extend(self.disruption.iter().flat_map(DisruptionReport::failures));
        failures.extend(self.limits(args).iter().filter_map(Threshold::failure));
        if let Some(ramp) = &self.ramp {
            let enough = ramp.answer.is_some_and(|answer| answer >= args.ramp_args.ramp_min.unwrap_or(0));
            if !enough {
                failures.push(match args.ramp_args.ramp_min {
                    Some(min) => format!("{}, --ramp-min {min}", ramp.sentence()),
                    None => ramp.sentence(),
                });
            }
        }
        failures
    }

    /// What is allowed, and should be known all the same.
    fn notes(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let unsent = self.traffic.as_ref().map_or(0, |traffic| traffic.messages_unsent);
        if unsent > 0 {
            warnings.push(format!("{unsent} messages could not be sent"));
        }
        if let Some(chat) = &self.chat {
            warnings.extend(chat.warnings());
            let errors: u64 = self.errors.values().sum();
            if errors > 0 {
                warnings.push(format!("{errors} events were refused"));
            }
        }
        warnings.extend(self.disruption.as_ref().and_then(DisruptionReport::warning));
        if self.ramp.as_ref().is_some_and(|ramp| ramp.causes.contains(&Cause::Generator)) {
            let text = "where the ramp ended the generator was at its limit: the server may hold more";
            warnings.push(text.to_owned());
        }
        // A ramp's windows are judged one by one.
        if self.generator.bottleneck && self.ramp.is_none() {
            warnings
                .push("the generator itself was the bottleneck: figures say little of the server".to_owned());
        }
        warnings
    }
}
