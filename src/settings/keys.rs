//! From the `--auth` and `--jwt-*` settings to the verifier.

use std::fs::File;
use std::io::Read;

use roomcast_shards::access::token::{Algorithm, KeySource, Verifier, VerifierSettings};
use roomcast_shards::config::AuthMode;

use super::layers::{Layers, SettingError};
use super::value;

/// Bytes below which a secret can be guessed by trying (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// More than any key set takes.
const KEY_BYTES_MAX: u64 = 1 << 20;

/// The settings that name a key.
const KEYS: [&str; 4] = ["jwt-secret", "jwt-secret-file", "jwt-public-key-file", "jwks"];

/// All that make no sense without tokens. The leeway is not among them: it has a default, so it is in every file
/// that `roomcast config` prints.
const ALL: [&str; 7] = [
    "jwt-secret",
    "jwt-secret-file",
    "jwt-public-key-file",
    "jwks",
    "jwt-algorithm",
    "jwt-issuer",
    "jwt-audience",
];

/// Whether tokens are required, once it is sure that the settings do not contradict each other.
///
/// # Errors
/// [`SettingError`] naming both settings that do.
pub(super) fn mode(layers: &Layers) -> Result<AuthMode, SettingError> {
    let words = [("required", AuthMode::Required), ("off", AuthMode::Off)];
    let mode = layers.parse("auth", value::word(&words))?;
    layers.parse("jwt-leeway", value::duration_ms)?;
    layers.parse_option("jwt-algorithm", algorithm)?;
    if mode == AuthMode::Off
        && let Some(name) = ALL.iter().find(|name| layers.is_given(name))
    {
        return Err(layers.error(name, format!("has no effect with {} off", layers.named("auth"))));
    }
    if layers.is_given("jwt-secret") && layers.is_given("jwt-secret-file") {
        let other = layers.named("jwt-secret-file");
        return Err(layers.error("jwt-secret", format!("cannot be set together with {other}")));
    }
    Ok(mode)
}

/// Reads the key files and prepares the verifier; adds to `warnings` what is allowed but unwise.
///
/// # Errors
/// [`SettingError`] when there is no key, or one cannot be read or used.
pub(super) fn verifier(layers: &Layers, warnings: &mut Vec<String>) -> Result<Verifier, SettingError> {
    let mut sources = Vec::new();
    if let Some(secret) = secret(layers)? {
        if secret.len() < SECRET_BYTES_MIN {
            let name = if layers.is_given("jwt-secret-file") { "jwt-secret-file" } else { "jwt-secret" };
            let length = secret.len();
            warnings.push(format!(
                "{}: a secret of {length} bytes can be guessed; use at least {SECRET_BYTES_MIN}",
                layers.named(name)
            ));
        }
        sources.push(KeySource::Secret(secret));
    }
    if let Some(pem) = file(layers, "jwt-public-key-file")? {
        sources.push(KeySource::PublicKeyPem(pem));
    }
    if let Some(set) = file(layers, "jwks")? {
        let text = String::from_utf8(set).map_err(|_| layers.error("jwks", "the file is no UTF-8"))?;
        sources.push(KeySource::Jwks(text));
    }
    if sources.is_empty() {
        return Err(layers.error(
            "auth",
            "required needs one of --jwt-secret, --jwt-secret-file, --jwt-public-key-file or --jwks; \
             roomcast dev needs none",
        ));
    }
    let settings = VerifierSettings {
        keys: sources,
        algorithm: layers.parse_option("jwt-algorithm", algorithm)?,
        issuer: layers.texts("jwt-issuer").last().cloned(),
        audience: layers.texts("jwt-audience").to_vec(),
        leeway_s: layers.parse("jwt-leeway", value::duration_ms)?.div_ceil(1000),
    };
    Verifier::new(settings).map_err(|error| {
        let given: Vec<String> = std::iter::once("jwt-algorithm")
            .chain(KEYS)
            .filter(|name| layers.is_given(name))
            .map(|name| layers.named(name))
            .collect();
        SettingError(format!("{}: {error}", given.join(", ")))
    })
}

/// The secret, wherever it is.
///
/// # Errors
/// [`SettingError`] when the file cannot be read.
pub(super) fn secret(layers: &Layers) -> Result<Option<Vec<u8>>, SettingError> {
    match layers.texts("jwt-secret").last() {
        Some(text) => Ok(Some(text.clone().into_bytes())),
        None => Ok(file(layers, "jwt-secret-file")?.map(without_line_end)),
    }
}

/// The secret of a file: editors end the last line, and no one means that.
pub(crate) fn without_line_end(mut secret: Vec<u8>) -> Vec<u8> {
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
    secret
}

/// An algorithm by its registered name.
///
/// # Errors
/// The text for the operator.
pub(crate) fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|_| format!("expected an algorithm such as HS256, RS256 or EdDSA, got {text:?}"))
}

fn file(layers: &Layers, name: &str) -> Result<Option<Vec<u8>>, SettingError> {
    layers.parse_option(name, read_key)
}

/// Reads a file with a key or secret.
///
/// # Errors
/// The text for the operator, also when the file is larger than any key: it is another file then, or has no end.
pub(crate) fn read_key(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read {path}: {error}"))?;
    if bytes.len() as u64 > KEY_BYTES_MAX {
        return Err(format!("{path} is no key file: it has more than {KEY_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}
