//! What every backend's table says, whatever it is asked for: where it is, how it is treated, what it is signed with.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};

use super::*;
use crate::backend::signature::Secrets;
use crate::backend::signer::Signer;

/// Durations that make sense: within a minute a client has given up.
const TIME_MS_MAX: u64 = 60_000;
/// Headers that the client sets itself, or that say how a body travels.
const OWN_HEADERS: [&str; 7] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "x-roomcast-timestamp",
    "x-roomcast-signature",
];

pub(in crate::settings) fn read(at: &str, table: &Table) -> Result<EndpointSettings, String> {
    let url = table.get("url").ok_or_else(|| format!("{at}.url: is required"))?;
    let url = parse(&format!("{at}.url"), url, crate::backend::http_client::parse_url)?;
    let answer_bytes_max = one(at, table, "max-response", value::size(1 << 10..=16 << 20))?;
    Ok(EndpointSettings {
        url,
        headers: headers(&format!("{at}.headers"), table.get("headers"))?,
        signer: Arc::default(),
        answer_bytes_max: answer_bytes_max.unwrap_or(ANSWER_BYTES_MAX),
        // As many as may be busy are worth keeping.
        idle_connections_max: one(at, table, "concurrency", value::count(1..=1_000))?
            .unwrap_or(Treatment::default().concurrency),
    })
}

pub(super) fn treatment(at: &str, table: &Table, default: Treatment) -> Result<Treatment, String> {
    let mut treatment = default;
    let time = |key: &str| one(at, table, key, short_duration_ms);
    let number = |key: &str, range| one(at, table, key, value::count(range));
    if let Some(ms) = time("timeout")? {
        treatment.time_max = Duration::from_millis(ms);
    }
    if let Some(count) = number("concurrency", 1..=1_000)? {
        treatment.concurrency = count;
    }
    if let Some(count) = number("queue", 0..=100_000)? {
        treatment.queue = count;
    }
    let idempotent = one(at, table, "idempotent", value::truth)?.unwrap_or(false);
    let retries = number("retries", 0..=10)?;
    treatment.retries = match retries {
        Some(_) if !idempotent => {
            return Err(format!("{at}.retries: needs idempotent = true: a retry may ask the same twice"));
        }
        retries => to_u32(retries.unwrap_or(if idempotent { 2 } else { 0 })),
    };
    let breaker = &mut treatment.breaker;
    if let Some(count) = number("breaker-failures", 1..=1_000_000)? {
        breaker.failures = to_u32(count);
    }
    if let Some(count) = number("breaker-probes", 1..=1_000)? {
        breaker.probes = to_u32(count);
    }
    breaker.window_ms = time("breaker-window")?.unwrap_or(breaker.window_ms);
    breaker.open_ms = time("breaker-open")?.unwrap_or(breaker.open_ms);
    Ok(treatment)
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("the range fits")
}

fn short_duration_ms(text: &str) -> Result<u64, String> {
    match value::some_duration_ms(text)? {
        ms if ms > TIME_MS_MAX => Err("expected at most 1m".to_owned()),
        ms => Ok(ms),
    }
}

pub(in crate::settings) fn one<T>(
    at: &str,
    table: &Table,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    table.get(key).map(|value| parse(&format!("{at}.{key}"), value, read)).transpose()
}

fn headers(at: &str, value: Option<&Value>) -> Result<HeaderMap, String> {
    let table = match value {
        None => return Ok(HeaderMap::new()),
        Some(Value::Table(table)) => table,
        Some(_) => return Err(format!("{at}: expected a table such as {{ X-Name = \"value\" }}")),
    };
    let read = |(name, value): (&String, &Value)| {
        let at = format!("{at}.{name}");
        let header = HeaderName::try_from(name).map_err(|_| format!("{at}: is no name of a header"))?;
        if OWN_HEADERS.contains(&header.as_str()) {
            return Err(format!("{at}: is set by the gateway"));
        }
        // The value may be a secret: it is not repeated.
        let value = value.as_str().and_then(|text| HeaderValue::try_from(text).ok());
        Ok((header, value.ok_or_else(|| format!("{at}: expected a text that a header can hold"))?))
    };
    table.iter().map(read).collect()
}

pub(in crate::settings) fn secret_source(at: &str, table: &Table) -> Result<Option<SecretSource>, String> {
    let text = |key: &str| one(at, table, key, |text| Ok(text.to_owned()));
    match (text("secret-file")?, text("secret-env")?) {
        (Some(_), Some(_)) => Err(format!("{at}.secret-env: cannot be set together with secret-file")),
        (Some(file), None) => Ok(Some(SecretSource::File(file))),
        (None, Some(variable)) => Ok(Some(SecretSource::Variable(variable))),
        (None, None) => Ok(None),
    }
}

/// What signs with the secrets of a source.
pub(in crate::settings) fn signer(
    at: &str,
    source: Option<&SecretSource>,
    warnings: &mut Vec<String>,
) -> Result<Arc<Signer>, String> {
    let (key, signer) = match source {
        None => {
            warnings.push(format!(
                "{at}: requests are not signed, so anybody can ask the backend: set secret-file"
            ));
            return Ok(Arc::default());
        }
        Some(SecretSource::File(path)) => ("secret-file", Signer::of_file(at, path)),
        Some(SecretSource::Variable(name)) => {
            let value = std::env::var(name).map(String::into_bytes);
            let value = value.map_err(|_| format!("the variable {name} is not set, or is no text"));
            let secrets = value.and_then(|text| {
                Secrets::read(&text).map_err(|error| format!("the variable {name} {error}"))
            });
            ("secret-env", secrets.map(Signer::new))
        }
    };
    signer.map(Arc::new).map_err(|error| format!("{at}.{key}: {error}"))
}
