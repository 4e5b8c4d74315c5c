//! Who is there, over all nodes, and what waits for those who are not.

use serde_json::{Value, json};

use super::{Nodes, expect_members, message, start_node};
use crate::support::{Client, Token, eventually};

fn colleague(nodes: &Nodes, node: usize, name: &str) -> Client {
    nodes.nodes[node].open(&Token::employee(name).account("acme"))
}

fn expect_change(client: &mut Client, user: &str, status: &str) -> Value {
    let change = client.expect(&format!("{user} is {status}"), |frame| {
        frame.name == "presence:changed" && frame.data()["userId"] == user && frame.data()["status"] == status
    });
    change.data().clone()
}

fn status_of(client: &mut Client, user: &str) -> Value {
    client.call("presence:user-status", json!({"userId": user}))
}

#[test]
fn presence_is_one_over_all_nodes() {
    let nodes = Nodes::start(2);
    let mut ana = colleague(&nodes, 0, "ana");
    ana.join("presence:global");
    let mut ben = colleague(&nodes, 1, "ben");
    expect_change(&mut ana, "ben", "online");
    ben.call("presence:update-status", json!({"status": "busy", "statusText": "on the phone"}));
    assert_eq!(expect_change(&mut ana, "ben", "busy")["statusText"], "on the phone");
    assert_eq!(status_of(&mut ana, "ben")["status"], "busy");
    let online = ana.call("presence:online-users", json!({}));
    assert_eq!(online["total"], 2, "{online}");
    // Another device by the first node: the user stays when the second one's connection ends.
    let second = colleague(&nodes, 0, "ben");
    eventually("two devices", || (status_of(&mut ana, "ben")["devices"] == 2).then_some(()));
    ben.close();
    eventually("one device", || (status_of(&mut ana, "ben")["devices"] == 1).then_some(()));
    ana.assert_no("presence:changed", "ben is there by the other node");
    second.close();
    assert!(expect_change(&mut ana, "ben", "offline")["lastSeen"].is_string());
}

#[test]
fn what_a_user_says_of_itself_is_known_to_who_comes_later_by_another_node() {
    let nodes = Nodes::start(2);
    let mut ben = colleague(&nodes, 1, "ben");
    ben.call("presence:update-status", json!({"status": "away"}));
    let mut ana = colleague(&nodes, 0, "ana");
    eventually("ben is away", || (status_of(&mut ana, "ben")["status"] == "away").then_some(()));
    ben.join("lobby");
    ana.join("lobby");
    eventually("ben is away in the room", || {
        let online = ana.call("room:online", json!({"roomId": "lobby"}));
        let users = online["users"].as_array()?.clone();
        users.iter().any(|user| user["userId"] == "ben" && user["status"] == "away").then_some(())
    });
}

#[test]
fn the_users_of_a_killed_node_are_offline_after_its_lease() {
    let mut nodes = Nodes::start(2);
    let mut ana = colleague(&nodes, 0, "ana");
    ana.join("presence:global");
    let mut ben = colleague(&nodes, 1, "ben");
    ben.join("lobby");
    ana.join("lobby");
    expect_change(&mut ana, "ben", "online");
    expect_members(&mut ana, "lobby", 2);
    nodes.kill(1);
    expect_change(&mut ana, "ben", "offline");
    assert_eq!(ana.expect_event("room:member-left").data()["userId"], "ben");
    expect_members(&mut ana, "lobby", 1);
    // A node that starts afterwards sees no ghosts.
    let third = start_node(&nodes.redis, &[]);
    let mut cay = third.member("cay", "lobby");
    expect_members(&mut cay, "lobby", 2);
}

#[test]
fn what_is_sent_to_somebody_who_is_away_waits_whichever_node_it_comes_back_by() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].open(&Token::supervisor("ana").account("acme"));
    // Somebody who was never there, and somebody who was there by the other node.
    let ben = colleague(&nodes, 1, "ben");
    eventually("ben is there", || (status_of(&mut ana, "ben")["status"] == "online").then_some(()));
    drop(ben);
    eventually("ben is away", || (status_of(&mut ana, "ben")["status"] == "offline").then_some(()));
    for n in 1..=3 {
        ana.call("user:send", json!({"userId": "ben", "content": n}));
        ana.call("user:send", json!({"userId": "new", "content": n}));
    }
    for (node, name) in [(0, "ben"), (1, "new")] {
        let mut client = nodes.nodes[node].employee(name);
        for n in 1..=3 {
            assert_eq!(message(&mut client, &format!("user:{name}"))["content"], n);
        }
        client.ping();
        client.assert_no("message:received", "three were sent");
    }
    // What was delivered waits no longer, by no node.
    let mut again = nodes.nodes[1].employee("ben");
    again.assert_no("message:received", "it was delivered");
}

#[test]
fn a_users_rates_are_shared_by_its_nodes() {
    let nodes = Nodes::start_with(2, &["--limit-messages", "10/1h", "--limit-presence", "10/1h"]);
    let mut clients: Vec<_> = nodes.nodes.iter().map(|node| node.member("ana", "lobby")).collect();
    for client in &mut clients {
        eventually("both nodes know of both", || (status_of(client, "ana")["devices"] == 2).then_some(()));
    }
    for (event, data) in [
        ("message:send", json!({"roomId": "lobby", "content": 1})),
        ("presence:update-status", json!({"status": "busy"})),
    ] {
        let mut accepted = 0;
        for client in &mut clients {
            accepted += (0..20).filter(|_| !client.request(event, &data).is_error()).count();
        }
        assert_eq!(accepted, 10, "{event}");
    }
}

/// What comes while nobody knows yet that the node is lost waits too: that its users were there says nothing.
#[test]
fn what_is_sent_to_the_users_of_a_killed_node_waits_for_them() {
    for is_known in [false, true] {
        let mut nodes = Nodes::start_with(2, &["--room-class", "q.*=queued"]);
        let mut ana = nodes.nodes[0].member("ana", "q.1");
        let mut ben = nodes.nodes[1].open(&Token::supervisor("ben"));
        ben.join("q.1");
        ben.say("q.1", 1);
        assert_eq!(message(&mut ana, "q.1")["content"], 1);
        nodes.kill(0);
        ben.say("q.1", 2);
        ben.call("user:send", json!({"userId": "ana", "content": 2}));
        if is_known {
            expect_members(&mut ben, "q.1", 1);
            ben.say("q.1", 3);
            ben.call("user:send", json!({"userId": "ana", "content": 3}));
        }
        let last = if is_known { 3 } else { 2 };
        let mut ana = nodes.nodes[0].member("ana", "q.1");
        for (room, certain) in [("user:ana", 1), ("q.1", 2)] {
            let first = message(&mut ana, room)["content"].as_u64().expect("a number");
            // What she had is perhaps given again, since the node could not say; but nothing is missing.
            assert!(first <= certain || first == 2, "{room}: {first}");
            for n in first + 1..=last {
                assert_eq!(message(&mut ana, room)["content"], n, "{room}");
            }
        }
        ana.ping();
        ana.assert_no("message:received", "that was all");
    }
}
