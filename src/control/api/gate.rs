//! Who may use the server API: whoever has a key of `--api-key-file`, or a token that names `server`.
//!
//! Before anything else of a request is looked at, so that who has no credentials learns of no path.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use roomcast_shards::access::limits::{Bucket, RetryAfter};
use roomcast_shards::access::permission::Identity;
use roomcast_shards::config::{Config, Rate};
use roomcast_shards::protocol::error_code::CommandError;

use super::answer::Failure;
use super::keys::KeyFile;
use super::refused::Refused;
use crate::engine::redis::unix_ms;

/// The right that a token must name.
const RIGHT: &str = "server";
/// Callers whose rates are followed at a time; when there are more, all of them begin anew.
const CALLERS_MAX: usize = 4096;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// A key's name, or a token's user.
    name: Arc<str>,
    /// The account whose namespace the caller is bound to: only with tenancy, and only a token is.
    pub(super) account: Option<Arc<str>>,
}

impl Caller {
    /// Another node, on behalf of somebody whom it has let in.
    pub(super) fn of_node(account: Option<Arc<str>>) -> Self {
        Self { name: "node".into(), account }
    }
}

/// Lets callers in.
pub(super) struct Gate {
    keys: Option<Arc<KeyFile>>,
    config: Arc<Config>,
    rate: Option<Rate>,
    refused: Arc<Refused>,
    buckets: Mutex<HashMap<Arc<str>, Bucket>>,
    started: Instant,
}

impl Gate {
    pub(super) fn new(
        keys: Option<Arc<KeyFile>>,
        config: Arc<Config>,
        rate: Option<Rate>,
        refused: Arc<Refused>,
    ) -> Self {
        Self { keys, config, rate, refused, buckets: Mutex::default(), started: Instant::now() }
    }

    /// Whether anybody could be let in.
    pub(super) fn is_open(&self) -> bool {
        self.keys.is_some() || self.config.verifier.is_some()
    }

    /// Judges a request by its headers.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let presented = credentials(headers)?;
        let caller = match self.keys.as_ref().and_then(|keys| keys.find(presented)) {
            Some(name) => Caller { name, account: None },
            None => self.judge_token(presented)?,
        };
        self.take(&caller)?;
        Ok(caller)
    }

    fn judge_token(&self, token: &str) -> Result<Caller, Failure> {
        let unusable = || Failure::unauthenticated("the credentials are no key and no usable token");
        let verifier = self.config.verifier.as_ref().ok_or_else(unusable)?;
        let now = unix_ms();
        let claims = verifier.verify(token, now).map_err(|_| unusable())?;
        if self.refused.has(&claims, self.config.tenancy, now) {
            return Err(unusable());
        }
        let account = claims.account_id.clone().unwrap_or_default();
        let identity = Identity::from_claims(claims, &self.config.access, self.config.tenancy, "");
        if !identity.names_right(RIGHT) {
            return Err(Failure::forbidden("the token's permissions do not name server"));
        }
        let account = self.config.tenancy.then(|| account.into());
        Ok(Caller { name: Arc::clone(&identity.user), account })
    }

    /// Takes one request from the caller's bucket.
    fn take(&self, caller: &Caller) -> Result<(), CommandError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut buckets = locked(&self.buckets);
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(&caller.name) {
            buckets.clear();
        }
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let taken = match buckets.get_mut(&caller.name) {
            Some(bucket) => bucket.take(rate, now_ms, 1),
            None => buckets.entry(Arc::clone(&caller.name)).or_default().take(rate, now_ms, 1),
        };
        taken.map_err(|retry| match retry {
            RetryAfter::Ms(ms) => CommandError::rate_limited(ms),
            RetryAfter::Never => CommandError::rate_limited(u64::from(u32::MAX)),
        })
    }
}

/// What was presented: in one header, once.
fn credentials(headers: &HeaderMap) -> Result<&str, Failure> {
    let keys = headers.get_all("x-api-key").iter();
    let mut given =
        keys.map(|key| (key, "")).chain(headers.get_all(AUTHORIZATION).iter().map(|it| (it, "bearer ")));
    let (value, scheme) = given.next().ok_or_else(|| {
        Failure::unauthenticated("needs an API key or a token, in Authorization: Bearer or X-API-Key")
    })?;
    if given.next().is_some() {
        return Err(Failure::unauthenticated("there are two headers with credentials"));
    }
    without_scheme(value, scheme)
        .ok_or_else(|| Failure::unauthenticated("the header with the credentials is malformed"))
}

fn without_scheme<'a>(value: &'a HeaderValue, scheme: &str) -> Option<&'a str> {
    let text = value.to_str().ok()?;
    let (given, rest) = text.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim()).filter(|rest| !rest.is_empty())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Gate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Gate").field("keys", &self.keys).field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn credentials_come_in_one_header_once() {
        for lines in [
            [("authorization", "Bearer  abc ")].as_slice(),
            &[("authorization", "bearer abc")],
            &[("x-api-key", "abc")],
        ] {
            assert_eq!(credentials(&headers(lines)).unwrap(), "abc", "{lines:?}");
        }
        for lines in [
            [].as_slice(),
            &[("authorization", "Basic abc")],
            &[("authorization", "Bearer ")],
            &[("authorization", "abc")],
            &[("x-api-key", "")],
            &[("x-api-key", "abc"), ("authorization", "Bearer abc")],
            &[("x-api-key", "abc"), ("x-api-key", "abc")],
        ] {
            assert!(credentials(&headers(lines)).is_err(), "{lines:?}");
        }
    }
}
