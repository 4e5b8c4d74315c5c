//! `--tenancy account`: every account is a world of its own, of the same names (protocol §3).

use serde_json::{Value, json};

use crate::support::reply::{column, sorted_column};
use crate::support::{Client, Server, Token};

fn server(shards: usize) -> Server {
    Server::builder().shards(shards).with(&["--tenancy", "account", "--presence-grace", "100ms"]).start()
}

fn employee(server: &Server, name: &str, account: &str) -> Client {
    server.open(&Token::employee(name).account(account))
}

fn member(server: &Server, name: &str, account: &str) -> Client {
    let mut client = employee(server, name, account);
    client.join("lobby");
    client
}

/// The same user in the same room, of two accounts.
fn twins(server: &Server) -> [Client; 2] {
    ["acme", "other"].map(|account| member(server, "ana", account))
}

#[test]
fn the_same_name_in_two_accounts_is_two_rooms() {
    for shards in [1, 3] {
        let server = server(shards);
        let [mut ana, mut twin] = twins(&server);
        let mut ben = member(&server, "ben", "acme");
        let joined = [&mut ana, &mut twin].map(|client| client.join("lobby"));
        assert_eq!(joined.each_ref().map(|joined| &joined["members"]), [2, 1]);
        assert_ne!(joined[0]["epoch"], joined[1]["epoch"]);
        for n in 1..=3 {
            assert_eq!(ben.say("lobby", n)["offset"], n);
        }
        assert_eq!(twin.say("lobby", "other's")["offset"], 1, "an order of its own");
        assert_eq!(twin.expect_message("lobby").data()["content"], "other's");
        let room = json!({"roomId": "lobby"});
        let history = twin.call("room:history", room.clone());
        assert_eq!(column(&history, "messages", "content"), ["other's"]);
        let online = twin.call("room:online", room.clone());
        assert_eq!(sorted_column(&online, "users", "userId"), ["ana"], "{online}");
        let info = twin.call("room:info", room);
        assert_eq!([&info["members"], &info["online"], &info["offset"]], [1, 1, 1], "{info}");
        twin.assert_no("message:received", "acme's messages");
        let names = sorted_column(&twin.call("room:list", json!({})), "rooms", "roomId");
        assert_eq!(names, ["account:other", "lobby", "user:ana"], "names as the client knows them");
    }
}

#[test]
fn no_push_crosses_and_no_frame_names_another_account() {
    for shards in [1, 3] {
        let server = server(shards);
        let [mut ana, mut twin] = twins(&server);
        for pattern in ["*", "**", "user:*"] {
            twin.call("room:subscribe-multiple", json!({"patterns": [pattern]}));
        }
        let mut topic = server.connect().token(&Token::employee("tom").account("other")).topic().open();
        topic.send(&json!({"type": "subscribe", "topic": "**"}));
        topic.expect_event("subscribed");
        let mut ben = member(&server, "ben", "acme");
        let id = ben.say("lobby", "of theirs")["id"].clone();
        let of = |more: Value| {
            let mut data = json!({"roomId": "lobby", "messageId": id});
            data.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            data
        };
        let room = ben.request("room:join", &json!({"roomId": "lobby"}));
        let pushed = ana.expect_message("lobby");
        for frame in [&room, &pushed] {
            assert!(!frame.raw.contains("acme\"") && !frame.raw.contains("acme:"), "{}", frame.raw);
        }
        ana.call("message:read", of(json!({})));
        ana.call("message:typing", json!({"roomId": "lobby", "isTyping": true}));
        ben.call("message:edit", of(json!({"content": "edited"})));
        ben.call("message:delete", of(json!({})));
        ben.call("user:send", json!({"userId": "ana", "content": "to acme's ana"}));
        assert_eq!(ana.expect_message("user:ana").data()["content"], "to acme's ana");
        ben.call("room:create", json!({"roomId": "sales"}));
        drop(ben);
        ana.expect_event("room:member-left");
        let pushes =
            ["message:received", "message:edited", "message:deleted", "message:status", "user:typing"];
        for push in pushes.into_iter().chain(["room:member-joined", "room:member-left", "room:created"]) {
            twin.assert_no(push, "of another account");
        }
        topic.assert_no("message", "of another account");
        let by_id = twin.fail("message:edit", of(json!({"content": "forged"})), "INVALID_PAYLOAD");
        assert_eq!(by_id["details"]["field"], "messageId", "as if there were no such message");
    }
}

#[test]
fn rooms_of_another_account_are_unknown_and_their_names_free() {
    for shards in [1, 3] {
        let server = server(shards);
        let mut ana = employee(&server, "ana", "acme");
        let mut eve = employee(&server, "eve", "other");
        ana.join("joined");
        ana.call("room:create", json!({"roomId": "deal", "visibility": "private", "maxMembers": 1}));
        for name in ["joined", "deal"] {
            let room = json!({"roomId": name});
            eve.fail("room:info", room.clone(), "CHANNEL_ERROR");
            eve.fail("room:close", room, "CHANNEL_ERROR");
        }
        assert_eq!(eve.join("deal")["members"], 1, "a public one of her own");
        eve.call("room:create", json!({"roomId": "joined"}));
        eve.call("room:close", json!({"roomId": "joined"}));
        assert_eq!(ana.say("joined", 1)["offset"], 1, "acme's goes on");
    }
}

#[test]
fn users_of_the_same_name_are_two_users() {
    for shards in [1, 3] {
        let server = server(shards);
        let mut watcher = employee(&server, "wendy", "acme");
        watcher.join("presence:global");
        watcher.call("presence:watch", json!({"userIds": ["ana"]}));
        let mut twin = employee(&server, "ana", "other");
        twin.call("presence:update-status", json!({"status": "busy"}));
        watcher.stays_open_for(crate::support::QUIET);
        let changes = watcher.arrived("presence:changed");
        assert!(!changes.iter().any(|change| change.data()["userId"] == "ana"), "{changes:?}");
        let status = watcher.call("presence:user-status", json!({"userId": "ana"}));
        assert_eq!((&status["status"], &status["devices"]), (&json!("offline"), &json!(0)));
        let listed = sorted_column(&watcher.call("presence:online-users", json!({})), "users", "userId");
        assert!(!listed.contains(&"ana".to_owned()), "{listed:?}");

        let mut sue = server.open(&Token::supervisor("sue").account("other"));
        sue.call("user:send", json!({"userId": "wendy", "content": "to other's wendy"}));
        watcher.assert_no("message:received", "another wendy");
        let mut namesake = employee(&server, "wendy", "other");
        assert_eq!(namesake.expect_message("user:wendy").data()["content"], "to other's wendy");
        twin.request("user:send", &json!({"userId": "wendy", "content": "again"}));
        assert_eq!(namesake.expect_message("user:wendy").data()["content"], "again");
        watcher.assert_no("message:received", "another wendy");
    }
}

#[test]
fn rates_client_ids_and_sessions_are_each_accounts_own() {
    let settings = ["--tenancy", "account", "--limit-messages", "2/1h"];
    let server = Server::builder().shards(3).with(&settings).start();
    let [mut ana, mut twin] = twins(&server);
    let session = ana.call("connection:create-session", json!({}));
    let error = twin.fail("connection:recover", json!({"token": session["token"]}), "CONNECTION_LOST");
    assert_eq!(error["details"]["reason"], "foreign", "{error}");
    for client in [&mut ana, &mut twin] {
        for client_id in ["c1", "c2"] {
            let data = json!({"roomId": "lobby", "content": 1, "clientId": client_id});
            assert_ne!(client.call("message:send", data)["duplicate"], true);
        }
        client.fail("message:send", json!({"roomId": "lobby", "content": 1}), "RATE_LIMITED");
    }
}

#[test]
fn by_default_all_accounts_share_one_namespace() {
    let server = Server::builder().shards(3).start();
    let [mut ana, _] = twins(&server);
    let mut eve = member(&server, "eve", "other");
    assert_eq!(eve.join("lobby")["members"], 2, "ana of two accounts is one user");
    eve.say("lobby", "hello");
    assert_eq!(ana.expect_message("lobby").data()["senderId"], "eve");
}
