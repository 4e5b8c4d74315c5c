//! Who is let in: tokens in CONNECT, in the query, in a header; refusals with `data.code`; what ends with a token.

use serde_json::{Value, json};

use super::{auth, gateway};
use crate::support::engine::{Endpoint, EngineSocket};
use crate::support::http::upgrade_head;
use crate::support::line::Line;
use crate::support::reply::keys;
use crate::support::{SocketIo, Token};

#[test]
fn a_token_in_connect_lets_in_over_either_transport() {
    for shards in [1, 4] {
        let (_server, endpoint) = gateway(shards, &[]);
        for polling in [false, true] {
            let mut ana = SocketIo::open(&endpoint, polling);
            let connected = ana.connect(&auth("ana"));
            assert_eq!(keys(&connected), ["pid", "sid"], "{connected}");
            assert_ne!(connected["sid"], connected["pid"]);
            assert_eq!(ana.call("connection:session-info", json!({}))["userId"], "ana");
        }
    }
}

#[test]
fn a_token_may_come_with_the_request_instead() {
    let (_server, endpoint) = gateway(2, &[]);
    let token = Token::employee("ana").mint();
    let by_query = endpoint.clone().with(&format!("token={token}"));
    for polling in [false, true] {
        for connect in ["40", "40{}"] {
            let mut ana = SocketIo::open(&by_query, polling);
            ana.send(connect);
            assert_eq!(ana.next().kind, '0');
            assert_eq!(ana.call("connection:session-info", json!({}))["userId"], "ana");
        }
    }
    let bearer = format!("Authorization: Bearer {token}");
    let head = upgrade_head(&endpoint.target("websocket"), &[&bearer]);
    let mut socket = EngineSocket::over(Line::to(endpoint.address), head.as_bytes());
    assert!(socket.expect_text().starts_with('0'));
    let mut ana = SocketIo::on_socket(socket);
    ana.connect(&json!({}));
    assert_eq!(ana.call("connection:session-info", json!({}))["userId"], "ana");
}

/// Fails unless this is what CONNECT_ERROR says of a token.
#[track_caller]
fn assert_auth_failed(refusal: &Value, members: &[&str]) {
    assert_eq!(keys(refusal), ["data", "message"], "{refusal}");
    assert!(refusal["message"].as_str().is_some_and(|text| !text.is_empty()), "{refusal}");
    assert_eq!(keys(&refusal["data"]), members, "{refusal}");
    assert_eq!(refusal["data"]["code"], "AUTH_FAILED", "{refusal}");
    assert_eq!(refusal["data"]["recoverable"], false, "{refusal}");
}

#[test]
fn a_bad_token_is_refused_with_a_code_and_another_may_be_tried() {
    let (_server, endpoint) = gateway(2, &[]);
    let bad = [
        json!({}),
        json!({"token": ""}),
        json!({"token": "nonsense"}),
        json!({"token": 7}),
        json!({"token": null}),
        json!({"token": Token::employee("ana").mint_with("another-secret-of-at-least-32-bytes!!")}),
        json!({"token": Token::employee("ana").expires_in(-5).mint()}),
        json!({"token": Token::employee("ana").claim("sub", Value::Null).mint()}),
    ];
    let native = ["code", "details", "message", "recoverable", "status"];
    let chat = ["code", "details", "message", "recoverable"];
    for (endpoint, members) in [(endpoint.clone(), &native[..]), (endpoint.with("profile=chat"), &chat)] {
        for polling in [false, true] {
            for pair in bad.chunks(2) {
                let mut ana = SocketIo::open(&endpoint, polling);
                for bad in pair {
                    let refusal = ana.try_connect(bad).expect_err("it is bad");
                    assert_auth_failed(&refusal, members);
                }
                ana.connect(&auth("ana"));
                ana.call("room:join", json!({"roomId": "lobby"}));
            }
        }
    }
}

#[test]
fn three_bad_tokens_close_the_transport() {
    let (_server, endpoint) = gateway(2, &[]);
    for polling in [false, true] {
        let mut ana = SocketIo::open(&endpoint, polling);
        for _ in 0..3 {
            ana.try_send(r#"40{"token":"nonsense"}"#);
        }
        let last = ana.expect_end();
        assert_eq!(last.len(), 3, "{last:?}");
        assert!(last.iter().all(|message| message.kind == '4'), "{last:?}");
    }
}

#[test]
fn a_client_that_never_connects_is_closed_in_time() {
    let (_server, endpoint) = gateway(2, &["--socketio-connect-timeout", "500ms"]);
    let (mut silent, _) = endpoint.websocket();
    let mut polling = endpoint.polling();
    polling.begin_get();
    let mut ana = SocketIo::open(&endpoint, false);
    ana.connect(&auth("ana"));
    silent.expect_close();
    polling.finish_last_get();
    ana.call("room:join", json!({"roomId": "lobby"}));
}

#[test]
fn an_event_right_behind_connect_is_never_lost() {
    let (_server, endpoint) = gateway(4, &[]);
    for n in 0..300 {
        let (mut socket, _) = endpoint.websocket();
        let connect = format!("40{}", auth("ana"));
        let join = json!(["room:join", {"roomId": format!("room:{n}")}]);
        let bytes: Vec<u8> = [connect, format!("421{join}")]
            .iter()
            .flat_map(|packet| crate::support::engine::text_frame(packet))
            .collect();
        assert!(socket.try_send_bytes(&bytes));
        let mut ana = SocketIo::on_socket(socket);
        assert_eq!(ana.ack(1)["roomId"], format!("room:{n}"));
    }
    let mut session = endpoint.polling();
    session.send(format!("40{}\x1e421[\"room:join\",{{\"roomId\":\"lobby\"}}]", auth("ana")));
    let mut packets = String::new();
    while !packets.contains("431[") {
        packets.push_str(&session.poll());
    }
}

#[test]
fn a_token_that_expires_disconnects_for_good() {
    let (_server, endpoint) = gateway(2, &[]);
    let mut ana = SocketIo::open(&endpoint, false);
    ana.connect(&json!({"token": Token::employee("ana").expires_in(2).mint()}));
    let expiring = ana.event("auth:expiring");
    assert!(!expiring.data[1]["expiresAt"].is_null(), "{}", expiring.raw);
    let end = ana.expect("the end", |message| message.kind == '1');
    assert_eq!(end.raw, "41");
    ana.expect_end();
}

#[test]
fn a_second_connect_or_a_packet_for_another_namespace_closes() {
    let (_server, endpoint) = gateway(2, &["--socketio-namespaces", "/admin"]);
    let connect = format!("40{}", auth("ana"));
    for packet in [
        connect.as_str(),
        "40",
        r#"42/admin,["ping",{}]"#,
        r#"42/nowhere,1["ping",{}]"#,
        "41/admin,",
        "43/admin,1[]",
    ] {
        for polling in [false, true] {
            let mut ana = SocketIo::open(&endpoint, polling);
            ana.connect(&auth("ana"));
            ana.try_send(packet);
            let last = ana.expect_end();
            assert!(last.iter().all(|message| message.kind != '1'), "{packet}: {last:?}");
        }
    }
}

#[test]
fn an_unknown_profile_is_refused_and_a_known_one_speaks_its_names() {
    let (_server, endpoint) = gateway(2, &[]);
    let unknown = Endpoint::clone(&endpoint).with("profile=nobody");
    let answer = crate::support::http::get(endpoint.address, &unknown.target("polling"));
    assert_eq!(answer.status, 400, "{answer:?}");
    let mut chat = SocketIo::open(&endpoint.with("profile=chat"), false);
    chat.connect(&auth("ana"));
    chat.emit("chat:room:join", &json!({"roomId": "lobby"}));
    assert_eq!(chat.event("chat:room:joined").data[1]["roomId"], "lobby");
    chat.emit("chat:message:send", &json!({"roomId": "lobby", "content": "hello"}));
    assert_eq!(chat.event("chat:message:received").data[1]["content"], "hello");
    chat.emit("chat:message:send", &json!({"roomId": "elsewhere", "content": "hello"}));
    let error = chat.event("chat:error");
    assert_eq!(keys(&error.data[1]), ["code", "details", "message", "recoverable"], "{}", error.raw);
}

#[test]
fn refusals_of_one_namespace_do_not_end_another() {
    let (_server, endpoint) = gateway(2, &["--socketio-namespaces", "/admin"]);
    let mut ana = SocketIo::open(&endpoint, false);
    ana.connect(&auth("ana"));
    for _ in 0..5 {
        ana.within("/admin").try_connect(&json!({"token": "bad"})).expect_err("a bad token");
    }
    ana.within("/").call("ping", json!({}));
    ana.within("/admin").connect(&auth("ana"));
}
