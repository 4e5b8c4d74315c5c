//! What recovers nothing: a new pid then, and not one message of what was missed.

use serde_json::{Value, json};

use super::{auth, gateway, member, pid};
use crate::support::engine::Endpoint;
use crate::support::{Server, SocketIo, Token};

/// A gateway with ana cut off from the lobby, in which she has missed a message; her pid, and ben who said it.
fn cut_off(shards: usize) -> (Server, Endpoint, String, crate::support::Client) {
    let (server, endpoint) = gateway(shards, &[]);
    let (ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    ana.cut(&server);
    ben.say("lobby", "missed");
    (server, endpoint, pid, ben)
}

/// Fails unless this CONNECT succeeds and recovers nothing.
#[track_caller]
fn assert_fresh(endpoint: &Endpoint, payload: &Value) {
    let mut client = SocketIo::open(endpoint, false);
    let connected = client.connect(payload);
    assert_ne!(connected["pid"], payload["pid"], "recovered by {payload}");
    pid(&connected);
    let rooms = client.call("room:list", json!({}));
    assert!(client.arrived("message:received").is_empty(), "shown by {payload}");
    assert!(!rooms.to_string().contains("\"lobby\""), "{rooms}");
}

#[test]
fn a_forged_pid_recovers_nothing() {
    let (_server, endpoint, real, _ben) = cut_off(3);
    let mut changed = real.clone();
    let last = changed.pop().expect("it is not empty");
    changed.push(if last == 'A' { 'B' } else { 'A' });
    for pid in [
        json!(changed),
        json!(real[1..]),
        json!(format!("{real}A")),
        json!("nonsense"),
        json!(""),
        json!("x".repeat(10_000)),
        json!(7),
        json!(null),
        json!({"pid": real}),
        json!([real]),
        json!("\u{0}\u{1F600}"),
    ] {
        let mut payload = auth("ana");
        payload["pid"] = pid;
        assert_fresh(&endpoint, &payload);
    }
}

#[test]
fn another_users_pid_recovers_nothing_and_stays_its_owners() {
    let (_server, endpoint, pid, _ben) = cut_off(3);
    for name in ["ben", "mallory"] {
        let mut payload = auth(name);
        payload["pid"] = json!(pid);
        assert_fresh(&endpoint, &payload);
    }
    let mut payload = auth("ana");
    payload["pid"] = json!(pid);
    let mut ana = SocketIo::open(&endpoint, false);
    assert_eq!(ana.connect(&payload)["pid"], pid.as_str());
    assert_eq!(ana.arrived("message:received").len(), 1);
}

#[test]
fn a_bad_token_is_refused_whatever_the_pid_and_uses_nothing_up() {
    let (_server, endpoint, pid, _ben) = cut_off(3);
    let mut ana = SocketIo::open(&endpoint, false);
    for token in [Token::employee("ana").expires_in(-5).mint(), "nonsense".to_owned()] {
        let refusal = ana.try_connect(&json!({"token": token, "pid": pid})).expect_err("it is bad");
        assert_eq!(refusal["data"]["code"], "AUTH_FAILED", "{refusal}");
    }
    assert!(ana.arrived("message:received").is_empty(), "nothing is shown to whoever is refused");
    let mut payload = auth("ana");
    payload["pid"] = json!(pid);
    assert_eq!(ana.connect(&payload)["pid"], pid.as_str());
    assert_eq!(ana.arrived("message:received").len(), 1);
}

#[test]
fn a_room_that_the_new_token_does_not_allow_makes_it_a_fresh_connection() {
    for shards in [1, 3] {
        let (server, endpoint) = gateway(shards, &[]);
        let guest = |rooms: &[&str]| json!({"token": Token::guest("gil").rooms(rooms).mint()});
        let mut gil = SocketIo::open(&endpoint, false);
        let old = pid(&gil.connect(&guest(&["lobby", "vip"])));
        let mut ben = server.member("ben", "lobby");
        ben.join("vip");
        gil.cut(&server);
        ben.say("vip", "secret");
        ben.say("lobby", "hello");
        let mut gil = SocketIo::open(&endpoint, false);
        let mut payload = guest(&["lobby"]);
        payload["pid"] = json!(old);
        let connected = gil.connect(&payload);
        assert_ne!(pid(&connected), old);
        gil.assert_no("message:received");
        ben.say("vip", "still secret");
        ben.say("lobby", "she is in the room of her token");
        assert_eq!(gil.event("message:received").data[1]["roomId"], "lobby");
        gil.assert_no("message:received");
    }
}

#[test]
fn after_a_clients_own_disconnect_nothing_is_recovered() {
    let (server, endpoint) = gateway(3, &[]);
    for polling in [false, true] {
        let (mut ana, old) = member(&endpoint, polling, "ana", "lobby");
        let mut ben = server.member("ben", "lobby");
        ana.send("41");
        let mut payload = auth("ana");
        payload["pid"] = json!(old);
        // Over the same transport and over another.
        let connected = ana.connect(&payload);
        assert_ne!(pid(&connected), old);
        ben.say("lobby", "missed");
        ana.assert_no("message:received");
        assert_fresh(&endpoint, &payload);
        ben.close();
    }
}

#[test]
fn a_forged_offset_is_never_a_gap() {
    let (_server, endpoint, pid, mut ben) = cut_off(2);
    let offsets = [json!("nonsense"), json!(""), json!(7), json!(null), json!({}), json!("9".repeat(500))];
    let mut missed = vec![json!("missed")];
    let mut pid = pid;
    for offset in offsets {
        let mut payload = auth("ana");
        payload["pid"] = json!(pid);
        payload["offset"] = offset.clone();
        let mut ana = SocketIo::open(&endpoint, false);
        let connected = ana.connect(&payload);
        let received = ana.arrived("message:received");
        if connected["pid"] == pid.as_str() {
            let contents: Vec<Value> = received.iter().map(|m| m.data[1]["content"].clone()).collect();
            assert!(missed.ends_with(&contents) && !contents.is_empty(), "{offset}: {received:?}");
        } else {
            assert!(received.is_empty(), "{offset}: {received:?}");
            ana.call("room:join", json!({"roomId": "lobby"}));
            pid = super::pid(&connected);
        }
        drop(ana);
        let content = json!(format!("after {offset}"));
        ben.say("lobby", content.clone());
        missed.push(content);
    }
}

/// The client would wait for ever for what it had asked for: it is told to ask again.
#[test]
fn a_client_with_patterns_or_watches_begins_anew() {
    for (event, data) in [
        ("room:subscribe-multiple", json!({"rooms": [], "patterns": ["hall.*"]})),
        ("presence:watch", json!({"userIds": ["ben"]})),
    ] {
        let (server, endpoint) = gateway(2, &[]);
        let mut ben = server.member("ben", "lobby");
        let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
        ana.call(event, data);
        ana.cut(&server);
        ben.say("lobby", "missed");
        let mut payload = auth("ana");
        payload["pid"] = json!(pid);
        assert_fresh(&endpoint, &payload);
    }
}

/// It names the session that it was given on connecting, and is another one since.
#[test]
fn a_client_that_took_up_another_session_begins_anew() {
    let (server, endpoint) = gateway(2, &[]);
    let (first, earlier) = member(&endpoint, false, "ana", "lobby");
    first.cut(&server);
    let (mut ana, pid) = member(&endpoint, false, "ana", "hall");
    let recovered = ana.call("connection:recover", json!({"token": earlier}));
    assert!(recovered["rooms"].to_string().contains("\"lobby\""), "{recovered}");
    ana.cut(&server);
    let mut payload = auth("ana");
    payload["pid"] = json!(pid);
    assert_fresh(&endpoint, &payload);
}
