//! The requests of one connection: what is answered before any route is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::{CONTENT_LENGTH, UPGRADE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use tower::ServiceExt;

use super::api::Api;
use super::places::Place;
use super::response::{closing, elsewhere, error, retry_later};
use super::routes::{BODY_BYTES_MAX, not_found};

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All routes, over the control plane's own listener.
    Listener,
    /// All routes, over a connection that a shard handed over.
    HandedOver,
    /// Nothing, over a connection that a shard handed over: the routes are on another address.
    Elsewhere,
    /// Nothing: there are too many connections.
    Full,
}

/// One connection's visit to the routes.
#[derive(Debug)]
pub(super) struct Visit {
    access: Access,
    router: Router,
    api: Arc<Api>,
    place: Place,
    /// Whether a request came before.
    spoke: AtomicBool,
    began: Instant,
    /// Milliseconds from then to the last request or the end of its answer.
    active_ms: AtomicU64,
}

impl Visit {
    pub(super) fn new(access: Access, router: Router, api: Arc<Api>, place: Place) -> Self {
        let spoke = AtomicBool::new(false);
        Self { access, router, api, place, spoke, began: Instant::now(), active_ms: AtomicU64::new(0) }
    }

    /// Whether the connection has been here, or idle, for longer than it may.
    pub(super) fn is_over(&self, time_max: Duration, idle_max: Duration) -> bool {
        let lasted = self.began.elapsed();
        let idle = lasted.saturating_sub(Duration::from_millis(self.active_ms.load(Ordering::Relaxed)));
        !self.place.stays() && (lasted >= time_max || idle >= idle_max)
    }

    fn note_active(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active_ms.store(ms, Ordering::Relaxed);
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response {
        let response = self.respond(request).await;
        self.note_active();
        // Whoever asks again over another connection finds another node, or the process that follows.
        if self.api.is_draining() { closing(response) } else { response }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response {
        let spoke = self.spoke.swap(true, Ordering::Relaxed);
        if let Some(refusal) = refusal(self.access, spoke, request.headers()) {
            return refusal;
        }
        if spoke && self.access != Access::Listener && request.uri().path() == "/socket.io/" {
            // A shard serves it, and the connection cannot go back there: the client asks again over another one.
            return closing(elsewhere(request.uri()));
        }
        if self.access == Access::Elsewhere {
            return not_found().await;
        }
        if Api::has(request.uri().path()) {
            let (response, admitted) = self.api.answer(request).await;
            if admitted {
                self.place.promote();
            }
            return response;
        }
        if declared_bytes(request.headers()).is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
            return closing(error(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB"));
        }
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

/// Why a request is not even looked at, if so.
fn refusal(access: Access, spoke: bool, headers: &HeaderMap) -> Option<Response> {
    if access == Access::Full {
        let full = error(StatusCode::SERVICE_UNAVAILABLE, "too many HTTP connections");
        return Some(closing(retry_later(full)));
    }
    // A shard reads the first head and keeps what it serves, so only a later one can be meant for it; and then the
    // connection cannot go back.
    if spoke && access != Access::Listener && wants_websocket(headers) {
        let message = "a WebSocket needs a connection of its own: this one has carried plain HTTP";
        return Some(closing(error(StatusCode::MISDIRECTED_REQUEST, message)));
    }
    None
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case("websocket"))
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
