//! A metric family with its series, and how it is written.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use roomcast_shards::metrics::Histogram;

use crate::backend::meter::Durations;

/// What HELP, TYPE and UNIT say of a family.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) kind: MetricType,
    /// Without prefix, unit and `_total`, which are added when it is written.
    pub(super) name: &'static str,
    pub(super) unit: Option<Unit>,
    /// One sentence.
    pub(super) help: &'static str,
}

/// What a series shows now.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    Durations(Histogram),
    /// Durations that are longer than what happens within a shard.
    Waits(Durations),
}

/// The labels of a series, each with its value.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A family and its series.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) head: Head,
    pub(super) series: Vec<(Labels, Value)>,
}

impl Family {
    /// A family of one series without labels.
    pub(super) fn single(
        kind: MetricType,
        name: &'static str,
        unit: Option<Unit>,
        help: &'static str,
        value: Value,
    ) -> Self {
        Self { head: Head { kind, name, unit, help }, series: vec![(Vec::new(), value)] }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Head { kind, name, unit, help } = &self.head;
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
        for (labels, value) in &self.series {
            match kind {
                MetricType::Info => family.encode_info(labels)?,
                _ if labels.is_empty() => encode_value(&mut family, *kind, value)?,
                _ => encode_value(&mut family.encode_family(labels)?, *kind, value)?,
            }
        }
        Ok(())
    }
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: &Value) -> fmt::Result {
    match (kind, value) {
        (MetricType::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, f64>(value, None)
        }
        (MetricType::Counter, Value::Real(value)) => {
            encoder.encode_counter::<NoLabelSet, _, f64>(value, None)
        }
        (_, Value::Whole(value)) => encoder.encode_gauge(value),
        (_, Value::Real(value)) => encoder.encode_gauge(value),
        (_, Value::Durations(histogram)) => encode_durations(encoder, histogram),
        (_, Value::Waits(durations)) => encode_waits(encoder, durations),
    }
}

/// The encoder adds the buckets up; ours hold each observation once, too.
fn encode_durations(encoder: &mut MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let bounds = Histogram::BOUNDS_US.map(seconds).into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets).collect();
    let count = histogram.buckets.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(seconds(histogram.sum_us), count, &buckets, None)
}

fn encode_waits(encoder: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let bounds = Durations::BOUNDS_MS.map(|ms| ms as f64 / 1e3).into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
    let count = durations.buckets.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(durations.sum.as_secs_f64(), count, &buckets, None)
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Families behind one prefix.
#[derive(Debug)]
pub(super) struct Families(pub(super) Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}
