//! Typing indicators: edges, held by the server, to the others of the room (protocol §5).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Server, Token};

fn type_in(client: &mut Client, room: &str, is_typing: bool) {
    let data = json!({"roomId": room, "isTyping": is_typing});
    let reply = client.request("message:typing", &data);
    assert_eq!(reply.name, "message:typing", "{}", reply.raw);
    assert_eq!(reply.data(), &data);
}

fn expect_typing(client: &mut Client, room: &str, user: &str, is_typing: bool) {
    let push = client.expect_event("user:typing");
    assert_eq!(push.data(), &json!({"roomId": room, "userId": user, "isTyping": is_typing}), "{}", push.raw);
}

#[test]
fn only_edges_are_told_and_only_to_other_users_of_the_room() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ana_elsewhere] = [(); 2].map(|()| server.member("ana", "lobby"));
        let mut ben = server.member("ben", "lobby");
        let mut cid = server.member("cid", "desk");
        type_in(&mut ana, "lobby", false);
        for _ in 0..3 {
            type_in(&mut ana, "lobby", true);
        }
        for _ in 0..2 {
            type_in(&mut ana, "lobby", false);
        }
        for is_typing in [true, false] {
            expect_typing(&mut ben, "lobby", "ana", is_typing);
        }
        ben.assert_no("user:typing", "a repeated state is no edge");
        for other in [&mut ana, &mut ana_elsewhere, &mut cid] {
            other.assert_no("user:typing", "own, or of a room that one is not in");
        }
    }
}

#[test]
fn typing_without_a_request_id_is_silent() {
    let server = Server::start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    ana.send(&json!({"event": "message:typing", "data": {"roomId": "lobby", "isTyping": true}}));
    expect_typing(&mut ben, "lobby", "ana", true);
    ana.assert_no("message:typing", "silent");
}

#[test]
fn the_server_ends_what_nobody_ended_after_six_seconds() {
    let servers = [1, 3].map(|shards| Server::builder().shards(shards).start());
    let mut stories = servers.each_ref().map(|server| {
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let start = Instant::now();
        type_in(&mut ana, "lobby", true);
        expect_typing(&mut ben, "lobby", "ana", true);
        (ana, ben, start)
    });
    for (ana, ben, start) in &mut stories {
        expect_typing(ben, "lobby", "ana", false);
        let held = start.elapsed();
        // A tick of the server may be a little coarse; a busy machine may be late.
        assert!(held >= Duration::from_millis(5500) && held < Duration::from_secs(12), "{held:?}");
        assert_eq!(ben.call("message:typing-users", json!({"roomId": "lobby"}))["users"], json!([]));
        type_in(ana, "lobby", true);
        expect_typing(ben, "lobby", "ana", true);
    }
}

#[test]
fn a_message_ends_the_typing_of_its_sender_in_that_room() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for client in [&mut ana, &mut ben] {
            client.join("desk");
        }
        for room in ["lobby", "desk"] {
            type_in(&mut ana, room, true);
            expect_typing(&mut ben, room, "ana", true);
        }
        ana.say("lobby", "done");
        expect_typing(&mut ben, "lobby", "ana", false);
        ben.assert_no("user:typing", "in the other room she types on");
        assert_eq!(ben.call("message:typing-users", json!({"roomId": "desk"}))["users"], json!(["ana"]));
        type_in(&mut ana, "lobby", true);
        expect_typing(&mut ben, "lobby", "ana", true);
    }
}

#[test]
fn leaving_and_a_lost_connection_end_typing_at_once() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--presence-grace", "1h"]).start();
        let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.member(name, "lobby"));
        for (client, name) in [(&mut ana, "ana"), (&mut ben, "ben")] {
            type_in(client, "lobby", true);
            expect_typing(&mut cid, "lobby", name, true);
        }
        let start = Instant::now();
        ana.call("room:leave", json!({"roomId": "lobby"}));
        expect_typing(&mut cid, "lobby", "ana", false);
        drop(ben);
        expect_typing(&mut cid, "lobby", "ben", false);
        assert!(start.elapsed() < Duration::from_secs(5), "not by the expiry");
        cid.assert_no("user:typing", "each ended once");
    }
}

#[test]
fn whoever_types_is_listed_to_the_others() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        type_in(&mut ana, "lobby", true);
        type_in(&mut ben, "lobby", true);
        let mut late = server.member("cid", "lobby");
        let listed = |asker: &mut Client| {
            let reply = asker.call("message:typing-users", json!({"roomId": "lobby"}));
            assert_eq!(reply["roomId"], "lobby");
            let mut users: Vec<String> = serde_json::from_value(reply["users"].clone()).expect("names");
            users.sort();
            users
        };
        assert_eq!(listed(&mut late), ["ana", "ben"]);
        assert_eq!(listed(&mut ana), ["ben"], "the asker knows");
        type_in(&mut ana, "lobby", false);
        assert_eq!(listed(&mut late), ["ben"]);
    }
}

#[test]
fn typing_needs_membership_and_a_valid_state() {
    let server = Server::builder().shards(3).start();
    let mut ana = server.member("ana", "lobby");
    let mut ben = server.employee("ben");
    ben.fail("message:typing", json!({"roomId": "lobby", "isTyping": true}), "ROOM_ACCESS_DENIED");
    ben.fail("message:typing-users", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
    let error = ana.fail("message:typing", json!({"roomId": "lobby", "isTyping": "yes"}), "INVALID_PAYLOAD");
    assert_eq!(error["details"]["field"], "isTyping");
    ana.fail("message:typing", json!({"isTyping": true}), "INVALID_PAYLOAD");
    ana.assert_no("user:typing", "nobody types");
}

#[test]
fn starts_are_limited_per_connection_and_room_and_stops_are_not() {
    let server = Server::builder().shards(3).with(&["--limit-typing", "3/1h"]).start();
    let [mut ana, mut ana_elsewhere] = [(); 2].map(|()| server.member("ana", "lobby"));
    ana.join("desk");
    for _ in 0..3 {
        type_in(&mut ana, "lobby", true);
        type_in(&mut ana, "lobby", false);
    }
    let error = ana.fail("message:typing", json!({"roomId": "lobby", "isTyping": true}), "RATE_LIMITED");
    assert!(error["details"]["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{error}");
    type_in(&mut ana, "lobby", false);
    type_in(&mut ana, "desk", true);
    type_in(&mut ana_elsewhere, "lobby", true);
}

#[test]
fn a_guest_types_where_it_may_be() {
    let server = Server::start();
    let mut ana = server.member("ana", "lobby");
    let mut gil = server.open(&Token::guest("gil").rooms(&["lobby"]));
    type_in(&mut gil, "lobby", true);
    expect_typing(&mut ana, "lobby", "gil", true);
}
