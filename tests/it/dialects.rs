//! Which dialect a connection of `/ws` speaks: by subprotocol, by profile, by its first frame (protocol, top).

use serde_json::json;

use crate::support::{Server, Token};

#[test]
fn the_subprotocol_chooses_the_dialect_and_is_echoed() {
    let server = Server::start();
    let with = |list: &str| server.connect().token(&Token::employee("ana")).subprotocols(list).open();
    let mut topic = with("soap, roomcast.topic.v1");
    assert_eq!(topic.subprotocol.as_deref(), Some("roomcast.topic.v1"));
    topic.send(&json!({"type": "ping"}));
    topic.expect_event("pong");
    let mut event = with("roomcast.event.v1");
    assert_eq!(event.subprotocol.as_deref(), Some("roomcast.event.v1"));
    event.ping();
    assert_eq!(with("soap, wamp").subprotocol, None);
}

#[test]
fn a_bearer_subprotocol_authenticates_and_is_never_echoed() {
    let server = Server::start();
    let bearer = format!("roomcast.bearer.{}", Token::employee("ana").mint());
    let mut alone = server.connect().subprotocols(&bearer).open();
    assert_eq!(alone.subprotocol, None);
    alone.join("lobby");
    for list in [format!("{bearer}, roomcast.event.v1"), format!("roomcast.event.v1, {bearer}")] {
        let mut beside = server.connect().subprotocols(&list).open();
        assert_eq!(beside.subprotocol.as_deref(), Some("roomcast.event.v1"));
        beside.join("lobby");
    }
}

#[test]
fn without_a_subprotocol_the_first_frame_may_switch_the_dialect_once() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana")).open();
    client.send(&json!({"type": "ping"}));
    client.expect_event("pong");
    client.send(&json!({"event": "ping", "requestId": "late"}));
    let error = client.expect_event("error");
    assert_eq!(error.value["type"], "error");
    assert_eq!(error.value["code"], 400);

    let mut back = server.connect().token(&Token::employee("ana")).query("profile", "topic").open();
    back.ping();
    back.send(&json!({"type": "ping"}));
    back.expect_event("error").assert_error("PROTOCOL_ERROR");
}

#[test]
fn a_subprotocol_fixes_the_dialect() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana")).subprotocols("roomcast.event.v1").open();
    client.send(&json!({"type": "ping"}));
    client.expect_event("error").assert_error("PROTOCOL_ERROR");
    client.send(&json!({"type": "ping", "event": "ping", "requestId": "both"}));
    assert_eq!(client.reply("\"both\"").name, "pong", "with both keys event wins");
}

#[test]
fn pushes_reach_a_client_that_never_speaks() {
    let server = Server::start();
    let mut silent = server.connect().token(&Token::employee("ana").rooms(&["lobby"])).open();
    let mut ben = server.connect().token(&Token::employee("ben")).open();
    ben.join("lobby");
    ben.say("lobby", "hello");
    let message = silent.expect_message("lobby");
    assert_eq!(message.data()["content"], "hello");
}
