//! Messages and pushes from a backend, as clients of all dialects get them.

use serde_json::{Value, json};

use super::Gateway;
use crate::support::{Client, Server, SocketIo, Token};

fn topic_member(server: &Server, name: &str, room: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).topic().open();
    client.send(&json!({"type": "subscribe", "topic": room}));
    client.expect_event("subscribed");
    client
}

#[test]
fn a_message_reaches_members_of_all_dialects_and_the_history() {
    for shards in [1, 2, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        let mut native = server.member("ana", "lobby");
        let mut topic = topic_member(server, "ben", "lobby");
        let mut socketio = SocketIo::member(server, "eve", "lobby");
        let body = json!({"content": {"n": 1}, "senderId": "shop", "type": "robot", "metadata": {"a": [1]}});
        let sent = backend.call("POST", "/v1/rooms/lobby/messages", &body);
        assert_eq!((&sent["offset"], &sent["roomId"]), (&1.into(), &"lobby".into()), "{sent}");
        let got = native.expect_message("lobby");
        assert_eq!((&got.data()["id"], &got.data()["senderId"]), (&sent["id"], &"shop".into()));
        assert_eq!((&got.data()["type"], &got.data()["content"]), (&"robot".into(), &json!({"n": 1})));
        let got = topic.expect_message("lobby");
        assert_eq!(
            (&got.value["data"], &got.value["metadata"]["senderId"]),
            (&json!({"n": 1}), &"shop".into())
        );
        let got = socketio.event("message:received");
        assert_eq!(got.data[1]["id"], sent["id"], "{}", got.raw);
        let history = backend.get("/v1/rooms/lobby/messages");
        assert_eq!(history["messages"][0]["id"], sent["id"], "{history}");
        assert_eq!(native.say("lobby", "after")["offset"], 2, "one order with what clients send");
    }
}

#[test]
fn content_is_carried_byte_for_byte() {
    let gateway = Gateway::start();
    let mut ana = gateway.server.member("ana", "lobby");
    for content in [r#"{"a" : 1.50,"b":[ ]}"#, "1e400", r#""\ud800""#, "12345678901234567890123", "null"] {
        let answer =
            gateway.backend().ask("POST", "/v1/rooms/lobby/messages", &format!(r#"{{"content":{content}}}"#));
        assert_eq!(answer.status, 200, "{answer:?}");
        let got = ana.expect_message("lobby");
        assert!(got.raw.contains(&format!(r#""content":{content},"#)), "{}", got.raw);
    }
}

#[test]
fn a_repeat_is_answered_with_the_first() {
    let gateway = Gateway::start();
    let (mut backend, mut ana) = (gateway.backend(), gateway.server.member("ana", "lobby"));
    let path = "/v1/rooms/lobby/messages";
    let first = backend.ask_with("POST", path, &["Idempotency-Key: order-1"], r#"{"content":1}"#);
    let again = backend.ask_with("POST", path, &["Idempotency-Key: order-1"], r#"{"content":2}"#);
    let (first, again) = (super::json(&first), super::json(&again));
    assert_eq!((&first["id"], &first["offset"]), (&again["id"], &again["offset"]));
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&Value::Null, &true.into()));
    let named = backend.call("POST", path, &json!({"content": 3, "clientId": "order-1"}));
    assert_eq!(named["duplicate"], true, "the header and clientId are one");
    let other = backend.call("POST", path, &json!({"content": 4, "clientId": "order-1", "senderId": "shop"}));
    assert_eq!(other["duplicate"], Value::Null, "another sender's is another");
    assert_eq!(ana.expect_message("lobby").data()["content"], 1);
    assert_eq!(ana.expect_message("lobby").data()["content"], 4);
    let long = format!("Idempotency-Key: {}", "k".repeat(129));
    let refused = backend.ask_with("POST", path, &[&long], r#"{"content":1}"#);
    super::assert_error(&refused, 400, "INVALID_PAYLOAD");
}

#[test]
fn whoever_is_excluded_gets_it_neither_now_nor_later() {
    let gateway = Gateway::start();
    let (server, mut backend) = (&gateway.server, gateway.backend());
    let mut ana = server.member("ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    let session = ana.call("connection:session-info", json!({}))["sessionId"].clone();
    let path = "/v1/rooms/lobby/messages";
    let joined = ben.join("lobby");
    backend.call("POST", path, &json!({"content": "not-ana", "excludeUser": "ana"}));
    backend.call("POST", path, &json!({"content": "not-this", "excludeSession": session}));
    backend.call("POST", path, &json!({"content": "of-ana", "senderId": "ana", "excludeSender": true}));
    backend.call("POST", path, &json!({"content": "all"}));
    let heard = |client: &mut Client| client.expect_message("lobby").data()["content"].clone();
    assert_eq!(heard(&mut ana), "all");
    assert_eq!([(); 4].map(|()| heard(&mut ben)), ["not-ana", "not-this", "of-ana", "all"]);
    let contents = |client: &mut Client| {
        let history = client.call("room:history", json!({"roomId": "lobby"}));
        crate::support::reply::column(&history, "messages", "content")
    };
    assert_eq!(contents(&mut ana), ["all"]);
    assert_eq!(contents(&mut ben).len(), 4);
    let mut again = server.employee("ana");
    let recover = json!({"epoch": joined["epoch"], "offset": 0});
    let recovered = again.call("room:join", json!({"roomId": "lobby", "recover": recover}));
    assert_eq!(recovered["recovered"], true, "{recovered}");
    let missed = crate::support::reply::column(&recovered, "messages", "content");
    assert_eq!(missed, ["not-this", "all"], "another session of the user");
    let both = r#"{"content":1,"excludeUser":"a","excludeSession":"0123456789abcdef"}"#;
    backend.fail("POST", path, both, 400, "INVALID_PAYLOAD");
}

#[test]
fn a_push_goes_to_who_is_there_and_is_kept_nowhere() {
    let gateway = Gateway::start();
    let (server, mut backend) = (&gateway.server, gateway.backend());
    let mut native = server.member("ana", "lobby");
    let mut socketio = SocketIo::member(server, "eve", "lobby");
    let mut topic = topic_member(server, "ben", "lobby");
    let body = json!({"event": "message.created", "data": {"id": 7}});
    let pushed = backend.call("POST", "/v1/rooms/lobby/messages", &body);
    assert_eq!(pushed, json!({"roomId": "lobby", "members": 3}));
    let got = native.expect_event("message.created");
    assert_eq!(got.value, json!({"event": "message.created", "data": {"id": 7}, "version": "1"}));
    assert_eq!(socketio.event("message.created").data[1], json!({"id": 7}));
    topic.assert_no("message.created", "the topic dialect has no such push");
    let info = backend.get("/v1/rooms/lobby");
    assert_eq!(info["offset"], 0, "it is no message: {info}");
    backend.call("POST", "/v1/rooms/lobby/messages", &json!({"event": "a", "excludeUser": "ana"}));
    socketio.event("a");
    native.assert_no("a", "ana is excluded");
    for name in ["message:created", "room:joined", "error", "connect", "a b", ""] {
        let body = json!({"event": name}).to_string();
        backend.fail("POST", "/v1/rooms/lobby/messages", &body, 400, "INVALID_PAYLOAD");
    }
    backend.fail("POST", "/v1/rooms/lobby/messages", r#"{"event":"a","data":1}"#, 400, "INVALID_PAYLOAD");
}

#[test]
fn a_push_is_renamed_by_the_profile_as_any_other() {
    let gateway = Gateway::start();
    let mut ana = gateway.server.connect().token(&Token::employee("ana")).query("profile", "chat").open();
    ana.send(&json!({"event": "chat:room:join", "data": {"roomId": "lobby"}}));
    ana.expect_event("chat:room:joined");
    let body = json!({"event": "system:notification", "data": {"text": "hello"}});
    gateway.backend().call("POST", "/v1/rooms/lobby/messages", &body);
    assert_eq!(ana.expect_event("chat:system:notification").data(), &json!({"text": "hello"}));
}

#[test]
fn a_user_gets_what_is_published_to_it_even_later() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    backend.call("POST", "/v1/users/ana/messages", &json!({"content": "early"}));
    let mut ana = gateway.server.employee("ana");
    assert_eq!(ana.expect_message("user:ana").data()["content"], "early");
    let mut phone = gateway.server.employee("ana");
    phone.ping();
    backend.call("POST", "/v1/users/ana/messages", &json!({"content": "now"}));
    for client in [&mut ana, &mut phone] {
        assert_eq!(client.expect_message("user:ana").data()["content"], "now");
    }
}

#[test]
fn a_batch_keeps_the_order_of_each_room_and_tells_each_result() {
    let gateway = Gateway::on(Server::builder().shards(4));
    let (mut backend, mut ana) = (gateway.backend(), gateway.server.member("ana", "lobby"));
    let mut messages: Vec<Value> = (1..=300).map(|n| json!({"roomId": "lobby", "content": n})).collect();
    messages.insert(10, json!({"userId": "ana", "content": "direct"}));
    messages.insert(20, json!({"content": "nowhere"}));
    messages.insert(30, json!({"roomId": "lobby"}));
    messages.insert(40, json!({"roomId": "lobby", "event": "a"}));
    let answer = backend.call("POST", "/v1/batch", &json!({"messages": messages}));
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 304);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result["ok"], ![20, 30, 40].contains(&at), "{at}: {result}");
    }
    assert_eq!(results[20]["error"]["code"], "INVALID_PAYLOAD");
    for n in 1..=300 {
        assert_eq!(ana.expect_message("lobby").data()["content"], n);
    }
    assert_eq!(ana.expect_message("user:ana").data()["content"], "direct");
    for body in [r#"{"messages":[]}"#, r#"{"messages":1}"#, "{}", "[]", "{", ""] {
        assert_eq!(backend.ask("POST", "/v1/batch", body).status, 400, "{body}");
    }
}

#[test]
fn what_is_malformed_says_where() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    let deep = format!(r#"{{"content":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    for (body, code, field) in [
        ("{}", "INVALID_PAYLOAD", "content"),
        (r#"{"content":1,"type":"poem"}"#, "INVALID_PAYLOAD", "type"),
        (r#"{"content":1,"senderId":"a b"}"#, "INVALID_PAYLOAD", "senderId"),
        (r#"{"content":1,"excludeSession":"x"}"#, "INVALID_PAYLOAD", "excludeSession"),
        (r#"{"content":1,"metadata":1}"#, "INVALID_PAYLOAD", "metadata"),
        ("{\"content\":01}", "PROTOCOL_ERROR", ""),
        ("[]", "PROTOCOL_ERROR", ""),
        (&deep, "PROTOCOL_ERROR", ""),
    ] {
        let error = backend.fail("POST", "/v1/rooms/lobby/messages", body, 400, code);
        assert_eq!(error["details"]["field"].as_str().unwrap_or(""), field, "{body}: {error}");
    }
    backend.fail("POST", "/v1/rooms/a%20b/messages", r#"{"content":1}"#, 400, "INVALID_PAYLOAD");
    backend.fail("POST", "/v1/users/a%22b/messages", r#"{"content":1}"#, 400, "INVALID_PAYLOAD");
}
