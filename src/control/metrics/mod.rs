//! The metrics as text, made anew from a snapshot each time that somebody asks.
//!
//! `families` says what each number of a shard is called, `gateway`, `backends`, `listeners` and `process` what belongs to
//! no shard.

mod backends;
mod families;
mod family;
mod gateway;
mod listeners;
mod process;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::{Map, Number, Value};

use super::Extra;
use super::api::Counts;
use super::places::Places;
use super::snapshots::Snapshot;
use crate::backend::Backends;
use crate::emitter::EmitterCounts;
use crate::listeners::Bus;
pub(super) use families::{auth_failures, closes, errors};
use family::Families;
pub(super) use process::Usage;

/// What [`render`] writes: `prometheus-client` knows the text format only in the form that OpenMetrics gave it, which
/// every Prometheus since 2.5 reads.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the numbers come from that no shard counts.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) extra: Extra,
    pub(super) places: Arc<Places>,
    pub(super) backends: Arc<Backends>,
    pub(super) api: Arc<Counts>,
    pub(super) bus: Arc<Bus>,
    pub(super) emitter: Arc<EmitterCounts>,
}

/// Writes all families.
///
/// # Errors
/// [`fmt::Error`] if a number has no textual form, which none of ours lacks.
pub(super) fn render(snapshot: &Snapshot, sources: &Sources) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let gateway = registry.sub_registry_with_prefix("roomcast");
    gateway.register_collector(Box::new(Families(families::of_shards(&snapshot.shards))));
    gateway.register_collector(Box::new(Families(gateway::families(snapshot, sources))));
    gateway.register_collector(Box::new(Families(backends::families(&sources.backends.reports()))));
    if let Some(store) = &sources.extra.store {
        gateway.register_collector(Box::new(Families(store::families(store))));
    }
    gateway
        .register_collector(Box::new(Families(listeners::families(&sources.bus.report(), &sources.emitter))));
    let process = registry.sub_registry_with_prefix("process");
    process.register_collector(Box::new(Families(process::families())));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// The samples of an exposition by their series, as the exposition names them. Buckets of histograms are left out: they
/// are most of the text, and whoever draws them asks `/metrics`.
pub(super) fn samples(exposition: &str) -> Map<String, Value> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.rsplit_once(' '));
    samples
        .filter(|(series, _)| !series.contains("_bucket{"))
        // What is no JSON number is no finite number either.
        .filter_map(|(series, value)| Some((series.to_owned(), Value::Number(value.parse::<Number>().ok()?))))
        .collect()
}
