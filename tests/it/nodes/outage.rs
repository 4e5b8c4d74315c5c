//! The Redis goes away, stalls, comes back empty: nodes serve on alone, say so, and join again.

use serde_json::{Value, json};

use super::{Nodes, expect_engine, expect_members, message, start_node};
use crate::support::{Client, ProcessEnd, Redis, TemporaryDirectory, http};

fn expect_trouble(client: &mut Client, room: &str, reason: &str) -> Value {
    let error = client.expect(reason, |frame| {
        frame.name == "room:error" && frame.data()["roomId"] == room && frame.data()["reason"] == reason
    });
    error.data().clone()
}

#[test]
fn without_its_redis_a_node_serves_on_alone_and_says_so() {
    let mut nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ada = nodes.nodes[0].member("ada", "lobby");
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    expect_members(&mut ana, "lobby", 3);
    let before = ana.say("lobby", "shared");
    message(&mut ada, "lobby");
    message(&mut ben, "lobby");
    nodes.redis.kill();
    for client in [&mut ana, &mut ada, &mut ben] {
        assert_eq!(expect_trouble(client, "lobby", "degraded")["code"], "SERVER_ERROR");
    }
    expect_engine(&nodes.nodes[0], false);
    let ready = http::get(nodes.nodes[0].address, "/readyz");
    assert_eq!(ready.status, 200, "it still serves: {}", ready.body);
    assert!(ready.body.contains("degraded"), "{}", ready.body);
    // Local delivery goes on, in a stream of its own; so do joins and everything else.
    let alone = ana.say("lobby", "alone");
    assert_ne!(alone["epoch"], before["epoch"]);
    for client in [&mut ana, &mut ada] {
        let told = expect_trouble(client, "lobby", "resync");
        assert_eq!([&told["epoch"], &told["offset"]], [&alone["epoch"], &json!(0)]);
    }
    assert_eq!(message(&mut ada, "lobby")["offset"], alone["offset"]);
    nodes.nodes[0].member("new", "elsewhere").say("elsewhere", 1);
    ben.assert_no("message:received", "it is on another node");
    // Back, and empty: everybody hears of the gap, and of each other again.
    nodes.redis.restart();
    for client in [&mut ana, &mut ada, &mut ben] {
        expect_trouble(client, "lobby", "resync");
    }
    expect_members(&mut ben, "lobby", 3);
    expect_members(&mut ana, "lobby", 3);
    let after = ana.say("lobby", "shared again");
    assert!(![&before["epoch"], &alone["epoch"]].contains(&&after["epoch"]), "{after}");
    assert_eq!(message(&mut ben, "lobby")["id"], after["id"]);
    // No position of before is recovered, neither the shared stream's nor the lone one's.
    for lost in [&before, &alone] {
        let mut late = nodes.nodes[1].employee("late");
        let recover =
            json!({"roomId": "lobby", "recover": {"epoch": lost["epoch"], "offset": lost["offset"]}});
        let joined = late.call("room:join", recover);
        assert_eq!((&joined["recovered"], &joined["messages"]), (&json!(false), &json!([])));
    }
}

#[test]
fn a_pause_that_nobody_spoke_in_is_no_gap() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let before = ana.say("lobby", 1);
    message(&mut ben, "lobby");
    // Connections are cut, and the Redis still has everything.
    nodes.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    nodes.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    expect_trouble(&mut ben, "lobby", "degraded");
    for node in &nodes.nodes {
        expect_engine(node, true);
    }
    expect_members(&mut ana, "lobby", 2);
    let after = ana.say("lobby", 2);
    assert_eq!((&after["epoch"], &after["offset"]), (&before["epoch"], &json!(2)));
    assert_eq!(message(&mut ben, "lobby")["content"], 2);
    let errors = ben.arrived("room:error");
    assert!(
        errors.iter().all(|error| error.data()["reason"] == "degraded"),
        "the stream is the same: {errors:?}"
    );
}

#[test]
fn what_was_said_alone_is_a_gap_for_all_even_if_the_redis_has_lost_nothing() {
    let nodes = Nodes::start(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let before = ana.say("lobby", 1);
    message(&mut ben, "lobby");
    nodes.redis.pause();
    expect_engine(&nodes.nodes[0], false);
    // It was asked and never answered, or is said alone: never silently lost.
    let alone = ana.say("lobby", "alone");
    assert_ne!(alone["epoch"], before["epoch"]);
    nodes.redis.resume();
    expect_trouble(&mut ana, "lobby", "resync");
    expect_trouble(&mut ben, "lobby", "resync");
    let mut late = nodes.nodes[1].employee("late");
    let joined = late
        .call("room:join", json!({"roomId": "lobby", "recover": {"epoch": before["epoch"], "offset": 1}}));
    assert_eq!(joined["recovered"], false, "{joined}");
    let after = ben.say("lobby", 2);
    ana.expect("what ben says", |frame| frame.is_message_of("lobby") && frame.data()["id"] == after["id"]);
}

#[test]
fn a_message_that_the_redis_never_answered_is_an_error() {
    let nodes = Nodes::start(1);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    ana.say("lobby", 1);
    nodes.redis.pause();
    let error = ana.fail("message:send", json!({"roomId": "lobby", "content": 2}), "SERVER_ERROR");
    assert_eq!([&error["details"]["component"], &error["recoverable"]], [&json!("engine"), &json!(true)]);
}

/// What a gateway says that does not start on this Redis.
fn refusal(redis: &Redis) -> String {
    let url = redis.url();
    let arguments = ["serve", "--auth", "off", "--listen", "127.0.0.1:0", "--engine", &url];
    let end = ProcessEnd::of(&arguments);
    assert_ne!(end.code, Some(0));
    assert!(end.stderr.contains("--engine") && end.stderr.contains("127.0.0.1"), "{}", end.stderr);
    end.stderr
}

#[test]
fn a_gateway_does_not_start_without_its_redis() {
    let mut redis = Redis::start();
    redis.kill();
    refusal(&redis);
}

#[test]
fn a_gateway_does_not_start_on_a_part_of_a_redis_cluster() {
    let home = TemporaryDirectory::new();
    let path = home.path().to_str().expect("UTF-8");
    let redis = Redis::start_with(&["--cluster-enabled", "yes", "--dir", path]);
    let said = [refusal(&redis), {
        // Even one that has all keys is one of many tomorrow.
        assert_eq!(redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
        refusal(&redis)
    }];
    assert!(said.iter().all(|said| said.contains("Redis Cluster, which is not supported")), "{said:?}");
}

#[test]
fn an_older_redis_without_sharded_channels_does_too() {
    let redis =
        Redis::start_with(&["--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", ""]);
    let nodes = [start_node(&redis, &[]), start_node(&redis, &[])];
    let mut ana = nodes[0].member("ana", "lobby");
    let mut ben = nodes[1].member("ben", "lobby");
    ana.say("lobby", 1);
    assert_eq!(message(&mut ben, "lobby")["content"], 1);
}
