//! The HTTP upgrade: one request out, one `101 Switching Protocols` back.

use std::io::Write as _;

use anyhow::Result;

use super::{End, Packing};
use crate::scenario::Layout;
use crate::token::Minter;

/// The key of RFC 6455's own example. It must differ only between what a cache might confuse, and there is none.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must make of [`KEY`].
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEADERS_MAX: usize = 32;

/// How every connection asks to be upgraded.
pub(crate) struct Upgrade {
    /// For each server the `Host` header, and path and query.
    pub(crate) servers: Vec<(String, String)>,
    /// The dialects' subprotocols, if they have any: one for all connections, or one for each.
    pub(crate) subprotocols: Vec<Option<&'static str>>,
    /// How its messages lie in frames.
    pub(crate) packing: Packing,
    /// What a room's name begins with, and who is in which room, where the path ends in its name.
    pub(crate) rooms_in_path: Option<(String, Layout)>,
    /// Signs each connection's token; `None` asks without one.
    pub(crate) minter: Option<Minter>,
    /// What a user's name begins with.
    pub(crate) user_prefix: String,
}

impl Upgrade {
    /// The request of connection `index` to one of the servers.
    ///
    /// # Errors
    /// When its token cannot be signed.
    pub(super) fn request(&self, index: usize, server: usize) -> Result<Vec<u8>> {
        let (host, path) = &self.servers[server];
        let mut request = Vec::with_capacity(512);
        write!(request, "GET {path}")?;
        if let Some((prefix, layout)) = &self.rooms_in_path {
            write!(request, "{prefix}{}", layout.room_of(index))?;
        }
        write!(
            request,
            " HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        )?;
        if let Some(subprotocol) = self.subprotocols[index % self.subprotocols.len()] {
            write!(request, "Sec-WebSocket-Protocol: {subprotocol}\r\n")?;
        }
        if let Some(minter) = &self.minter {
            let token = minter.mint(&format!("{}{index}", self.user_prefix))?;
            write!(request, "Authorization: Bearer {token}\r\n")?;
        }
        request.extend_from_slice(b"\r\n");
        Ok(request)
    }
}

/// Reads the answer that `bytes` begin with: its length, or `None` when it is not complete yet.
///
/// # Errors
/// Any answer but an acceptance.
pub(super) fn read_response(bytes: &[u8]) -> std::result::Result<Option<usize>, End> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(End::Upgrade("not HTTP")),
    };
    match response.code {
        Some(101) => {}
        status => return Err(End::Status(status.unwrap_or(0))),
    }
    let accept =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    match accept {
        Some(header) if header.value == ACCEPT => Ok(Some(length)),
        _ => Err(End::Upgrade("wrong Sec-WebSocket-Accept")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_right_answer_is_accepted() {
        let response =
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        for split in 0..response.len() {
            assert_eq!(read_response(&response.as_bytes()[..split]), Ok(None), "split at {split}");
        }
        let with_frame = [response.as_bytes(), &[0x81, 0]].concat();
        assert_eq!(read_response(&with_frame), Ok(Some(response.len())));
        assert_eq!(read_response(b"HTTP/1.1 503 No\r\n\r\n"), Err(End::Status(503)));
        assert!(matches!(read_response(b"HTTP/1.1 101 Yes\r\n\r\n"), Err(End::Upgrade(_))));
        assert!(matches!(read_response(b"\x00\x01"), Err(End::Upgrade(_))));
    }

    #[test]
    fn the_request_bears_a_token_only_with_a_secret() {
        let mut upgrade = Upgrade {
            servers: [("h:1", "/ws"), ("i:2", "/x")].map(|(h, p)| (h.to_owned(), p.to_owned())).to_vec(),
            subprotocols: vec![Some("roomcast.event.v1")],
            packing: Packing::Plain,
            rooms_in_path: None,
            minter: None,
            user_prefix: "u".to_owned(),
        };
        let text =
            |upgrade: &Upgrade| String::from_utf8(upgrade.request(3, 0).expect("signs")).expect("ASCII");
        assert!(text(&upgrade).starts_with("GET /ws HTTP/1.1\r\nHost: h:1\r\n"));
        let other = upgrade.request(3, 1).expect("needs no token");
        assert!(other.starts_with(b"GET /x HTTP/1.1\r\nHost: i:2\r\n"));
        assert!(!text(&upgrade).contains("Authorization"));
        assert!(text(&upgrade).contains("\r\nSec-WebSocket-Protocol: roomcast.event.v1\r\n"));
        upgrade.minter = Minter::new(b"secret").ok();
        assert!(text(&upgrade).contains("\r\nAuthorization: Bearer ey"));
    }

    #[test]
    fn a_path_may_end_in_the_room() {
        let upgrade = Upgrade {
            servers: vec![("h:1".to_owned(), "/rooms/".to_owned())],
            subprotocols: vec![None],
            packing: Packing::Plain,
            rooms_in_path: Some(("bench:".to_owned(), Layout::new(20, 5, 0.0))),
            minter: None,
            user_prefix: String::new(),
        };
        let text = String::from_utf8(upgrade.request(13, 0).expect("needs no token")).expect("ASCII");
        assert!(text.starts_with("GET /rooms/bench:3 HTTP/1.1\r\n"), "{text}");
        assert!(!text.contains("Sec-WebSocket-Protocol"), "{text}");
    }
}
