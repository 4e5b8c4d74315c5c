//! The exposition, read by a small parser that is stricter than Prometheus.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use roomcast_shards::metrics::Metrics;
use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::ErrorCode;

use super::*;
use crate::listeners::Bus;

#[derive(Debug, Default)]
struct Exposition {
    /// HELP, TYPE and UNIT by family.
    heads: HashMap<String, BTreeMap<String, String>>,
    /// By series: name and labels as written.
    samples: HashMap<String, f64>,
    /// The buckets of a histogram's series in their order: `le` and count.
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Exposition {
    fn parse(text: &str) -> Self {
        let mut exposition = Self::default();
        let body = text.strip_suffix("# EOF\n").expect("ends with EOF");
        let mut family = String::new();
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => family = exposition.head(comment),
                None => exposition.sample(&family, line),
            }
        }
        exposition
    }

    fn head(&mut self, comment: &str) -> String {
        let mut words = comment.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("{comment}")).to_owned();
        let (what, family, value) = (word(), word(), word());
        assert!(["HELP", "TYPE", "UNIT"].contains(&what.as_str()), "{comment}");
        assert!(!value.is_empty(), "{comment}");
        let known = self.heads.entry(family.clone()).or_default().insert(what, value);
        assert!(known.is_none(), "twice: {comment}");
        family
    }

    fn sample(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(self.samples.insert(series.to_owned(), value).is_none(), "twice: {series}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
        let kind = self.heads[family]["TYPE"].as_str();
        let expected: &[&str] = match kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("{other}"),
        };
        assert!(expected.contains(&suffix), "{line} as {kind}");
        if suffix == "_bucket" {
            let (bound, others): (Vec<&str>, Vec<&str>) =
                labels.split(',').partition(|label| label.starts_with("le="));
            let bound = bound[0].trim_start_matches("le=").trim_matches('"').parse().unwrap();
            let series = format!("{family}{{{}}}", others.join(","));
            self.buckets.entry(series).or_default().push((bound, value));
        }
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples.keys()))
    }
}

fn sources() -> Sources {
    let extra = Extra { logs_dropped: || 3, refused: Arc::default(), engine: None, store: None };
    extra.refused.refused_address.store(5, Ordering::Relaxed);
    Sources {
        extra,
        places: Arc::new(Places::new(1)),
        backends: Arc::new(Backends::none()),
        api: Arc::default(),
        bus: Arc::new(Bus::none()),
        emitter: Arc::default(),
    }
}

fn exposition() -> Exposition {
    Exposition::parse(&text())
}

fn text() -> String {
    let mut shards = vec![Metrics::default(); 2];
    shards[1].rooms = 9;
    for (metrics, turns) in shards.iter_mut().zip([1, 3]) {
        metrics.recoveries = 4;
        metrics.recoveries_complete = 3;
        metrics.resets = 1;
        metrics.count_close(CloseCode::SlowConsumer);
        metrics.count_error(ErrorCode::RateLimited);
        for us in [5, 80, 1_000_000].into_iter().cycle().take(turns) {
            metrics.turn.observe(us);
        }
    }
    let snapshot = Snapshot { shards, unresponsive: 1, caught_up: vec![true, false] };
    render(&snapshot, &sources()).unwrap()
}

#[test]
fn every_family_has_help_and_type_and_the_unit_ends_its_name() {
    let exposition = exposition();
    for (family, head) in &exposition.heads {
        assert!(head.contains_key("HELP") && head.contains_key("TYPE"), "{family}: {head:?}");
        assert!(head["HELP"].ends_with('.'), "{family}: {}", head["HELP"]);
        if let Some(unit) = head.get("UNIT") {
            assert!(family.ends_with(&format!("_{unit}")), "{family} in {unit}");
        }
        assert!(family.starts_with("roomcast_") || family.starts_with("process_"), "{family}");
    }
}

#[test]
fn no_sample_could_belong_to_two_families() {
    let exposition = exposition();
    let mut names = HashSet::new();
    for (family, head) in &exposition.heads {
        let suffixes: &[&str] = match head["TYPE"].as_str() {
            "counter" => &["", "_total", "_created"],
            "histogram" => &["", "_bucket", "_sum", "_count", "_created"],
            "info" => &["", "_info"],
            _ => &[""],
        };
        for suffix in suffixes {
            assert!(names.insert(format!("{family}{suffix}")), "{family}{suffix} is taken");
        }
    }
}

#[test]
fn numbers_are_by_shard_and_reasons_are_added_up() {
    let exposition = exposition();
    for (series, expected) in [
        ("roomcast_rooms{shard=\"0\"}", 0.0),
        ("roomcast_rooms{shard=\"1\"}", 9.0),
        ("roomcast_connections_closed_total{reason=\"slow_consumer\"}", 2.0),
        ("roomcast_connections_closed_total{reason=\"reset\"}", 2.0),
        ("roomcast_errors_sent_total{code=\"RATE_LIMITED\"}", 2.0),
        ("roomcast_recoveries_total{result=\"complete\"}", 6.0),
        ("roomcast_recoveries_total{result=\"incomplete\"}", 2.0),
        ("roomcast_connections_refused_total{reason=\"address\"}", 5.0),
        ("roomcast_shards_unresponsive", 1.0),
        ("roomcast_logs_dropped_total", 3.0),
        (concat!("roomcast_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(exposition.value(series), expected, "{series}");
    }
    assert!(exposition.value("process_resident_memory_bytes") > 1e5);
    assert!(exposition.value("process_start_time_seconds") > 1.7e9);
    assert!(exposition.value("process_open_fds") >= 3.0);
}

#[test]
fn histograms_are_cumulative_and_end_with_all() {
    let exposition = exposition();
    assert_eq!(exposition.buckets.len(), 4, "two families, two shards");
    for (series, buckets) in &exposition.buckets {
        let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(buckets.windows(2).all(rises), "{series}: {buckets:?}");
        let (bound, count) = *buckets.last().unwrap();
        assert_eq!(bound, f64::INFINITY, "{series}");
        assert_eq!(count, exposition.value(&series.replace('{', "_count{")), "{series}");
    }
    let turns = &exposition.buckets["roomcast_loop_turn_seconds{shard=\"1\"}"];
    let at = |bound: f64| turns.iter().find(|(known, _)| *known == bound).unwrap().1;
    assert_eq!([at(1e-5), at(1e-4), at(0.25), at(f64::INFINITY)], [1.0, 2.0, 2.0, 3.0]);
    assert_eq!(exposition.value("roomcast_loop_turn_seconds_sum{shard=\"1\"}"), 1.000_085);
}

#[test]
fn samples_are_those_of_the_exposition_less_the_buckets() {
    let text = text();
    let (samples, exposition) = (samples(&text), Exposition::parse(&text));
    for (series, value) in &samples {
        assert_eq!(value.as_f64(), Some(exposition.value(series)), "{series}");
    }
    let left_out = exposition.samples.keys().filter(|series| !samples.contains_key(*series));
    assert!(left_out.clone().all(|series| series.contains("_bucket{")), "{left_out:?}");
    assert_eq!(samples["roomcast_rooms{shard=\"1\"}"], 9);
    assert_eq!(samples["roomcast_loop_turn_seconds_count{shard=\"1\"}"], 3);
}
