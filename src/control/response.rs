//! The forms of an answer: JSON for states and errors, and when to come back.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONNECTION, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Seconds after which a client that was sent away may ask again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// A state of the gateway, never to be cached: `{"status":…}`.
pub(super) fn state(status: StatusCode, text: &'static str) -> Response {
    let no_store = [(CACHE_CONTROL, "no-store")];
    (status, no_store, Json(json!({ "status": text }))).into_response()
}

/// An error in the words of the shards' refusals: `{"status":"error","code":…,"message":…}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({ "status": "error", "code": status.as_u16(), "message": message });
    (status, Json(body)).into_response()
}

/// Sends a client to the same place, by the same method, once more.
pub(super) fn elsewhere(uri: &Uri) -> Response {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, target)]).into_response()
}

/// The same response telling when to come back.
pub(super) fn retry_later(mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    response
}

/// The same response as the connection's last.
pub(super) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
