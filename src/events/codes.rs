//! What the codes of the data plane mean, for who reads the catalogue (protocol §2).

use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::ErrorCode;

/// When a command fails with the code.
pub(super) fn error(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AuthFailed => {
            "the token is malformed, wrongly signed, expired, of another issuer or audience, or has no usable sub; or \
             there is none yet"
        }
        ErrorCode::PermissionDenied => {
            "authenticated, but not allowed to do this, or not to a message of somebody else"
        }
        ErrorCode::RoomAccessDenied => {
            "not allowed in this room, or not in it; the same whether the room exists or not"
        }
        ErrorCode::ChannelError => "the room is unknown, full or closing",
        ErrorCode::RateLimited => "too many of them; details.retryAfterMs says how long to wait",
        ErrorCode::InvalidPayload => {
            "data makes no sense, or names an unknown message; details.field and details.reason say what"
        }
        ErrorCode::ProtocolError => {
            "no JSON, nested too deep, no event or an unknown one (details.reason), an unknown version \
             (details.supported)"
        }
        ErrorCode::ClientError => {
            "contradicts the state: leaves a forced room, creates a room that exists, refreshes with the token of \
             another user, has too many rooms"
        }
        ErrorCode::ConnectionLost => {
            "the session cannot be resumed: it is unknown, somebody else's or expired; the connection goes on as a \
             new one"
        }
        ErrorCode::ServerError => "a part of the server is unavailable; details.component names it",
    }
}

/// When a connection is closed with the code, and what its client best does then.
pub(super) fn close(code: CloseCode) -> (&'static str, &'static str) {
    match code {
        CloseCode::Normal => ("the client closed", "nothing"),
        CloseCode::GoingAway => ("the server goes away for good", "connect elsewhere"),
        CloseCode::Protocol => ("the framing of the WebSocket was broken", "mend the client"),
        CloseCode::Unsupported => ("a binary frame where only text is spoken", "mend the client"),
        CloseCode::InvalidData => ("text that is no UTF-8", "mend the client"),
        CloseCode::Policy => ("silence beyond the ping time-out, or another rule", "reconnect and recover"),
        CloseCode::TooLarge => ("a message above the limit", "send less at once"),
        CloseCode::Internal => ("an error of the server", "reconnect after a while, and recover"),
        CloseCode::Restart => (
            "the server restarts",
            "reconnect after the milliseconds that the reason names (`reconnect=MS`), and recover",
        ),
        CloseCode::Overloaded => ("the server is overloaded", "reconnect after a while, and recover"),
        CloseCode::AuthFailed => ("authentication failed, or the token has expired", "get a new token first"),
        CloseCode::AuthTimeout => ("no authentication in time", "authenticate sooner"),
        CloseCode::SlowConsumer => ("the client did not read fast enough", "reconnect and recover"),
        CloseCode::Replaced => ("another connection resumed the session", "nothing: the other one goes on"),
        CloseCode::Abuse => ("far too many refused commands", "mend the client; wait before coming back"),
    }
}
