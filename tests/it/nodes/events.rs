//! What listeners hear of several nodes, and what emitters reach on them: once, whichever node it happens on.

use serde_json::{Value, json};

use super::Nodes;
use crate::support::foreign::{self, Script};
use crate::support::{Client, Redis, Server, SocketIo, TemporaryFile, eventually};

/// Every node writes what it tells to its log.
const LOG: &str = "[[listeners]]\nname = \"Watch\"\non = [\"gateway.**\", \"order.*\"]\nsink = \"log\"\n";

/// What the nodes have told so far: name and data.
fn told(nodes: &Nodes) -> Vec<(String, Value)> {
    let lines = nodes.nodes.iter().flat_map(Server::log);
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let heard = lines.filter(|line| line["event"] == "listener_heard").map(|line| {
        let data = line["metadata"]["data"].as_str().expect("a text");
        let name = line["metadata"]["name"].as_str().expect("a text").to_owned();
        (name, serde_json::from_str(data).expect("JSON"))
    });
    heard.collect()
}

/// How often that was told of somebody or something.
fn count(nodes: &Nodes, name: &str, field: &str, value: &str) -> usize {
    // The room that is created below has a life of its own.
    let is_meant = |data: &Value| data[field] == value && data["roomId"] != "team:x";
    told(nodes).iter().filter(|(told, data)| told == name && is_meant(data)).count()
}

fn expect(nodes: &Nodes, name: &str, field: &str, value: &str) {
    eventually(&format!("{name} of {value}"), || (count(nodes, name, field, value) > 0).then_some(()));
}

#[test]
fn what_happens_is_told_by_one_node() {
    let file = TemporaryFile::with("nodes-events.toml", LOG);
    let nodes = Nodes::start_with(2, &["--config", file.path()]);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let mut ben = nodes.nodes[1].member("ben", "lobby");
    let mut eve = nodes.nodes[0].member("eve", "lobby");
    super::expect_members(&mut ben, "lobby", 3);
    let mut phone = nodes.nodes[1].member("ana", "lobby");
    phone.ping();
    ana.say("lobby", "hello");
    let got = ben.expect_message("lobby");
    let id = got.data()["id"].clone();
    ben.call("message:read", json!({"roomId": "lobby", "messageId": id}));
    ben.send(&json!({"event": "message:typing", "data": {"roomId": "lobby", "isTyping": true}}));
    ana.expect_event("user:typing");
    ana.call("room:create", json!({"roomId": "team:x"}));
    expect(&nodes, "gateway.message.read", "userId", "ben");
    // The first of two goes, and nothing is told of the user; then the last.
    ana.close();
    expect(&nodes, "gateway.disconnected", "userId", "ana");
    // The other node has heard of that when it hears of what comes behind it.
    eve.say("lobby", "behind it");
    phone.expect("what came behind it", |frame| frame.data()["content"] == "behind it");
    phone.close();
    expect(&nodes, "gateway.user.offline", "userId", "ana");
    expect(&nodes, "gateway.left", "userId", "ana");
    ben.close();
    expect(&nodes, "gateway.user.offline", "userId", "ben");
    expect(&nodes, "gateway.left", "userId", "ben");
    for user in ["ana", "ben"] {
        for name in ["user.online", "user.offline", "joined", "left"] {
            let name = format!("gateway.{name}");
            assert_eq!(count(&nodes, &name, "userId", user), 1, "{name} of {user}: {:#?}", told(&nodes));
        }
    }
    for (name, times) in [
        ("connected", 4),
        ("disconnected", 3),
        ("message.published", 2),
        ("message.read", 1),
        ("typing.started", 1),
        ("typing.stopped", 1),
        ("room.created", 1),
    ] {
        let name = format!("gateway.{name}");
        let times_told = told(&nodes).iter().filter(|(told, _)| *told == name).count();
        assert_eq!(times_told, times, "{name}: {:#?}", told(&nodes));
    }
}

#[test]
fn an_entry_of_a_stream_is_taken_by_one_node_and_all_of_them_share_the_work() {
    let redis = Redis::start();
    let files = ["one", "two"].map(|consumer| {
        let url = redis.url();
        let source =
            format!("[events.redis]\nurl = \"{url}\"\nstream = \"events\"\nconsumer = \"{consumer}\"\n");
        TemporaryFile::with(&format!("nodes-source-{consumer}.toml"), &format!("{source}\n{LOG}"))
    });
    let nodes = files.iter().map(|file| super::start_node(&redis, &["--config", file.path()])).collect();
    let mut nodes = Nodes { redis, nodes };
    let emit = |nodes: &Nodes, numbers: std::ops::Range<u64>| {
        for n in numbers {
            let data = json!({"n": n.to_string()}).to_string();
            nodes.redis.command(&["XADD", "events", "*", "name", "order.paid", "data", &data]);
        }
    };
    let is_acknowledged = |nodes: &Nodes| {
        let pending = nodes.redis.command(&["XPENDING", "events", "roomcast"]);
        pending.starts_with('0').then_some(())
    };
    emit(&nodes, 0..200);
    eventually("all are told", || (told(&nodes).len() >= 200).then_some(()));
    eventually("all are acknowledged", || is_acknowledged(&nodes));
    for n in 0..200 {
        assert_eq!(count(&nodes, "order.paid", "n", &n.to_string()), 1, "{n}");
    }
    // Whoever is left does all of it.
    nodes.kill(0);
    emit(&nodes, 200..220);
    for n in 200..220 {
        expect(&nodes, "order.paid", "n", &n.to_string());
    }
    for n in 200..220 {
        assert_eq!(count(&nodes, "order.paid", "n", &n.to_string()), 1, "{n}");
    }
}

/// Has a Node process emit.
fn emit(nodes: &Nodes, steps: &Value) {
    let mut command = foreign::node("emitter.mjs");
    command.env("REDIS", nodes.redis.url()).env("STEPS", steps.to_string());
    let mut script = Script::start(command);
    script.expect("done");
    script.expect_end();
}

#[test]
fn what_an_emitter_says_reaches_clients_of_all_nodes_once() {
    let redis = Redis::start();
    let url = redis.url();
    let nodes = (0..2).map(|_| super::start_node(&redis, &["--socketio-emitter", &url])).collect();
    let nodes = Nodes { redis, nodes };
    for node in &nodes.nodes {
        node.wait_for_log(|line| line.contains("emitter_connected").then_some(()));
    }
    let mut native: Vec<Client> = nodes.nodes.iter().map(|node| node.member("ana", "a")).collect();
    let mut socketio: Vec<SocketIo> =
        nodes.nodes.iter().map(|node| SocketIo::member(node, "ben", "a")).collect();
    for client in &mut native {
        client.join("b");
    }
    emit(&nodes, &json!([{"to": ["user:ben"], "join": ["c"]}]));
    for client in &mut socketio {
        eventually("it is in the room", || {
            let rooms = client.call("room:list", json!({}));
            rooms["rooms"].as_array()?.iter().any(|entry| entry["roomId"] == "c").then_some(())
        });
    }
    emit(
        &nodes,
        &json!([
            {"to": ["a", "b"], "emit": ["news", {"n": 1}]},
            {"to": ["c"], "emit": ["inside", {}]},
            {"emit": ["all", {}]},
        ]),
    );
    for client in &mut native {
        client.expect_event("all");
        assert_eq!((client.arrived("news").len(), client.arrived("inside").len()), (1, 0));
    }
    for client in &mut socketio {
        client.event("all");
        assert_eq!((client.arrived("news").len(), client.arrived("inside").len()), (1, 1));
    }
}
