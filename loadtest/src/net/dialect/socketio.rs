//! Socket.IO, protocol 5 over Engine.IO 4, as its JavaScript client speaks it over WebSocket alone.
//!
//! Frames are literal: `4` (an Engine.IO message), the Socket.IO packet type, then an acknowledgement's number and JSON.
//! The names of events are those of the event dialect, and an acknowledgement bears the data of its reply.

use std::io::Write as _;

use serde_json::Value;

use super::Reply;

/// Asks for the main namespace; credentials are in the upgrade's header.
pub(super) const CONNECT: &[u8] = b"40";
/// What begins the acknowledgement of our join, whose number is 0.
const JOIN_ACK: &[u8] = b"430";
/// What begins an event.
const EVENT: &[u8] = b"42";

/// Path and query that `path` becomes: `/socket.io/` where nothing else is asked for, and always the handshake's
/// parameters.
pub(super) fn complete_path(path: &str) -> String {
    let path = if matches!(path, "/" | "/ws") { "/socket.io/" } else { path };
    if path.contains("EIO=") {
        return path.to_owned();
    }
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}EIO=4&transport=websocket")
}

/// Appends the event that joins a room, and asks for an acknowledgement.
pub(super) fn write_join(out: &mut Vec<u8>, room: &str) {
    write!(out, r#"420["room:join",{{"roomId":"{room}"}}]"#).expect("a Vec takes every write");
}

/// Appends the event that sends `write_content`'s content to a room.
pub(super) fn write_message(out: &mut Vec<u8>, room: &str, write_content: impl FnOnce(&mut Vec<u8>)) {
    write!(out, r#"42["message:send",{{"roomId":"{room}","content":""#).expect("a Vec takes every write");
    write_content(out);
    out.extend_from_slice(br#""}]"#);
}

/// What a packet means to a connection that is not ready yet.
pub(super) fn read_reply(packet: &[u8]) -> Reply {
    if packet.starts_with(b"40") {
        return Reply::Connected;
    }
    if let Some(json) = packet.strip_prefix(JOIN_ACK) {
        let acknowledged: Value = serde_json::from_slice(json).unwrap_or_default();
        let data = &acknowledged[0];
        return match (data["offset"].as_u64(), read_code(data)) {
            (Some(offset), _) => Reply::Joined(offset),
            (None, Some(code)) => Reply::Refused(code),
            (None, None) => Reply::Refused("the answer to the join has no offset".to_owned()),
        };
    }
    read_error(packet).map_or(Reply::Unrelated, Reply::Refused)
}

/// The code of a refusal or of an event named `error`; `None` for any other packet.
pub(super) fn read_error(packet: &[u8]) -> Option<String> {
    match packet {
        [b'1'] => Some("closed".to_owned()),
        [b'4', b'1', ..] => Some("disconnected".to_owned()),
        [b'4', b'4', json @ ..] => {
            let refusal: Value = serde_json::from_slice(json).unwrap_or_default();
            let message = refusal["message"].as_str().map(str::to_owned);
            Some(read_code(&refusal["data"]).or(message).unwrap_or_else(|| "refused".to_owned()))
        }
        _ => {
            let event: Value = serde_json::from_slice(packet.strip_prefix(EVENT)?).ok()?;
            (event[0] == "error").then(|| read_code(&event[1]).unwrap_or_else(|| "error".to_owned()))
        }
    }
}

fn read_code(data: &Value) -> Option<String> {
    match &data["code"] {
        Value::Null => None,
        Value::String(code) => Some(code.clone()),
        code => Some(code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_packets_of_the_reference_client() {
        let mut out = Vec::new();
        write_join(&mut out, "bench:3");
        assert_eq!(out, br#"420["room:join",{"roomId":"bench:3"}]"#);
        out.clear();
        write_message(&mut out, "bench:3", |out| out.extend_from_slice(b"hello"));
        assert_eq!(out, br#"42["message:send",{"roomId":"bench:3","content":"hello"}]"#);
    }

    #[test]
    fn answers_lead_from_the_connect_to_the_room() {
        for (packet, reply) in [
            (r#"40{"sid":"x","pid":"y"}"#, Reply::Connected),
            (r#"430[{"roomId":"bench:3","epoch":"e","offset":41}]"#, Reply::Joined(41)),
            (r#"430[{"code":"RATE_LIMITED"}]"#, Reply::Refused("RATE_LIMITED".to_owned())),
            (r#"44{"message":"no","data":{"code":"AUTH_FAILED"}}"#, Reply::Refused("AUTH_FAILED".to_owned())),
            (r#"44{"message":"Invalid namespace"}"#, Reply::Refused("Invalid namespace".to_owned())),
            ("41", Reply::Refused("disconnected".to_owned())),
            (r#"42["error",{"code":7}]"#, Reply::Refused("7".to_owned())),
            (r#"42["message:received",{"offset":3}]"#, Reply::Unrelated),
            (r#"431[{"offset":3}]"#, Reply::Unrelated),
            ("6", Reply::Unrelated),
            ("", Reply::Unrelated),
        ] {
            assert_eq!(read_reply(packet.as_bytes()), reply, "{packet}");
        }
        for packet in ["430[]", "430", "430[{}]", "430no JSON"] {
            assert!(matches!(read_reply(packet.as_bytes()), Reply::Refused(_)), "{packet}");
        }
    }

    #[test]
    fn the_path_gets_what_the_handshake_needs() {
        for (path, completed) in [
            ("/ws", "/socket.io/?EIO=4&transport=websocket"),
            ("/", "/socket.io/?EIO=4&transport=websocket"),
            ("/chat/", "/chat/?EIO=4&transport=websocket"),
            ("/socket.io/?profile=native", "/socket.io/?profile=native&EIO=4&transport=websocket"),
            ("/socket.io/?EIO=4&transport=websocket&t=1", "/socket.io/?EIO=4&transport=websocket&t=1"),
        ] {
            assert_eq!(complete_path(path), completed);
        }
    }
}
