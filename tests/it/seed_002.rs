//! The client of seed 002 (profile `t3`): all twenty-nine endpoints by their names, and its two limits.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::reply::{column, entry, list};
use crate::support::{Client, Server, Token};

/// Every endpoint of the seed's list, and the name under which it answers.
const ENDPOINTS: [(&str, &str); 29] = [
    ("join:chat", "room:joined"),
    ("leave:chat", "room:left"),
    ("room:info", "room:info"),
    ("room:list", "room:list"),
    ("room:online", "room:online"),
    ("room:subscribe-multiple", "room:subscribe-multiple"),
    ("room:unsubscribe-multiple", "room:unsubscribe-multiple"),
    ("room:subscription-status", "room:subscription-status"),
    ("room:subscription-details", "room:subscription-details"),
    ("message:send", "message:sent"),
    ("message:typing", "message:typing"),
    ("message:delivered", "message:status"),
    ("message:read", "message:status"),
    ("message:typing-users", "message:typing-users"),
    ("message:delivery-status", "message:delivery-status"),
    ("message:stats", "message:stats"),
    ("message:delete", "message:deleted"),
    ("presence:update-status", "presence:updated"),
    ("presence:online-users", "presence:online-users"),
    ("presence:user-status", "presence:user-status"),
    ("presence:stats", "presence:stats"),
    ("connection:create-session", "connection:create-session"),
    ("connection:recover", "connection:recover"),
    ("connection:session-info", "connection:session-info"),
    ("connection:stats", "connection:stats"),
    ("monitoring:metrics", "monitoring:metrics"),
    ("monitoring:events", "monitoring:events"),
    ("monitoring:stats", "monitoring:stats"),
    ("monitoring:health", "monitoring:health"),
];

fn t3(server: &Server, name: &'static str) -> Client {
    let token = Token::employee(name).account("acme").permissions(&["monitoring:read"]);
    server.connect().token(&token).query("profile", "t3").open().transcribed(name)
}

/// A client that notes which endpoints it has used.
struct Walk {
    client: Client,
    used: BTreeSet<&'static str>,
}

impl Walk {
    fn call(&mut self, endpoint: &'static str, data: Value) -> Value {
        let (_, reply) = ENDPOINTS.iter().find(|(name, _)| *name == endpoint).expect("it is on the list");
        let answer = self.client.request(endpoint, &data);
        assert_eq!(answer.name, *reply, "{endpoint} {data}: {}", answer.raw);
        self.used.insert(endpoint);
        answer.data().clone()
    }
}

fn rooms(walk: &mut Walk) {
    let chat = json!({"chatId": "42"});
    assert_eq!(walk.call("join:chat", chat.clone())["roomId"], "42", "a chat's id is a room's as it is");
    assert_eq!(walk.call("room:info", chat.clone())["members"], 2);
    assert!(column(&walk.call("room:list", json!({})), "rooms", "roomId").contains(&json!("42")));
    assert_eq!(walk.call("room:online", chat.clone())["total"], 2);
    let several = json!({"rooms": ["43", "44"]});
    let subscribed = walk.call("room:subscribe-multiple", several.clone());
    assert_eq!(column(&subscribed, "results", "ok"), [true, true], "{subscribed}");
    assert_eq!(walk.call("room:subscription-status", json!({"roomId": "43"}))["joined"], true);
    assert_eq!(walk.call("room:subscription-details", json!({"roomId": "43"}))["class"], "reliable");
    walk.call("room:unsubscribe-multiple", several);
    assert_eq!(walk.call("room:subscription-status", json!({"roomId": "43"}))["joined"], false);
}

fn messages(walk: &mut Walk, ben: &mut Client) {
    let chat = json!({"chatId": "42"});
    let sent = walk.call("message:send", json!({"chatId": "42", "content": "hello"}));
    assert_eq!(ben.expect_message("42").data()["id"], sent["id"]);
    let of_ben = ben.say("42", "hello yourself");
    walk.client.expect_message("42");
    walk.client.expect_message("42");
    walk.call("message:typing", json!({"chatId": "42", "isTyping": true}));
    assert_eq!(ben.expect_event("user:typing").data()["userId"], "ana");
    assert_eq!(walk.call("message:typing-users", chat.clone())["users"], json!([]));
    for (endpoint, status) in [("message:delivered", "delivered"), ("message:read", "read")] {
        walk.call(endpoint, json!({"chatId": "42", "messageId": of_ben["id"]}));
        assert_eq!(ben.expect_event("message:status").data()["status"], status);
    }
    ben.call("message:read", json!({"chatId": "42", "messageId": sent["id"]}));
    assert_eq!(walk.client.expect_event("message:status").data()["userId"], "ben");
    let status = walk.call("message:delivery-status", json!({"chatId": "42", "messageId": sent["id"]}));
    assert!(entry(&status, "users", "userId", "ben")["readAt"].is_string(), "{status}");
    walk.call("message:delete", json!({"chatId": "42", "messageId": sent["id"]}));
    assert_eq!(ben.expect_event("message:deleted").data()["messageId"], sent["id"]);
    let stats = walk.call("message:stats", chat);
    assert_eq!([&stats["messages"], &stats["deletes"]], [2, 1], "{stats}");
}

/// The next change of that user's presence, which t3 watches by itself.
fn expect_change(client: &mut Client, user: &str) -> Value {
    let change = client.expect(&format!("a change of {user}"), |frame| {
        frame.name == "presence:changed" && frame.data()["userId"] == user
    });
    change.data().clone()
}

fn presence(walk: &mut Walk, ben: &mut Client) {
    walk.call("presence:update-status", json!({"status": "away", "statusText": "lunch"}));
    while expect_change(ben, "ana")["status"] != "away" {}
    let status = walk.call("presence:user-status", json!({"userId": "ben"}));
    assert_eq!((&status["status"], &status["devices"]), (&json!("online"), &json!(1)), "{status}");
    let online = walk.call("presence:online-users", json!({}));
    assert_eq!(entry(&online, "users", "userId", "ben")["status"], "online", "{online}");
    assert_eq!(walk.call("presence:stats", json!({}))["away"], 1);
}

fn monitoring(walk: &mut Walk) {
    assert!(walk.call("monitoring:metrics", json!({}))["metrics"].is_object());
    assert!(walk.call("monitoring:events", json!({}))["events"].is_array());
    assert!(walk.call("monitoring:stats", json!({})).is_object());
    assert!(!list(&walk.call("monitoring:health", json!({})), "checks").is_empty());
}

fn recovery(server: &Server, walk: &mut Walk, ben: &mut Client) {
    assert_eq!(walk.call("connection:session-info", json!({}))["userId"], "ana");
    let session = walk.call("connection:create-session", json!({}));
    let position = walk.call("room:subscription-status", json!({"roomId": "42"}))["offset"].clone();
    let epoch = walk.call("room:info", json!({"chatId": "42"}))["epoch"].clone();
    // The old socket is lost and a new one opened.
    walk.client = t3(server, "ana");
    let missed = ben.say("42", "are you there?");
    let positions = json!([{"roomId": "42", "epoch": epoch, "offset": position}]);
    let recovered =
        walk.call("connection:recover", json!({"token": session["token"], "positions": positions}));
    let chat = entry(&recovered, "rooms", "roomId", "42");
    assert_eq!(chat["recovered"], true, "{recovered}");
    assert_eq!(column(chat, "messages", "id"), [missed["id"].clone()], "{recovered}");
    assert_eq!(walk.call("connection:stats", json!({}))["full"], 1);
    let left = walk.call("leave:chat", json!({"chatId": "42"}));
    assert_eq!(left["roomId"], "42", "it was joined again");
}

#[test]
fn the_client_of_seed_002_uses_all_of_its_endpoints() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ben = t3(&server, "ben");
        ben.call("join:chat", json!({"chatId": "42"}));
        let mut walk = Walk { client: t3(&server, "ana"), used: BTreeSet::new() };
        rooms(&mut walk);
        messages(&mut walk, &mut ben);
        presence(&mut walk, &mut ben);
        monitoring(&mut walk);
        recovery(&server, &mut walk, &mut ben);
        let unused = ENDPOINTS.iter().filter(|(name, _)| !walk.used.contains(name));
        assert_eq!(unused.count(), 0, "used: {:?}", walk.used);
    }
}

#[test]
fn a_user_goes_online_and_offline_for_clients_that_only_connected() {
    let server = Server::builder().shards(3).with(&["--presence-grace", "100ms"]).start();
    let mut ben = t3(&server, "ben");
    ben.ping();
    let ana = t3(&server, "ana");
    assert_eq!(expect_change(&mut ben, "ana")["status"], "online");
    drop(ana);
    assert_eq!(expect_change(&mut ben, "ana")["status"], "offline");
}

#[test]
fn five_failed_attempts_in_five_minutes_and_a_hundred_messages_a_minute_pass() {
    let settings = ["--profile", "t3", "--limit-events", "off"];
    let server = Server::builder().shards(3).default_limits().with(&settings).start();
    let mut ana = t3(&server, "ana");
    ana.join("42");
    let sends = (0..150).map(|n| ana.request("message:send", &json!({"chatId": "42", "content": n})));
    let passed = sends.take_while(|reply| !reply.is_error()).count();
    assert!((100..=130).contains(&passed), "a slow machine refills some: {passed}");
    for _ in 0..5 {
        assert_eq!(server.connect().bearer("nonsense").refused().status, 401);
    }
    assert_eq!(server.connect().bearer("nonsense").refused().status, 429);
}
