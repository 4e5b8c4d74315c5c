//! The server API of any node acts on all of them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Nodes, backend, lasting, start_node};
use crate::support::{Client, Server, SocketIo, eventually};

/// Pages of a list, to its end.
fn pages(node: &Server, filter: &str) -> Vec<Value> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = backend(node).get(&format!("/v1/connections?limit=3{filter}{cursor}"));
        let next = page["next"].as_str().map(|next| format!("&cursor={next}"));
        assert!(page["connections"].as_array().is_some_and(|page| page.len() <= 3), "{page}");
        pages.push(page);
        match next {
            Some(next) => cursor = next,
            None => return pages,
        }
    }
}

fn connections(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["connections"].as_array().expect("a list")).cloned().collect()
}

fn users(pages: &[Value]) -> Vec<String> {
    let listed = connections(pages);
    let mut users: Vec<_> = listed.iter().map(|it| it["userId"].as_str().expect("text").to_owned()).collect();
    users.sort();
    users
}

/// Somebody with a connection by each node, which has entered its rooms.
fn everywhere(nodes: &Nodes, name: &str) -> Vec<Client> {
    nodes.nodes.iter().map(|node| present(node, name)).collect()
}

fn present(node: &Server, name: &str) -> Client {
    let mut client = node.employee(name);
    client.ping();
    client
}

fn signal(node: &Server, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(node.pid()).expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("the process is ours");
}

/// The ids of all nodes, as one of them sees it.
fn ids(node: &Server) -> BTreeSet<String> {
    let cluster = backend(node).get("/v1/cluster");
    let nodes = cluster["nodes"].as_array().expect("a list");
    nodes.iter().map(|node| node["id"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn connections_of_all_nodes_are_listed_in_pages_and_by_filters() {
    let nodes = lasting(3);
    let mut clients = Vec::new();
    for (number, node) in (0..).zip(nodes.nodes.iter().cycle().take(11)) {
        let mut client = node.member(&format!("user-{number:02}"), if number < 4 { "lobby" } else { "hall" });
        client.ping();
        clients.push(client);
    }
    let expected: Vec<_> = (0..11).map(|number| format!("user-{number:02}")).collect();
    for node in &nodes.nodes {
        let pages = pages(node, "");
        assert_eq!(users(&pages), expected, "each once, whoever is asked");
        assert!(pages.iter().all(|page| page["missing"].is_null()), "{pages:?}");
        assert_eq!(users(&self::pages(node, "&roomId=lobby")), expected[..4]);
        assert_eq!(users(&self::pages(node, "&userId=user-07")), ["user-07"]);
        assert_eq!(users(&self::pages(node, "&roomId=nowhere")), [""; 0]);
    }
    for query in ["cursor=x", "cursor=1.2", "cursor=00000000000000ff", "dialect=x", "limit=0"] {
        let path = format!("/v1/connections?{query}");
        backend(&nodes.nodes[0]).fail("GET", &path, "", 400, "INVALID_PAYLOAD");
    }
    // Where a node was named that is gone, the list goes on behind it.
    backend(&nodes.nodes[0]).get("/v1/connections?cursor=00000000000000ff.7.7");
}

#[test]
fn a_users_connections_are_closed_on_all_nodes() {
    let nodes = lasting(3);
    let mut clients = everywhere(&nodes, "ana");
    let mut socketio = SocketIo::employee(&nodes.nodes[2], "ana");
    let mut ben = present(&nodes.nodes[1], "ben");
    let body = json!({"code": 1001, "reason": "bye"});
    let answer = backend(&nodes.nodes[0]).call("POST", "/v1/users/ana/disconnect", &body);
    assert_eq!(answer, json!({"connections": 4}));
    for client in &mut clients {
        assert_eq!(client.expect_close(), (1001, "bye".to_owned()));
    }
    socketio.expect_end();
    ben.ping();
    backend(&nodes.nodes[0]).fail(
        "POST",
        "/v1/users/ben/disconnect",
        r#"{"code":1}"#,
        400,
        "INVALID_PAYLOAD",
    );
    ben.ping();
}

#[test]
fn one_connection_is_closed_whichever_node_has_it() {
    let mut nodes = Nodes::start(2);
    let mut one = present(&nodes.nodes[1], "ana");
    let mut two = present(&nodes.nodes[1], "ana");
    let session = one.call("connection:session-info", json!({}))["sessionId"].clone();
    let path = |session: &Value| {
        let listed = connections(&pages(&nodes.nodes[0], "&userId=ana"));
        let found = listed.iter().find(|it| it["sessionId"] == *session).expect("it is listed");
        format!("/v1/connections/{}/disconnect", found["connectionId"].as_str().expect("text"))
    };
    let gone = path(&session);
    let mut asked = backend(&nodes.nodes[0]);
    assert_eq!(asked.call("POST", &gone, &json!({"reason": "bye"})), json!({"connections": 1}));
    assert_eq!(one.expect_close(), (1008, "bye".to_owned()));
    two.ping();
    asked.fail("POST", &gone, "", 404, "CHANNEL_ERROR");
    asked.fail("POST", &gone, r#"{"code":1}"#, 400, "INVALID_PAYLOAD");
    // It is no longer there when its node is not.
    let session = two.call("connection:session-info", json!({}))["sessionId"].clone();
    let path = path(&session);
    nodes.kill(1);
    eventually("the node is gone", || (ids(&nodes.nodes[0]).len() == 1).then_some(()));
    asked = backend(&nodes.nodes[0]);
    eventually("its lease is over", || (asked.ask("POST", &path, "").status == 404).then_some(()));
    for id in ["0000000000000000-0-0-1", "0-0-1", "x"] {
        asked.fail("POST", &format!("/v1/connections/{id}/disconnect"), "", 404, "CHANNEL_ERROR");
    }
}

#[test]
fn a_user_enters_and_leaves_a_room_on_all_nodes() {
    let nodes = lasting(2);
    let mut clients = everywhere(&nodes, "ana");
    let mut asked = backend(&nodes.nodes[0]);
    let path = "/v1/rooms/lobby/members/ana";
    assert_eq!(asked.call("PUT", path, &json!({})), json!({"connections": 2}));
    for client in &mut clients {
        assert_eq!(client.expect_event("room:joined").data()["roomId"], "lobby");
    }
    asked.call("POST", "/v1/rooms/lobby/messages", &json!({"content": 1}));
    for client in &mut clients {
        assert_eq!(client.expect_message("lobby").data()["content"], 1);
    }
    assert_eq!(asked.call("DELETE", path, &json!({})), json!({"connections": 2}));
    for client in &mut clients {
        assert_eq!(client.expect_event("room:left").data()["roomId"], "lobby");
    }
    asked.fail("PUT", "/v1/rooms/user:ana/members/ana", "", 403, "ROOM_ACCESS_DENIED");
}

#[test]
fn every_node_describes_all_of_them() {
    let nodes = lasting(3);
    let _clients: Vec<_> = nodes.nodes[1..].iter().map(|node| node.member("ana", "lobby")).collect();
    for node in &nodes.nodes {
        let cluster = backend(node).get("/v1/cluster");
        assert_eq!((&cluster["engine"], &cluster["missing"]), (&json!("redis"), &Value::Null), "{cluster}");
        let described = cluster["nodes"].as_array().expect("a list");
        let listens = |described: &Value| described["addresses"][0].as_str().expect("text").to_owned();
        let mut expected: Vec<_> = nodes.nodes.iter().map(|node| node.address.to_string()).collect();
        let mut found: Vec<_> = described.iter().map(listens).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        let sum = |name: &str| described.iter().map(|it| it[name].as_u64().expect("a number")).sum::<u64>();
        assert_eq!((sum("connections"), sum("shards")), (2, 6), "{cluster}");
        assert!(described.iter().all(|it| it["leaseAgeMs"].as_u64().is_some_and(|age| age <= 30_000)));
        assert!(described.iter().all(|it| it["health"]["status"].is_string() && it["loadPercent"].is_u64()));
        let own = backend(node).get("/v1/node");
        assert!(described.iter().any(|it| it["id"] == own["id"]), "{own}");
    }
    // One that has just started is there, and one that has taken leave is not.
    let late = start_node(&nodes.redis, &[]);
    assert_eq!(ids(&nodes.nodes[0]).len(), 4);
    late.terminate();
    eventually("it has left", || (ids(&nodes.nodes[0]).len() == 3).then_some(()));
}

#[test]
fn a_stalled_node_is_named_within_the_time_limit() {
    let nodes = lasting(3);
    let stalled = backend(&nodes.nodes[1]).get("/v1/node")["id"].clone();
    let mut ana = present(&nodes.nodes[1], "ana");
    let _others: Vec<_> = [0, 2].map(|node| present(&nodes.nodes[node], "ben")).into();
    let connection = connections(&pages(&nodes.nodes[0], "&userId=ana"))[0]["connectionId"].clone();
    signal(&nodes.nodes[1], Signal::STOP);
    let began = Instant::now();
    let mut asked = backend(&nodes.nodes[0]);
    let cluster = asked.get("/v1/cluster");
    assert_eq!(cluster["missing"], json!([stalled]), "{cluster}");
    assert_eq!(cluster["nodes"].as_array().map(Vec::len), Some(2), "{cluster}");
    let listed = pages(&nodes.nodes[0], "");
    assert_eq!(users(&listed), ["ben"; 2]);
    assert_eq!(listed.iter().filter(|page| page["missing"] == json!([stalled])).count(), 1, "{listed:?}");
    let answer = asked.call("POST", "/v1/users/ben/disconnect", &json!({}));
    assert_eq!(answer, json!({"connections": 2, "missing": [stalled]}));
    let path = format!("/v1/connections/{}/disconnect", connection.as_str().expect("text"));
    assert_eq!(asked.fail("POST", &path, "", 503, "SERVER_ERROR")["details"]["component"], "node");
    let answer = asked.call("PUT", "/v1/users/ana/block", &json!({}));
    assert_eq!((&answer["connections"], &answer["missing"]), (&json!(0), &json!([stalled])), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(14), "five times two seconds, and what else it takes");
    // What must not be missed it does when it goes on.
    signal(&nodes.nodes[1], Signal::CONT);
    ana.expect_close();
}

#[test]
fn a_node_that_goes_away_does_not_hide_what_the_others_have() {
    let nodes = Nodes::start_with(2, &["--drain-timeout", "60s"]);
    let leaving = backend(&nodes.nodes[1]).get("/v1/node")["id"].clone();
    let _stays: Vec<_> = (0..20).map(|_| present(&nodes.nodes[1], "ana")).collect();
    let _ben = present(&nodes.nodes[0], "ben");
    nodes.nodes[1].terminate();
    eventually("it is named", || {
        let listed = pages(&nodes.nodes[0], "&userId=ben");
        assert_eq!(users(&listed), ["ben"]);
        listed.iter().any(|page| page["missing"] == json!([leaving])).then_some(())
    });
}

#[test]
fn without_the_redis_the_others_are_named_at_once() {
    let mut nodes = Nodes::start_with(2, &["--engine-lease", "3s"]);
    let _ben = present(&nodes.nodes[0], "ben");
    eventually("both know of both", || (nodes.nodes[0].metric("roomcast_engine_nodes") == 2.0).then_some(()));
    let other = backend(&nodes.nodes[1]).get("/v1/node")["id"].clone();
    nodes.redis.kill();
    super::expect_engine(&nodes.nodes[0], false);
    let began = Instant::now();
    let mut asked = backend(&nodes.nodes[0]);
    assert_eq!(asked.get("/v1/cluster")["missing"], json!([other]));
    assert_eq!(asked.get("/v1/connections")["missing"], json!([other]));
    let answer = asked.call("POST", "/v1/users/ben/disconnect", &json!({}));
    assert_eq!(answer, json!({"connections": 1, "missing": [other]}));
    assert!(began.elapsed() < Duration::from_secs(2), "nobody was waited for");
}

#[test]
fn rooms_and_users_are_the_same_whichever_node_is_asked() {
    let nodes = lasting(2);
    let mut ana = nodes.nodes[1].member("ana", "lobby");
    ana.say("lobby", 1);
    let mut asked = backend(&nodes.nodes[0]);
    eventually("ana is in the room", || {
        (asked.get("/v1/rooms/lobby/members")["users"][0]["userId"] == "ana").then_some(())
    });
    assert_eq!(asked.get("/v1/rooms/lobby/messages")["messages"][0]["content"], 1);
    assert_eq!(asked.get("/v1/rooms/lobby")["members"], 1);
    eventually("ana is online", || (asked.get("/v1/users/ana/presence")["status"] == "online").then_some(()));
    let many = asked.call("POST", "/v1/presence", &json!({"userIds": ["ana", "ben"]}));
    assert_eq!(
        (&many["users"][0]["status"], &many["users"][1]["status"]),
        (&json!("online"), &json!("offline"))
    );
    asked.call("POST", "/v1/rooms/lobby/messages", &json!({"event": "note.made", "data": {"id": 7}}));
    assert_eq!(ana.expect_event("note.made").data()["id"], 7);
    asked.call("POST", "/v1/users/ana/messages", &json!({"content": 2}));
    assert_eq!(ana.expect_message("user:ana").data()["content"], 2);
    asked.call("DELETE", "/v1/rooms/lobby", &json!({}));
    assert_eq!(ana.expect_event("room:closed").data()["roomId"], "lobby");
}

#[test]
fn a_stalled_redis_keeps_nobody_waiting_for_long() {
    let nodes = lasting(2);
    let mut ben = present(&nodes.nodes[0], "ben");
    let mut ana = present(&nodes.nodes[0], "ana");
    let mut far = present(&nodes.nodes[1], "ana");
    let other = backend(&nodes.nodes[1]).get("/v1/node")["id"].clone();
    eventually("both know of both", || (nodes.nodes[0].metric("roomcast_engine_nodes") == 2.0).then_some(()));
    nodes.redis.pause();
    let began = Instant::now();
    let mut asked = backend(&nodes.nodes[0]);
    let answer = asked.call("POST", "/v1/users/ben/disconnect", &json!({}));
    assert_eq!(answer, json!({"connections": 1, "missing": [other]}));
    ben.expect_close();
    let answer = asked.call("PUT", "/v1/users/ana/block", &json!({}));
    assert_eq!((&answer["connections"], &answer["missing"]), (&json!(1), &json!([other])), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(6), "two seconds each, and what else it takes");
    ana.expect_close();
    far.ping();
    nodes.redis.resume();
    assert_eq!(far.expect_close().0, 4401);
}
