//! Settings of the server API.

use std::sync::Arc;

use super::layers::Layers;
use super::{SettingError, value};
use crate::control::{ApiSettings, KeyFile};

/// Reads them, but for the keys.
pub(super) fn without_keys(layers: &Layers) -> Result<ApiSettings, SettingError> {
    Ok(ApiSettings {
        keys: None,
        rate: layers.parse("limit-api", value::rate)?,
        body_bytes_max: layers.parse("api-max-body", value::size(1 << 10..=256 << 20))?,
        connections_max: layers.parse("api-connections", value::count(0..=1 << 16))?,
    })
}

/// Reads the file with the keys, if there is one.
pub(super) fn keys(layers: &Layers) -> Result<Option<Arc<KeyFile>>, SettingError> {
    let path = layers.parse_option("api-key-file", |text| Ok::<_, String>(text.to_owned()))?;
    let Some(path) = path else { return Ok(None) };
    match KeyFile::open(path.clone().into()) {
        Ok(file) => Ok(Some(Arc::new(file))),
        Err(error) => Err(layers.error("api-key-file", format!("{path}: {error}"))),
    }
}
