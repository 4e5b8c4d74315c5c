//! Who came and who went: member edges, their grace, and counts instead of names in large rooms (protocol §4).

use serde_json::json;

use crate::support::{Client, Server, Token};

fn join(server: &Server, name: &str, room: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join(room);
    client
}

/// A message from `from` to `to`, behind which everything published before has arrived at `to`.
fn fence(from: &mut Client, to: &mut Client, room: &str) {
    let sent = from.say(room, "fence");
    while to.expect_message(room).data()["id"] != sent["id"] {}
}

#[test]
fn a_users_first_and_last_socket_in_a_room_are_announced_to_the_others() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).with(&["--presence-grace", "100ms"]).start();
        let mut ana = join(&server, "ana", "lobby");
        let mut ben = join(&server, "ben", "lobby");
        let joined = ana.expect_event("room:member-joined");
        assert_eq!(joined.data()["roomId"], "lobby");
        assert_eq!(joined.data()["userId"], "ben");
        let second = join(&server, "ben", "lobby");
        second.close();
        ben.call("room:leave", json!({"roomId": "lobby"}));
        let left = ana.expect_event("room:member-left");
        assert_eq!(left.data()["roomId"], "lobby");
        assert_eq!(left.data()["userId"], "ben");
        ana.ping();
        assert!(ana.arrived("room:member-joined").is_empty(), "the second socket is no edge");
        assert!(ana.arrived("room:member-left").is_empty(), "left once");
    }
}

#[test]
fn edges_are_not_told_to_the_one_who_comes() {
    let server = Server::start();
    let mut ana = join(&server, "ana", "lobby");
    let mut ben = join(&server, "ben", "lobby");
    fence(&mut ana, &mut ben, "lobby");
    assert!(ben.arrived("room:member-joined").is_empty());
}

#[test]
fn an_explicit_leave_is_announced_at_once() {
    let server = Server::builder().shards(1).with(&["--presence-grace", "1h"]).start();
    let mut ana = join(&server, "ana", "lobby");
    let mut ben = join(&server, "ben", "lobby");
    ben.call("room:leave", json!({"roomId": "lobby"}));
    assert_eq!(ana.expect_event("room:member-left").data()["userId"], "ben");
}

#[test]
fn a_lost_connection_is_announced_after_the_grace() {
    let server = Server::builder().shards(2).with(&["--presence-grace", "300ms"]).start();
    let mut ana = join(&server, "ana", "lobby");
    // Without a close frame, as when a network goes away.
    drop(join(&server, "ben", "lobby"));
    join(&server, "cid", "lobby").close();
    let mut gone = [(); 2].map(|()| {
        ana.expect_event("room:member-left").data()["userId"].as_str().expect("a string").to_owned()
    });
    gone.sort();
    assert_eq!(gone, ["ben", "cid"]);
    assert_eq!(ana.join("lobby")["members"], 1);
}

#[test]
fn a_reconnect_within_the_grace_is_no_edge() {
    let server = Server::builder().shards(2).with(&["--presence-grace", "1h"]).start();
    let mut ana = join(&server, "ana", "lobby");
    let ben = join(&server, "ben", "lobby");
    ana.expect_event("room:member-joined");
    ben.close();
    let mut ben = join(&server, "ben", "lobby");
    fence(&mut ben, &mut ana, "lobby");
    assert!(ana.arrived("room:member-left").is_empty());
    assert!(ana.arrived("room:member-joined").is_empty());
}

#[test]
fn forced_rooms_have_no_edges() {
    let server = Server::builder().shards(2).with(&["--presence-grace", "50ms"]).start();
    let connect = |name: &str| server.connect().token(&Token::employee(name).account("acme")).open();
    let mut ana = connect("ana");
    ana.join("lobby");
    let mut ben = connect("ben");
    ben.join("lobby");
    assert_eq!(ana.expect_event("room:member-joined").data()["roomId"], "lobby");
    ben.close();
    assert_eq!(ana.expect_event("room:member-left").data()["roomId"], "lobby");
    ana.ping();
    assert!(ana.arrived("room:member-joined").is_empty(), "account:acme is forced");
    assert!(ana.arrived("room:member-left").is_empty(), "account:acme is forced");
}

#[test]
fn large_rooms_are_told_a_count_instead_of_names() {
    let server = Server::builder().shards(2).with(&["--presence-room-max", "3"]).start();
    let mut ana = join(&server, "ana", "hall");
    let _others: Vec<Client> = (0..6).map(|n| join(&server, &format!("user{n}"), "hall")).collect();
    loop {
        let count = ana.expect_event("room:count");
        assert_eq!(count.data()["roomId"], "hall");
        let members = count.data()["members"].as_u64().expect("a number");
        assert!((4..=7).contains(&members), "{}", count.raw);
        if members == 7 {
            break;
        }
    }
    ana.ping();
    assert!(ana.arrived("room:member-joined").len() <= 3, "names only up to the bound");
}
