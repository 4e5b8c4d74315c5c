//! The API as HTTP: kept alive, pipelined, bounded.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::{Gateway, KEY, assert_error};
use crate::support::Server;
use crate::support::http::{connect, is_closed, read_response, request};

fn publish(content: usize) -> Vec<u8> {
    let body = json!({ "content": content }).to_string();
    request("POST", "/v1/rooms/lobby/messages", &[&format!("X-API-Key: {KEY}")], body.as_bytes())
}

#[test]
fn requests_may_be_sent_before_earlier_ones_are_answered() {
    for shards in [1, 2, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let mut ana = gateway.server.member("ana", "lobby");
        let mut stream = connect(gateway.server.address);
        let pipeline: Vec<u8> = (1..=50).flat_map(publish).collect();
        // Cut in the middle of a head and of a body, so that the shard that hands over has read a part.
        for piece in pipeline.chunks(pipeline.len() / 7 + 1) {
            stream.write_all(piece).expect("the server reads");
        }
        let mut waiting = Vec::new();
        for n in 1..=50 {
            let response = crate::support::http::read_next(&mut stream, &mut waiting);
            assert_eq!(
                (response.status, &super::json(&response)["offset"]),
                (200, &n.into()),
                "{response:?}"
            );
        }
        for n in 1..=50 {
            assert_eq!(ana.expect_message("lobby").data()["content"], n);
        }
    }
}

#[test]
fn a_caller_keeps_its_connection_when_others_of_plain_http_lose_theirs() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    backend.get("/v1/rooms/lobby/members");
    let mut plain = connect(gateway.server.address);
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
    assert_eq!(read_response(&mut plain).status, 200);
    assert!(is_closed(&mut plain), "an idle connection ends");
    backend.get("/v1/rooms/lobby/members");
    assert_eq!(gateway.server.metric("roomcast_api_connections"), 1.0);
    assert!(gateway.server.metric("roomcast_api_requests_total") >= 2.0);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_comes_and_as_it_comes() {
    let gateway = Gateway::on(Server::builder().with(&["--api-max-body", "2KiB"]));
    let mut stream = connect(gateway.server.address);
    let head =
        format!("POST /v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Length: 3000\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    let refused = read_response(&mut stream);
    assert_error(&refused, 413, "INVALID_PAYLOAD");
    assert!(refused.ends_connection());
    let mut stream = connect(gateway.server.address);
    let head = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = format!("800\r\n{}\r\n", " ".repeat(0x800));
    stream.write_all(format!("{head}{chunk}{chunk}").as_bytes()).expect("the server reads");
    assert_error(&read_response(&mut stream), 413, "INVALID_PAYLOAD");
    let fits = json!({"content": "x".repeat(1900)});
    gateway.backend().call("POST", "/v1/rooms/lobby/messages", &fits);
}

#[test]
fn a_body_that_comes_slowly_is_taken_and_one_that_stops_is_not_waited_for() {
    let gateway = Gateway::start();
    let mut stream = connect(gateway.server.address);
    for byte in publish(7).chunks(8) {
        stream.write_all(byte).expect("the server reads");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_response(&mut stream).status, 200);
    let whole = publish(8);
    stream.write_all(&whole[..whole.len() - 3]).expect("the server reads");
    let refused = read_response(&mut stream);
    assert_error(&refused, 408, "PROTOCOL_ERROR");
    assert!(is_closed(&mut stream));
    gateway.backend().get("/v1/rooms/lobby/messages");
}

#[test]
fn an_event_that_nobody_listens_to_is_taken_and_one_that_is_none_is_not() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    let taken = backend.call("POST", "/v1/events", &json!({"name": "order.paid", "data": {}, "id": "o-1"}));
    assert_eq!((&taken["id"], &taken["listeners"]), (&json!("o-1"), &json!(0)));
    for body in
        [r#"{"name":"a b"}"#, r#"{"data":{}}"#, r#"{"name":"a","data":[]}"#, r#"{"name":"gateway.joined"}"#]
    {
        backend.fail("POST", "/v1/events", body, 400, "INVALID_PAYLOAD");
    }
}
