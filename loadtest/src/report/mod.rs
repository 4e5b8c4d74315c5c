//! What a run found: as JSON, judged against the thresholds, and as a `table`; `chat` is the part of one scenario.

mod chat;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

pub(crate) use chat::{ChatReport, MeasuredLatency};

use crate::args::Args;
use crate::capacity::{Cause, Limits, RampReport};
use crate::measure::{Faults, Percentiles, ServerUsage};
use crate::settings::Settings;

/// Share of its core above which the generator may have been what limited the run.
const GENERATOR_CPU_SHARE_MAX: f64 = 0.9;
/// Lateness of messages, in milliseconds at the 99th percentile, above which the open loop was not one.
const SEND_LAG_P99_MAX_MS: f64 = 5.0;

/// What a window must keep to, with this limit for its 99th percentile and for its losses.
pub(crate) fn limits(p99_ms: f64, loss: u64) -> Limits {
    Limits {
        p99_ms,
        loss,
        generator_cpu_share: GENERATOR_CPU_SHARE_MAX,
        send_lag_p99_ms: SEND_LAG_P99_MAX_MS,
    }
}

/// Everything that is known after a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    settings: Args,
    source_ips: usize,
    interrupted: bool,
    pub(crate) connects: Connects,
    pub(crate) traffic: Option<TrafficReport>,
    pub(crate) chat: Option<ChatReport>,
    pub(crate) ramp: Option<RampReport>,
    /// Connections that ended on their own, by close code or otherwise.
    pub(crate) closes: BTreeMap<String, u64>,
    pub(crate) slow_consumers: Option<SlowConsumers>,
    /// Errors that the server sent, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Messages that were no deliveries of this run, errors included.
    pub(crate) other_messages: u64,
    pub(crate) generator: Generator,
    pub(crate) server: Option<Server>,
    warnings: Vec<String>,
    failures: Vec<String>,
}

/// How connecting went.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Connects {
    ready: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    /// Why the failed ones failed.
    failures: BTreeMap<String, u64>,
}

/// How delivering went.
#[derive(Debug, Serialize)]
pub(crate) struct TrafficReport {
    /// Messages sent, the warmup's included.
    pub(crate) messages_sent: u64,
    /// Messages that were due, but nobody could send.
    pub(crate) messages_unsent: u64,
    /// Messages that were sent, but nobody received.
    pub(crate) messages_unseen: u64,
    /// Deliveries received, the warmup's included.
    pub(crate) deliveries: u64,
    /// Length of the measured window.
    pub(crate) measured_seconds: f64,
    /// Deliveries received in the measured window, over its length.
    pub(crate) deliveries_per_second: f64,
    /// From intended sending to receipt, of messages due in the measured window.
    pub(crate) latency_ms: Percentiles,
    /// Deliveries that the latency is of.
    pub(crate) latencies: u64,
    /// What went wrong in the whole run.
    pub(crate) faults: Faults,
    /// Deliveries that came too far behind others to be compared with them.
    pub(crate) uncompared: u64,
}

/// What became of the clients that stopped reading.
#[derive(Debug, Serialize)]
pub(crate) struct SlowConsumers {
    pub(crate) count: usize,
    /// Those that the server closed, by close code or otherwise.
    pub(crate) closes: BTreeMap<String, u64>,
}

/// What the run cost on our side.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Generator {
    /// CPU time over wall time in the measured window.
    cpu_share: f64,
    send_lag_p99_ms: f64,
    send_lag_max_ms: f64,
    /// Whether the generator, rather than the server, may have set the figures.
    bottleneck: bool,
}

/// What the run cost on the server's side.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    /// CPU time over wall time in the measured window; 1 is one core.
    cpu_share: f64,
    cpu_us_per_delivery: Option<f64>,
    resident_bytes_before: u64,
    resident_bytes_after: u64,
    /// Growth of the resident memory over the connections that became ready.
    bytes_per_connection: Option<f64>,
}

impl Connects {
    /// `seconds` is from the first connect to the last answer.
    pub(crate) fn new(ready: u64, failures: BTreeMap<String, u64>, seconds: f64) -> Self {
        Self {
            ready,
            failed: failures.values().sum(),
            seconds,
            per_second: ready as f64 / seconds.max(1e-9),
            failures,
        }
    }
}

impl Generator {
    /// `send_lag` is how late messages left.
    pub(crate) fn new(cpu_share: f64, send_lag: Percentiles) -> Self {
        Self {
            cpu_share,
            send_lag_p99_ms: send_lag.p99,
            send_lag_max_ms: send_lag.max,
            bottleneck: cpu_share > GENERATOR_CPU_SHARE_MAX || send_lag.p99 > SEND_LAG_P99_MAX_MS,
        }
    }
}

impl Server {
    /// `before` is from before the first connect; CPU counts `from` one point `to` another, `seconds` apart, during
    /// which there were so many deliveries.
    pub(crate) fn new(
        before: ServerUsage,
        from: ServerUsage,
        to: ServerUsage,
        seconds: f64,
        deliveries: u64,
        ready: u64,
    ) -> Self {
        let cpu_ns = to.cpu_ns.saturating_sub(from.cpu_ns) as f64;
        let growth = to.resident_bytes as f64 - before.resident_bytes as f64;
        Self {
            cpu_share: cpu_ns / 1e9 / seconds.max(1e-9),
            cpu_us_per_delivery: (deliveries > 0).then(|| cpu_ns / 1e3 / deliveries as f64),
            resident_bytes_before: before.resident_bytes,
            resident_bytes_after: to.resident_bytes,
            bytes_per_connection: (ready > 0).then(|| growth / ready as f64),
        }
    }
}

impl Report {
    /// Of a run that has found nothing yet.
    pub(crate) fn new(settings: &Settings, interrupted: bool) -> Self {
        Self {
            settings: settings.args.clone(),
            source_ips: settings.source_ips,
            interrupted,
            connects: Connects::default(),
            traffic: None,
            chat: None,
            ramp: None,
            closes: BTreeMap::new(),
            slow_consumers: None,
            errors: BTreeMap::new(),
            other_messages: 0,
            generator: Generator::default(),
            server: None,
            warnings: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Whether nothing failed.
    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Compares what was found with what is allowed.
    pub(crate) fn judge(&mut self, args: &Args) {
        let mut failures = Vec::new();
        let mut fail_if = |failed: bool, text: String| {
            if failed {
                failures.push(text);
            }
        };
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
            if traffic.messages_unsent > 0 {
                self.warnings.push(format!("{} messages could not be sent", traffic.messages_unsent));
            }
        }
        if let Some(chat) = &self.chat {
            failures.extend(chat.failures(&args.chat));
            self.warnings.extend(chat.warnings());
            let errors: u64 = self.errors.values().sum();
            if errors > 0 {
                self.warnings.push(format!("{errors} events were refused"));
            }
        }
        if let Some(ramp) = &self.ramp {
            let enough = ramp.answer.is_some_and(|answer| answer >= args.ramp_args.ramp_min.unwrap_or(0));
            if !enough {
                failures.push(match args.ramp_args.ramp_min {
                    Some(min) => format!("{}, --ramp-min {min}", ramp.sentence()),
                    None => ramp.sentence(),
                });
            }
            if ramp.causes.contains(&Cause::Generator) {
                self.warnings.push(
                    "the ramp ended where the generator was at its limit: the server may hold more"
                        .to_owned(),
                );
            }
        }
        self.failures = failures;
        if self.generator.bottleneck {
            self.warnings
                .push("the generator itself was the bottleneck: figures say little of the server".to_owned());
        }
        if self.interrupted {
            self.warnings.push("interrupted".to_owned());
        }
    }

    /// Prints the table, and writes the JSON file if one is wanted.
    ///
    /// # Errors
    /// When either cannot be written.
    pub(crate) fn publish(&self, settings: &Settings) -> Result<()> {
        std::io::stdout().write_all(table::render(self).as_bytes()).context("writing the report")?;
        if let Some(file) = &settings.args.json {
            let mut json = serde_json::to_vec_pretty(self).context("encoding the report")?;
            json.push(b'\n');
            fs::write(file, json).with_context(|| format!("--json {}", file.display()))?;
        }
        Ok(())
    }
}
