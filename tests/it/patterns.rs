//! Wildcards in both dialects: what they match, that one copy arrives, and whom they do not let in (protocol §4).

use serde_json::json;

use crate::support::{Client, Server, Token};

fn employee(server: &Server, name: &str) -> Client {
    server.connect().token(&Token::employee(name)).open()
}

fn subscribe(client: &mut Client, pattern: &str) {
    let reply = client.call("room:subscribe-multiple", json!({"patterns": [pattern]}));
    assert_eq!(reply["results"][0]["ok"], true, "{reply}");
}

/// Which of `rooms` a subscriber of `pattern` hears, in both dialects, on that many shards.
fn heard(shards: usize, pattern: &str, rooms: &[&str]) -> Vec<String> {
    let server = Server::builder().shards(shards).start();
    let mut event = employee(&server, "event");
    subscribe(&mut event, pattern);
    let mut topic = server.connect().token(&Token::employee("topic")).topic().open();
    topic.send(&json!({"type": "subscribe", "topic": pattern}));
    assert_eq!(topic.expect_event("subscribed").value["topic"], pattern);
    let mut publisher = employee(&server, "publisher");
    // The last of these rooms matches by itself, so that it closes the list.
    event.join("the.end");
    topic.send(&json!({"type": "subscribe", "topic": "the.end"}));
    topic.expect_event("subscribed");
    for room in rooms.iter().chain(&["the.end"]) {
        publisher.join(room);
        publisher.say(room, *room);
    }
    let [by_event, by_topic] = [event, topic].map(|mut client| {
        client.expect_message("the.end");
        // Other rooms may sit on other shards, so that a slower one follows a little later.
        client.stays_open_for(std::time::Duration::from_millis(200));
        let names = ["message:received", "message"];
        let mut rooms: Vec<String> = names
            .iter()
            .flat_map(|name| client.arrived(name))
            .map(|frame| frame.payload().trim_matches('"').to_owned())
            .collect();
        rooms.sort();
        rooms
    });
    assert_eq!(by_event, by_topic, "{pattern}");
    by_event
}

#[test]
fn a_star_is_one_segment_and_two_are_one_or_more() {
    let rooms = ["orders", "orders.eu", "orders.us", "orders.eu.new", "orders:eu", "order.eu", "x.orders.eu"];
    for shards in [1, 2, 4] {
        assert_eq!(heard(shards, "orders.*", &rooms), ["orders.eu", "orders.us"]);
        assert_eq!(heard(shards, "orders.**", &rooms), ["orders.eu", "orders.eu.new", "orders.us"]);
    }
    assert_eq!(heard(2, "orders:*", &rooms), ["orders:eu"]);
    assert_eq!(heard(2, "*.eu", &rooms), ["order.eu", "orders.eu"]);
    assert_eq!(heard(2, "*.*.eu", &rooms), ["x.orders.eu"]);
    assert_eq!(heard(2, "**.eu", &rooms), ["order.eu", "orders.eu", "x.orders.eu"]);
    assert_eq!(heard(2, "orders.*.new", &rooms), ["orders.eu.new"]);
    assert_eq!(heard(2, "orders.**.new", &rooms), ["orders.eu.new"]);
}

#[test]
fn one_copy_arrives_however_many_patterns_match() {
    let server = Server::builder().shards(2).start();
    let mut ana = employee(&server, "ana");
    ana.join("orders.eu");
    for pattern in ["orders.*", "orders.**", "*.eu", "**"] {
        subscribe(&mut ana, pattern);
    }
    let mut ben = employee(&server, "ben");
    ben.join("orders.eu");
    ben.say("orders.eu", "one");
    ben.say("orders.eu", "two");
    assert_eq!(ana.expect_message("orders.eu").data()["content"], "one");
    assert_eq!(ana.expect_message("orders.eu").data()["content"], "two");
    ana.ping();
    assert!(ana.arrived("message:received").is_empty());
}

#[test]
fn pattern_subscribers_are_not_members() {
    let server = Server::builder().shards(2).start();
    let mut ana = employee(&server, "ana");
    subscribe(&mut ana, "orders.*");
    let mut ben = employee(&server, "ben");
    assert_eq!(ben.join("orders.eu")["members"], 1);
    assert_eq!(ben.call("room:info", json!({"roomId": "orders.eu"}))["members"], 1);
    ana.fail("message:send", json!({"roomId": "orders.eu", "content": 1}), "ROOM_ACCESS_DENIED");
    ana.fail("room:leave", json!({"roomId": "orders.eu"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn an_ended_pattern_is_silent_and_a_membership_beside_it_stays() {
    let server = Server::builder().shards(2).start();
    let mut ana = employee(&server, "ana");
    subscribe(&mut ana, "orders.*");
    ana.join("orders.eu");
    let mut ben = employee(&server, "ben");
    ben.join("orders.eu");
    ben.join("orders.us");
    let reply = ana.call("room:unsubscribe-multiple", json!({"patterns": ["orders.*"]}));
    assert_eq!(reply["results"][0]["ok"], true);
    ben.say("orders.us", "unheard");
    ben.say("orders.eu", "heard");
    ana.expect_message("orders.eu");
    ana.ping();
    assert!(ana.arrived("message:received").is_empty());
}

#[test]
fn matches_that_are_not_allowed_are_left_out() {
    let server = Server::builder().shards(1).start();
    let mut ana = server.connect().token(&Token::employee("ana").account("acme")).open();
    for pattern in ["**", "user:*", "account:*"] {
        subscribe(&mut ana, pattern);
    }
    let mut eve = server.connect().token(&Token::employee("eve").account("other")).open();
    let mut ben = server.connect().token(&Token::employee("ben").account("other")).open();
    eve.call("user:send", json!({"userId": "ben", "content": "secret"}));
    ben.expect_message("user:ben");
    eve.say("account:other", "secret");
    ben.expect_message("account:other");
    eve.join("lobby");
    eve.say("lobby", "open");
    let first = ana.expect_event("message:received");
    assert_eq!(first.data()["content"], "open", "{}", first.raw);
}

#[test]
fn a_guests_pattern_hears_only_rooms_that_it_may_enter() {
    let server = Server::builder().shards(1).start();
    let mut gil = server.connect().token(&Token::guest("gil").rooms(&["desk.1"])).topic().open();
    gil.send(&json!({"type": "subscribe", "topic": "desk.*"}));
    let answer = gil.expect("an answer", |frame| ["subscribed", "error"].contains(&frame.name.as_str()));
    assert_eq!(answer.name, "subscribed", "{}", answer.raw);
    let mut ana = employee(&server, "ana");
    for room in ["desk.2", "desk.1"] {
        ana.join(room);
        ana.say(room, room);
    }
    let message = gil.expect_event("message");
    assert_eq!(message.value["topic"], "desk.1", "{}", message.raw);
}

#[test]
fn malformed_patterns_are_refused_in_both_dialects() {
    let server = Server::start();
    let mut ana = employee(&server, "ana");
    let mut topic = server.connect().token(&Token::employee("tom")).topic().open();
    for pattern in ["ord*", "*ers", "orders.***", "orders.*x", "a b.*", "orders.e*.new"] {
        let reply = ana.call("room:subscribe-multiple", json!({"patterns": [pattern]}));
        assert_eq!(reply["results"][0]["ok"], false, "{reply}");
        assert!(reply["results"][0]["error"].to_string().contains("INVALID_PAYLOAD"), "{reply}");
        topic.send(&json!({"type": "subscribe", "topic": pattern}));
        assert_eq!(topic.expect_event("error").value["code"], 400, "{pattern}");
    }
}

#[test]
fn rooms_are_not_joined_by_a_pattern() {
    let server = Server::start();
    employee(&server, "ana").fail("room:join", json!({"roomId": "orders.*"}), "INVALID_PAYLOAD");
}
