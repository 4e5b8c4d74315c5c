//! The upgrade from HTTP to WebSocket (RFC 6455 §4). Pure.

use httparse::{EMPTY_HEADER, Header, Request, Status};
use tungstenite::handshake::derive_accept_key;

/// The only subprotocol that the floor speaks; echoed when it is offered.
const SUBPROTOCOL: &str = "roomcast.event.v1";
/// Header fields of a request, more than any client sends.
const HEADERS_MAX: usize = 64;
/// Bytes within which the request head must end.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;

/// What the bytes that a connection began with are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Not the whole request head yet.
    Incomplete,
    /// No request to upgrade: answer so and close.
    Refused,
    /// Answer `response`; the frames begin after `head_bytes`.
    Accepted { response: String, head_bytes: usize },
}

/// What a refused client is told.
pub(crate) const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Reads a request head. Tokens, origins and the path are ignored.
pub(crate) fn read(bytes: &[u8]) -> Handshake {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let head_bytes = match request.parse(bytes) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return Handshake::Incomplete,
        Err(_) => return Handshake::Refused,
    };
    let upgrades = values(request.headers, "upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"));
    let Some(key) = values(request.headers, "sec-websocket-key").next().filter(|_| upgrades) else {
        return Handshake::Refused;
    };
    let offered = values(request.headers, "sec-websocket-protocol")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|name| name.trim_ascii() == SUBPROTOCOL.as_bytes());
    let accept = derive_accept_key(key);
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    );
    if offered {
        response += &format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
    }
    response += "\r\n";
    Handshake::Accepted { response, head_bytes }
}

fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455 §1.2, offering `protocols`.
    fn request(protocols: &str) -> String {
        format!(
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n"
        )
    }

    #[test]
    fn an_upgrade_is_answered_and_leaves_what_follows_it() {
        let bytes = request("x, roomcast.event.v1") + "frames";
        let Handshake::Accepted { response, head_bytes } = read(bytes.as_bytes()) else { panic!("{bytes}") };
        assert_eq!(&bytes[head_bytes..], "frames");
        assert!(response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(response.ends_with("\r\nSec-WebSocket-Protocol: roomcast.event.v1\r\n\r\n"));
    }

    #[test]
    fn a_subprotocol_that_was_not_offered_is_not_named() {
        let Handshake::Accepted { response, .. } = read(request("other").as_bytes()) else {
            panic!("accepted")
        };
        assert!(!response.contains("Protocol:"));
    }

    #[test]
    fn anything_else_waits_or_is_refused() {
        let bytes = request("x");
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes.as_bytes()[..end]), Handshake::Incomplete);
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Handshake::Refused);
        assert_eq!(read(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), Handshake::Refused);
        assert_eq!(read(b"\x16\x03\x01"), Handshake::Refused);
    }
}
