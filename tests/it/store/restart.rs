//! Rooms and users after a restart: messages, places, queues, receipts, who may enter.

use serde_json::json;

use super::{ENDS, End, Home, place};
use crate::support::reply::{column, entry, list};
use crate::support::{Client, Server, Token, eventually};

fn history(client: &mut Client, room: &str) -> serde_json::Value {
    client.call("room:history", json!({"roomId": room, "limit": 100}))
}

#[test]
fn messages_keep_their_places_and_the_stream_goes_on() {
    for end in ENDS {
        let home = Home::new(&[]);
        let server = home.start(2);
        let mut ana = server.member("ana", "lobby");
        let sent: Vec<_> = (1..=5).map(|n| ana.say("lobby", n)).collect();
        ana.call("message:edit", json!({"roomId": "lobby", "messageId": sent[1]["id"], "content": "two"}));
        ana.call("message:delete", json!({"roomId": "lobby", "messageId": sent[3]["id"]}));
        let before = history(&mut ana, "lobby");
        let server = home.restart(server, end, 3);
        let mut ana = server.employee("ana");
        let joined = ana.call(
            "room:join",
            json!({"roomId": "lobby", "recover": {"epoch": sent[0]["epoch"], "offset": 3}}),
        );
        assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(true), &json!(7)), "{end:?}: {joined}");
        assert_eq!(history(&mut ana, "lobby"), before, "{end:?}");
        let next = ana.say("lobby", "next");
        assert_eq!((&next["epoch"], &next["offset"]), (&sent[0]["epoch"], &json!(8)), "{end:?}");
        assert!(next["id"].as_str() > sent[4]["id"].as_str(), "ids sort by time");
        let stats = ana.call("message:stats", json!({"roomId": "lobby"}));
        assert_eq!((&stats["messages"], &stats["edits"]), (&json!(6), &json!(1)), "{stats}");
    }
}

#[test]
fn a_client_id_is_recognised_after_a_restart() {
    for (end, size) in [(End::Killed, "1000"), (End::Stopped, "1000"), (End::Killed, "1")] {
        let home = Home::new(&["--history-size", size]);
        let server = home.start(2);
        let mut ana = server.member("ana", "lobby");
        let send = json!({"roomId": "lobby", "content": 1, "clientId": "once"});
        let first = ana.call("message:send", send.clone());
        ana.say("lobby", 2);
        let server = home.restart(server, end, 2);
        let mut ana = server.member("ana", "lobby");
        let again = ana.call("message:send", send);
        assert_eq!((place(&again), &again["duplicate"]), (place(&first), &json!(true)), "{end:?}");
        assert_eq!(ana.say("lobby", 3)["offset"], 3);
    }
}

#[test]
fn topic_clients_recover_what_they_missed() {
    let home = Home::new(&[]);
    let server = home.start(2);
    let topic = |server: &Server| server.connect().token(&Token::employee("tom")).topic().open();
    let mut tom = topic(&server);
    tom.send(&json!({"type": "subscribe", "topic": "lobby"}));
    let subscribed = tom.expect_event("subscribed").value;
    let mut ana = server.member("ana", "lobby");
    for n in 1..=3 {
        ana.say("lobby", n);
    }
    let server = home.restart(server, End::Killed, 1);
    let mut tom = topic(&server);
    let recover = json!({"epoch": subscribed["epoch"], "offset": 1});
    tom.send(&json!({"type": "subscribe", "topic": "lobby", "recover": recover}));
    let missed = [tom.expect_message("lobby"), tom.expect_message("lobby")];
    assert_eq!(missed.map(|frame| frame.value["data"].clone()), [2, 3]);
    assert_eq!(tom.expect_event("subscribed").value["recovered"], true);
}

#[test]
fn what_waits_for_an_absent_member_still_waits() {
    for end in ENDS {
        let home = Home::new(&["--room-class", "q.*=queued", "--presence-grace", "1h"]);
        let server = home.start(2);
        let mut ana = server.member("ana", "q.desk");
        let mut ben = server.member("ben", "q.desk");
        ben.ping();
        ben.close();
        ana.say("q.desk", "kept");
        ana.call("user:send", json!({"userId": "ben", "content": "hello"}));
        let server = home.restart(server, end, 3);
        let mut ben = server.employee("ben");
        assert_eq!(ben.expect_message("user:ben").data()["content"], "hello", "{end:?}");
        ben.join("q.desk");
        assert_eq!(ben.expect_message("q.desk").data()["content"], "kept", "{end:?}");
    }
}

#[test]
fn a_member_who_was_there_when_the_process_was_killed_is_kept_messages_for() {
    let home = Home::new(&["--room-class", "q.*=queued"]);
    let server = home.start(2);
    let _ben = server.member("ben", "q.desk");
    let mut eve = server.member("eve", "q.desk");
    // Another who comes makes the room forget whom it need not know; it is to know those who are there.
    let _gil = server.member("gil", "q.desk");
    eve.call("room:leave", json!({"roomId": "q.desk"}));
    let server = home.restart(server, End::Killed, 2);
    let mut ana = server.member("ana", "q.desk");
    ana.say("q.desk", "kept");
    let [mut ben, mut eve] = ["ben", "eve"].map(|name| server.employee(name));
    ben.join("q.desk");
    assert_eq!(ben.expect_message("q.desk").data()["content"], "kept");
    eve.join("q.desk");
    eve.assert_no("message:received", "she had left for good");
}

#[test]
fn private_rooms_stay_private_and_closed_ones_closed() {
    for end in ENDS {
        let home = Home::new(&[]);
        let server = home.start(2);
        let mut ana = server.employee("ana");
        let deal =
            json!({"roomId": "deal", "visibility": "private", "members": ["ben"], "metadata": {"a": 1}});
        let created = ana.request("room:create", &deal).data().clone();
        ana.say("deal", "secret");
        ana.request("room:create", &json!({"roomId": "gone", "visibility": "private", "members": []}));
        let gone = ana.say("gone", 1);
        assert_eq!(ana.request("room:close", &json!({"roomId": "gone"})).name, "room:closed");
        let server = home.restart(server, end, 3);
        server.employee("eve").fail("room:join", json!({"roomId": "deal"}), "ROOM_ACCESS_DENIED");
        let mut ben = server.member("ben", "deal");
        let info = ben.call("room:info", json!({"roomId": "deal"}));
        for key in ["visibility", "metadata", "ownerId", "createdAt", "epoch"] {
            assert_eq!(info[key], created[key], "{end:?}: {key} of {info}");
        }
        assert_eq!(column(&history(&mut ben, "deal"), "messages", "content"), ["secret"]);
        let mut eve = server.employee("eve");
        let joined = eve.call("room:join", json!({"roomId": "gone", "history": 9}));
        assert_ne!(joined["epoch"], gone["epoch"], "{end:?}");
        assert_eq!((&joined["offset"], list(&joined, "messages").len()), (&json!(0), 0), "{end:?}");
    }
}

#[test]
fn receipts_and_last_seen_are_remembered() {
    for end in ENDS {
        let home = Home::new(&["--presence-grace", "0s"]);
        let server = home.start(2);
        let open = |server: &Server, name: &str| server.open(&Token::employee(name).account("7"));
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| open(&server, name));
        for client in [&mut ana, &mut ben] {
            client.join("lobby");
        }
        let sent = ana.say("lobby", 1);
        ana.say("lobby", 2);
        ben.call("message:read", json!({"roomId": "lobby", "upToOffset": 1}));
        ben.close();
        let seen = |ana: &mut Client| {
            let ben = ana.call("presence:user-status", json!({"userId": "ben"}));
            (ben["status"] == "offline").then(|| ben["lastSeen"].clone())
        };
        let before = eventually("ben is away", || seen(&mut ana));
        assert!(before.is_string(), "{before}");
        let server = home.restart(server, end, 3);
        let mut ana = open(&server, "ana");
        ana.join("lobby");
        // Of one who went while the process was killed: about then.
        let after = seen(&mut ana).unwrap_or_else(|| panic!("{end:?}: ben is not away"));
        let moment = |text: &serde_json::Value| -> jiff::Timestamp {
            text.as_str().expect("a moment").parse().expect("ISO 8601")
        };
        let apart = moment(&before).duration_since(moment(&after)).as_secs_f64().abs();
        assert!(apart < 1.0, "{end:?}: {before} and {after}");
        let status = json!({"roomId": "lobby", "messageId": sent["id"]});
        let status = ana.call("message:delivery-status", status);
        assert!(entry(&status, "users", "userId", "ben")["readAt"].is_string(), "{end:?}: {status}");
        let mut ben = open(&server, "ben");
        ben.join("lobby");
        let details = ben.call("room:subscription-details", json!({"roomId": "lobby"}));
        assert_eq!(details["unread"], 1, "{end:?}: {details}");
    }
}

#[test]
fn with_async_a_clean_stop_loses_nothing_and_a_kill_begins_new_epochs() {
    for end in ENDS {
        let home = Home::new(&["--durability", "async"]);
        let server = home.start(2);
        let mut ana = server.member("ana", "lobby");
        let sent = ana.say("lobby", 1);
        let server = home.restart(server, end, 2);
        let mut ana = server.employee("ana");
        let recover = json!({"epoch": sent["epoch"], "offset": 0});
        let joined = ana.call("room:join", json!({"roomId": "lobby", "recover": recover}));
        assert_eq!(joined["recovered"], end == End::Stopped, "{end:?}: {joined}");
        assert_eq!(joined["epoch"] == sent["epoch"], end == End::Stopped, "{end:?}: {joined}");
    }
}

#[test]
fn accounts_keep_their_namespaces_and_ephemeral_rooms_begin_anew() {
    let home = Home::new(&["--tenancy", "account", "--room-class", "e.*=ephemeral"]);
    let server = home.start(2);
    let [one, two] = ["one", "two"].map(|account| Token::employee("ana").account(account));
    let mut ana = server.open(&one);
    ana.join("lobby");
    ana.say("lobby", "of one");
    ana.join("e.x");
    let fleeting = ana.say("e.x", 1);
    let server = home.restart(server, End::Killed, 3);
    let mut other = server.open(&two);
    other.join("lobby");
    assert_eq!(list(&history(&mut other, "lobby"), "messages").len(), 0);
    let mut ana = server.open(&one);
    ana.join("lobby");
    assert_eq!(column(&history(&mut ana, "lobby"), "messages", "content"), ["of one"]);
    let joined = ana.call("room:join", json!({"roomId": "e.x"}));
    assert_eq!(joined["offset"], 0);
    assert_ne!(joined["epoch"], fleeting["epoch"]);
}

#[test]
fn the_log_is_shortened_while_the_gateway_serves() {
    let home = Home::new(&["--store-max-bytes", "2MiB", "--history-size", "20"]);
    let server = home.start(2);
    let mut ana = server.member("ana", "lobby");
    let text = "x".repeat(2_000);
    let mut last = json!(null);
    eventually("the log is shortened twice", || {
        for _ in 0..100 {
            last = ana.say("lobby", text.clone());
        }
        (server.metric("roomcast_store_compactions_total") >= 2.0).then_some(())
    });
    assert!(server.metric("roomcast_store_disk_bytes") < f64::from(2 << 20));
    assert!(server.metric("roomcast_store_failed") == 0.0);
    let server = home.restart(server, End::Killed, 2);
    let mut ana = server.member("ana", "lobby");
    let history = history(&mut ana, "lobby");
    let newest = list(&history, "messages").last().expect("twenty are kept").clone();
    assert_eq!(place(&newest), place(&last));
    assert_eq!(list(&history, "messages").len(), 20);
}
