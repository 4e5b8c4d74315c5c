//! The client of seed 004 (profile `topic`): its five messages letter by letter, its errors, its limits.

use serde_json::{Value, json};

use crate::support::reply::keys;
use crate::support::{Client, Frame, Server, Token};

const TOPIC: &str = "messages.user.123";

fn connect(server: &Server, name: &'static str) -> Client {
    server.connect().query("profile", "topic").open().transcribed(name)
}

/// Connected, and authenticated by the seed's first message.
fn client(server: &Server, name: &'static str) -> Client {
    let mut client = connect(server, name);
    client.send(&json!({"type": "auth", "token": Token::employee(name).mint()}));
    let success = client.expect_event("auth_success");
    assert_eq!(keys(&success.value), ["timestamp", "type", "userId"], "{}", success.raw);
    assert_eq!(success.value["userId"], name);
    client
}

/// The server's answer of that type to a message about a topic.
fn answer(client: &mut Client, kind: &str, topic: &str, answer: &str) -> Frame {
    client.send(&json!({"type": kind, "topic": topic}));
    let frame = client.expect_event(answer);
    assert_eq!(frame.value["topic"], topic, "{}", frame.raw);
    assert!(frame.value["timestamp"].is_string(), "{}", frame.raw);
    frame
}

/// Sends and expects the seed's error message of that code.
fn assert_refused(client: &mut Client, message: &Value, code: u16) {
    client.send(message);
    assert_error(&client.expect_event("error"), code);
}

fn assert_error(error: &Frame, code: u16) {
    let known = ["code", "details", "message", "timestamp", "type"];
    assert!(keys(&error.value).iter().all(|key| known.contains(key)), "{}", error.raw);
    assert_eq!(error.value["code"], code, "{}", error.raw);
    assert!(error.value["message"].is_string() && error.value["timestamp"].is_string(), "{}", error.raw);
}

#[test]
fn the_client_of_seed_004_uses_its_five_messages() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| client(&server, name));
        for subscriber in [&mut ana, &mut ben] {
            answer(subscriber, "subscribe", TOPIC, "subscribed");
        }
        let message = json!({
            "type": "message", "topic": TOPIC,
            "data": {"content": "Hello, World!"}, "metadata": {"priority": "high"}
        });
        ana.send(&message);
        for subscriber in [&mut ana, &mut ben] {
            let broadcast = subscriber.expect_message(TOPIC);
            let shape = ["data", "eventType", "metadata", "timestamp", "topic", "type"];
            assert_eq!(keys(&broadcast.value), shape, "{}", broadcast.raw);
            assert_eq!(broadcast.value["eventType"], "message.sent");
            assert_eq!(broadcast.value["data"], message["data"]);
            let metadata = &broadcast.value["metadata"];
            assert_eq!([&metadata["senderId"], &metadata["priority"]], ["ana", "high"]);
        }
        for _ in 0..2 {
            answer(&mut ben, "unsubscribe", TOPIC, "unsubscribed");
        }
        ana.send(&message);
        ana.expect_message(TOPIC);
        ana.send(&json!({"type": "ping"}));
        assert_eq!(keys(&ana.expect_event("pong").value), ["timestamp", "type"]);
        ben.assert_no("message", "no longer subscribed");
    }
}

#[test]
fn exact_topics_and_both_wildcards_are_subscribed_to() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let patterns = [TOPIC, "messages.user.*", "messages.**"];
        let mut subscribers = patterns.map(|pattern| {
            let mut subscriber = client(&server, "ana");
            answer(&mut subscriber, "subscribe", pattern, "subscribed");
            subscriber
        });
        let mut ben = client(&server, "ben");
        for topic in ["messages.room", "messages.user.9", TOPIC] {
            ben.send(&json!({"type": "message", "topic": topic, "data": topic}));
        }
        for (subscriber, count) in subscribers.iter_mut().zip([1, 2, 3]) {
            subscriber.expect_message(TOPIC);
            // Topics may sit on other shards, whose messages take their own time.
            subscriber.stays_open_for(crate::support::QUIET);
            assert_eq!(subscriber.arrived("message").len(), count - 1);
        }
    }
}

#[test]
fn edits_and_deletions_come_as_their_event_types() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut tom = client(&server, "tom");
        answer(&mut tom, "subscribe", TOPIC, "subscribed");
        let mut ana = server.member("ana", TOPIC);
        let id = ana.say(TOPIC, "helo")["id"].clone();
        ana.call("message:edit", json!({"roomId": TOPIC, "messageId": id, "content": "hello"}));
        ana.call("message:delete", json!({"roomId": TOPIC, "messageId": id}));
        for event_type in ["message.sent", "message.edited", "message.deleted"] {
            let message = tom.expect_message(TOPIC);
            assert_eq!(message.value["eventType"], event_type, "{}", message.raw);
            assert_eq!(message.value["metadata"]["id"], id, "{}", message.raw);
        }
    }
}

#[test]
fn errors_carry_the_number_that_the_seed_expects() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--limit-messages", "1/1h"]).start();
        let mut stranger = connect(&server, "stranger");
        assert_refused(&mut stranger, &json!({"type": "subscribe", "topic": TOPIC}), 401);
        stranger.send(&json!({"type": "auth", "token": "eyJhbGc..."}));
        let refused = stranger.expect_event("auth_error");
        assert_eq!(keys(&refused.value), ["code", "message", "timestamp", "type"], "{}", refused.raw);
        assert_eq!(refused.value["code"], 401);

        let mut owner = server.employee("owner");
        owner.call("room:create", json!({"roomId": "full", "maxMembers": 1}));
        let mut ana = client(&server, "ana");
        assert_refused(&mut ana, &json!({"type": "subscribe", "topic": "no spaces"}), 400);
        assert_refused(&mut ana, &json!({"type": "no such"}), 400);
        assert_refused(&mut ana, &json!({"type": "message", "topic": "messages.*", "data": 1}), 400);
        assert_refused(&mut ana, &json!({"type": "subscribe", "topic": "user:ben"}), 403);
        assert_refused(&mut ana, &json!({"type": "subscribe", "topic": "full"}), 404);
        ana.send(&json!({"type": "message", "topic": TOPIC, "data": 1}));
        assert_refused(&mut ana, &json!({"type": "message", "topic": TOPIC, "data": 2}), 429);

        let lost = server.connect().token(&Token::employee("ana")).query("profile", "topic");
        let mut lost = lost.query("session", "nonsense").open().transcribed("ana");
        assert_error(&lost.expect_event("error"), 404);
        answer(&mut lost, "subscribe", TOPIC, "subscribed");
    }
}

#[test]
fn a_hundred_connections_of_an_address_and_messages_of_a_mebibyte_fit() {
    let server = Server::builder().shards(3).default_limits().with(&["--profile", "topic"]).start();
    let ana = Token::employee("ana");
    let mut connections: Vec<Client> = (0..100).map(|_| server.open(&ana)).collect();
    assert_eq!(server.connect().token(&ana).refused().status, 429);
    let mut first = connections.pop().expect("a hundred");
    let message = |bytes: usize| {
        let empty = json!({"type": "message", "topic": TOPIC, "data": ""}).to_string();
        empty.replace(r#""data":"""#, &format!(r#""data":"{}""#, "x".repeat(bytes - empty.len())))
    };
    answer(&mut first, "subscribe", TOPIC, "subscribed");
    first.send_text(message(1024 * 1024));
    first.expect_message(TOPIC);
    first.send_text(message(1024 * 1024 + 1));
    assert_eq!(first.expect_close().0, 1009);
}
