//! What the protocol says in passing, and what is easily overlooked.

use std::time::Duration;

use serde_json::json;

use crate::support::raw::{FIN, PING, masked};
use crate::support::{Client, RawSocket, Server, Token, http};

fn employee(server: &Server, name: &str) -> Client {
    server.connect().token(&Token::employee(name)).open()
}

#[test]
fn an_offset_ahead_of_the_room_is_not_recovered_however_large() {
    let server = Server::start();
    let mut ana = employee(&server, "ana");
    let epoch = ana.join("lobby")["epoch"].clone();
    ana.say("lobby", 1);
    for offset in ["2", "1000000000000000", "9007199254740992", "18446744073709551615"] {
        let data = format!(r#"{{"roomId":"lobby","recover":{{"epoch":{epoch},"offset":{offset}}}}}"#);
        let joined = ana.request_text("room:join", &data);
        assert_eq!(joined.data()["recovered"], false, "{offset}");
    }
    for offset in ["1e0", "1.0", "18446744073709551616"] {
        let data = format!(r#"{{"roomId":"lobby","recover":{{"epoch":{epoch},"offset":{offset}}}}}"#);
        ana.request_text("room:join", &data).assert_error("INVALID_PAYLOAD");
    }
    let page = ana.call("room:history", json!({"roomId": "lobby", "before": 9_007_199_254_740_991_u64}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_right_for_some_rooms_is_none_for_others() {
    let server = Server::start();
    let token = Token::employee("ana").permissions(&["message:send-as:bots.*"]);
    let mut ana = server.connect().token(&token).open();
    ana.join("bots.one");
    ana.join("lobby");
    ana.call("message:send", json!({"roomId": "bots.one", "type": "robot", "content": 1}));
    ana.fail("message:send", json!({"roomId": "lobby", "type": "robot", "content": 1}), "PERMISSION_DENIED");
}

#[test]
fn a_wildcard_for_any_room_opens_nobodys_inbox() {
    let server = Server::start();
    let token = Token::guest("gil").permissions(&["message:send:**"]);
    let mut gil = server.connect().token(&token).open();
    gil.fail("message:send", json!({"roomId": "user:ana", "content": 1}), "ROOM_ACCESS_DENIED");
    gil.fail("message:send", json!({"roomId": "account:7", "content": 1}), "ROOM_ACCESS_DENIED");
    gil.call("message:send", json!({"roomId": "lobby", "content": 1}));
}

#[test]
fn the_origin_null_must_be_listed() {
    let server = Server::start();
    let with = |origin| server.connect().token(&Token::employee("ana")).header("Origin", origin);
    with("https://anywhere.example").open().ping();
    assert_eq!(with("null").refused().status, 403);
    let server = Server::builder().with(&["--allowed-origins", "null"]).start();
    server.connect().token(&Token::employee("ana")).header("Origin", "null").open().ping();
}

#[test]
fn the_first_frame_may_switch_the_dialect_however_late_it_comes() {
    let server = Server::start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.stays_open_for(Duration::from_millis(1300));
    ana.send(&json!({"type": "ping"}));
    ana.expect_event("pong");
    ana.send(&json!({"event": "ping"}));
    assert_eq!(ana.expect_event("error").value["code"], 400, "only once");
}

#[test]
fn refused_parts_of_a_silent_batch_are_answered() {
    let server = Server::start();
    let mut ana = employee(&server, "ana");
    ana.join("lobby");
    let messages = json!([{"roomId": "lobby", "content": 1}, {"roomId": "elsewhere", "content": 2}, {"roomId": "lobby"}]);
    ana.send(&json!({"event": "message:send-batch", "data": {"messages": messages}}));
    ana.expect_event("error").assert_error("ROOM_ACCESS_DENIED");
    ana.expect_event("error").assert_error("INVALID_PAYLOAD");
    assert_eq!(ana.expect_message("lobby").data()["content"], 1);
}

#[test]
fn ones_own_large_message_arrives_beside_its_reply() {
    let server = Server::builder().shards(1).with(&["--max-outbound-queue", "65536"]).start();
    let mut ana = employee(&server, "ana");
    ana.join("lobby");
    ana.say("lobby", "x".repeat(500_000));
    assert_eq!(ana.expect_message("lobby").offset(), 1);
}

#[test]
fn refusals_of_any_kind_are_abuse_when_there_are_too_many() {
    let server = Server::builder().default_limits().with(&["--limit-events", "1000/1s"]).start();
    let mut ana = employee(&server, "ana");
    for _ in 0..100 {
        ana.send(&json!({"event": "room:join", "data": {"roomId": "user:ben"}}));
    }
    assert_eq!(ana.expect_close().0, 4429);
    assert_eq!(ana.arrived("error").len(), 100);
}

#[test]
fn a_client_that_has_not_spoken_hears_of_the_drain_too() {
    let mut server = Server::builder().with(&["--drain-timeout", "2s"]).start();
    let mut ana = employee(&server, "ana");
    server.terminate();
    assert_eq!(ana.expect_close().0, 1012);
    assert_eq!(ana.arrived("server:draining").len(), 1);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn an_account_is_private_and_its_edges_are_nobodys_news() {
    let server = Server::start();
    let mut ana = server.connect().token(&Token::employee("ana").account("7")).open();
    let mut sue = server.connect().token(&Token::supervisor("sue")).open();
    sue.join("account:7");
    sue.call("room:leave", json!({"roomId": "account:7"}));
    ana.ping();
    assert!(ana.arrived("room:member-joined").is_empty() && ana.arrived("room:member-left").is_empty());
    assert_eq!(ana.call("room:info", json!({"roomId": "account:7"}))["visibility"], "private");
}

#[test]
fn a_failing_address_is_told_when_to_come_back() {
    let server = Server::builder().default_limits().with(&["--limit-connects", "1/100s"]).start();
    assert_eq!(server.connect().bearer("nonsense").refused().status, 401);
    let refused = server.connect().bearer("nonsense").refused();
    assert_eq!(refused.status, 429);
    assert!((90..=100).contains(&refused.retry_after()), "{}", refused.retry_after());
}

#[test]
fn a_client_that_floods_pings_without_reading_is_no_longer_read() {
    let server = Server::builder().shards(1).auth_off().with(&["--max-outbound-queue", "65536"]).start();
    let mut mute = RawSocket::upgrade(server.address, "/ws");
    let pings = masked(FIN | PING, &[b'x'; 125]).repeat(100);
    assert!(mute.blocks_after(&pings, Duration::from_secs(1)), "the server goes on reading");
    let metrics = http::get(server.address, "/metrics").body;
    let paused =
        metrics.lines().find(|line| line.starts_with("roomcast_reads_paused_total")).expect("counted");
    assert!(!paused.ends_with(" 0"), "{paused}");
}
