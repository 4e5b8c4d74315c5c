//! What a run found, and where: as JSON, judged against the thresholds (`judge`), as a `table`, as a page with
//! charts (`html`), as a `file`, of several generators as one (`merge`), and of
//! two sides by what changed (`compare`); `nodes` are the parts of several servers, `chat` that of one scenario.

mod chat;
mod compare;
mod disruption;
mod file;
mod host;
mod html;
mod judge;
mod limits;
mod merge;
mod nodes;
mod redact;
mod soak;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use chat::{ChatReport, MeasuredLatency};
pub(crate) use compare::{Comparison, Side, compare};
pub(crate) use disruption::DisruptionReport;
pub(crate) use file::try_files;
pub(crate) use host::Host;
use judge::Threshold;
pub(crate) use merge::merge;
pub(crate) use nodes::NodeReport;
use soak::SoakReport;

use crate::capacity::{Limits, RampReport};
use crate::measure::{Faults, Latency, Packed, Percentiles, Recorder, Series, ServerUsage};
use crate::settings::Settings;

/// Version of the report's shape; greater whenever a reader of the one before would be misled.
const FORMAT: u32 = 1;
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Version of this shape.
    format: u32,
    /// Version of the load generator.
    version: String,
    /// When the run began, in UTC.
    pub(crate) started_at: String,
    pub(crate) host: Host,
    /// Generators whose findings these are.
    pub(crate) agents: usize,
    /// The flags, but for what lets somebody in.
    pub(crate) settings: Value,
    source_ips: usize,
    interrupted: bool,
    pub(crate) connects: Connects,
    pub(crate) traffic: Option<TrafficReport>,
    pub(crate) chat: Option<ChatReport>,
    /// The end of a long run beside its beginning.
    #[serde(default)]
    pub(crate) soak: Option<SoakReport>,
    /// Of connections that went and came back.
    #[serde(default)]
    pub(crate) disruption: Option<DisruptionReport>,
    pub(crate) ramp: Option<RampReport>,
    /// Connections that ended on their own, by close code or otherwise.
    pub(crate) closes: BTreeMap<String, u64>,
    pub(crate) slow_consumers: Option<SlowConsumers>,
    /// Errors that the server sent, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Messages that were no deliveries of this run, errors included.
    pub(crate) other_messages: u64,
    pub(crate) generator: Generator,
    /// All servers whose processes were there from beginning to end.
    pub(crate) server: Option<Server>,
    /// Where there are several servers, each of them.
    #[serde(default)]
    pub(crate) nodes: Vec<NodeReport>,
    /// The run over time.
    pub(crate) series: Series,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) warnings: Vec<String>,
    pub(crate) failures: Vec<String>,
}

/// How connecting went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Connects {
    ready: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    /// Why the failed ones failed.
    failures: BTreeMap<String, u64>,
    /// From the connect until the connection was ready.
    #[serde(flatten)]
    latency: MeasuredLatency,
}

/// How delivering went.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Deliveries received in it.
    pub(crate) measured_deliveries: u64,
    /// Deliveries received in the measured window, over its length.
    pub(crate) deliveries_per_second: f64,
    /// From intended sending to receipt, of messages due in the measured window.
    pub(crate) latency_ms: Percentiles,
    /// Deliveries that the latency is of.
    pub(crate) latencies: u64,
    /// All of these latencies.
    pub(crate) histogram: Packed,
    /// What went wrong in the whole run.
    pub(crate) faults: Faults,
    /// Deliveries that came too far behind others to be compared with them.
    pub(crate) uncompared: u64,
}

/// What became of the clients that stopped reading.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SlowConsumers {
    pub(crate) count: usize,
    /// Those of them that read on, slowly.
    #[serde(default)]
    pub(crate) reading: usize,
    /// Bytes that these read.
    #[serde(default)]
    pub(crate) bytes_read: u64,
    /// Those that the server closed, by close code or otherwise.
    pub(crate) closes: BTreeMap<String, u64>,
}

/// What the run cost on our side.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Generator {
    /// CPU time over wall time in the measured window.
    cpu_share: f64,
    send_lag_p99_ms: f64,
    send_lag_max_ms: f64,
    /// How late messages left.
    pub(crate) send_lag_ms: Percentiles,
    send_lag_histogram: Packed,
    /// How late the loop woke, in the measured window.
    pub(crate) loop_lag_ms: Percentiles,
    loop_lag_histogram: Packed,
    /// Whether the generator, rather than the server, may have set the figures.
    bottleneck: bool,
}

/// What the run cost on the server's side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Server {
    /// CPU time over wall time in the measured window; 1 is one core.
    cpu_share: f64,
    /// CPU time in the measured window.
    cpu_seconds: f64,
    cpu_us_per_delivery: Option<f64>,
    resident_bytes_before: u64,
    resident_bytes_after: u64,
    /// Growth of the resident memory over the connections that became ready.
    bytes_per_connection: Option<f64>,
}

impl Connects {
    /// `seconds` is from the first connect to the last answer.
    pub(crate) fn new(ready: u64, failures: BTreeMap<String, u64>, seconds: f64, latency: &Latency) -> Self {
        Self {
            ready,
            failed: failures.values().sum(),
            seconds,
            per_second: ready as f64 / seconds.max(1e-9),
            failures,
            latency: MeasuredLatency::of(latency),
        }
    }
}

impl Generator {
    /// `send_lag` is how late messages left, `loop_lag` how late the loop woke.
    pub(crate) fn new(cpu_share: f64, send_lag: &Latency, loop_lag: &Latency) -> Self {
        let send_lag_ms = send_lag.percentiles();
        Self {
            cpu_share,
            send_lag_p99_ms: send_lag_ms.p99,
            send_lag_max_ms: send_lag_ms.max,
            send_lag_ms,
            send_lag_histogram: Packed::of(send_lag),
            loop_lag_ms: loop_lag.percentiles(),
            loop_lag_histogram: Packed::of(loop_lag),
            bottleneck: cpu_share > GENERATOR_CPU_SHARE_MAX || send_lag_ms.p99 > SEND_LAG_P99_MAX_MS,
        }
    }
}

impl Server {
    /// The first moment is before the first connect; CPU counts from the second to the third, `seconds` apart, during
    /// which there were so many deliveries. Memory is shared by `connections`.
    pub(crate) fn new(
        [before, from, to]: [ServerUsage; 3],
        seconds: f64,
        deliveries: u64,
        connections: u64,
    ) -> Self {
        let cpu_ns = to.cpu_ns.saturating_sub(from.cpu_ns) as f64;
        let growth = to.resident_bytes as f64 - before.resident_bytes as f64;
        Self {
            cpu_share: cpu_ns / 1e9 / seconds.max(1e-9),
            cpu_seconds: cpu_ns / 1e9,
            cpu_us_per_delivery: (deliveries > 0).then(|| cpu_ns / 1e3 / deliveries as f64),
            resident_bytes_before: before.resident_bytes,
            resident_bytes_after: to.resident_bytes,
            bytes_per_connection: (connections > 0).then(|| growth / connections as f64),
        }
    }
}

impl Report {
    /// Of a run that has found nothing but what was taken down over time.
    pub(crate) fn new(settings: &Settings, recorder: &Recorder, interrupted: bool) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: format!("{:.0}", recorder.started_at()),
            host: Host::here(),
            agents: 1,
            settings: redacted(settings),
            source_ips: settings.source_ips,
            interrupted,
            connects: Connects::default(),
            traffic: None,
            chat: None,
            soak: None,
            disruption: None,
            ramp: None,
            closes: BTreeMap::new(),
            slow_consumers: None,
            errors: BTreeMap::new(),
            other_messages: 0,
            generator: Generator::default(),
            server: None,
            nodes: Vec::new(),
            series: recorder.series().clone(),
            thresholds: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Says what was asked for, where that is more than one generator knows.
    pub(crate) fn describe(&mut self, settings: &Settings) {
        self.settings = redacted(settings);
    }

    /// Whether nothing failed.
    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Writes the files that are wanted, all in JSON and the page with its charts, and prints the table. The files come
    /// first: who reads the table may be gone.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn publish(&self, json: Option<&Path>, html: Option<&Path>) -> Result<()> {
        json.map_or(Ok(()), |file| self.write(file))?;
        html.map_or(Ok(()), |file| {
            fs::write(file, html::page(self)).with_context(|| format!("writing {}", file.display()))
        })?;
        std::io::stdout().write_all(table::render(self).as_bytes()).context("writing the report")
    }
}

/// The flags as a report may show them.
fn redacted(settings: &Settings) -> Value {
    let mut flags = serde_json::to_value(&settings.args).expect("flags are plain values");
    let urls: Vec<_> = settings.args.url.0.iter().map(|url| redact::url(url)).collect();
    flags["url"] = urls.join(",").into();
    flags
}
