//! Sessions that go on by another node: after a cut, beside a connection that is still open, and after a crash.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Nodes, backend, expect_members, message};
use crate::server_api::grants;
use crate::support::engine::Endpoint;
use crate::support::reply::{column, entry};
use crate::support::socketio::PATH;
use crate::support::{Client, SocketIo, Token};

fn create_session(client: &mut Client) -> String {
    let session = client.call("connection:create-session", json!({}));
    session["token"].as_str().unwrap_or_else(|| panic!("no token in {session}")).to_owned()
}

fn recover(client: &mut Client, session: &str) -> Value {
    client.call("connection:recover", json!({"token": session}))
}

fn assert_recovered(recovered: &Value, room: &str, contents: &[u64]) {
    let room = entry(recovered, "rooms", "roomId", room);
    assert_eq!(room["recovered"], true, "{recovered}");
    assert_eq!(column(room, "messages", "content"), contents, "{room}");
}

#[test]
fn a_cut_session_is_resumed_by_another_node_with_what_it_missed() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ben = nodes.nodes[0].member("ben", "lobby");
    let session = create_session(&mut ana);
    ben.say("lobby", 1);
    message(&mut ana, "lobby");
    ana.ping();
    ana.cut(&mut ben);
    for n in 2..=3 {
        ben.say("lobby", n);
    }
    let mut ana = nodes.nodes[1].employee("ana");
    let recovered = recover(&mut ana, &session);
    let room = entry(&recovered, "rooms", "roomId", "lobby");
    assert_eq!(room["recovered"], true, "{recovered}");
    let contents = column(room, "messages", "content");
    assert!(contents == [2, 3] || contents == [1, 2, 3], "{room}");
    ben.say("lobby", 4);
    assert_eq!(message(&mut ana, "lobby")["content"], 4);
    // It is gone where it was, and goes on where it is.
    let mut other = nodes.nodes[0].employee("ana");
    let again = recover(&mut other, &session);
    assert_eq!(ana.expect_close().0, 4410);
    assert_eq!(entry(&again, "rooms", "roomId", "lobby")["recovered"], true, "{again}");
}

#[test]
fn a_session_of_a_killed_node_loses_nothing() {
    let mut nodes = Nodes::start(2);
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let session = create_session(&mut ana);
    for n in 1..=3 {
        ben.say("lobby", n);
        assert_eq!(message(&mut ana, "lobby")["content"], n);
    }
    nodes.kill(0);
    for n in 4..=6 {
        ben.say("lobby", n);
    }
    // Once its lease is over, nobody waits for what it could say.
    expect_members(&mut ben, "lobby", 1);
    let mut ana = nodes.nodes[0].employee("ana");
    let asked = Instant::now();
    let recovered = recover(&mut ana, &session);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let room = entry(&recovered, "rooms", "roomId", "lobby");
    assert_eq!(room["recovered"], true, "{recovered}");
    let contents = column(room, "messages", "content");
    // What it had is perhaps given again, since the node could not say; but nothing is missing.
    assert!((1..=4).any(|first| contents == (first..=6).collect::<Vec<u64>>()), "{contents:?}");
}

#[test]
fn a_client_of_a_killed_node_that_names_its_positions_misses_and_repeats_nothing() {
    let mut nodes = Nodes::start(2);
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let session = create_session(&mut ana);
    for n in 1..=3 {
        ben.say("lobby", n);
        message(&mut ana, "lobby");
    }
    let epoch = ben.join("lobby")["epoch"].clone();
    nodes.kill(0);
    ben.say("lobby", 4);
    let mut ana = nodes.nodes[0].employee("ana");
    let positions = json!([{"roomId": "lobby", "epoch": epoch, "offset": 3}]);
    let recovered = ana.call("connection:recover", json!({"token": session, "positions": positions}));
    assert_recovered(&recovered, "lobby", &[4]);
}

#[test]
fn a_cut_socket_io_client_recovers_by_another_node() {
    let nodes = Nodes::start(2);
    let endpoint = |node: usize| Endpoint::new(nodes.nodes[node].address, PATH);
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let mut ana = SocketIo::open(&endpoint(0), false);
    let auth = json!({"token": Token::employee("ana").mint()});
    let pid = ana.connect(&auth)["pid"].clone();
    ana.call("room:join", json!({"roomId": "lobby"}));
    ben.say("lobby", 1);
    let seen = ana.event("message:received").position().to_owned();
    ana.cut(&nodes.nodes[0]);
    ben.say("lobby", 2);
    let mut ana = SocketIo::open(&endpoint(1), false);
    let connected = ana.connect(&json!({"token": auth["token"], "pid": pid, "offset": seen}));
    assert_eq!(connected["pid"], pid, "it was not recovered");
    let missed = ana.arrived("message:received");
    let contents: Vec<_> = missed.iter().map(|message| message.data[1]["content"].clone()).collect();
    assert_eq!(contents, [2]);
    ben.say("lobby", 3);
    assert_eq!(ana.event("message:received").data[1]["content"], 3);
}

#[test]
fn a_socket_io_client_of_a_killed_node_recovers_if_rooms_are_all_that_it_had() {
    let nothing = ("ping", json!({}), true);
    let rooms = ("room:join", json!({"roomId": "hall"}), true);
    let patterns = ("room:subscribe-multiple", json!({"rooms": [], "patterns": ["hall.*"]}), false);
    let watches = ("presence:watch", json!({"userIds": ["ben"]}), false);
    for (event, data, recovers) in [nothing, rooms, patterns, watches] {
        let mut nodes = Nodes::start(2);
        let mut ben = nodes.nodes[1].member("ben", "lobby");
        let auth = json!({"token": Token::employee("ana").mint()});
        let mut ana = SocketIo::open(&Endpoint::new(nodes.nodes[0].address, PATH), false);
        let pid = ana.connect(&auth)["pid"].clone();
        ana.call("room:join", json!({"roomId": "lobby"}));
        ana.call("room:join", json!({"roomId": "left"}));
        ben.say("lobby", 1);
        let seen = ana.event("message:received").position().to_owned();
        ana.call(event, data);
        ana.call("room:leave", json!({"roomId": "left"}));
        // The Redis answers in order: it has heard of all that, once it has let her into another room.
        ana.call("room:join", json!({"roomId": "yard"}));
        nodes.kill(0);
        ben.say("lobby", 2);
        let mut ana = SocketIo::open(&Endpoint::new(nodes.nodes[0].address, PATH), false);
        let connected = ana.connect(&json!({"token": auth["token"], "pid": pid, "offset": seen}));
        assert_eq!(connected["pid"] == pid, recovers, "after {event}");
        let missed = ana.arrived("message:received");
        let contents: Vec<_> = missed.iter().map(|message| message.data[1]["content"].clone()).collect();
        assert_eq!(contents, if recovers { vec![2] } else { vec![] }, "after {event}");
        ana.fail("room:leave", json!({"roomId": "left"}), "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn what_a_backend_granted_comes_along() {
    let nodes = Nodes::start(2);
    let mut backend = backend(&nodes.nodes[1]);
    grants::found_vault(&mut backend);
    let mut eve = nodes.nodes[0].employee("eve");
    let mut ana = grants::granted(&nodes.nodes[0], &mut backend);
    let session = create_session(&mut ana);
    ana.cut(&mut eve);
    grants::say(&mut backend, "missed");
    let (mut ana, recovered) = grants::recover(&nodes.nodes[1], &session);
    for room in grants::ROOMS {
        let room = entry(&recovered, "rooms", "roomId", room);
        assert_eq!(
            (&room["recovered"], &room["messages"][0]["content"]),
            (&json!(true), &json!("missed")),
            "{room}"
        );
    }
    ana.call("auth:refresh", json!({"token": Token::guest("ana").mint()}));
    grants::say(&mut backend, "live");
    for room in grants::ROOMS {
        assert_eq!(message(&mut ana, room)["content"], "live");
    }
}
