//! Why a connection ended, as its close frame says (protocol §2).

/// What the server closes a WebSocket with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: answered a client's normal close.
    Normal,
    /// 1001: the server goes away for good.
    GoingAway,
    /// 1002: the client broke the framing.
    Protocol,
    /// 1003: binary where only text is spoken.
    Unsupported,
    /// 1007: invalid UTF-8.
    InvalidData,
    /// 1008: policy, such as silence beyond the ping time-out.
    Policy,
    /// 1009: a message over the limit.
    TooLarge,
    /// 1011: internal error.
    Internal,
    /// 1012: the server restarts; the reason says when to come back.
    Restart,
    /// 1013: overloaded.
    Overloaded,
    /// 4401: authentication failed or expired.
    AuthFailed,
    /// 4408: no authentication in time.
    AuthTimeout,
    /// 4409: a slow consumer.
    SlowConsumer,
    /// 4410: replaced by a resumed session.
    Replaced,
    /// 4429: sustained abuse.
    Abuse,
}

impl CloseCode {
    /// Every code; a code's position is its metric index.
    pub const ALL: [Self; 15] = [
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidData,
        Self::Policy,
        Self::TooLarge,
        Self::Internal,
        Self::Restart,
        Self::Overloaded,
        Self::AuthFailed,
        Self::AuthTimeout,
        Self::SlowConsumer,
        Self::Replaced,
        Self::Abuse,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::InvalidData => 1007,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::Overloaded => 1013,
            Self::AuthFailed => 4401,
            Self::AuthTimeout => 4408,
            Self::SlowConsumer => 4409,
            Self::Replaced => 4410,
            Self::Abuse => 4429,
        }
    }

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going_away",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::InvalidData => "invalid_data",
            Self::Policy => "policy",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::Overloaded => "overloaded",
            Self::AuthFailed => "auth_failed",
            Self::AuthTimeout => "auth_timeout",
            Self::SlowConsumer => "slow_consumer",
            Self::Replaced => "replaced",
            Self::Abuse => "abuse",
        }
    }
}
