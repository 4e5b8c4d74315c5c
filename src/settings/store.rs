//! The durable store's settings.

use std::path::PathBuf;
use std::time::Duration;

use roomcast_shards::config::{HistoryLimits, StoreMode};

use super::layers::{Layers, SettingError};
use super::value;
use crate::store::{Durability, StoreSettings};

/// Share of the store that all histories may take: the log is up to twice as long as what it tells, and is told anew
/// beside itself.
const HISTORY_SHARE: u64 = 3;

/// The store, if there is to be one.
pub(super) fn store(layers: &Layers) -> Result<Option<StoreSettings>, SettingError> {
    let durability = layers
        .parse("durability", value::word(&[("batch", Durability::Batch), ("async", Durability::Async)]))?;
    let commit_ms = layers.parse("commit-interval", value::latency_budget_ms)?;
    let bytes_max = layers.parse("store-max-bytes", value::size(1 << 20..=1 << 50))? as u64;
    let queue_bytes_max = layers.parse("store-queue", value::size(1 << 16..=1 << 40))?;
    let dir = layers.parse_option("store", |text| match text {
        "" => Err("expected a directory".to_owned()),
        dir => Ok(PathBuf::from(dir)),
    })?;
    let commit_interval = Duration::from_millis(commit_ms);
    Ok(dir.map(|dir| StoreSettings { dir, durability, commit_interval, bytes_max, queue_bytes_max }))
}

/// What the store is to the shards.
pub(super) fn mode(store: Option<&StoreSettings>) -> StoreMode {
    match store.map(|store| store.durability) {
        None => StoreMode::Off,
        Some(Durability::Async) => StoreMode::Async,
        Some(Durability::Batch) => StoreMode::Batch,
    }
}

/// Histories must fit the store.
pub(super) fn bound(history: &mut HistoryLimits, store: Option<&StoreSettings>, warnings: &mut Vec<String>) {
    let Some(store) = store else { return };
    let share = usize::try_from(store.bytes_max / HISTORY_SHARE).unwrap_or(usize::MAX);
    if history.total_bytes_max > share {
        warnings.push(format!(
            "--history-total: lowered to {share} bytes, a third of --store-max-bytes, so that the store can hold it"
        ));
        history.total_bytes_max = share;
    }
}
