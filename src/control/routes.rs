//! What the control plane answers to: health, readiness, metrics, and the chat page of `roomcast dev`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use super::health::HealthLimits;
use super::metrics::{self, Sources};
use super::response::{error, retry_later, state};
use super::snapshots::Snapshots;

/// Bytes of a request's body that are read at most.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// The page carries its own style and script and talks to nobody but this gateway.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                           img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";

/// What the routes and the answers to inquiries read.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) snapshots: Snapshots,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) sources: Sources,
    pub(super) limits: HealthLimits,
    pub(super) started: Instant,
    /// Where its clients connect.
    pub(super) addresses: Vec<SocketAddr>,
}

/// The routes; the chat page is at `/`, if there is one.
pub(super) fn router(gateway: Arc<Gateway>, dev_page: Option<String>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape));
    if let Some(html) = dev_page {
        let html = Bytes::from(html);
        router = router.route("/", get(move || async move { chat_page(html) }));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(gateway)
}

/// Whether the process lives: whoever reads the answer knows.
async fn healthz() -> Response {
    state(StatusCode::OK, "ok")
}

/// Whether new clients should come here.
async fn readyz(State(gateway): State<Arc<Gateway>>) -> Response {
    let unready = |reason| retry_later(state(StatusCode::SERVICE_UNAVAILABLE, reason));
    if gateway.draining.load(Ordering::Relaxed) {
        return unready("draining");
    }
    let snapshot = gateway.snapshots.take().await;
    let shedding = snapshot.shards.iter().any(|shard| shard.overload > 0);
    if shedding || snapshot.unresponsive > 0 {
        return unready("overloaded");
    }
    // A node that is alone still serves its clients, and nobody else would: it stays in.
    let alone = gateway.sources.extra.engine.as_ref().is_some_and(|engine| !engine.is_up());
    state(StatusCode::OK, if alone { "degraded" } else { "ready" })
}

async fn scrape(State(gateway): State<Arc<Gateway>>) -> Response {
    let snapshot = gateway.snapshots.take().await;
    match metrics::render(&snapshot, &gateway.sources) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(fault) => {
            tracing::error!(event = "metrics_failed", error = %fault);
            error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written")
        }
    }
}

/// The page holds tokens: no cache keeps it, no other site frames it, no referrer tells of it.
fn chat_page(html: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, html).into_response()
}

/// The answer to what is nowhere.
pub(super) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "there is nothing here")
}

async fn wrong_method() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "this method is not possible here; see Allow")
}
