//! A push that asks for an ack: what a client acknowledges is delivered (issue "Socket.IO clients just work").

use serde_json::{Value, json};

use super::{gateway, member};
use crate::support::reply::entry;
use crate::support::{Server, SocketIo};

/// When that user got the message, if it is known.
fn delivered_at(asker: &mut SocketIo, message: &Value, user: &str) -> Value {
    let request = json!({"roomId": "lobby", "messageId": message["id"]});
    let status = asker.call("message:delivery-status", request);
    entry(&status, "users", "userId", user)["deliveredAt"].clone()
}

#[test]
fn an_ack_of_a_message_marks_it_delivered() {
    for shards in [1, 4] {
        let (server, endpoint) = gateway(shards, &[]);
        for polling in [false, true] {
            let mut ana = SocketIo::member(&server, "ana", "lobby");
            let (mut ben, _) = member(&endpoint, polling, "ben", "lobby");
            let request = json!({"roomId": "lobby", "content": "hello", "ackRequested": true});
            let sent = ana.call("message:send", request);
            let push = ben.event("message:received");
            assert_eq!(push.data[1]["ackRequested"], true, "{}", push.raw);
            assert_eq!(push.data.as_array().map(Vec::len), Some(2), "no offset: {}", push.raw);
            assert_eq!(delivered_at(&mut ana, &sent, "ben"), Value::Null);
            let id = push.id.unwrap_or_else(|| panic!("no id in {}", push.raw));
            ben.send(&format!("43{id}[]"));
            let status = ana.event("message:status");
            assert_eq!(status.data[1]["userId"], "ben", "{}", status.raw);
            assert_eq!(status.data[1]["status"], "delivered", "{}", status.raw);
            assert!(delivered_at(&mut ana, &sent, "ben").is_string());
            // A second time, and for an id that was never given, nothing happens.
            ben.send(&format!("43{id}[]"));
            ben.send("43123456789[{}]");
            ben.say("lobby", "still here");
            ana.send("41");
        }
    }
}

#[test]
fn a_message_that_asks_for_nothing_has_no_ack_id() {
    let server = Server::builder().shards(2).start();
    let mut ana = SocketIo::member(&server, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    ben.say("lobby", "hello");
    assert_eq!(ana.event("message:received").id, None);
    ben.call("message:send", json!({"roomId": "lobby", "content": "hello", "ackRequested": true}));
    assert!(ana.event("message:received").id.is_some());
    let native = ben.expect("the second", |frame| frame.data()["ackRequested"] == true);
    assert_eq!(native.name, "message:received");
}

#[test]
fn ids_of_acks_are_apart_in_each_direction_and_namespace() {
    let (_server, endpoint) = gateway(2, &["--socketio-namespaces", "/admin"]);
    let mut ana = SocketIo::open(&endpoint, false);
    let mut ben = SocketIo::open(&endpoint, false);
    for namespace in ["/", "/admin"] {
        for (client, name) in [(&mut ana, "ana"), (&mut ben, "ben")] {
            client.within(namespace).connect(&super::auth(name));
            client.call("room:join", json!({"roomId": "lobby"}));
        }
    }
    let request = json!({"roomId": "lobby", "content": "hello", "ackRequested": true});
    let sent = ["/", "/admin"].map(|namespace| ana.within(namespace).call("message:send", request.clone()));
    let push = ben.within("/admin").event("message:received");
    ben.send(&format!("43/admin,{}[]", push.id.expect("an id")));
    ana.within("/admin").event("message:status");
    assert!(delivered_at(&mut ana, &sent[1], "ben").is_string());
    assert_eq!(delivered_at(ana.within("/"), &sent[0], "ben"), Value::Null);
}

#[test]
fn the_furthest_of_several_acks_counts_for_recovery() {
    let (server, endpoint) = gateway(2, &[]);
    let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    for content in ["first", "second"] {
        ben.call("message:send", json!({"roomId": "lobby", "content": content, "ackRequested": true}));
    }
    let ids = ["first", "second"].map(|_| ana.event("message:received").id.expect("an id"));
    ana.send(&format!("43{}[]", ids[1]));
    ana.send(&format!("43{}[]", ids[0]));
    ana.call("ping", json!({}));
    ana.cut(&server);
    ben.say("lobby", "third");
    let mut ana = SocketIo::open(&endpoint, false);
    let mut payload = super::auth("ana");
    payload["pid"] = json!(pid);
    assert_eq!(ana.connect(&payload)["pid"], pid, "it was not recovered");
    let missed: Vec<_> =
        ana.arrived("message:received").iter().map(|it| it.data[1]["content"].clone()).collect();
    assert_eq!(missed, ["third"]);
}

#[test]
fn acks_of_what_is_acknowledged_cost_nothing_more() {
    let (server, endpoint) = gateway(1, &[]);
    let (mut ana, _) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    ben.call("message:send", json!({"roomId": "lobby", "content": "hello", "ackRequested": true}));
    let id = ana.event("message:received").id.expect("an id");
    for _ in 0..500 {
        ana.send(&format!("43{id}[]"));
    }
    ana.call("ping", json!({}));
    assert_eq!(server.metric("roomcast_receipts_total"), 1.0);
}

#[test]
fn connecting_over_and_over_is_limited() {
    let (_server, endpoint) = gateway(1, &["--socketio-namespaces", "/admin", "--limit-events", "5/1m"]);
    let mut ana = SocketIo::open(&endpoint, false);
    ana.connect(&super::auth("ana"));
    let refused = (0..20).find_map(|_| {
        ana.within("/admin").try_connect(&super::auth("ana")).err().or_else(|| {
            ana.send("41/admin,");
            None
        })
    });
    let refused = refused.expect("it is refused in the end");
    assert_eq!(refused["data"]["code"], "RATE_LIMITED");
    assert!(refused["data"]["details"]["retryAfterMs"].is_u64());
}
