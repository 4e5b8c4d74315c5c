//! One request, read: who asks, in which namespace, for what.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use roomcast_shards::config::Config;
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::room::name::qualify;
use roomcast_shards::room::pattern::validate_name;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::answer::Failure;
use super::gate::Caller;

/// A body must have come within this time.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of the longest name of a user or an account, so that `user:` before it still makes a room's name.
const USER_BYTES_MAX: usize = 120;
/// Entries of a page.
const PAGE_DEFAULT: usize = 100;
/// Bytes of the longest key that makes a request idempotent.
const IDEMPOTENCY_BYTES_MAX: usize = 128;

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    /// Who asks; nobody needs to for an open endpoint.
    caller: Option<Caller>,
    tenancy: bool,
    parameters: Vec<String>,
    query: Vec<(String, String)>,
    idempotency_key: Option<String>,
    pub(super) body: Bytes,
}

/// A request as one node passes it to another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Passed {
    /// The account that the caller is bound to.
    account: Option<Arc<str>>,
    parameters: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// JSON, unless that was not what came.
    body: String,
}

impl Call {
    /// What another node needs to know to do its part.
    pub(super) fn pass(&self) -> Passed {
        Passed {
            account: self.caller.as_ref().and_then(|caller| caller.account.clone()),
            parameters: self.parameters.clone(),
            query: self.query.clone(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    /// The request that another node has passed on.
    pub(super) fn passed(passed: Passed, tenancy: bool) -> Self {
        let Passed { account, parameters, query, body } = passed;
        let caller = Some(Caller::of_node(account));
        Self { caller, tenancy, parameters, query, idempotency_key: None, body: body.into() }
    }

    /// Whether every name is within an account.
    pub(super) fn tenancy(&self) -> bool {
        self.tenancy
    }

    /// Reads the rest of a request.
    pub(super) async fn read(
        caller: Option<Caller>,
        config: &Config,
        parameters: Vec<String>,
        parts: &Parts,
        body: Option<(Incoming, usize)>,
    ) -> Result<Self, Failure> {
        let query = parts.uri.query().map_or_else(Vec::new, |query| {
            form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into(), value.into())).collect()
        });
        let idempotency_key = match parts.headers.get("idempotency-key").map(|key| key.to_str()) {
            None => None,
            Some(Ok(key)) if (1..=IDEMPOTENCY_BYTES_MAX).contains(&key.len()) => Some(key.to_owned()),
            Some(_) => {
                return Err(CommandError::invalid("Idempotency-Key", "must have 1 to 128 characters").into());
            }
        };
        let body = match body {
            Some((body, bytes_max)) => read_body(body, bytes_max).await?,
            None => Bytes::new(),
        };
        Ok(Self { caller, tenancy: config.tenancy, parameters, query, idempotency_key, body })
    }

    /// The namespace that names are in: with tenancy the account's that the caller is bound to, or that it names.
    pub(super) fn namespace(&self) -> Result<Option<Arc<str>>, Failure> {
        if !self.tenancy {
            return Ok(None);
        }
        let named = self.query("accountId");
        match (self.caller.as_ref().and_then(|caller| caller.account.clone()), named) {
            (Some(own), Some(named)) if *own != *named => {
                Err(Failure::forbidden("the token is another account's"))
            }
            (Some(own), _) => Ok(Some(own)),
            (None, Some(named)) if named.is_empty() || is_user(named) => Ok(Some(named.into())),
            (None, Some(_)) => Err(CommandError::invalid("accountId", "is no usable name").into()),
            (None, None) => {
                Err(CommandError::invalid("accountId", "is required with --tenancy account").into())
            }
        }
    }

    /// Whether the caller may know of all accounts.
    pub(super) fn is_for_all(&self) -> Result<(), Failure> {
        match &self.caller {
            Some(Caller { account: Some(_), .. }) => {
                Err(Failure::forbidden("this shows all accounts: it needs a key"))
            }
            _ => Ok(()),
        }
    }

    /// A parameter of the path.
    pub(super) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", |parameter| parameter)
    }

    /// The room of the path, by its name inside the gateway.
    pub(super) fn room(&self) -> Result<String, Failure> {
        Ok(room_in(self.namespace()?.as_deref(), self.parameter(0))?)
    }

    /// A user of the path, by its name inside the gateway.
    pub(super) fn user(&self, index: usize) -> Result<Arc<str>, Failure> {
        Ok(user_in(self.namespace()?.as_deref(), self.parameter(index), "userId")?)
    }

    /// What makes the request idempotent.
    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// A parameter of the query; of several the last counts.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number of the query.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, CommandError> {
        let parse = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number.ok_or_else(|| CommandError::invalid(name, "must be a whole number from 0"))
        };
        self.query(name).map(parse).transpose()
    }

    /// The size of a page where nothing else is said.
    pub(super) fn page(&self) -> Result<usize, CommandError> {
        self.limit(PAGE_DEFAULT)
    }

    /// The size of a page: from 1 to 1000.
    pub(super) fn limit(&self, default: usize) -> Result<usize, CommandError> {
        match self.number("limit")? {
            None => Ok(default),
            Some(0) => Err(CommandError::invalid("limit", "must be at least 1")),
            Some(limit) => Ok(usize::try_from(limit.min(1000)).unwrap_or(1000)),
        }
    }
}

async fn read_body(body: Incoming, bytes_max: usize) -> Result<Bytes, Failure> {
    match timeout(BODY_TIME_MAX, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::too_large(bytes_max)),
        Ok(Err(_)) => Err(Failure::incomplete("the body is not whole")),
        Err(_) => Err(Failure::incomplete("the body did not come in time")),
    }
}

/// The name of a room inside the gateway.
pub(super) fn room_in(namespace: Option<&str>, local: &str) -> Result<String, CommandError> {
    validate_name(local)
        .map_err(|_| CommandError::invalid("roomId", "must be 1 to 128 bytes of the room alphabet"))?;
    Ok(qualify(namespace, local).into_owned())
}

/// The name of a user inside the gateway.
pub(super) fn user_in(
    namespace: Option<&str>,
    local: &str,
    field: &'static str,
) -> Result<Arc<str>, CommandError> {
    if !is_user(local) {
        return Err(CommandError::invalid(field, "must be 1 to 120 bytes of the room alphabet"));
    }
    Ok(qualify(namespace, local).into())
}

fn is_user(name: &str) -> bool {
    name.len() <= USER_BYTES_MAX && validate_name(name).is_ok()
}
