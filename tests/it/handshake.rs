//! The HTTP side of an upgrade: what is let in, and how the rest is refused (protocol §2, RFC 6455 §4).

use std::io::Write;

use crate::support::http::{self, KEY, Response, upgrade_head};
use crate::support::raw::{self, FIN, RawSocket, TEXT};
use crate::support::{Server, Token};

/// The head of a good upgrade with one line replaced; an empty replacement removes it.
fn head_with(line: &str, replacement: &str) -> String {
    let head = upgrade_head("/ws", &[]);
    let line = format!("{line}\r\n");
    assert!(head.contains(&line), "{line:?} is not in {head}");
    let replacement = if replacement.is_empty() { String::new() } else { format!("{replacement}\r\n") };
    head.replacen(&line, &replacement, 1)
}

fn refusal(server: &Server, head: &str) -> Response {
    http::exchange(server.address, head)
}

#[test]
fn an_upgrade_without_key_or_version_is_refused() {
    let server = Server::start();
    let key = format!("Sec-WebSocket-Key: {KEY}");
    assert_eq!(refusal(&server, &head_with(&key, "")).status, 400);
    assert_eq!(refusal(&server, &head_with(&key, "Sec-WebSocket-Key: c2hvcnQ=")).status, 400);
    assert_eq!(refusal(&server, &head_with("Host: roomcast", "")).status, 400);
    for version in ["", "Sec-WebSocket-Version: 8"] {
        let response = refusal(&server, &head_with("Sec-WebSocket-Version: 13", version));
        assert!(matches!(response.status, 400 | 426), "{response:?}");
        if response.status == 426 {
            assert_eq!(response.header("sec-websocket-version"), Some("13"));
        }
    }
}

#[test]
fn a_plain_get_of_the_websocket_path_is_refused() {
    let server = Server::start();
    let response = http::get(server.address, "/ws");
    assert!(matches!(response.status, 400 | 426), "{response:?}");
}

#[test]
fn http_1_0_is_refused() {
    let server = Server::start();
    let head = upgrade_head("/ws", &[]).replace("HTTP/1.1", "HTTP/1.0");
    let response = refusal(&server, &head);
    assert!(matches!(response.status, 400 | 426 | 505), "{response:?}");
}

#[test]
fn an_ambiguous_head_is_refused() {
    let server = Server::builder().with(&["--allowed-origins", "https://a.example"]).start();
    for lines in [
        vec!["Content-Length: 5"],
        vec!["Transfer-Encoding: chunked"],
        vec!["Host: another"],
        vec!["Origin: https://a.example", "Origin: https://a.example"],
        vec!["X-Folded: one", " two"],
        vec!["X-Folded: one", "\ttwo"],
    ] {
        assert_eq!(refusal(&server, &upgrade_head("/ws", &lines)).status, 400, "{lines:?}");
    }
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Server::start();
    for text in [
        "GET /ws\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET /ws HTTP/1.1\r\nno colon\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
    ] {
        let mut stream = http::connect(server.address);
        stream.write_all(text.as_bytes()).expect("it is short");
        let status = http::try_read_response(&mut stream).map_or(400, |response| response.status);
        assert_eq!(status, 400, "{text:?}");
    }
    server.connect().token(&Token::employee("ana")).open().ping();
}

#[test]
fn a_head_above_16_kib_is_refused_with_431() {
    let server = Server::start();
    let fits = format!("X-Fill: {}", "a".repeat(15 * 1024));
    server.connect().token(&Token::employee("ana")).header("X-Fill", &fits).open().ping();
    let above = format!("X-Fill: {}", "a".repeat(17 * 1024));
    assert_eq!(refusal(&server, &upgrade_head("/ws", &[&above])).status, 431);
}

#[test]
fn a_head_that_does_not_end_is_refused_with_408() {
    let server = Server::start();
    let mut stream = http::connect(server.address);
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: roomcast\r\n").expect("it is short");
    assert_eq!(http::read_response(&mut stream).status, 408);
}

#[test]
fn only_listed_origins_may_connect() {
    let listed = "https://a.example,http://localhost:8080";
    let server = Server::builder().with(&["--allowed-origins", listed]).start();
    let with = |origin: &str| server.connect().token(&Token::employee("ana")).header("Origin", origin);
    with("https://a.example").open().ping();
    with("http://localhost:8080").open().ping();
    server.connect().token(&Token::employee("ana")).open().ping();
    for origin in
        ["https://b.example", "http://a.example", "https://a.example:444", "https://a.example.evil", "null"]
    {
        assert_eq!(with(origin).refused().status, 403, "{origin}");
    }
}

#[test]
fn the_null_origin_may_connect_when_it_is_listed() {
    let server = Server::builder().with(&["--allowed-origins", "null"]).start();
    let with = |origin: &str| server.connect().token(&Token::employee("ana")).header("Origin", origin);
    with("null").open().ping();
    assert_eq!(with("https://a.example").refused().status, 403);
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_profile_400() {
    let server = Server::start();
    for path in ["/", "/wss", "/ws/", "/ws2", "/echo"] {
        assert_eq!(refusal(&server, &upgrade_head(path, &[])).status, 404, "{path}");
    }
    assert_eq!(server.connect().query("profile", "nobody").refused().status, 400);
    for profile in ["native", "chat", "channel", "t3", "support", "topic"] {
        drop(server.connect().query("profile", profile).open());
    }
}

#[test]
fn a_websocket_switched_off_is_404() {
    let server = Server::builder().with(&["--no-websocket"]).start();
    assert_eq!(server.connect().refused().status, 404);
    assert_eq!(http::get(server.address, "/healthz").status, 200);
}

#[test]
fn a_first_frame_pipelined_behind_the_head_is_answered() {
    let server = Server::start();
    let mut request = server.connect().token(&Token::employee("ana")).head().into_bytes();
    request.extend(raw::masked(FIN | TEXT, br#"{"event":"ping","requestId":1}"#));
    let mut socket = RawSocket::upgrade_with(http::connect(server.address), &request);
    let reply = String::from_utf8(socket.expect(TEXT)).expect("text");
    assert!(reply.contains("\"pong\""), "{reply}");
}

#[test]
fn a_handshake_byte_by_byte_is_accepted() {
    let server = Server::builder().auth_off().start();
    let mut stream = http::connect(server.address);
    let head = server.connect().head();
    for byte in head.as_bytes() {
        stream.write_all(&[*byte]).expect("the server reads");
    }
    let response = http::read_response(&mut stream);
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(response.header("sec-websocket-extensions"), None, "no extension was agreed");
}

#[test]
fn header_names_and_tokens_are_matched_without_case() {
    let server = Server::builder().auth_off().start();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHOST: roomcast\r\nupgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    RawSocket::upgrade_with(http::connect(server.address), head.as_bytes());
}
