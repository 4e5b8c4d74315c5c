//! Why a command failed, as a client is told (protocol §2). One registry for all dialects.

use std::borrow::Cow;

/// The codes of protocol §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The token is unusable, or there is none yet.
    AuthFailed,
    /// Not allowed this event.
    PermissionDenied,
    /// Not allowed in this room, or not a member.
    RoomAccessDenied,
    /// The room is unknown, full or closing.
    ChannelError,
    /// A bucket is empty.
    RateLimited,
    /// `data` fails validation.
    InvalidPayload,
    /// Not a frame of this dialect.
    ProtocolError,
    /// Contradicts the state.
    ClientError,
    /// Recovery is impossible.
    ConnectionLost,
    /// A component is unavailable.
    ServerError,
}

impl ErrorCode {
    /// Every code, in the order of the registry; a code's position is its metric index.
    pub const ALL: [Self; 10] = [
        Self::AuthFailed,
        Self::PermissionDenied,
        Self::RoomAccessDenied,
        Self::ChannelError,
        Self::RateLimited,
        Self::InvalidPayload,
        Self::ProtocolError,
        Self::ClientError,
        Self::ConnectionLost,
        Self::ServerError,
    ];

    /// The code as it travels, and as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthFailed => "AUTH_FAILED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::RoomAccessDenied => "ROOM_ACCESS_DENIED",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::RateLimited => "RATE_LIMITED",
            Self::InvalidPayload => "INVALID_PAYLOAD",
            Self::ProtocolError => "PROTOCOL_ERROR",
            Self::ClientError => "CLIENT_ERROR",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::ServerError => "SERVER_ERROR",
        }
    }

    /// The number that goes with the code.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::AuthFailed => 401,
            Self::PermissionDenied | Self::RoomAccessDenied => 403,
            Self::ChannelError => 404,
            Self::RateLimited => 429,
            Self::InvalidPayload | Self::ProtocolError | Self::ClientError => 400,
            Self::ConnectionLost => 410,
            Self::ServerError => 500,
        }
    }

    /// Whether the same request may succeed later on this connection.
    #[must_use]
    pub fn recoverable(self) -> bool {
        !matches!(
            self,
            Self::AuthFailed | Self::PermissionDenied | Self::RoomAccessDenied | Self::ConnectionLost
        )
    }
}

/// The value of one member of an error's `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A JSON string.
    Text(Cow<'static, str>),
    /// A JSON number.
    Number(u64),
    /// A JSON array of strings.
    List(&'static [&'static str]),
    /// JSON that is written already.
    Json(Box<str>),
}

/// A refused command: what the client is told of it.
///
/// Texts are ours or shortened: an error stays far under 8 KiB and never echoes long client text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The code.
    pub code: ErrorCode,
    /// One sentence for a developer.
    pub message: Cow<'static, str>,
    /// Members of `details`.
    pub details: Vec<(Cow<'static, str>, Detail)>,
    /// What a backend says of [`ErrorCode::recoverable`].
    pub recoverable: Option<bool>,
}

impl CommandError {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), recoverable: None }
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: Detail) -> Self {
        self.details.push((key.into(), value));
        self
    }

    /// Whether the same request may succeed later on this connection.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.recoverable.unwrap_or(self.code.recoverable())
    }

    /// `INVALID_PAYLOAD` for one field of `data`.
    #[must_use]
    pub fn invalid(field: &'static str, reason: &'static str) -> Self {
        Self::new(ErrorCode::InvalidPayload, format!("{field}: {reason}"))
            .with("field", Detail::Text(field.into()))
            .with("reason", Detail::Text(reason.into()))
    }

    /// `PROTOCOL_ERROR` with its reason.
    #[must_use]
    pub fn protocol(reason: &'static str) -> Self {
        Self::new(ErrorCode::ProtocolError, reason).with("reason", Detail::Text(reason.into()))
    }

    /// `RATE_LIMITED`: try again after so many milliseconds.
    #[must_use]
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self::new(ErrorCode::RateLimited, "too many requests")
            .with("retryAfterMs", Detail::Number(retry_after_ms))
    }

    /// `ROOM_ACCESS_DENIED`, in the same words whether the room exists or not.
    #[must_use]
    pub fn room_denied() -> Self {
        Self::new(ErrorCode::RoomAccessDenied, "no access to this room")
    }

    /// `ROOM_ACCESS_DENIED` for who is not in a room that it may enter.
    #[must_use]
    pub fn not_a_member() -> Self {
        Self::new(ErrorCode::RoomAccessDenied, "not a member of this room")
    }
}
