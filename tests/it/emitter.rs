//! `@socket.io/redis-emitter` as backends in Node have it, against `--socketio-emitter`: what it emits reaches clients of
//! every dialect.

use serde_json::{Value, json};

use crate::support::foreign::{self, Script};
use crate::support::{Client, Redis, Server, SocketIo, Token, eventually};

struct Setting {
    server: Server,
    redis: Redis,
}

impl Setting {
    fn start(shards: usize) -> Self {
        let redis = Redis::start();
        let arguments = ["--socketio-emitter", &redis.url(), "--socketio-namespaces", "/chat"];
        let server = Server::builder().shards(shards).with(&arguments).start();
        server.wait_for_log(|line| line.contains("emitter_connected").then_some(()));
        Self { server, redis }
    }

    /// Has a Node process emit.
    fn emit(&self, steps: &Value) {
        let mut command = foreign::node("emitter.mjs");
        command.env("REDIS", self.redis.url()).env("STEPS", steps.to_string());
        let mut script = Script::start(command);
        script.expect("done");
        script.expect_end();
    }
}

/// The arguments of the next event of that name, without the place that ends every event.
fn arguments(client: &mut SocketIo, name: &str) -> Vec<Value> {
    let event = client.event(name);
    let mut arguments = event.data.as_array().expect("an event").clone();
    arguments.remove(0);
    arguments.pop();
    arguments
}

#[test]
fn an_event_reaches_whoever_is_in_its_rooms_once() {
    for shards in [1, 3] {
        let setting = Setting::start(shards);
        let mut ana = SocketIo::member(&setting.server, "ana", "a");
        ana.call("room:join", json!({"roomId": "b"}));
        let mut ben = setting.server.member("ben", "b");
        let mut cid = SocketIo::member(&setting.server, "cid", "b");
        cid.call("room:join", json!({"roomId": "c"}));
        setting.emit(&json!([
            {"to": ["a", "b"], "except": ["c"], "emit": ["news", {"n": 1}]},
            {"to": ["user:ben"], "volatile": true, "emit": ["two", 1, {"x": [true, null]}]},
            {"emit": ["all", "every", "body"]},
        ]));
        assert_eq!(arguments(&mut ana, "all"), [json!("every"), json!("body")]);
        assert_eq!(arguments(&mut cid, "all").len(), 2);
        assert_eq!(*ben.expect_event("news").data(), json!({"n": 1}));
        assert_eq!(*ben.expect_event("two").data(), json!({"args": [1, {"x": [true, null]}]}));
        assert_eq!(*ben.expect_event("all").data(), json!({"args": ["every", "body"]}));
        assert_eq!(ana.arrived("news").len(), 1, "in both rooms, and told once");
        assert!(cid.arrived("news").is_empty(), "it is in a room that is left out");
    }
}

#[test]
fn bytes_and_times_arrive_and_namespaces_are_apart() {
    let setting = Setting::start(2);
    let mut ana = SocketIo::member(&setting.server, "ana", "a");
    ana.within("/chat").connect(&json!({"token": Token::employee("ana").mint()}));
    ana.within("/chat").call("room:join", json!({"roomId": "a"}));
    let mut ben = setting.server.member("ben", "a");
    setting.emit(&json!([
        {"of": "/chat", "to": ["a"], "emit": ["inside", 1]},
        {"to": ["a"], "emit": ["file", {"bytes": {"$bytes": [1, 2, 3]}, "at": {"$time": 1_700_000_000_000_i64}}]},
    ]));
    let inside = ana.within("/chat").event("inside");
    assert_eq!((&*inside.namespace, &inside.data[1]), ("/chat", &json!(1)));
    let file = ana.within("/").event("file");
    assert_eq!(file.attachments, [vec![1, 2, 3]]);
    assert_eq!(file.data[1]["at"], "2023-11-14T22:13:20.000Z");
    assert_eq!(ben.expect_event("file").data()["bytes"], json!({"_base64": "AQID"}));
    ben.assert_no("inside", "of another namespace");
}

#[test]
fn sockets_join_leave_and_are_disconnected() {
    let setting = Setting::start(2);
    let mut ana = setting.server.employee("ana");
    let mut ben = SocketIo::employee(&setting.server, "ben");
    setting.emit(&json!([{"to": ["user:ana", "user:ben"], "join": ["x", "y"]}]));
    let is_in = |ana: &mut Client, room: &str| {
        let rooms = ana.call("room:list", json!({}));
        rooms["rooms"].as_array().expect("rooms").iter().any(|entry| entry["roomId"] == room)
    };
    eventually("it is in both", || (is_in(&mut ana, "x") && is_in(&mut ana, "y")).then_some(()));
    setting.emit(&json!([{"to": ["user:ana"], "leave": ["x"]}, {"to": ["y"], "emit": ["hello", {}]}]));
    ana.expect_event("hello");
    arguments(&mut ben, "hello");
    eventually("it has left one", || (!is_in(&mut ana, "x") && is_in(&mut ana, "y")).then_some(()));
    setting.emit(&json!([{"to": ["user:ana", "user:ben"], "disconnect": true}]));
    ana.expect_close();
    ben.expect_end();
}

#[test]
fn a_redis_that_comes_back_is_heard_again() {
    let mut setting = Setting::start(1);
    let mut ana = setting.server.member("ana", "a");
    setting.redis.restart();
    eventually("it is subscribed again", || {
        setting.redis.command(&["PUBSUB", "NUMPAT"]).starts_with('2').then_some(())
    });
    setting.redis.command(&["PUBLISH", "socket.io#/#", "no MessagePack"]);
    setting.emit(&json!([{"to": ["a"], "emit": ["back", {}]}]));
    ana.expect_event("back");
}
