//! What several generators found of one server, as one report: counts and histograms added, seconds aligned.

use std::collections::BTreeMap;

use super::{Connects, DisruptionReport, Generator, Report, Server, SlowConsumers, TrafficReport, nodes};
use crate::measure::{Faults, Packed, Series};

/// One report of them all. Settings, host and start are the first one's; [`Report::judge`] decides afterwards, for a
/// limit may hold for each of them and not for all together.
///
/// # Panics
/// Without any report.
pub(crate) fn merge(reports: Vec<Report>) -> Report {
    let series: Vec<_> = reports.iter().map(|report| report.series.clone()).collect();
    let mut all = reports.into_iter();
    let mut sum = all.next().expect("there is a report to begin with");
    for report in all {
        sum.absorb(report);
    }
    sum.series = Series::merged(&series);
    // A delivery's cost is the server's time over the deliveries of all, and only now are these known.
    nodes::spread_costs(&mut sum.nodes);
    if let Some(server) = &mut sum.server {
        let all = sum.traffic.as_ref().map_or(0, |traffic| traffic.measured_deliveries);
        let is_one = sum.nodes.is_empty();
        let (deliveries, connections) =
            if is_one { (all, sum.connects.ready) } else { nodes::of_known_cost(&sum.nodes) };
        server.spread_over(deliveries);
        server.share_among(connections);
    }
    sum
}

impl Report {
    fn absorb(&mut self, other: Self) {
        // Every field is named, so that a new one cannot be forgotten. Several generators never search by themselves.
        let Self {
            format: _,
            version: _,
            started_at: _,
            host: _,
            agents,
            settings: _,
            source_ips,
            interrupted,
            connects,
            traffic,
            chat,
            soak,
            disruption,
            ramp: _,
            closes,
            slow_consumers,
            errors,
            other_messages,
            generator,
            server,
            nodes,
            series: _,
            thresholds: _,
            warnings,
            failures,
        } = other;
        self.agents += agents;
        self.source_ips = self.source_ips.max(source_ips);
        self.interrupted |= interrupted;
        self.connects.absorb(connects);
        both(&mut self.traffic, traffic, TrafficReport::absorb);
        both(&mut self.chat, chat, |sum, chat| sum.merge(&chat));
        // There is one server, and it drifts for all alike.
        self.soak = self.soak.take().or(soak);
        both(&mut self.disruption, disruption, DisruptionReport::absorb);
        add_counts(&mut self.closes, closes);
        both(&mut self.slow_consumers, slow_consumers, SlowConsumers::absorb);
        add_counts(&mut self.errors, errors);
        self.other_messages += other_messages;
        self.generator.absorb(&generator);
        // There is one server: whoever watched it first tells of it.
        self.server = self.server.take().or(server);
        nodes::absorb(&mut self.nodes, nodes);
        for (texts, others) in [(&mut self.warnings, warnings), (&mut self.failures, failures)] {
            others.into_iter().for_each(|text| {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            });
        }
    }
}

impl Connects {
    /// All connected at the same time, so their rates add up, and the slowest says how long it took.
    fn absorb(&mut self, other: Self) {
        self.ready += other.ready;
        self.failed += other.failed;
        self.seconds = self.seconds.max(other.seconds);
        self.per_second = self.ready as f64 / self.seconds.max(1e-9);
        add_counts(&mut self.failures, other.failures);
        self.latency.merge(&other.latency);
    }
}

impl TrafficReport {
    fn absorb(&mut self, other: Self) {
        self.messages_sent += other.messages_sent;
        self.messages_unsent += other.messages_unsent;
        self.messages_unseen += other.messages_unseen;
        self.deliveries += other.deliveries;
        self.measured_seconds = self.measured_seconds.max(other.measured_seconds);
        self.measured_deliveries += other.measured_deliveries;
        self.deliveries_per_second += other.deliveries_per_second;
        let mut latency = self.histogram.unpack();
        latency.add(&other.histogram.unpack());
        self.latency_ms = latency.percentiles();
        self.latencies = latency.count();
        self.histogram = Packed::of(&latency);
        let Faults { lost, duplicates, order, misrouted, malformed } = other.faults;
        self.faults.lost += lost;
        self.faults.duplicates += duplicates;
        self.faults.order += order;
        self.faults.misrouted += misrouted;
        self.faults.malformed += malformed;
        self.uncompared += other.uncompared;
    }
}

impl SlowConsumers {
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.reading += other.reading;
        self.bytes_read += other.bytes_read;
        add_counts(&mut self.closes, other.closes);
    }
}

impl Generator {
    /// The one with the least to spare counts: it alone may have been too slow.
    fn absorb(&mut self, other: &Self) {
        let add = |a: &Packed, b: &Packed| {
            let mut sum = a.unpack();
            sum.add(&b.unpack());
            sum
        };
        let send_lag = add(&self.send_lag_histogram, &other.send_lag_histogram);
        let loop_lag = add(&self.loop_lag_histogram, &other.loop_lag_histogram);
        let bottleneck = self.bottleneck || other.bottleneck;
        *self = Self::new(self.cpu_share.max(other.cpu_share), &send_lag, &loop_lag);
        self.bottleneck |= bottleneck;
    }
}

impl Server {
    pub(super) fn spread_over(&mut self, deliveries: u64) {
        self.cpu_us_per_delivery = (deliveries > 0).then(|| self.cpu_seconds * 1e6 / deliveries as f64);
    }

    pub(super) fn share_among(&mut self, connections: u64) {
        let growth = self.resident_bytes_after as f64 - self.resident_bytes_before as f64;
        self.bytes_per_connection = (connections > 0).then(|| growth / connections as f64);
    }
}

fn both<T>(sum: &mut Option<T>, other: Option<T>, absorb: impl FnOnce(&mut T, T)) {
    match (sum.as_mut(), other) {
        (Some(sum), Some(other)) => absorb(sum, other),
        (None, other) => *sum = other,
        (Some(_), None) => {}
    }
}

pub(super) fn add_counts(counts: &mut BTreeMap<String, u64>, others: BTreeMap<String, u64>) {
    for (name, count) in others {
        *counts.entry(name).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use crate::measure::{Latency, Recorder, ServerUsage, Servers, Totals};
    use crate::settings::Settings;

    /// What one of the generators found: `ready` connections, latencies of `us`, and `order` faults.
    fn report(ready: u64, us: u64, order: u64, server: bool) -> Report {
        let args = Args::try_parse_from(["loadtest", "--url", "ws://127.0.0.1:1/?token=hidden"]);
        let settings = Settings::from_args(args.expect("valid flags")).expect("valid settings");
        let mut recorder = Recorder::new(Servers::default());
        recorder.begin("measuring", true, Totals::default());
        let mut latency = Latency::new();
        (0..100).for_each(|_| latency.record(us));
        (0..100).for_each(|_| recorder.latency.record(us));
        recorder.end(Totals { connects: ready, deliveries: 100, ..Totals::default() });
        let mut report = Report::new(&settings, &recorder, false);
        let failures = BTreeMap::from([("connection refused".to_owned(), 1)]);
        report.connects = Connects::new(ready, failures, 2.0, &Latency::new());
        report.closes = BTreeMap::from([("4409".to_owned(), 1)]);
        report.traffic = Some(TrafficReport {
            messages_sent: 10,
            messages_unsent: 0,
            messages_unseen: 0,
            deliveries: 100,
            measured_seconds: 1.0,
            measured_deliveries: 100,
            deliveries_per_second: 100.0,
            latency_ms: latency.percentiles(),
            latencies: latency.count(),
            histogram: Packed::of(&latency),
            faults: Faults { order, ..Faults::default() },
            uncompared: 0,
        });
        report.generator = Generator::new(us as f64 / 10_000.0, &latency, &latency);
        let usage = |cpu_ns| ServerUsage { cpu_ns, resident_bytes: 4096 * (1 + cpu_ns) };
        report.server = server.then(|| Server::new([0, 0, 1_000_000].map(usage), 1.0, 100, ready));
        report.judge(&settings.args);
        report
    }

    #[test]
    fn counts_add_up_and_histograms_too() {
        let merged = merge(vec![report(3, 1_000, 0, false), report(5, 9_000, 2, true)]);
        assert_eq!((merged.agents, merged.connects.ready, merged.connects.failed), (2, 8, 2));
        assert_eq!(merged.connects.per_second, 4.0);
        assert_eq!(merged.closes["4409"], 2);
        let traffic = merged.traffic.as_ref().expect("both had traffic");
        assert_eq!((traffic.latencies, traffic.deliveries, traffic.faults.order), (200, 200, 2));
        let rounded = [traffic.latency_ms.p50, traffic.latency_ms.p99].map(f64::round);
        assert_eq!((rounded, traffic.deliveries_per_second), ([1.0, 9.0], 200.0));
        let server = merged.server.as_ref().expect("one of them watched it");
        assert_eq!(server.cpu_us_per_delivery, Some(5.0), "1 ms over the deliveries of both");
        assert_eq!(server.bytes_per_connection, Some(4096.0 * 1e6 / 8.0));
        assert!(merged.generator.bottleneck, "one had a lag of 9 ms");
        assert_eq!(merged.generator.cpu_share, 0.9);
        let points: u64 = merged.series.points.iter().map(|point| point.deliveries).sum();
        assert_eq!(points, 200, "{:?}", merged.series);
        assert!(!merged.passed());
    }

    #[test]
    fn reports_survive_being_written() {
        let mut report = report(3, 1_000, 0, true);
        // A float with all of its digits may come back with another last one.
        for point in &mut report.series.points {
            (point.at_s, point.seconds, point.generator_cpu_share) = (0.5, 1.25, 0.25);
        }
        report.series.phases.iter_mut().for_each(|phase| phase.from_s = 0.5);
        let json = serde_json::to_string(&report).expect("reports are plain values");
        let read: Report = serde_json::from_str(&json).expect("what was written can be read");
        assert_eq!(serde_json::to_string(&read).expect("plain values"), json);
        assert!(!json.contains("hidden"), "{json}");
    }
}
