//! The client of seed 000 (profile `chat`): its nine events, what it is told, its message and error shapes.
//!
//! `chat:system:notification` comes from the server API only, and the answers `chat:file:uploaded`,
//! `chat:robot:response` and `chat:escalation:created` from a backend's route; both belong to later work. Until then
//! a client that asks for one of the three is told that no route takes it.

use serde_json::{Value, json};

use crate::support::reply::keys;
use crate::support::{Client, Frame, Server, Token};

fn chat(server: &Server, token: &Token, name: &'static str) -> Client {
    let mut client = server.connect().token(token).query("profile", "chat").open().transcribed(name);
    client.ping();
    client
}

/// A push of that name; edges of rooms are told apart from replies by their user.
fn expect_edge(client: &mut Client, name: &str, room: &str, user: &str) {
    let edge = client.expect(name, |frame| frame.name == name && frame.request_id.is_none());
    assert_eq!(edge.data(), &json!({"roomId": room, "userId": user}), "{}", edge.raw);
}

/// Fails unless this is the seed's `WebSocketError` of that code, as `chat:error`; returns its details.
fn assert_chat_error(frame: &Frame, code: &str) -> Value {
    assert_eq!(frame.name, "chat:error", "{}", frame.raw);
    let error = frame.data();
    let known = ["code", "details", "message", "recoverable"];
    assert!(keys(error).iter().all(|key| known.contains(key)), "{error}");
    assert_eq!(error["code"], code, "{error}");
    assert!(error["message"].is_string() && error["recoverable"].is_boolean(), "{error}");
    error["details"].clone()
}

/// Fails unless this is the seed's `ChatMessage`.
fn assert_chat_message(frame: &Frame, room: &str, kind: &str, sender: &str) {
    let message = frame.data();
    let told = [&message["roomId"], &message["type"], &message["senderId"]];
    assert_eq!(told, [room, kind, sender], "{}", frame.raw);
    assert!(message["id"].is_string() && message["timestamp"].is_string(), "{}", frame.raw);
    let lane = if ["file", "robot"].contains(&kind) { "batch-delay" } else { "streaming" };
    assert_eq!(message["deliveryStatus"], lane, "{}", frame.raw);
}

#[test]
fn the_client_of_seed_000_walks_through_every_event_of_its_lists() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = chat(&server, &Token::employee("ana"), "ana");
        let mut ben = chat(&server, &Token::employee("ben"), "ben");
        let room = json!({"roomId": "support.7"});

        let request = json!({"roomId": "support.7", "visibility": "private", "members": ["ben"]});
        let created = ana.request("chat:room:create", &request);
        assert_eq!(created.name, "chat:room:created", "{}", created.raw);
        assert_eq!(ben.expect_event("chat:room:created").data(), created.data());

        let joined = ben.request("chat:room:join", &room);
        assert_eq!(joined.name, "chat:room:joined", "{}", joined.raw);
        assert_eq!((&joined.data()["roomId"], &joined.data()["members"]), (&json!("support.7"), &json!(2)));
        expect_edge(&mut ana, "chat:room:joined", "support.7", "ben");

        for (event, is_typing) in [("chat:typing:start", true), ("chat:typing:stop", false)] {
            ben.send(&json!({"event": event, "data": room, "version": "1"}));
            let typing = ana.expect_event("chat:user:typing");
            assert_eq!(
                typing.data(),
                &json!({"roomId": "support.7", "userId": "ben", "isTyping": is_typing})
            );
        }

        let message =
            json!({"roomId": "support.7", "content": {"text": "hello"}, "metadata": {"lang": "en"}});
        let sent = ana.call("chat:message:send", message);
        for client in [&mut ana, &mut ben] {
            let message = client.expect_event("chat:message:received");
            assert_chat_message(&message, "support.7", "chat", "ana");
            assert_eq!((&message.data()["id"], &message.data()["offset"]), (&sent["id"], &sent["offset"]));
            assert_eq!(message.data()["content"], json!({"text": "hello"}));
            assert_eq!(message.data()["metadata"], json!({"lang": "en"}));
        }

        for event in ["chat:file:upload", "chat:robot:interact", "chat:escalation:create"] {
            let refused = ana.request(event, &json!({"roomId": "support.7", "name": "report.pdf"}));
            assert_eq!(assert_chat_error(&refused, "SERVER_ERROR")["component"], "route");
            assert_eq!(refused.data()["recoverable"], true);
        }

        let left = ben.request("chat:room:leave", &room);
        assert_eq!((left.name.as_str(), left.data()), ("chat:room:left", &room));
        expect_edge(&mut ana, "chat:room:left", "support.7", "ben");
        ben.assert_no("chat:error", "errors go only to whoever caused them");
    }
}

#[test]
fn every_type_of_its_messages_is_delivered_in_its_lane_and_replayed_as_delivered() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut sue = chat(&server, &Token::supervisor("sue"), "sue");
        let mut ben = chat(&server, &Token::employee("ben"), "ben");
        for client in [&mut sue, &mut ben] {
            client.call("chat:room:join", json!({"roomId": "support.7"}));
        }
        let kinds = ["chat", "robot", "system", "file", "image", "graph"];
        for kind in kinds {
            sue.call("chat:message:send", json!({"roomId": "support.7", "type": kind, "content": "x"}));
            assert_chat_message(&ben.expect_event("chat:message:received"), "support.7", kind, "sue");
        }
        let mut late = chat(&server, &Token::employee("cid"), "cid");
        let joined = late.call("chat:room:join", json!({"roomId": "support.7", "history": 10}));
        for (message, kind) in joined["messages"].as_array().expect("a history").iter().zip(kinds) {
            assert_eq!([&message["type"], &message["deliveryStatus"]], [kind, "delivered"], "{message}");
        }
    }
}

#[test]
fn each_category_of_error_has_the_shape_of_the_seed() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--limit-messages", "1/1h"]).start();
        let mut ana = chat(&server, &Token::employee("ana"), "ana");
        ana.call("chat:room:create", json!({"roomId": "support.7"}));
        ana.call("chat:message:send", json!({"roomId": "support.7", "content": 1}));
        let cases = [
            ("monitoring:stats", json!({}), "PERMISSION_DENIED"),
            ("chat:room:join", json!({"roomId": "user:ben"}), "ROOM_ACCESS_DENIED"),
            ("chat:message:send", json!({"roomId": "support.7", "content": 1}), "RATE_LIMITED"),
            ("connection:recover", json!({"token": "nonsense"}), "CONNECTION_LOST"),
            ("chat:no:such", json!({}), "PROTOCOL_ERROR"),
            ("chat:file:upload", json!({"roomId": "support.7"}), "SERVER_ERROR"),
            ("chat:room:create", json!({"roomId": "support.7"}), "CLIENT_ERROR"),
        ];
        for (event, data, code) in cases {
            let refused = ana.request(event, &data);
            let details = assert_chat_error(&refused, code);
            let final_codes = ["PERMISSION_DENIED", "ROOM_ACCESS_DENIED", "CONNECTION_LOST"];
            assert_eq!(refused.data()["recoverable"], !final_codes.contains(&code), "{}", refused.raw);
            assert_eq!(details["retryAfterMs"].is_u64(), code == "RATE_LIMITED", "{}", refused.raw);
        }
        ana.send(&json!({"event": "ping", "requestId": "old", "version": "0"}));
        assert_chat_error(&ana.reply("\"old\""), "PROTOCOL_ERROR");

        let bad = server.connect().query("profile", "chat").query("token", "nonsense");
        let mut stranger = bad.open().transcribed("stranger");
        let refused = stranger.expect_event("chat:error");
        assert_chat_error(&refused, "AUTH_FAILED");
        assert_eq!(refused.data()["recoverable"], false);
        assert_eq!(stranger.expect_close().0, 4401);
    }
}

#[test]
fn a_connected_client_knows_itself_as_the_seed_describes() {
    let server = Server::builder().shards(3).start();
    let token = Token::guest("gil").rooms(&["support.7"]).permissions(&["connection:session-info"]);
    let mut gil = chat(&server, &token, "gil");
    let info = gil.call("connection:session-info", json!({}));
    assert_eq!([&info["userId"], &info["userType"]], ["gil", "guest"], "{info}");
    for key in ["sessionId", "connectedAt", "lastActivity"] {
        assert!(info[key].is_string(), "{key} in {info}");
    }
    assert!(info["rooms"].as_array().is_some_and(|rooms| rooms.contains(&json!("support.7"))), "{info}");
}

#[test]
fn a_guest_is_restricted_to_its_room_and_may_talk_there() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = chat(&server, &Token::employee("ana"), "ana");
        ana.call("chat:room:join", json!({"roomId": "support.7"}));
        let mut gil = chat(&server, &Token::guest("gil").rooms(&["support.7"]), "gil");
        let refused = gil.request("chat:room:join", &json!({"roomId": "support.8"}));
        assert_chat_error(&refused, "ROOM_ACCESS_DENIED");
        for (event, data) in [
            ("chat:room:create", json!({"roomId": "mine"})),
            ("chat:message:send", json!({"roomId": "support.7", "type": "robot", "content": 1})),
        ] {
            assert_chat_error(&gil.request(event, &data), "PERMISSION_DENIED");
        }
        gil.call("chat:message:send", json!({"roomId": "support.7", "content": "help"}));
        assert_chat_message(&ana.expect_event("chat:message:received"), "support.7", "chat", "gil");
    }
}
