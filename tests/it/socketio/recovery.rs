//! Connection state recovery: `{pid, offset}` in CONNECT gives exactly what was missed, before the answer.

use serde_json::{Value, json};

use super::{auth, gateway, member, pid};
use crate::support::engine::Endpoint;
use crate::support::{Client, Server, SocketIo, eventually};

/// CONNECT of an employee who had been there.
fn returning(name: &str, pid: &str, offset: Option<&str>) -> Value {
    let mut payload = auth(name);
    payload["pid"] = json!(pid);
    if let Some(offset) = offset {
        payload["offset"] = json!(offset);
    }
    payload
}

/// Comes back, and fails unless that recovers; the contents of what was missed, in order.
#[track_caller]
fn recover(endpoint: &Endpoint, polling: bool, payload: &Value) -> (SocketIo, Vec<Value>) {
    let mut client = SocketIo::open(endpoint, polling);
    let connected = client.connect(payload);
    assert_eq!(connected["pid"], payload["pid"], "it was not recovered");
    // What came after the answer would still be unread.
    let missed = client.arrived("message:received");
    for message in &missed {
        assert!(!message.position().is_empty(), "{}", message.raw);
    }
    (client, missed.iter().map(|message| message.data[1]["content"].clone()).collect())
}

/// Says each number in the room.
fn fill(client: &mut Client, room: &str, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        client.say(room, n);
    }
}

/// The offset of the event that brings that number.
#[track_caller]
fn read_until(client: &mut SocketIo, number: u64) -> String {
    let message = client.expect("a number", |message| {
        message.is_event("message:received") && message.data[1]["content"] == number
    });
    message.position().to_owned()
}

#[test]
fn a_cut_client_gets_what_it_missed_and_goes_on() {
    for (shards, polling, noticed) in
        [(1, false, true), (1, true, true), (4, false, false), (4, false, true), (4, true, false)]
    {
        let (server, endpoint) = gateway(shards, &[]);
        let (mut ana, pid) = member(&endpoint, polling, "ana", "lobby");
        ana.call("room:join", json!({"roomId": "hall"}));
        let mut ben = server.member("ben", "lobby");
        ben.join("hall");
        fill(&mut ben, "lobby", 1..=2);
        let mut offset = read_until(&mut ana, 2);
        // Twice, for a session that was resumed is not used up.
        for round in 1..=2 {
            if noticed {
                ana.cut(&server);
            } else {
                drop(ana);
            }
            let first = 10 * round + 3;
            fill(&mut ben, "lobby", first..=first + 1);
            fill(&mut ben, "hall", first + 2..=first + 2);
            let missed;
            (ana, missed) = recover(&endpoint, polling, &returning("ana", &pid, Some(&offset)));
            let hall: Vec<&Value> = missed.iter().filter(|n| **n == first + 2).collect();
            let lobby: Vec<&Value> = missed.iter().filter(|n| **n != first + 2).collect();
            assert_eq!((lobby, hall.len()), (vec![&json!(first), &json!(first + 1)], 1), "{missed:?}");
            fill(&mut ben, "lobby", first + 3..=first + 3);
            fill(&mut ben, "hall", first + 4..=first + 4);
            read_until(&mut ana, first + 3);
            read_until(&mut ana, first + 4);
            if round == 2 {
                ana.assert_no("message:received");
            }
            ana.say("lobby", "she is in the room again");
            ana.event("message:received").position().clone_into(&mut offset);
            assert_eq!(ana.call("connection:session-info", json!({}))["recovered"], true);
        }
    }
}

#[test]
fn a_client_that_never_got_an_event_recovers_without_offset() {
    for polling in [false, true] {
        let (server, endpoint) = gateway(3, &[]);
        let mut ben = server.member("ben", "lobby");
        let (ana, pid) = member(&endpoint, polling, "ana", "lobby");
        ana.cut(&server);
        fill(&mut ben, "lobby", 1..=3);
        let (mut ana, missed) = recover(&endpoint, polling, &returning("ana", &pid, None));
        assert_eq!(missed, [1, 2, 3]);
        ana.assert_no("message:received");
    }
}

#[test]
fn a_client_that_missed_nothing_recovers_nothing() {
    let (server, endpoint) = gateway(2, &[]);
    let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    fill(&mut ben, "lobby", 1..=2);
    let offset = read_until(&mut ana, 2);
    ana.cut(&server);
    let (mut ana, missed) = recover(&endpoint, false, &returning("ana", &pid, Some(&offset)));
    assert!(missed.is_empty(), "{missed:?}");
    ana.assert_no("message:received");
}

#[test]
fn an_older_offset_gives_again_what_came_after_it() {
    let (server, endpoint) = gateway(2, &[]);
    let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    fill(&mut ben, "lobby", 1..=4);
    let offset = read_until(&mut ana, 2);
    read_until(&mut ana, 4);
    // The client's application never saw 3 and 4, whatever its kernel acknowledged.
    ana.cut(&server);
    fill(&mut ben, "lobby", 5..=5);
    let (_, missed) = recover(&endpoint, false, &returning("ana", &pid, Some(&offset)));
    assert_eq!(missed, [3, 4, 5]);
}

#[test]
fn the_offset_of_any_event_is_good_for_a_recovery() {
    let (server, endpoint) = gateway(2, &[]);
    let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    fill(&mut ben, "lobby", 1..=1);
    read_until(&mut ana, 1);
    // The client keeps the last string argument that it saw, whatever the event was.
    ana.emit("ping", &json!({}));
    let offset = ana.event("pong").position().to_owned();
    ana.cut(&server);
    fill(&mut ben, "lobby", 2..=3);
    let (_, missed) = recover(&endpoint, false, &returning("ana", &pid, Some(&offset)));
    assert_eq!(missed, [2, 3]);
}

#[test]
fn a_recovery_may_change_the_transport_and_the_profile_keeps_its_names() {
    let (server, endpoint) = gateway(3, &[]);
    let endpoint = endpoint.with("profile=chat");
    let mut ben = server.member("ben", "lobby");
    for polling in [false, true] {
        let mut ana = SocketIo::open(&endpoint, polling);
        let pid = pid(&ana.connect(&auth("ana")));
        ana.call("chat:room:join", json!({"roomId": "lobby"}));
        ana.cut(&server);
        ben.say("lobby", "missed");
        let mut ana = SocketIo::open(&endpoint, !polling);
        let connected = ana.connect(&returning("ana", &pid, None));
        assert_eq!(connected["pid"], pid.as_str());
        let missed = ana.arrived("chat:message:received");
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert_eq!(missed[0].data[1]["content"], "missed");
        ana.send("41");
        ana.connect(&auth("ana"));
    }
}

#[test]
fn each_namespace_recovers_by_itself() {
    let (server, endpoint) = gateway(2, &["--socketio-namespaces", "/admin"]);
    let mut ana = SocketIo::open(&endpoint, false);
    let mut ben = SocketIo::open(&endpoint, false);
    let mut pids = Vec::new();
    for namespace in ["/", "/admin"] {
        pids.push(pid(&ana.within(namespace).connect(&auth("ana"))));
        ben.within(namespace).connect(&auth("ben"));
        for client in [&mut ana, &mut ben] {
            client.call("room:join", json!({"roomId": "lobby"}));
        }
    }
    ana.cut(&server);
    for namespace in ["/", "/admin"] {
        ben.within(namespace).say("lobby", format!("in {namespace}"));
    }
    let mut ana = SocketIo::open(&endpoint, false);
    for (namespace, pid) in [("/admin", &pids[1]), ("/", &pids[0])] {
        let connected = ana.within(namespace).connect(&returning("ana", pid, None));
        assert_eq!(connected["pid"], pid.as_str(), "{namespace}");
        let missed = ana.arrived("message:received");
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert_eq!(missed[0].namespace, namespace);
        assert_eq!(missed[0].data[1]["content"], format!("in {namespace}"));
    }
}

#[test]
fn a_pid_of_another_namespace_recovers_nothing() {
    let (server, endpoint) = gateway(2, &["--socketio-namespaces", "/admin"]);
    let (ana, old) = member(&endpoint, false, "ana", "lobby");
    ana.cut(&server);
    let mut ana = SocketIo::open(&endpoint, false);
    let connected = ana.within("/admin").connect(&returning("ana", &old, None));
    assert_ne!(pid(&connected), old);
}

#[test]
fn who_comes_back_while_the_old_socket_is_open_replaces_it() {
    let (server, endpoint) = gateway(3, &[]);
    let mut ben = server.member("ben", "lobby");
    let (mut old, pid) = member(&endpoint, false, "ana", "lobby");
    fill(&mut ben, "lobby", 1..=1);
    let offset = read_until(&mut old, 1);
    let (mut new, _) = recover(&endpoint, false, &returning("ana", &pid, Some(&offset)));
    let last = old.expect_end();
    assert_eq!(last.last().map(|message| message.raw.as_str()), Some("41"), "it must not come back itself");
    fill(&mut ben, "lobby", 2..=2);
    read_until(&mut new, 2);
    new.assert_no("message:received");
}

#[test]
fn a_session_that_is_older_than_its_window_is_gone() {
    let (server, endpoint) = gateway(2, &["--session-ttl", "300ms"]);
    let (ana, old) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    ana.cut(&server);
    fill(&mut ben, "lobby", 1..=1);
    eventually("the session is forgotten", || {
        (server.metric("roomcast_sessions_parked") == 0.0).then_some(())
    });
    let mut ana = SocketIo::open(&endpoint, false);
    assert_ne!(pid(&ana.connect(&returning("ana", &old, None))), old);
    ana.assert_no("message:received");
}

#[test]
fn what_comes_in_while_a_client_recovers_comes_once() {
    let server = Server::builder().shards(4).start();
    let endpoint = Endpoint::new(server.address, crate::support::socketio::PATH);
    let (mut ana, pid) = member(&endpoint, false, "ana", "lobby");
    let mut ben = server.member("ben", "lobby");
    fill(&mut ben, "lobby", 1..=1);
    let mut offset = read_until(&mut ana, 1);
    let mut seen = 1;
    std::thread::scope(|scope| {
        scope.spawn(|| fill(&mut ben, "lobby", 2..=400));
        while seen < 400 {
            drop(ana);
            let mut client = SocketIo::open(&endpoint, false);
            let connected = client.connect(&returning("ana", &pid, Some(&offset)));
            assert_eq!(connected["pid"], pid.as_str());
            for _ in 0..20.min(400 - seen) {
                let message = client.event("message:received");
                seen += 1;
                assert_eq!(message.data[1]["content"], seen, "{}", message.raw);
                message.position().clone_into(&mut offset);
            }
            ana = client;
        }
    });
}

/// A user in a namespace, beside `/` if that is another; and what CONNECT was answered with.
fn enter(endpoint: &Endpoint, namespace: &str, payload: &Value) -> (SocketIo, Value) {
    let mut client = SocketIo::open(endpoint, false);
    if namespace != "/" {
        client.connect(&json!({"token": payload["token"]}));
    }
    let connected = client.within(namespace).connect(payload);
    (client, connected)
}

#[test]
fn what_was_missed_may_be_more_than_a_queue_holds() {
    for namespace in ["/", "/admin"] {
        let flags = ["--max-outbound-queue", "4KiB", "--socketio-namespaces", "/admin"];
        let (server, endpoint) = gateway(2, &flags);
        let (mut ana, connected) = enter(&endpoint, namespace, &auth("ana"));
        ana.call("room:join", json!({"roomId": "lobby"}));
        ana.cut(&server);
        let (mut ben, _) = enter(&endpoint, namespace, &auth("ben"));
        ben.call("room:join", json!({"roomId": "lobby"}));
        for n in 1..=30 {
            ben.say("lobby", format!("{n}:{}", "x".repeat(500)));
        }
        let (mut ana, again) = enter(&endpoint, namespace, &returning("ana", &pid(&connected), None));
        assert_eq!(again["pid"], connected["pid"], "it was not recovered");
        assert_eq!(ana.arrived("message:received").len(), 30);
        ana.say("lobby", "she is in the room again");
    }
}
