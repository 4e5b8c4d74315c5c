//! What the server API answers with: JSON, in the words of the registry of errors (protocol §2) when it fails.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use roomcast_shards::protocol::profile::PROFILES;
use roomcast_shards::protocol::reply::Reply;
use roomcast_shards::protocol::write;

/// A status and a JSON text.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Vec<u8>,
}

/// Why a request failed: an error of the registry, and its status where that does not follow from the code.
#[derive(Debug)]
pub(super) struct Failure {
    error: CommandError,
    status: Option<StatusCode>,
    allow: Option<String>,
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self { error, status: None, allow: None }
    }
}

impl Answer {
    pub(super) fn new(status: u16, json: Vec<u8>) -> Self {
        Self { status, json }
    }

    /// What a client of the event dialect would be replied.
    pub(super) fn reply(reply: &Reply) -> Self {
        let mut json = Vec::with_capacity(256);
        reply.write_data(&mut json, 0);
        Self { status: 200, json }
    }

    pub(super) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        response(status, self.json)
    }
}

impl Failure {
    fn with_status(status: StatusCode, error: CommandError) -> Self {
        Self { error, status: Some(status), allow: None }
    }

    /// There are no credentials, or no good ones.
    pub(super) fn unauthenticated(message: &'static str) -> Self {
        CommandError::new(ErrorCode::AuthFailed, message).into()
    }

    /// The credentials do not allow it.
    pub(super) fn forbidden(message: &'static str) -> Self {
        CommandError::new(ErrorCode::PermissionDenied, message).into()
    }

    /// There is nothing at this path.
    pub(super) fn not_found(message: &'static str) -> Self {
        Self::with_status(StatusCode::NOT_FOUND, CommandError::protocol(message))
    }

    /// What is there takes other methods.
    pub(super) fn wrong_method(allow: String) -> Self {
        let error = CommandError::protocol("this method is not possible here; see Allow");
        Self { allow: Some(allow), ..Self::with_status(StatusCode::METHOD_NOT_ALLOWED, error) }
    }

    /// The body is too large.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let error = CommandError::new(ErrorCode::InvalidPayload, "the body is too large")
            .with("limit", Detail::Number(bytes_max as u64));
        Self::with_status(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// The body did not come in time, or not whole.
    pub(super) fn incomplete(message: &'static str) -> Self {
        Self::with_status(StatusCode::REQUEST_TIMEOUT, CommandError::protocol(message))
    }

    /// The same, as another node is told it.
    pub(super) fn into_answer(self) -> Answer {
        let status = self.status.unwrap_or_else(|| status_of(&self.error));
        let mut json = Vec::with_capacity(192);
        write::error_data(&mut json, &PROFILES[0], &self.error);
        Answer { status: status.as_u16(), json }
    }

    pub(super) fn into_response(self) -> Response {
        let Self { error, status, allow } = self;
        let status = status.unwrap_or_else(|| status_of(&error));
        let mut json = Vec::with_capacity(192);
        write::error_data(&mut json, &PROFILES[0], &error);
        let mut response = response(status, json);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s(&error)));
        }
        response
    }
}

fn response(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status_of(error: &CommandError) -> StatusCode {
    match error.code {
        ErrorCode::AuthFailed => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied | ErrorCode::RoomAccessDenied => StatusCode::FORBIDDEN,
        ErrorCode::ChannelError => StatusCode::NOT_FOUND,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::InvalidPayload | ErrorCode::ProtocolError => StatusCode::BAD_REQUEST,
        // It contradicts what there is.
        ErrorCode::ClientError => StatusCode::CONFLICT,
        ErrorCode::ConnectionLost => StatusCode::GONE,
        // Something that the gateway needs is not there, or has no room.
        ErrorCode::ServerError => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whole seconds, as the header wants them.
fn retry_after_s(error: &CommandError) -> u64 {
    let ms = error.details.iter().find_map(|(key, value)| match value {
        Detail::Number(ms) if *key == "retryAfterMs" => Some(*ms),
        _ => None,
    });
    ms.unwrap_or(1000).div_ceil(1000).max(1)
}
