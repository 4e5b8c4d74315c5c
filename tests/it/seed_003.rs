//! The client of seed 003 (profile `support`): rooms per conversation, inbox and account, typing, who is online.
//!
//! Live updates from the twelve listeners come from the backend by rules of later work, and long-polling belongs to
//! the Socket.IO dialect; neither is here.

use serde_json::{Value, json};

use crate::support::reply::sorted_column;
use crate::support::{Client, QUIET, Server, Token, eventually};

fn support(server: &Server, account: &str, name: &'static str) -> Client {
    let token = Token::employee(name).account(account);
    let mut client = server.connect().token(&token).query("profile", "support").open().transcribed(name);
    client.ping();
    client
}

fn server(shards: usize) -> Server {
    Server::builder().shards(shards).with(&["--presence-grace", "200ms"]).start()
}

/// The next push of that name about `user`; returns its data.
fn expect_about(client: &mut Client, name: &str, user: &str) -> Value {
    let push = client.expect(name, |frame| frame.name == name && frame.data()["userId"] == user);
    push.data().clone()
}

#[test]
fn the_client_of_seed_003_joins_its_own_and_its_accounts_room_on_connect() {
    for shards in [1, 3] {
        let server = server(shards);
        let mut agent = support(&server, "7", "agent");
        let rooms = agent.call("room:list", json!({}));
        assert_eq!(sorted_column(&rooms, "rooms", "roomId"), ["account:7", "user:agent"]);
        let mut other = support(&server, "7", "other");
        other.say("account:7", "to the whole account");
        assert_eq!(agent.expect_message("account:7").data()["senderId"], "other");
        other.call("user:send", json!({"userId": "agent", "content": "to you"}));
        assert_eq!(agent.expect_message("user:agent").data()["content"], "to you");
    }
}

#[test]
fn the_account_is_told_who_comes_online_and_goes_offline() {
    for shards in [1, 3] {
        let server = server(shards);
        let mut agent = support(&server, "7", "agent");
        let mut stranger = support(&server, "8", "stranger");
        let devices = [(); 2].map(|()| support(&server, "7", "other"));
        assert_eq!(expect_about(&mut agent, "user:online", "other"), json!({"userId": "other"}));
        let [first, mut last] = devices;
        first.close();
        last.call("presence:update-status", json!({"status": "away"}));
        assert_eq!(expect_about(&mut agent, "presence:changed", "other")["status"], "away");
        eventually("one device is left", || {
            let status = agent.call("presence:user-status", json!({"userId": "other"}));
            assert_eq!(status["status"], "away", "{status}");
            (status["devices"] == 1).then_some(())
        });
        drop(last);
        assert_eq!(expect_about(&mut agent, "user:offline", "other"), json!({"userId": "other"}));
        let status = agent.call("presence:user-status", json!({"userId": "other"}));
        assert_eq!([&status["status"], &status["availability"]], ["offline", "unavailable"], "{status}");
        assert!(status["lastSeen"].is_string(), "{status}");
        for client in [&mut agent, &mut stranger] {
            client.stays_open_for(QUIET);
            for name in ["user:online", "user:offline"] {
                let more = client.arrived(name);
                let told = more.iter().any(|push| push.data()["userId"] == "other");
                assert!(!told, "one edge each, and none for strangers: {more:?}");
            }
        }
        stranger.assert_no("presence:changed", "of another account");
    }
}

#[test]
fn typing_in_a_conversation_reaches_the_others_of_it() {
    for shards in [1, 3] {
        let server = server(shards);
        let [mut agent, mut other, mut outsider] =
            ["agent", "other", "outsider"].map(|name| support(&server, "7", name));
        for client in [&mut agent, &mut other] {
            client.join("conversation:5");
        }
        agent.send(&json!({"event": "conversation:typing", "data": {"conversationId": "5"}}));
        let typing = expect_about(&mut other, "conversation:typing", "agent");
        assert_eq!([&typing["roomId"], &typing["userId"]], ["conversation:5", "agent"]);
        assert_eq!(typing["isTyping"], true, "a typing event without a state is a start");
        other.call("message:send", json!({"conversationId": "5", "content": "yes?"}));
        assert_eq!(agent.expect_message("conversation:5").data()["content"], "yes?");
        agent.say("conversation:5", "done");
        assert_eq!(expect_about(&mut other, "conversation:typing", "agent")["isTyping"], false);
        let refused = outsider.request("conversation:typing", &json!({"conversationId": "5"}));
        refused.assert_error("ROOM_ACCESS_DENIED");
        for client in [&mut agent, &mut outsider] {
            client.assert_no("conversation:typing", "not to oneself, nor to outsiders");
        }
        other.assert_no("user:typing", "it has one name");
    }
}

#[test]
fn private_and_public_channels_and_inboxes_are_rooms() {
    for shards in [1, 3] {
        let server = server(shards);
        let mut agent = support(&server, "7", "agent");
        let mut other = support(&server, "7", "other");
        let mut stranger = support(&server, "8", "stranger");
        let private = json!({"roomId": "inbox:3", "visibility": "private", "members": ["other"]});
        agent.call("room:create", private);
        agent.call("room:create", json!({"roomId": "channel:news"}));
        for room in ["inbox:3", "channel:news"] {
            other.join(room);
            agent.say(room, room);
            assert_eq!(other.expect_message(room).data()["content"], room);
        }
        stranger.join("channel:news");
        stranger.fail("room:join", json!({"roomId": "inbox:3"}), "ROOM_ACCESS_DENIED");
        stranger.fail("room:join", json!({"roomId": "account:7"}), "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn a_lost_connection_recovers_its_conversations() {
    for shards in [1, 3] {
        let server = server(shards);
        let [mut agent, mut other] = ["agent", "other"].map(|name| support(&server, "7", name));
        for client in [&mut agent, &mut other] {
            client.join("conversation:5");
        }
        let session = agent.call("connection:create-session", json!({}));
        agent.cut(&mut other);
        other.say("conversation:5", "missed");
        let token = Token::employee("agent").account("7");
        let session = session["token"].as_str().expect("a token");
        let connect = server.connect().token(&token).query("profile", "support").query("session", session);
        let mut agent = connect.open().transcribed("agent");
        let recovered = agent.expect_event("connection:recovered");
        assert!(recovered.raw.contains("missed"), "{}", recovered.raw);
        other.say("conversation:5", "live");
        assert_eq!(agent.expect_message("conversation:5").data()["content"], "live");
    }
}
