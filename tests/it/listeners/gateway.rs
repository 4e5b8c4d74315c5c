//! The gateway's own events: who comes and goes, what is said, and who is refused.

use serde_json::{Value, json};

use super::series;
use crate::support::backend::{Backend, Does};
use crate::support::{Server, TemporaryFile, Token, eventually};

/// A gateway that posts all of its events, or some, and to whom.
fn server(name: &str, on: &str, more: &[&str]) -> (Server, Backend) {
    let backend = Backend::that(Does::say(json!({})));
    let listener = format!(
        "[[listeners]]\nname = \"Watch\"\non = {on}\nsink = \"webhook\"\nurl = \"{}\"\nbatch-events = 1\n",
        backend.url()
    );
    let file = TemporaryFile::with(&format!("gateway-{name}.toml"), &listener);
    let arguments = [&["--config", file.path(), "--presence-grace", "100ms"], more].concat();
    (Server::builder().shards(2).with(&arguments).start(), backend)
}

/// The first event of that name, and the user or room that it is of.
fn event(backend: &Backend, name: &str, field: &str, value: &str) -> Value {
    let mut at = 0;
    loop {
        let event = backend.request(at).body["events"][0].clone();
        if event["name"] == name && event["data"][field] == value {
            return event["data"].clone();
        }
        at += 1;
    }
}

#[test]
fn who_comes_and_goes_is_told() {
    let (server, backend) = server("comes", "\"gateway.**\"", &[]);
    let mut ana = server.open(&Token::employee("ana").account("7"));
    let connected = event(&backend, "gateway.connected", "userId", "ana");
    assert_eq!((&connected["accountId"], &connected["ip"]), (&json!("7"), &json!("127.0.0.1")));
    event(&backend, "gateway.user.online", "userId", "ana");
    ana.join("lobby");
    assert_eq!(event(&backend, "gateway.joined", "userId", "ana")["roomId"], "lobby");
    ana.say("lobby", "hello");
    let published = event(&backend, "gateway.message.published", "roomId", "lobby");
    assert_eq!((&published["content"], &published["senderId"]), (&json!("hello"), &json!("ana")));
    let id = &published["id"];
    ana.call("message:edit", json!({"roomId": "lobby", "messageId": id, "content": "hi"}));
    assert_eq!(event(&backend, "gateway.message.edited", "roomId", "lobby")["content"], "hi");
    ana.call("message:delete", json!({"roomId": "lobby", "messageId": id}));
    event(&backend, "gateway.message.deleted", "roomId", "lobby");
    ana.send(&json!({"event": "message:typing", "data": {"roomId": "lobby", "isTyping": true}}));
    event(&backend, "gateway.typing.started", "userId", "ana");
    let room = ana.call("room:create", json!({"roomId": "team:x", "metadata": {"a": 1}}));
    let created = event(&backend, "gateway.room.created", "roomId", "team:x");
    assert_eq!((&created["ownerId"], &created["metadata"]), (&json!("ana"), &json!({"a": 1})), "{room}");
    ana.close();
    let gone = event(&backend, "gateway.disconnected", "userId", "ana");
    assert_eq!((&gone["reason"], &gone["code"]), (&json!("normal"), &json!(1000)), "{gone}");
    event(&backend, "gateway.left", "roomId", "lobby");
    event(&backend, "gateway.user.offline", "userId", "ana");
}

#[test]
fn only_what_somebody_hears_of_is_told() {
    let (server, backend) = server("some", "[\"gateway.joined\"]", &[]);
    let mut ana = server.member("ana", "lobby");
    ana.say("lobby", "hello");
    event(&backend, "gateway.joined", "userId", "ana");
    assert_eq!(server.metric("roomcast_gateway_events_total"), 1.0);
}

#[test]
fn a_listener_does_not_answer_itself() {
    let echo = "[[listeners]]\nname = \"Echo\"\non = \"gateway.message.published\"\nsink = \"rooms\"\n\
                rooms = \"copies\"\nas = \"message\"\n";
    let file = TemporaryFile::with("listeners-echo.toml", echo);
    let server = Server::builder().shards(2).with(&["--config", file.path()]).start();
    let mut ana = server.member("ana", "lobby");
    let mut ben = server.member("ben", "copies");
    ana.say("lobby", "one");
    let copy = ben.expect_message("copies");
    assert_eq!(copy.data()["content"]["content"], "one");
    ana.say("lobby", "two");
    assert_eq!(ben.expect_message("copies").data()["content"]["content"], "two", "no copy of the copy");
    eventually("both were copied", || {
        let delivered = r#"listener_events_total{listener="Echo",outcome="delivered"}"#;
        (series(&server, delivered) == 2.0).then_some(())
    });
}
