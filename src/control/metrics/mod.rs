//! The metrics as text, made anew from a snapshot each time that somebody asks.
//!
//! `families` says what each number of a shard is called, `gateway` and `process` what belongs to no shard.

mod families;
mod family;
mod gateway;
mod process;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::Extra;
use super::places::Places;
use super::snapshots::Snapshot;
use family::Families;

/// What [`render`] writes: `prometheus-client` knows the text format only in the form that OpenMetrics gave it, which
/// every Prometheus since 2.5 reads.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the numbers come from that no shard counts.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) extra: Extra,
    pub(super) places: Arc<Places>,
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
    let process = registry.sub_registry_with_prefix("process");
    process.register_collector(Box::new(Families(process::families())));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}
