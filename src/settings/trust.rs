//! `--ca-file`: whom to trust besides.

use super::layers::Layers;
use super::{SettingError, Settings, read_key};
use crate::engine::redis::connect::Address;
use crate::listeners::SinkSettings;
use crate::trust::Authorities;

/// Reads the file, if there is one, and has whatever is reached by TLS trust it.
///
/// # Errors
/// [`SettingError`] when it cannot be read, or holds what is no certificate.
pub(super) fn trust(layers: &Layers, settings: &mut Settings) -> Result<(), SettingError> {
    let read = |path: &str| {
        let text = read_key(path)?;
        Authorities::read(&text).map_err(|error| format!("{path} {error}"))
    };
    let Some(authorities) = layers.parse_option("ca-file", read)? else { return Ok(()) };
    for address in redises(settings) {
        address.trust(&authorities).map_err(|error| layers.error("ca-file", error))?;
    }
    settings.authorities = authorities;
    Ok(())
}

/// Every Redis that the settings name.
fn redises(settings: &mut Settings) -> impl Iterator<Item = &mut Address> {
    let engine = settings.engine.iter_mut().map(|engine| &mut engine.address);
    let emitter = settings.emitter.iter_mut().map(|emitter| &mut emitter.address);
    let source = settings.listeners.source.iter_mut().map(|source| &mut source.address);
    let sinks = settings.listeners.listeners.iter_mut().filter_map(|listener| match &mut listener.sink {
        SinkSettings::Stream(stream, _) => Some(&mut stream.address),
        _ => None,
    });
    engine.chain(emitter).chain(source).chain(sinks)
}
