//! Why a backend gave no answer that counts.

use std::borrow::Cow;

use hyper::StatusCode;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};

use super::http_client::CallError;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Too many wait for this backend.
    QueueFull,
    /// It failed so often that it is left alone for a while.
    BreakerOpen,
    /// The call failed.
    Call(CallError),
    /// It says that it cannot, or says something that it should not.
    Status(StatusCode),
    /// Its answer is not what the documentation wants.
    Malformed,
}

impl Failure {
    /// Every reason, as metrics name it.
    pub(crate) const REASONS: [&str; 8] = [
        "queue_full",
        "breaker_open",
        "connect",
        "timeout",
        "connection",
        "too_large",
        "status",
        "malformed",
    ];

    /// The reason, in metrics and in `details.reason`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::BreakerOpen => "breaker_open",
            Self::Call(CallError::Connect) => "connect",
            Self::Call(CallError::Timeout) => "timeout",
            Self::Call(CallError::Broken) => "connection",
            Self::Call(CallError::TooLarge) => "too_large",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
        }
    }

    /// Whether the breaker counts it: not what says that the backend lives and has enough to do.
    pub(crate) fn is_the_backends(self) -> bool {
        match self {
            Self::QueueFull | Self::BreakerOpen => false,
            Self::Call(_) | Self::Malformed => true,
            Self::Status(status) => status != StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// What a client is told whose request could not be answered by the backend of that name.
    pub(crate) fn error(self, backend: &str) -> CommandError {
        let message: Cow<'static, str> = match self {
            Self::QueueFull => "too many requests wait for the backend".into(),
            Self::BreakerOpen => "the backend fails and is left alone for a while".into(),
            Self::Call(CallError::Timeout) => "the backend did not answer in time".into(),
            Self::Call(CallError::Connect) => "the backend cannot be reached".into(),
            Self::Call(_) | Self::Malformed => "the backend gave no proper answer".into(),
            Self::Status(status) => format!("the backend answered {}", status.as_u16()).into(),
        };
        CommandError::new(ErrorCode::ServerError, message)
            .with("component", Detail::Text(backend.to_owned().into()))
            .with("reason", Detail::Text(self.reason().into()))
    }
}
