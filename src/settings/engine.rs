//! `--engine` and what belongs to it.

use std::time::Duration;

use roomcast_shards::config::Config;

use super::layers::{Layers, SettingError};
use super::value;
use crate::engine::redis::RedisSettings;
use crate::engine::redis::connect::Address;

/// Less than this a node could not say in time that it lives.
const LEASE_MS_MIN: u64 = 500;

/// The Redis that several nodes share, if they do.
///
/// # Errors
/// [`SettingError`] when it is no URL of one, or the lease too short.
pub(super) fn redis(layers: &Layers, config: &Config) -> Result<Option<RedisSettings>, SettingError> {
    let address = layers.parse("engine", |text| match text {
        "memory" => Ok(None),
        url => Address::parse(url).map(Some).map_err(|error| format!("expected memory, or a Redis: {error}")),
    })?;
    let prefix = layers.parse("engine-prefix", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
            return Err(format!("expected up to 64 letters, digits, and - _ . :, got {text:?}"));
        }
        Ok(text.to_owned())
    })?;
    let lease_ms = layers.parse("engine-lease", value::some_duration_ms)?;
    if lease_ms < LEASE_MS_MIN {
        return Err(layers.error("engine-lease", format!("expected at least {LEASE_MS_MIN}ms")));
    }
    let ttl_ms = config.history.ttl_ms;
    Ok(address.map(|address| RedisSettings {
        address,
        prefix,
        lease: Duration::from_millis(lease_ms),
        ttl_ms,
        queue_ttl_ms: config.queue_ttl_ms.max(ttl_ms),
        card: format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")),
    }))
}
