//! What is sent in a room: one order, one history, one set of rules.

use std::thread;

use serde_json::{Value, json};

use super::{Nodes, backend, expect_members, message, start_node};
use crate::support::reply::column;
use crate::support::{QUIET, Server, Token};

#[test]
fn members_on_all_nodes_see_the_same_messages_with_the_same_ids_and_offsets() {
    let nodes = Nodes::start(3);
    let mut members = nodes.members("lobby");
    for sender in 0..3 {
        let sent = members[sender].say("lobby", sender);
        assert_eq!(sent["offset"], sender as u64 + 1);
        let seen: Vec<_> = members.iter_mut().map(|member| message(member, "lobby")).collect();
        assert!(seen.iter().all(|message| *message == seen[0]), "{seen:?}");
        assert_eq!([&seen[0]["id"], &seen[0]["epoch"]], [&sent["id"], &sent["epoch"]]);
    }
}

#[test]
fn racing_publishers_on_three_nodes_are_in_one_order_for_everybody() {
    let nodes = Nodes::start(3);
    let mut members = nodes.members("race");
    let listeners: Vec<_> = (0..3).map(|n| nodes.nodes[n].member(&format!("ear-{n}"), "race")).collect();
    thread::scope(|scope| {
        for (number, member) in members.iter_mut().enumerate() {
            scope.spawn(move || (0..100).for_each(|n| drop(member.say("race", format!("{number}/{n}")))));
        }
    });
    let heard: Vec<Vec<_>> = listeners
        .into_iter()
        .map(|mut ear| (0..300).map(|_| message(&mut ear, "race")).map(|it| it["content"].clone()).collect())
        .collect();
    assert!(heard.iter().all(|order| *order == heard[0]));
}

#[test]
fn a_position_of_one_node_recovers_on_another_exactly() {
    let nodes = Nodes::start(2);
    let mut members = nodes.members("lobby");
    let epoch = members[0].join("lobby")["epoch"].clone();
    for n in 1..=5 {
        members[0].say("lobby", n);
    }
    let mut late = nodes.nodes[1].employee("late");
    let recover = |offset: u64| json!({"roomId": "lobby", "recover": {"epoch": epoch, "offset": offset}});
    let joined = late.call("room:join", recover(2));
    assert_eq!(
        (&joined["recovered"], column(&joined, "messages", "content")),
        (&json!(true), vec![json!(3), json!(4), json!(5)])
    );
    // A node that nobody was on knows the history as well.
    let history = late.call("room:history", json!({"roomId": "lobby", "limit": 10}));
    assert_eq!(column(&history, "messages", "offset"), [1, 2, 3, 4, 5]);
    let mut ahead = nodes.nodes[0].employee("ahead");
    assert_eq!(ahead.call("room:join", recover(99))["recovered"], false);
}

#[test]
fn a_room_outlives_its_node() {
    let mut nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let sent = ana.say("lobby", "kept");
    nodes.kill(0);
    let mut ben = nodes.nodes[0].employee("ben");
    let joined = ben.call("room:join", json!({"roomId": "lobby", "history": 5}));
    assert_eq!((&joined["epoch"], &joined["offset"]), (&sent["epoch"], &json!(1)));
    assert_eq!(column(&joined, "messages", "content"), ["kept"]);
}

#[test]
fn edits_deletions_and_repeats_are_one_on_all_nodes() {
    let nodes = Nodes::start(2);
    let mut members = nodes.members("lobby");
    let request = json!({"roomId": "lobby", "content": "first", "clientId": "c1"});
    let first = members[0].call("message:send", request.clone());
    // The same user by another node says it again.
    let mut again = nodes.nodes[1].member("user-0", "lobby");
    let repeat = again.call("message:send", request);
    assert_eq!(
        [&repeat["id"], &repeat["offset"], &repeat["duplicate"]],
        [&first["id"], &first["offset"], &json!(true)]
    );
    let id = first["id"].clone();
    let edited = again.call("message:edit", json!({"roomId": "lobby", "messageId": id, "content": "better"}));
    assert_eq!(edited["offset"], 2);
    for member in &mut members {
        assert_eq!(message(member, "lobby")["content"], "first");
        assert_eq!(member.expect_event("message:edited").data()["content"], "better");
    }
    members[1].fail("message:delete", json!({"roomId": "lobby", "messageId": id}), "PERMISSION_DENIED");
    members[0].call("message:delete", json!({"roomId": "lobby", "messageId": id}));
    assert_eq!(members[1].expect_event("message:deleted").data()["offset"], 3);
    let history = members[1].call("room:history", json!({"roomId": "lobby", "limit": 10}));
    assert_eq!(column(&history, "messages", "offset"), [1]);
}

#[test]
fn a_session_that_is_left_out_is_left_out_on_every_node() {
    let nodes = Nodes::start(2);
    let mut members = nodes.members("lobby");
    members[0].call("message:send", json!({"roomId": "lobby", "content": 1, "excludeSender": true}));
    assert_eq!(message(&mut members[1], "lobby")["content"], 1);
    members[0].assert_no("message:received", "it is its own");
}

#[test]
fn members_come_and_go_by_any_node() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    assert_eq!(ana.expect_event("room:member-joined").data()["userId"], "ben");
    expect_members(&mut ben, "lobby", 2);
    let online = ana.call("room:online", json!({"roomId": "lobby"}));
    assert_eq!(
        (column(&online, "users", "userId"), &online["total"]),
        (vec![json!("ana"), json!("ben")], &json!(2))
    );
    // A second connection by the other node is no edge, and neither is its end.
    let mut second = nodes.nodes[0].member("ben", "lobby");
    second.call("room:leave", json!({"roomId": "lobby"}));
    ana.assert_no("room:member-left", "ben is there by the other node");
    ben.call("room:leave", json!({"roomId": "lobby"}));
    assert_eq!(ana.expect_event("room:member-left").data()["userId"], "ben");
}

#[test]
fn a_private_room_is_private_everywhere_and_closed_for_all() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].employee("ana");
    let mut ben = nodes.nodes[1].employee("ben");
    let mut eve = nodes.nodes[1].employee("eve");
    ana.call(
        "room:create",
        json!({"roomId": "board", "visibility": "private", "members": ["ben"], "metadata": {"a": 1}}),
    );
    assert_eq!(ben.expect_event("room:created").data()["roomId"], "board");
    eve.fail("room:join", json!({"roomId": "board"}), "ROOM_ACCESS_DENIED");
    eve.fail("room:create", json!({"roomId": "board"}), "CLIENT_ERROR");
    ben.join("board");
    let info = ben.call("room:info", json!({"roomId": "board"}));
    assert_eq!([&info["visibility"], &info["metadata"]], [&json!("private"), &json!({"a": 1})]);
    ben.fail("room:close", json!({"roomId": "board"}), "PERMISSION_DENIED");
    ana.call("room:close", json!({"roomId": "board"}));
    assert_eq!(ben.expect_event("room:closed").data()["roomId"], "board");
    eve.fail("room:info", json!({"roomId": "board"}), "CHANNEL_ERROR");
    assert_eq!(eve.call("room:create", json!({"roomId": "board"}))["roomId"], "board");
}

#[test]
fn two_who_create_one_room_at_once_create_it_once() {
    let nodes = Nodes::start(2);
    let mut clients = [nodes.nodes[0].employee("ana"), nodes.nodes[1].employee("ben")];
    for round in 0..10 {
        let room = json!({"roomId": format!("room-{round}")});
        let ids = clients.each_mut().map(|client| client.post("room:create", &room));
        let created = clients.each_mut().into_iter().zip(ids).map(|(client, id)| client.reply(&id));
        assert_eq!(created.filter(|reply| !reply.is_error()).count(), 1, "{room}");
    }
}

#[test]
fn typing_and_receipts_are_told_across_nodes() {
    let nodes = Nodes::start(2);
    let mut members = nodes.members("lobby");
    expect_members(&mut members[0], "lobby", 2);
    members[0].call("message:typing", json!({"roomId": "lobby", "isTyping": true}));
    let typing = members[1].expect_event("user:typing");
    assert_eq!([&typing.data()["userId"], &typing.data()["isTyping"]], [&json!("user-0"), &json!(true)]);
    let users = members[1].call("message:typing-users", json!({"roomId": "lobby"}));
    assert_eq!(users["users"], json!(["user-0"]));
    let sent = members[0].say("lobby", "done");
    assert_eq!(members[1].expect_event("user:typing").data()["isTyping"], false);
    message(&mut members[1], "lobby");
    members[1].call("message:read", json!({"roomId": "lobby", "messageId": sent["id"]}));
    let status = members[0].expect_event("message:status");
    assert_eq!([&status.data()["userId"], &status.data()["status"]], [&json!("user-1"), &json!("read")]);
    let who = members[0].call("message:delivery-status", json!({"roomId": "lobby", "messageId": sent["id"]}));
    assert_eq!(column(&who, "users", "userId"), ["user-1"]);
    // Whoever opens the room later by a third node's view knows it too.
    let mut late = nodes.nodes[0].member("late", "lobby");
    let who = late.call("message:delivery-status", json!({"roomId": "lobby", "messageId": sent["id"]}));
    assert_eq!(column(&who, "users", "userId"), ["user-1"]);
}

#[test]
fn topics_patterns_and_users_cross_nodes() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].open(&Token::employee("ana").account("acme"));
    let mut ben = nodes.nodes[1].open(&Token::employee("ben").account("acme"));
    expect_members(&mut ana, "account:acme", 2);
    ana.call("user:send", json!({"userId": "ben", "content": "psst"}));
    assert_eq!(message(&mut ben, "user:ben")["content"], "psst");
    let mut topic =
        nodes.nodes[1].connect().token(&Token::employee("tim")).subprotocols("roomcast.topic.v1").open();
    topic.send(&json!({"type": "subscribe", "topic": "news"}));
    topic.expect_event("subscribed");
    ana.join("news");
    ana.say("news", "read all about it");
    assert_eq!(topic.expect_event("message").value["data"], "read all about it");
    ben.stays_open_for(QUIET);
}

#[test]
fn accounts_with_names_of_their_own_stay_apart() {
    let nodes = Nodes::start_with(2, &["--tenancy", "account"]);
    let mut ana = nodes.nodes[0].open(&Token::employee("ana").account("one"));
    let mut ben = nodes.nodes[1].open(&Token::employee("ben").account("two"));
    let mut ada = nodes.nodes[1].open(&Token::employee("ada").account("one"));
    for client in [&mut ana, &mut ben, &mut ada] {
        client.join("lobby");
    }
    ana.say("lobby", 1);
    assert_eq!(message(&mut ada, "lobby")["roomId"], "lobby");
    ben.assert_no("message:received", "it is another account's lobby");
}

#[test]
fn a_private_room_that_a_service_creates_stays_private_on_every_node() {
    let mut nodes = Nodes::start(2);
    let room = json!({"roomId": "hr", "visibility": "private", "members": ["ana"]});
    assert_eq!(backend(&nodes.nodes[0]).call("POST", "/v1/rooms", &room)["roomId"], "hr");
    assert_is_private(&nodes.nodes[1], &room);
    nodes.kill(0);
    assert_is_private(&nodes.nodes[0], &room);
    nodes.kill(0);
    assert_is_private(&start_node(&nodes.redis, &[]), &room);
    // However long nothing happens in it.
    let key = nodes.redis.command(&["KEYS", "*:room:hr"]);
    assert!(nodes.redis.command(&["TTL", key.trim()]).trim().ends_with("-1"), "{key} ends by itself");
}

fn assert_is_private(node: &Server, room: &Value) {
    let mut service = backend(node);
    service.call("POST", "/v1/rooms/hr/messages", &json!({"content": "salaries"}));
    assert_eq!(service.get("/v1/rooms/hr")["visibility"], "private");
    service.fail("POST", "/v1/rooms", &room.to_string(), 409, "CLIENT_ERROR");
    let mut zed = node.employee("zed");
    zed.fail("room:join", json!({"roomId": "hr", "history": 10}), "ROOM_ACCESS_DENIED");
    let joined = node.employee("ana").call("room:join", json!({"roomId": "hr", "history": 1}));
    assert_eq!(column(&joined, "messages", "content"), ["salaries"], "{joined}");
}
