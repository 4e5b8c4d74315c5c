//! The families of the durable store; none without one.

use prometheus_client::metrics::MetricType::{Counter, Gauge, Histogram};
use prometheus_client::registry::Unit;

use super::family::{Family, Value};
use crate::store::StoreMetrics;

/// What the store counts.
pub(super) fn families(store: &StoreMetrics) -> Vec<Family> {
    let numbers = store.numbers();
    let family = |kind, name, unit, help, value| Family::single(kind, name, unit, help, Value::Whole(value));
    let bytes = Some(Unit::Bytes);
    vec![
        family(
            Gauge,
            "store_failed",
            None,
            "1 while the disk cannot be written and what is sent is in memory only, else 0.",
            u64::from(numbers.failed),
        ),
        family(
            Gauge,
            "store_stalled",
            None,
            "1 while the disk has let a commit wait for over 2 s.",
            u64::from(numbers.stalled),
        ),
        family(Counter, "store_errors", None, "Times that the disk could not be written.", numbers.errors),
        family(
            Counter,
            "store_lost_records",
            None,
            "Records that were not written because the disk failed; all state is written anew when it is back.",
            numbers.lost_records,
        ),
        family(Counter, "store_records", None, "Records written.", numbers.records),
        family(Counter, "store_written", bytes, "Bytes written.", numbers.written_bytes),
        family(Gauge, "store_disk", Some(Unit::Bytes), "Bytes of the store's files.", numbers.disk_bytes),
        family(
            Gauge,
            "store_waiting",
            Some(Unit::Bytes),
            "Bytes that wait to be written; beyond --store-queue clients are not read.",
            numbers.waiting_bytes,
        ),
        family(
            Counter,
            "store_compactions",
            None,
            "Times that the log was written anew and its older part removed.",
            numbers.compactions,
        ),
        Family::single(
            Histogram,
            "store_commit",
            Some(Unit::Seconds),
            "Time to write and sync one commit.",
            Value::Durations(numbers.took),
        ),
    ]
}
