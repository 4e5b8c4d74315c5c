//! The report as people read it: a line for each figure, names and values aligned.

use std::collections::BTreeMap;

use super::{Connects, Report, Server, TrafficReport};
use crate::measure::{Faults, Percentiles};

pub(super) const MIB: f64 = 1024.0 * 1024.0;

/// The whole table, its last line ended.
pub(super) fn render(report: &Report) -> String {
    report.table()
}

impl Report {
    fn table(&self) -> String {
        let mut rows = Rows::default();
        self.connect_rows(&mut rows);
        if let Some(traffic) = &self.traffic {
            traffic.rows(&mut rows);
        }
        if let Some(ramp) = &self.ramp {
            ramp.steps.iter().for_each(|step| rows.add("step", step.line()));
            rows.add("ramp", ramp.sentence());
        }
        self.scenario_rows(&mut rows);
        self.peer_rows(&mut rows);
        self.node_rows(&mut rows);
        rows.add("generator CPU share", format!("{:.1} %", self.generator.cpu_share * 100.0));
        if self.traffic.is_some() {
            rows.add("send lag p99", format!("{:.3} ms", self.generator.send_lag_p99_ms));
            rows.add("send lag max", format!("{:.3} ms", self.generator.send_lag_max_ms));
        }
        rows.add("loop lag p99", format!("{:.3} ms", self.generator.loop_lag_ms.p99));
        rows.add("loop lag max", format!("{:.3} ms", self.generator.loop_lag_ms.max));
        if let Some(server) = &self.server {
            server.rows(&mut rows);
        }
        self.warnings.iter().for_each(|warning| rows.add("WARNING", warning.clone()));
        self.failures.iter().for_each(|failure| rows.add("FAILED", failure.clone()));
        rows.aligned()
    }

    /// What only some scenarios find.
    pub(super) fn scenario_rows(&self, rows: &mut Rows) {
        if let Some(chat) = &self.chat {
            chat.rows(rows);
        }
        if let Some(disruption) = &self.disruption {
            disruption.rows(rows);
        }
        if let Some(soak) = &self.soak {
            soak.rows(rows);
        }
    }

    fn connect_rows(&self, rows: &mut Rows) {
        let Connects { ready, failed, per_second, failures, .. } = &self.connects;
        rows.add("connected", format!("{ready}"));
        rows.add("connects/s", format!("{per_second:.0}"));
        if self.connects.latency.latencies > 0 {
            rows.add("connect p99", format!("{:.2} ms", self.connects.latency.latency_ms.p99));
        }
        rows.add("connect failures", format!("{failed}{}", details(failures)));
    }

    fn peer_rows(&self, rows: &mut Rows) {
        rows.add(
            "closed connections",
            format!("{}{}", self.closes.values().sum::<u64>(), details(&self.closes)),
        );
        if let Some(slow) = &self.slow_consumers {
            let closed: u64 = slow.closes.values().sum();
            rows.add("slow consumers", format!("{}", slow.count));
            if slow.reading > 0 {
                rows.add("slow readers", format!("{}, {} bytes read", slow.reading, slow.bytes_read));
            }
            rows.add("slow consumers closed", format!("{closed}{}", details(&slow.closes)));
        }
        rows.add("server errors", format!("{}{}", self.errors.values().sum::<u64>(), details(&self.errors)));
        rows.add("other messages", format!("{}", self.other_messages));
    }
}

impl TrafficReport {
    fn rows(&self, rows: &mut Rows) {
        rows.add("messages sent", format!("{}", self.messages_sent));
        rows.add("messages seen by nobody", format!("{}", self.messages_unseen));
        rows.add("deliveries", format!("{}", self.deliveries));
        rows.add("deliveries/s", format!("{:.0}", self.deliveries_per_second));
        let Percentiles { p50, p90, p99, p999, max } = self.latency_ms;
        for (name, ms) in [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)] {
            rows.add(&format!("latency {name}"), format!("{ms:.3} ms"));
        }
        let Faults { lost, duplicates, order, misrouted, malformed } = self.faults;
        rows.add("lost", format!("{lost}"));
        rows.add("duplicates", format!("{duplicates}"));
        rows.add("order faults", format!("{order}"));
        rows.add("misrouted", format!("{misrouted}"));
        rows.add("malformed", format!("{malformed}"));
        if self.uncompared > 0 {
            rows.add("order not compared", format!("{}", self.uncompared));
        }
    }
}

impl Server {
    fn rows(&self, rows: &mut Rows) {
        rows.add("server CPU share", format!("{:.1} %", self.cpu_share * 100.0));
        if let Some(cost) = self.cpu_us_per_delivery {
            rows.add("server CPU a delivery", format!("{cost:.3} µs"));
        }
        rows.add("server RSS before", format!("{:.1} MiB", self.resident_bytes_before as f64 / MIB));
        rows.add("server RSS after", format!("{:.1} MiB", self.resident_bytes_after as f64 / MIB));
        if let Some(bytes) = self.bytes_per_connection {
            rows.add("server RSS a connection", format!("{:.2} KiB", bytes / 1024.0));
        }
    }
}

pub(super) fn details(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} × {count}")).collect();
    format!(" ({})", parts.join(", "))
}

/// Lines of a name and a value.
#[derive(Default)]
pub(super) struct Rows(pub(super) Vec<(String, String)>);

impl Rows {
    /// Adds a line.
    pub(super) fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    fn aligned(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        self.0.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
    }
}
