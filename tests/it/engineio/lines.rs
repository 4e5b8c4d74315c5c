//! Connections that carry more than one request: kept alive, shared by a proxy's many clients, pipelined.

use super::echo;
use crate::support::engine::{Endpoint, EngineSocket, Polling, open_packet, text_frame};
use crate::support::http;
use crate::support::line::Line;

/// Opens a session over a connection that others use too; the targets of its requests.
fn open_over(line: &mut Line, endpoint: &Endpoint) -> String {
    let target = endpoint.target("polling");
    let open = open_packet(&line.exchange(http::request("GET", &target, &[], b"")));
    format!("{target}&sid={}", open["sid"].as_str().expect("a sid"))
}

fn post(target: &str, body: &str) -> Vec<u8> {
    http::request("POST", target, &[], body.as_bytes())
}

fn get(target: &str) -> Vec<u8> {
    http::request("GET", target, &[], b"")
}

#[test]
fn one_connection_carries_a_whole_session() {
    for shards in [1, 4] {
        let (_server, endpoint) = echo(shards);
        let mut line = Line::to(endpoint.address);
        let target = open_over(&mut line, &endpoint);
        for n in 0..200 {
            let packet = format!("4{n}");
            let answer = line.exchange(post(&target, &packet));
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{answer:?}");
            assert!(!answer.ends_connection(), "{answer:?}");
            assert_eq!(line.exchange(get(&target)).body, packet);
        }
    }
}

#[test]
fn a_proxys_connections_carry_many_sessions() {
    for shards in [1, 4] {
        let (_server, endpoint) = echo(shards);
        let mut lines: Vec<Line> = (0..3).map(|_| Line::to(endpoint.address)).collect();
        let targets: Vec<String> = (0..12).map(|n| open_over(&mut lines[n % 3], &endpoint)).collect();
        for round in 0..10 {
            for (n, target) in targets.iter().enumerate() {
                // Another connection each time, so that one request after another is for another shard.
                let packet = format!("4{round} of {n}");
                let answer = lines[(n + round) % 3].exchange(post(target, &packet));
                assert_eq!(answer.status, 200, "{shards} shards, round {round}: {answer:?}");
                assert_eq!(lines[(n + round + 1) % 3].exchange(get(target)).body, packet);
            }
        }
    }
}

#[test]
fn a_session_may_use_a_fresh_connection_for_each_request() {
    let (_server, endpoint) = echo(4);
    let sessions: Vec<Polling> = (0..8).map(|_| endpoint.polling()).collect();
    for round in 0..5 {
        for session in &sessions {
            let target = session.target("polling");
            let packet = format!("4{round}");
            let close = ["Connection: close"];
            let taken =
                http::exchange(endpoint.address, http::request("POST", &target, &close, packet.as_bytes()));
            assert_eq!(taken.body, "ok");
            let answer = http::exchange(endpoint.address, http::request("GET", &target, &close, b""));
            assert_eq!(answer.body, packet);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for shards in [1, 4] {
        let (_server, endpoint) = echo(shards);
        let mut line = Line::to(endpoint.address);
        let targets: Vec<String> = (0..6).map(|_| open_over(&mut line, &endpoint)).collect();
        let mut bytes = Vec::new();
        for target in &targets {
            bytes.extend(post(target, "4one"));
            bytes.extend(post(target, "4two\x1ebAQID"));
            bytes.extend(get(target));
            bytes.extend(get("/engine.io/?EIO=4&transport=polling&sid=unknown"));
        }
        line.send(bytes);
        for _ in &targets {
            assert_eq!(line.read().body, "ok");
            assert_eq!(line.read().body, "ok");
            assert_eq!(line.read().body, "4one\x1e4two\x1ebAQID");
            let refused = line.read();
            assert_eq!(refused.status, 400);
            assert!(!refused.ends_connection(), "what is pipelined behind it would be lost: {refused:?}");
        }
    }
}

#[test]
fn a_websocket_may_follow_polling_requests_on_their_connection() {
    let (_server, endpoint) = echo(4);
    for _ in 0..8 {
        let mut line = Line::to(endpoint.address);
        let target = open_over(&mut line, &endpoint);
        line.exchange(post(&target, "4hello"));
        let target = target.replace("transport=polling", "transport=websocket");
        let mut bytes = http::upgrade_head(&target, &[]).into_bytes();
        bytes.extend(["2probe", "5"].into_iter().flat_map(text_frame));
        let mut socket = EngineSocket::over(line, &bytes);
        socket.expect("3probe");
        socket.expect("4hello");
    }
}

#[test]
fn a_client_that_says_close_is_answered_and_closed() {
    let (_server, endpoint) = echo(2);
    let request = http::request("GET", &endpoint.target("polling"), &["Connection: close"], b"");
    let mut stream = http::connect(endpoint.address);
    std::io::Write::write_all(&mut stream, &request).expect("the server reads");
    open_packet(&http::read_response(&mut stream));
    assert!(http::is_closed(&mut stream));
}
