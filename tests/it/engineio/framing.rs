//! Requests as networks and clients deliver them: in pieces of any size, chunked, announced, ambiguous.

use std::io::Write;
use std::time::Duration;

use super::echo;
use crate::support::engine::EngineSocket;
use crate::support::http;
use crate::support::line::Line;

/// A POST's head with these lines, and what follows it.
fn post(target: &str, lines: &str, rest: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: roomcast\r\n{lines}\r\n\r\n{rest}")
}

#[test]
fn heads_and_bodies_may_come_byte_by_byte() {
    let (_server, endpoint) = echo(4);
    for _ in 0..4 {
        let session = endpoint.polling();
        let mut line = Line::to(endpoint.address);
        line.trickle(session.post_request("4hello\x1ebAQID\x1e4€"));
        assert_eq!(line.read().body, "ok");
        line.trickle(session.get_request());
        assert_eq!(line.read().body, "4hello\x1ebAQID\x1e4€");
        line.trickle(http::request("GET", &endpoint.target("polling"), &[], b""));
        assert_eq!(line.read().status, 200);
    }
}

#[test]
fn a_large_body_may_come_in_a_thousand_segments() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let packet = format!("4{}", "0123456789".repeat(50_000));
    let request = session.post_request(&packet);
    let mut line = Line::to(endpoint.address);
    for piece in request.chunks(500) {
        line.send(piece);
    }
    assert_eq!(line.read().body, "ok");
    assert!(session.poll() == packet, "it comes back whole");
}

#[test]
fn a_large_answer_waits_for_a_client_that_reads_slowly() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let packet = format!("4{}", "x".repeat(900_000));
    for _ in 0..2 {
        session.send(&packet);
    }
    session.begin_get();
    // The answer outgrows what the kernels buffer; it must neither be cut off nor taken for a slow consumer's.
    assert!(session.get_ends_within(crate::support::DEADLINE));
    let mut bodies = vec![session.finish_poll()];
    while bodies.iter().map(|body| body.split('\x1e').count()).sum::<usize>() < 2 {
        bodies.push(session.poll());
    }
    assert!(bodies.iter().flat_map(|body| body.split('\x1e')).all(|one| one == packet));
}

#[test]
fn a_websockets_head_may_come_byte_by_byte() {
    let (_server, endpoint) = echo(4);
    for _ in 0..4 {
        let session = endpoint.polling();
        let mut line = Line::to(endpoint.address);
        line.trickle(http::upgrade_head(&session.target("websocket"), &[]));
        let mut socket = EngineSocket::over(line, b"");
        socket.send("2probe");
        socket.expect("3probe");
    }
}

#[test]
fn a_chunked_body_is_served_or_clearly_refused() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let mut line = Line::to(endpoint.address);
    let chunks = "3\r\n4he\r\n4;note=1\r\nllo\u{1e}\r\n2\r\n4x\r\n0\r\n\r\n";
    line.send(post(&session.target("polling"), "Transfer-Encoding: chunked", chunks));
    let response = line.read();
    if response.status == 200 {
        assert_eq!(session.poll(), "4hello\x1e4x");
        line.trickle(post(&session.target("polling"), "Transfer-Encoding: chunked", chunks));
        assert_eq!(line.read().body, "ok");
        assert_eq!(session.poll(), "4hello\x1e4x");
    } else {
        assert!(matches!(response.status, 400 | 411 | 501), "{response:?}");
    }
}

#[test]
fn a_body_that_is_announced_is_asked_for_or_simply_taken() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let body = format!("4{}", "x".repeat(10_000));
    let lines = format!("Expect: 100-continue\r\nContent-Length: {}", body.len());
    let mut line = Line::to(endpoint.address);
    line.send(post(&session.target("polling"), &lines, ""));
    // A client waits for a second at most, then sends it all the same.
    if line.stirs_within(Duration::from_secs(1)) {
        assert_eq!(line.read().status, 100);
    }
    line.send(&body);
    assert_eq!(line.read().body, "ok");
    assert!(session.poll() == body);
}

#[test]
fn an_ambiguous_request_is_refused_and_its_connection_closed() {
    let (_server, endpoint) = echo(2);
    for lines in [
        "Content-Length: 6\r\nContent-Length: 7",
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Content-Length: -6",
        "Content-Length: +6",
        "Content-Length: 6, 6",
        "Content-Length: six",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
    ] {
        let session = endpoint.polling();
        let mut stream = http::connect(endpoint.address);
        let request = post(&session.target("polling"), lines, "4hello");
        stream.write_all(request.as_bytes()).expect("it is short");
        let response = http::read_response(&mut stream);
        assert!(matches!(response.status, 400 | 411 | 413 | 501), "{lines:?}: {response:?}");
        assert!(http::is_closed(&mut stream), "{lines:?}: nothing more may be read from it");
    }
}

#[test]
fn a_broken_chunk_is_refused() {
    let (_server, endpoint) = echo(2);
    for chunks in ["x\r\n4hello", "-1\r\n", "fffffffffffffffffff\r\n4", "3\r\n4helloworld\r\n0\r\n\r\n"] {
        let session = endpoint.polling();
        let request = post(&session.target("polling"), "Transfer-Encoding: chunked", chunks);
        let mut line = Line::to(endpoint.address);
        line.send(request);
        if let Ok(response) = line.try_read() {
            assert!(matches!(response.status, 400 | 411 | 413 | 501), "{chunks:?}: {response:?}");
        }
    }
    endpoint.polling().send("4others go on");
}

#[test]
fn a_get_with_a_body_does_not_confuse_what_follows_it() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.send("4hello");
    let mut line = Line::to(endpoint.address);
    line.send(http::request("GET", &session.target("polling"), &[], b"GET / HTTP/1.1\r\n\r\n"));
    let response = line.read();
    assert!(matches!(response.status, 200 | 400), "{response:?}");
    let again = line.exchange(http::request("GET", &endpoint.target("polling"), &[], b""));
    assert!(again.body.starts_with("0{"), "{again:?}");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (_server, endpoint) = echo(2);
    let fill = format!("X-Fill: {}", "a".repeat(17 * 1024));
    let request = http::request("GET", &endpoint.target("polling"), &[&fill], b"");
    let response = http::exchange(endpoint.address, request);
    assert_eq!(response.status, 431, "{response:?}");
    let long = endpoint.clone().with(&format!("t={}", "a".repeat(17 * 1024)));
    let response = http::exchange(endpoint.address, http::request("GET", &long.target("polling"), &[], b""));
    assert!(matches!(response.status, 414 | 431), "{response:?}");
}

/// Nothing but POST has a body: it is refused by its head, before anybody sends what it announces.
#[test]
fn a_body_where_none_belongs_is_not_waited_for() {
    let (_server, endpoint) = echo(2);
    for method in ["OPTIONS", "GET", "PUT"] {
        let target = endpoint.target("polling");
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n\r\n");
        let response = http::exchange(endpoint.address, head);
        assert_eq!((response.status, response.header("connection")), (400, Some("close")), "{method}");
    }
}

#[test]
fn head_ends_its_connection_as_its_answer_has_a_body() {
    let (_server, endpoint) = echo(1);
    let head = format!("HEAD {} HTTP/1.1\r\nHost: a\r\n\r\n", endpoint.target("polling"));
    let response = http::exchange(endpoint.address, head);
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
}
