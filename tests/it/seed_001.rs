//! The client of seed 001 (profile `channel`): its events and rooms, its error shape and rules, its limits.

use serde_json::{Value, json};

use crate::support::reply::{column, keys};
use crate::support::{Client, Frame, Server, Token};

fn channel(server: &Server, name: &'static str) -> Client {
    let token = Token::employee(name).account("acme");
    server.connect().token(&token).query("profile", "channel").open().transcribed(name)
}

/// Fails unless this is the seed's `ErrorResponse` of that code; returns its data.
fn assert_error_response(frame: &Frame, code: &str) -> Value {
    assert_eq!(frame.name, "error", "{}", frame.raw);
    let error = frame.data();
    assert!(keys(error).iter().all(|key| ["code", "data", "message", "status"].contains(key)), "{error}");
    assert_eq!([&error["status"], &error["code"]], ["error", code], "{error}");
    assert!(error["message"].is_string(), "{error}");
    error["data"].clone()
}

/// How many of `count` requests pass before one is refused by its rate; the rest is not tried.
fn passed(client: &mut Client, count: usize, request: impl Fn(usize) -> (&'static str, Value)) -> usize {
    for n in 0..count {
        let (event, data) = request(n);
        let reply = client.request(event, &data);
        if reply.is_error() {
            let wait = &assert_error_response(&reply, "RATE_LIMITED")["retryAfterMs"];
            assert!(wait.as_u64().is_some_and(|wait| wait > 0), "{}", reply.raw);
            return n;
        }
    }
    count
}

#[test]
fn the_client_of_seed_001_uses_every_event_and_every_kind_of_room() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| channel(&server, name));
        let rooms = column(&ana.call("room:list", json!({})), "rooms", "roomId");
        assert!(rooms.contains(&json!("user:ana")), "joined on connect: {rooms:?}");
        for client in [&mut ana, &mut ben] {
            for room in ["channel:7", "thread:9", "presence:global"] {
                client.join(room);
            }
        }

        let sent = ana.call("message:send", json!({"channelId": "7", "content": "helo"}));
        assert_eq!(ben.expect_message("channel:7").data()["id"], sent["id"]);
        let edit = json!({"channelId": "7", "messageId": sent["id"], "content": "hello"});
        let edited = ana.request("message:edit", &edit);
        assert_eq!(edited.name, "message:edited", "{}", edited.raw);
        assert_eq!(ben.expect_event("message:edited").data(), edited.data());
        assert_eq!([&edited.data()["roomId"], &edited.data()["content"]], ["channel:7", "hello"]);

        ben.call("message:send", json!({"threadId": "9", "content": "about that"}));
        assert_eq!(ana.expect_message("thread:9").data()["senderId"], "ben");

        ana.send(&json!({"event": "user:typing", "data": {"channelId": "7"}}));
        ana.send(&json!({"event": "user:typing", "data": {"channelId": "7", "isTyping": false}}));
        for is_typing in [true, false] {
            let typing = ben.expect_event("user:typing");
            assert_eq!(
                typing.data(),
                &json!({"roomId": "channel:7", "userId": "ana", "isTyping": is_typing})
            );
        }

        let update = json!({"status": "busy", "statusText": "in a call"});
        let updated = ana.request("presence:update", &update);
        assert_eq!(updated.name, "presence:updated", "{}", updated.raw);
        let told = ben.expect("ana is busy", |frame| {
            frame.name == "presence:changed" && frame.data()["status"] == "busy"
        });
        assert_eq!([&told.data()["userId"], &told.data()["statusText"]], ["ana", "in a call"]);

        ben.call("user:send", json!({"userId": "ana", "content": "for you only"}));
        assert_eq!(ana.expect_message("user:ana").data()["content"], "for you only");
    }
}

#[test]
fn errors_have_the_required_format_and_reach_only_the_affected_user() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| channel(&server, name));
        for client in [&mut ana, &mut ben] {
            client.join("channel:7");
        }
        let refused = ana.request("message:send", &json!({"channelId": "7"}));
        assert_eq!(assert_error_response(&refused, "INVALID_PAYLOAD")["field"], "content");
        let refused = ana.request("room:info", &json!({"channelId": "8"}));
        assert_error_response(&refused, "CHANNEL_ERROR");
        ben.assert_no("error", "it was ana's");

        let bad = server.connect().query("profile", "channel").query("token", "nonsense");
        let mut stranger = bad.open().transcribed("stranger");
        assert_error_response(&stranger.expect_event("error"), "AUTH_FAILED");
        assert_eq!(stranger.expect_close().0, 4401);
    }
}

#[test]
fn what_happens_to_a_channel_is_told_to_its_members_only() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| channel(&server, name));
    ana.call("room:create", json!({"channelId": "7"}));
    ben.join("channel:7");
    ana.call("room:close", json!({"channelId": "7"}));
    assert_eq!(ben.expect_event("room:closed").data()["roomId"], "channel:7");
    cid.assert_no("room:closed", "not a member");
}

#[test]
fn sixty_messages_ten_typings_and_thirty_presence_updates_a_minute_pass() {
    // The rate of all events together is another seed's.
    let settings = ["--profile", "channel", "--limit-events", "off"];
    let server = Server::builder().shards(3).default_limits().with(&settings).start();
    let mut ana = channel(&server, "ana");
    ana.join("channel:7");
    // A slow machine refills some meanwhile.
    let messages = passed(&mut ana, 120, |n| ("message:send", json!({"channelId": "7", "content": n})));
    assert!((60..=80).contains(&messages), "{messages}");
    let typing = |is_typing: bool| ("user:typing", json!({"channelId": "7", "isTyping": is_typing}));
    let typings = passed(&mut ana, 40, |n| typing(n % 2 == 0));
    assert!((20..=26).contains(&typings), "ten starts, each with its stop: {typings}");
    let status = |n: usize| if n.is_multiple_of(2) { "away" } else { "online" };
    let updates = passed(&mut ana, 60, |n| ("presence:update", json!({"status": status(n)})));
    assert!((30..=45).contains(&updates), "{updates}");
}

#[test]
fn ten_failed_attempts_to_connect_a_minute_are_answered() {
    let server = Server::builder().shards(3).default_limits().with(&["--profile", "channel"]).start();
    for _ in 0..10 {
        assert_eq!(server.connect().bearer("nonsense").refused().status, 401);
    }
    assert_eq!(server.connect().bearer("nonsense").refused().status, 429);
}
