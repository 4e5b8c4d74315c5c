//! `emit(event, data, ack)` is the envelope: replies in acks, pushes as events, an offset behind each of these.

use serde_json::json;

use super::{gateway, member};
use crate::support::reply::keys;
use crate::support::{Server, SocketIo};

#[test]
fn an_ack_gets_the_replys_data_and_nothing_else() {
    for shards in [1, 4] {
        let (_server, endpoint) = gateway(shards, &[]);
        for polling in [false, true] {
            let (mut ana, _) = member(&endpoint, polling, "ana", "lobby");
            let joined = ana.call("room:join", json!({"roomId": "hall"}));
            assert_eq!(keys(&joined), ["epoch", "members", "offset", "roomId"], "{joined}");
            let sent = ana.say("lobby", "hello");
            assert_eq!(keys(&sent), ["epoch", "id", "offset", "roomId", "timestamp"], "{sent}");
            let received = ana.event("message:received");
            assert_eq!(received.data[1]["id"], sent["id"], "{}", received.raw);
            assert_eq!(received.data[1]["content"], "hello", "{}", received.raw);
        }
    }
}

#[test]
fn without_an_ack_queries_are_answered_by_events_and_sends_are_silent() {
    let (_server, endpoint) = gateway(2, &[]);
    let (mut ana, _) = member(&endpoint, false, "ana", "lobby");
    ana.emit("room:join", &json!({"roomId": "hall"}));
    assert_eq!(ana.event("room:joined").data[1]["roomId"], "hall");
    ana.emit("ping", &json!({}));
    assert!(!ana.event("pong").data[1]["timestamp"].is_null());
    ana.emit("message:send", &json!({"roomId": "lobby", "content": 1}));
    ana.event("message:received");
    ana.assert_no("message:sent");
    ana.emit("message:send", &json!({"roomId": "elsewhere", "content": 1}));
    let error = ana.event("error");
    assert_eq!(error.data[1]["code"], "ROOM_ACCESS_DENIED", "{}", error.raw);
    assert_eq!(error.data[1]["status"], "error", "{}", error.raw);
}

#[test]
fn absent_data_is_an_empty_object() {
    let (server, _) = gateway(2, &[]);
    let mut ana = SocketIo::employee(&server, "ana");
    for packet in [r#"421["connection:session-info"]"#, r#"421["connection:session-info",null]"#] {
        ana.send(packet);
        assert_eq!(ana.ack(1)["userId"], "ana", "{packet}");
    }
    ana.send(r#"42["ping"]"#);
    ana.event("pong");
}

#[test]
fn what_is_no_envelope_is_an_invalid_payload_or_a_protocol_error() {
    let (server, _) = gateway(2, &[]);
    let mut ana = SocketIo::employee(&server, "ana");
    for (arguments, code) in [
        (r#"["ping",{},{}]"#, "INVALID_PAYLOAD"),
        (r#"["ping",{},"offset"]"#, "INVALID_PAYLOAD"),
        (r#"["ping","text"]"#, "INVALID_PAYLOAD"),
        (r#"["ping",7]"#, "INVALID_PAYLOAD"),
        (r#"["ping",[1]]"#, "INVALID_PAYLOAD"),
        (r#"["room:join",{}]"#, "INVALID_PAYLOAD"),
        (r#"["message:send",{"roomId":"lobby","content":1}]"#, "ROOM_ACCESS_DENIED"),
        (r#"["no:such:event",{}]"#, "PROTOCOL_ERROR"),
        (r#"[7,{}]"#, "PROTOCOL_ERROR"),
    ] {
        ana.send(&format!("421{arguments}"));
        assert_eq!(ana.ack(1)["code"], code, "{arguments}");
        ana.send(&format!("42{arguments}"));
        let error = ana.event("error");
        assert_eq!(error.data[1]["code"], code, "{arguments}: {}", error.raw);
    }
    ana.call("room:join", json!({"roomId": "lobby"}));
}

#[test]
fn reserved_names_of_events_close() {
    let (server, _) = gateway(2, &[]);
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let mut ana = SocketIo::employee(&server, "ana");
        ana.try_send(&format!("42[\"{name}\",{{}}]"));
        ana.expect_end();
    }
}

#[test]
fn every_event_without_ack_id_ends_with_an_offset() {
    for shards in [1, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = SocketIo::member(&server, "ana", "lobby");
        let mut ben = server.member("ben", "lobby");
        let mut positions = vec![ana.event("room:member-joined")];
        ana.emit("room:join", &json!({"roomId": "hall"}));
        positions.push(ana.event("room:joined"));
        ana.emit("ping", &json!({}));
        positions.push(ana.event("pong"));
        ana.emit("no:such:event", &json!({}));
        positions.push(ana.event("error"));
        ben.call("message:typing", json!({"roomId": "lobby", "isTyping": true}));
        positions.push(ana.event("user:typing"));
        for n in 0..3 {
            ben.say("lobby", n);
            positions.push(ana.event("message:received"));
        }
        for event in &positions {
            assert_eq!(event.data.as_array().map(Vec::len), Some(3), "{}", event.raw);
            assert!(!event.position().is_empty(), "{}", event.raw);
        }
        let messages = &positions[positions.len() - 3..];
        assert_ne!(messages[0].position(), messages[2].position(), "it says how far the client has got");
    }
}

#[test]
fn acks_come_back_complete_and_in_order() {
    for shards in [1, 4] {
        let (_server, endpoint) = gateway(shards, &[]);
        let (mut ana, _) = member(&endpoint, false, "ana", "lobby");
        let ids: Vec<u64> =
            (0..1000).map(|n| ana.post("message:send", &json!({"roomId": "lobby", "content": n}))).collect();
        let mut offsets = Vec::new();
        for id in ids {
            let ack = ana.expect("an ack", |message| message.kind == '3');
            assert_eq!(ack.id, Some(id), "{}", ack.raw);
            offsets.push(ack.data[0]["offset"].as_u64().expect("an offset"));
        }
        assert!(offsets.iter().copied().eq(1..=1000), "{offsets:?}");
    }
}

#[test]
fn ack_ids_are_the_clients_own_and_may_be_any_integer() {
    let (server, _) = gateway(2, &[]);
    let mut ana = SocketIo::employee(&server, "ana");
    for id in [0, 7, 7, 4_294_967_296, 9_007_199_254_740_991] {
        ana.send(&format!("42{id}[\"ping\",{{}}]"));
        assert!(!ana.ack(id)["timestamp"].is_null());
    }
}

#[test]
fn content_is_carried_byte_for_byte_between_dialects() {
    let server = Server::builder().shards(3).start();
    let mut ana = SocketIo::member(&server, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    for content in [r#""€ \ud83d\ude00 \u0041""#, "1.0e5", "12345678901234567890123", "[1, {\"a\" :null}]"]
    {
        ana.send(&format!(r#"421["message:send",{{"roomId":"lobby","content":{content}}}]"#));
        ana.ack(1);
        assert_eq!(ben.expect_message("lobby").payload(), content);
        let received = ana.event("message:received");
        assert!(received.raw.contains(&format!("\"content\":{content}")), "{}", received.raw);
    }
}
