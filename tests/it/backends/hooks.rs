//! Hooks: a backend's leave to connect, to enter a room, to publish.

use std::time::Duration;

use serde_json::{Value, json};

use super::{configured, reason_of, series};
use crate::support::backend::{Backend, Does, Request};
use crate::support::engine::Endpoint;
use crate::support::{Client, Server, SocketIo, Token};

/// A server with one hook.
fn hooked(kind: &str, backend: &Backend, lines: &str) -> Server {
    configured(&format!("[hooks.{kind}]\nurl = '{}'\n{lines}\n", backend.url()))
}

/// A backend that says what `say` makes of a request's body.
fn saying(say: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Backend {
    Backend::with(move |request: &Request| Does::say(say(&request.body)))
}

#[test]
fn a_connection_is_let_in_with_what_the_hook_adds() {
    let backend = saying(
        |_| json!({"rooms": ["vip"], "permissions": ["room:list", "order:create"], "claims": {"plan": "gold"}}),
    );
    let route =
        format!("[[routes]]\nname='shop'\nevents='order:*'\nurl='{}'\ninclude='claims'\n", backend.url());
    let server = configured(&format!("[hooks.connect]\nurl = '{}'\n{route}", backend.url()));
    let mut gil = server.open(&Token::guest("gil"));
    gil.call("room:list", json!({}));
    gil.fail("room:info", json!({"roomId": "vip"}), "PERMISSION_DENIED");
    gil.say("vip", "in it from the start");
    let told = backend.request(0).body;
    assert_eq!((&told["hook"], &told["user"]["id"]), (&json!("connect"), &json!("gil")));
    assert_eq!(told["claims"]["sub"], "gil");
    gil.call("auth:refresh", json!({"token": Token::guest("gil").expires_in(60).mint()}));
    gil.say("vip", "still in it");
    gil.call("order:create", json!({}));
    assert_eq!(backend.request(1).body["claims"]["added"], json!({"plan": "gold"}));
    assert_eq!(backend.count(), 2, "a refresh asks nobody");
}

#[test]
fn a_connection_is_turned_away_with_the_hooks_error() {
    let backend = saying(|asked| match asked["user"]["id"].as_str() {
        Some("bad") => json!({"error": {"code": "PERMISSION_DENIED", "message": "banned"}}),
        _ => json!({}),
    });
    let server = hooked("connect", &backend, "");
    let bad = Token::employee("bad");
    let mut client = server.open(&bad);
    let error = client.expect_event("error");
    assert_eq!(
        (&error.data()["code"], &error.data()["message"]),
        (&json!("PERMISSION_DENIED"), &json!("banned"))
    );
    assert_eq!(client.expect_close().0, 4401);

    let mut late = server.connect().open();
    let reply = late.request("auth", &json!({"token": bad.mint()}));
    reply.assert_error("PERMISSION_DENIED");
    assert_eq!(late.expect_close().0, 4401);

    let mut topic = server.connect().token(&bad).query("profile", "topic").open();
    let told = topic
        .expect("an error", |frame| frame.value["type"] == "auth_error" || frame.value["type"] == "error");
    assert_eq!(told.value["message"], "banned", "{}", told.raw);
    assert_eq!(topic.expect_close().0, 4401);

    let mut socketio = SocketIo::open(&Endpoint::new(server.address, "/socket.io/"), false);
    let refused = socketio.try_connect(&json!({"token": bad.mint()})).expect_err("banned");
    assert_eq!(
        (&refused["message"], &refused["data"]["code"]),
        (&json!("banned"), &json!("PERMISSION_DENIED"))
    );
    socketio.connect(&json!({"token": Token::employee("good").mint()}));
    socketio.call("room:list", json!({}));
    server.employee("good").ping();
}

#[test]
fn a_hook_that_fails_denies_or_allows_as_it_is_told() {
    let backend = Backend::that(Does::Hangs);
    let denying = hooked("connect", &backend, "timeout = '300ms'");
    let mut client = denying.employee("ana");
    let error = client.expect_event("error");
    assert_eq!(reason_of(error.data(), "hooks.connect"), "timeout");
    assert_eq!(client.expect_close().0, 1013);
    let allowing = hooked("connect", &backend, "timeout = '300ms'\non-failure = 'allow'");
    allowing.employee("ana").ping();
    assert_eq!(series(&allowing, "backend_requests_total{route=\"hooks.connect\",outcome=\"timeout\"}"), 1.0);
}

#[test]
fn a_room_is_entered_with_leave_and_no_more_history_than_allowed() {
    let backend = saying(|asked| match asked["roomId"].as_str().or(asked["pattern"].as_str()) {
        Some("closed" | "closed.*") => json!({"error": {"code": "ROOM_ACCESS_DENIED", "message": "closed"}}),
        Some("short") => json!({"history": 2}),
        _ => json!({}),
    });
    let server = hooked("join", &backend, "rooms = ['closed', 'short', 'open']");
    let mut ana = server.member("ana", "short");
    for number in 0..5 {
        ana.say("short", number);
    }
    let mut ben = server.employee("ben");
    let joined = ben.call("room:join", json!({"roomId": "short", "history": 100}));
    assert_eq!(joined["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(ben.fail("room:join", json!({"roomId": "closed"}), "ROOM_ACCESS_DENIED")["message"], "closed");
    let asked = backend.count();
    ben.join("not.asked.about");
    assert_eq!(backend.count(), asked);
    let results =
        ben.call("room:subscribe-multiple", json!({"rooms": ["open", "closed"], "patterns": ["closed.*"]}));
    let ok: Vec<_> =
        results["results"].as_array().expect("a list").iter().map(|it| it["ok"].clone()).collect();
    assert_eq!(ok, [json!(true), json!(false), json!(false)], "{results}");

    let mut topic = server.connect().token(&Token::employee("tom")).query("profile", "topic").open();
    topic.send(&json!({"type": "subscribe", "topic": "closed"}));
    let error = topic.expect("an error", |frame| frame.value["type"] == "error");
    assert_eq!(error.value["message"], "closed", "{}", error.raw);
    topic.send(&json!({"type": "subscribe", "topic": "open"}));
    topic.expect("an answer", |frame| frame.value["type"] == "subscribed");
}

#[test]
fn a_room_is_created_with_leave_to_enter_it() {
    let backend = saying(|asked| match (asked["roomId"].as_str(), asked["user"]["id"].as_str()) {
        (Some("deal"), Some("ana")) => json!({"error": {"code": "ROOM_ACCESS_DENIED", "message": "not she"}}),
        _ => json!({}),
    });
    let server = hooked("join", &backend, "");
    let [mut ana, mut ben, mut eve] = ["ana", "ben", "eve"].map(|name| server.employee(name));
    let deal = json!({"roomId": "deal", "visibility": "private", "members": ["eve"]});
    assert_eq!(ana.fail("room:create", deal.clone(), "ROOM_ACCESS_DENIED")["message"], "not she");
    let asked = backend.request(0).body;
    assert_eq!((&asked["hook"], &asked["roomId"]), (&json!("join"), &json!("deal")));
    ana.fail("message:send", json!({"roomId": "deal", "content": "in?"}), "ROOM_ACCESS_DENIED");

    let created = ben.request("room:create", &deal);
    assert_eq!(created.name, "room:created", "there was no such room: {}", created.raw);
    ben.say("deal", "in it");
    ben.fail("room:create", deal, "CLIENT_ERROR");
    assert_eq!(
        backend.count(),
        2,
        "the one named does not enter yet, and what is refused anyway needs no leave"
    );
    eve.join("deal");
    assert_eq!(backend.request(2).body["user"]["id"], "eve");
    let unnamed = ana.request("room:create", &json!({})).data()["roomId"].clone();
    assert_eq!(backend.request(3).body["roomId"], unnamed, "asked about by the name that it gets");
}

#[test]
fn what_is_said_is_changed_or_refused_and_keeps_its_order() {
    let backend = Backend::with(|request: &Request| {
        let text = request.body["message"]["content"].as_str().unwrap_or_default().to_owned();
        match text.as_str() {
            "rude" => Does::say(json!({"error": {"code": "INVALID_PAYLOAD", "message": "be nice"}})),
            // The first takes longest: if anything could overtake, it would.
            "m0" => Does::AnswersAfter(Duration::from_millis(300), "{}".to_owned()),
            "shout" => Does::say(json!({"content": {"text": "SHOUT"}, "metadata": {"by": "hook"}})),
            _ => Does::say(json!({})),
        }
    });
    let server = hooked("publish", &backend, "rooms = 'desk'");
    let mut ana = server.member("ana", "desk");
    let mut ben = server.member("ben", "desk");
    let say = |client: &mut Client, text: &str| {
        client.post("message:send", &json!({"roomId": "desk", "content": text}))
    };
    let ids: Vec<String> = (0..10).map(|number| say(&mut ana, &format!("m{number}"))).collect();
    ana.post("message:send-batch", &json!({"messages": [
        {"roomId": "desk", "content": "b0"}, {"roomId": "desk", "content": "rude"}, {"roomId": "desk", "content": "b1"},
    ]}));
    let last = say(&mut ana, "last");
    for id in &ids {
        assert!(!ana.reply(id).is_error());
    }
    ana.reply(&last);
    let expected = (0..10).map(|number| format!("m{number}")).chain(["b0", "b1", "last"].map(str::to_owned));
    for text in expected {
        assert_eq!(ben.expect_message("desk").data()["content"], json!(text));
    }
    assert_eq!(
        ana.fail("message:send", json!({"roomId": "desk", "content": "rude"}), "INVALID_PAYLOAD")["message"],
        "be nice"
    );
    let sent = ana.say("desk", "shout");
    let heard = ben.expect_message("desk");
    assert_eq!(heard.data()["content"], json!({"text": "SHOUT"}));
    assert_eq!(heard.data()["metadata"], json!({"by": "hook"}));
    let edit = json!({"roomId": "desk", "messageId": sent["id"], "content": "rude"});
    ana.fail("message:edit", edit, "INVALID_PAYLOAD");
    let edit = json!({"roomId": "desk", "messageId": sent["id"], "content": "shout"});
    assert_eq!(ana.call("message:edit", edit)["content"], json!({"text": "SHOUT"}));
}

#[test]
fn a_socketio_clients_messages_keep_their_order_too() {
    let backend = Backend::with(|request: &Request| match request.body["message"]["content"].as_u64() {
        Some(0) => Does::AnswersAfter(Duration::from_millis(200), "{}".to_owned()),
        _ => Does::say(json!({})),
    });
    let server = hooked("publish", &backend, "");
    let mut ben = server.member("ben", "desk");
    let mut sio = SocketIo::member(&server, "sio", "desk");
    for number in 0..20 {
        sio.emit("message:send", &json!({"roomId": "desk", "content": number}));
    }
    for number in 0..20 {
        assert_eq!(ben.expect_message("desk").data()["content"], number);
    }
    ben.call("user:send", json!({"userId": "sio", "content": "hello"}));
    assert_eq!(backend.request(backend.count() - 1).body["event"], "user:send");
}

#[test]
fn a_client_that_goes_while_the_hook_is_asked_leaves_nothing_behind() {
    let backend = Backend::that(Does::AnswersAfter(Duration::from_millis(200), "{}".to_owned()));
    let server = hooked("publish", &backend, "");
    let mut ben = server.member("ben", "desk");
    let mut gone = server.member("gone", "desk");
    gone.post(
        "message:send-batch",
        &json!({"messages": [{"roomId": "desk", "content": 1}, {"roomId": "desk", "content": 2}]}),
    );
    backend.request(0);
    drop(gone);
    ben.say("desk", "on we go");
    crate::support::eventually("nothing is open", || {
        (server.metric("roomcast_inquiries_open") == 0.0).then_some(())
    });
    ben.ping();
}
