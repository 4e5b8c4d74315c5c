//! The server API: what the services behind the gateway ask of it, under `/v1/`.
//!
//! `gate` judges who asks, before `router` looks at the path; `call` reads the rest of a request, `handlers` do what
//! it asks for, `answer` says what became of it. `table` is the one list of endpoints; `openapi` describes them.
//! `refused` knows who is blocked or revoked, for this node and all others; `spread` has other nodes do their part of what
//! concerns them too. `gateway` is the way into the data plane and back, for whoever on this thread has something to say there.

mod answer;
mod call;
mod gate;
mod gateway;
mod handlers;
mod keys;
pub(crate) mod openapi;
mod publication;
mod refused;
mod router;
mod spread;
mod table;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use roomcast_shards::config::{Config, Rate};
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::json::{JsonError, Parser, Value};

use super::cluster::Cluster;
use super::routes::Gateway;
use crate::engine::redis::revoked::Change;
use crate::listeners::Bus;
use answer::{Answer, Failure};
use call::Call;
use gate::{Caller, Gate};
pub(super) use gateway::{Counts, Owners, QUESTIONS_MAX};
pub(crate) use gateway::{DataPlane, Publish};
pub(crate) use keys::KeyFile;
pub(crate) use publication::Publication;
use refused::Refused;
use router::Found;

/// What the server API is told by the settings.
#[derive(Debug, Default)]
pub(crate) struct ApiSettings {
    /// Keys that are let in.
    pub(crate) keys: Option<Arc<KeyFile>>,
    /// Requests of each caller.
    pub(crate) rate: Option<Rate>,
    /// Bytes of the largest body.
    pub(crate) body_bytes_max: usize,
    /// Connections of callers at a time.
    pub(crate) connections_max: usize,
}

/// The server API.
pub(super) struct Api {
    gate: Gate,
    config: Arc<Config>,
    body_bytes_max: usize,
    data_plane: Arc<DataPlane>,
    gateway: Arc<Gateway>,
    bus: Arc<Bus>,
    refused: Arc<Refused>,
    /// The other nodes, if there may be any.
    cluster: Option<Arc<Cluster>>,
    parser: Mutex<Parser>,
}

impl Api {
    pub(super) fn new(
        settings: &ApiSettings,
        config: Arc<Config>,
        data_plane: Arc<DataPlane>,
        gateway: Arc<Gateway>,
        bus: Arc<Bus>,
        (known, cluster): (Vec<Change>, Option<Arc<Cluster>>),
    ) -> Self {
        let refused = Arc::new(Refused::new(known, Arc::clone(&data_plane), cluster.clone()));
        Self {
            gate: Gate::new(settings.keys.clone(), Arc::clone(&config), settings.rate, Arc::clone(&refused)),
            refused,
            cluster,
            body_bytes_max: settings.body_bytes_max,
            data_plane,
            gateway,
            bus,
            parser: Mutex::new(Parser::new(config.limits.depth_max)),
            config,
        }
    }

    /// Whether a path is the server API's.
    pub(super) fn has(path: &str) -> bool {
        path == "/v1" || path.starts_with("/v1/")
    }

    /// Whether the gateway goes away.
    pub(super) fn is_draining(&self) -> bool {
        self.gateway.draining.load(Ordering::Relaxed)
    }

    /// Answers one request; and whether it came with good credentials.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> (Response, bool) {
        let (parts, body) = request.into_parts();
        if !self.gate.is_open() {
            let off = "the server API is off: it needs --api-key-file, or keys for tokens";
            return (self.count(Failure::not_found(off).into_response()), false);
        }
        let found = router::find(parts.method.as_str(), parts.uri.path());
        let is_open = matches!(&found, Found::Endpoint(endpoint, _) if endpoint.is_open());
        let caller = match self.gate.admit(&parts.headers) {
            Ok(caller) => Some(caller),
            Err(_) if is_open => None,
            Err(failure) => return (self.count(failure.into_response()), false),
        };
        let admitted = caller.is_some();
        let answered = self.serve(found, caller, &parts, body).await;
        let response = answered.map_or_else(Failure::into_response, Answer::into_response);
        (self.count(response), admitted)
    }

    async fn serve(
        &self,
        found: Found,
        caller: Option<Caller>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Answer, Failure> {
        let (endpoint, parameters) = match found {
            Found::Endpoint(endpoint, parameters) => (endpoint, parameters),
            Found::WrongMethod(allow) => return Err(Failure::wrong_method(allow)),
            Found::Nothing => return Err(Failure::not_found("there is nothing at this path")),
        };
        if declared_bytes(&parts.headers).is_some_and(|bytes| bytes > self.body_bytes_max as u64) {
            return Err(Failure::too_large(self.body_bytes_max));
        }
        let body = endpoint.body.map(|_| (body, self.body_bytes_max));
        let call = Call::read(caller, &self.config, parameters, parts, body).await?;
        self.spread(endpoint.route, &call).await
    }

    /// Parses a body, which must be an object; an empty one is an object without members.
    fn parse<T>(
        &self,
        body: &[u8],
        read: impl FnOnce(Value<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        let parsed = parser.parse(body, |value| match value.is_object() {
            true => read(value),
            false => Err(CommandError::protocol("the body must be a JSON object")),
        });
        parsed.unwrap_or_else(|error| {
            Err(CommandError::protocol(match error {
                JsonError::Syntax => "the body is not valid JSON",
                JsonError::Depth => "the body is nested too deep",
            }))
        })
    }

    fn count(&self, mut response: Response) -> Response {
        let counts = self.data_plane.counts();
        let counter = match response.status().as_u16() {
            200..400 => &counts.succeeded,
            400..500 => &counts.refused,
            _ => &counts.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // What is left of a body would be read as the next request.
        if matches!(response.status().as_u16(), 408 | 413) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl fmt::Debug for Api {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Api").field("gate", &self.gate).finish_non_exhaustive()
    }
}
