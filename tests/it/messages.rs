//! Sending: the shape of a message, idempotence, batches, messages to a user (protocol §5).

use serde_json::{Value, json};

use crate::support::{Client, Server, Token};

fn join(server: &Server, name: &str, room: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join(room);
    client
}

#[test]
fn a_message_reaches_every_member_with_the_identity_that_its_sender_was_told() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut ben) = (join(&server, "ana", "lobby"), join(&server, "ben", "lobby"));
        let data = json!({"roomId": "lobby", "type": "image", "content": {"text": "hello"}, "metadata": {"lang": "en"}, "clientId": "c1"});
        let sent = ana.request("message:send", &data);
        assert_eq!(sent.name, "message:sent");
        let sent = sent.data();
        for key in ["id", "roomId", "epoch", "offset", "timestamp"] {
            assert!(!sent[key].is_null(), "{key} is missing in {sent}");
        }
        assert_eq!(sent["clientId"], "c1");
        assert_ne!(sent["duplicate"], true);
        for client in [&mut ana, &mut ben] {
            let message = client.expect_message("lobby");
            let message = message.data();
            for key in ["id", "roomId", "epoch", "offset", "timestamp"] {
                assert_eq!(message[key], sent[key], "{key}");
            }
            assert_eq!(message["senderId"], "ana");
            assert_eq!(message["type"], "image");
            assert_eq!(message["content"], json!({"text": "hello"}));
            assert_eq!(message["metadata"], json!({"lang": "en"}));
            assert_eq!(message["clientId"], "c1");
            assert!(message["deliveryStatus"].is_string(), "{message}");
        }
    }
}

#[test]
fn a_messages_defaults_and_its_time_are_as_documented() {
    let server = Server::start();
    let mut ana = join(&server, "ana", "lobby");
    ana.say("lobby", "hello");
    let message = ana.expect_message("lobby");
    let message = message.data();
    assert_eq!(message["type"], "chat");
    assert_eq!(message["deliveryStatus"], "streaming");
    let absent = |key: &str| message.get(key).is_none_or(Value::is_null);
    assert!(absent("metadata") && absent("clientId") && absent("editedAt"), "{message}");
    let time = message["timestamp"].as_str().expect("a string").as_bytes();
    let shape = b"0000-00-00T00:00:00.000Z";
    let same = |(byte, like): (&u8, &u8)| {
        if *like == b'0' { byte.is_ascii_digit() } else { byte == like }
    };
    assert!(time.len() == shape.len() && time.iter().zip(shape).all(same), "{message}");
}

#[test]
fn ids_are_uuids_of_version_7_in_the_order_of_time() {
    let server = Server::builder().shards(2).start();
    let mut ana = join(&server, "ana", "lobby");
    let ids: Vec<String> =
        (0..20).map(|n| ana.say("lobby", n)["id"].as_str().expect("a string").to_owned()).collect();
    assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'), "{ids:?}");
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn offsets_count_from_one_without_a_gap_in_each_room() {
    let server = Server::builder().shards(4).start();
    let mut ana = join(&server, "ana", "room.a");
    ana.join("room.b");
    for n in 1..=20 {
        assert_eq!(ana.say("room.a", n)["offset"], n);
        assert_eq!(ana.say("room.b", n)["offset"], n);
    }
}

#[test]
fn a_repeated_client_id_is_answered_with_the_first_and_not_published_again() {
    for shards in [1, 4] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut ben) = (join(&server, "ana", "lobby"), join(&server, "ben", "lobby"));
        let data = |room: &str| json!({"roomId": room, "content": "once", "clientId": "c1"});
        let first = ana.call("message:send", data("lobby"));
        let mut from_another_socket = join(&server, "ana", "lobby");
        for client in [&mut ana, &mut from_another_socket] {
            let again = client.call("message:send", data("lobby"));
            assert_eq!(again["duplicate"], true);
            assert_eq!((&again["id"], &again["offset"]), (&first["id"], &first["offset"]));
        }
        let other_sender = ben.call("message:send", data("lobby"));
        assert_ne!(other_sender["duplicate"], true, "client ids are each sender's own");
        assert_eq!(other_sender["offset"], 2);
        ana.join("desk");
        assert_ne!(ana.call("message:send", data("desk"))["duplicate"], true, "and each room's");
        assert_eq!(ben.expect_message("lobby").data()["id"], first["id"]);
        assert_eq!(ben.expect_message("lobby").data()["id"], other_sender["id"]);
    }
}

#[test]
fn the_dedupe_window_ends() {
    let server = Server::builder().shards(1).with(&["--dedup-window", "200ms"]).start();
    let mut ana = join(&server, "ana", "lobby");
    let data = json!({"roomId": "lobby", "content": "x", "clientId": "c1"});
    let first = ana.call("message:send", data.clone());
    let second = crate::support::eventually("the window ends", || {
        let again = ana.call("message:send", data.clone());
        (again["duplicate"] != true).then_some(again)
    });
    assert_ne!(second["id"], first["id"]);
}

#[test]
fn an_excluded_sender_does_not_get_its_message_live_or_in_replays() {
    let server = Server::builder().shards(2).start();
    let (mut ana, mut ben) = (join(&server, "ana", "lobby"), join(&server, "ben", "lobby"));
    let mut ana_elsewhere = join(&server, "ana", "lobby");
    let epoch = ana.join("lobby")["epoch"].clone();
    let hidden =
        ana.call("message:send", json!({"roomId": "lobby", "content": "mine", "excludeSender": true}));
    let seen = ana.say("lobby", "all");
    assert_eq!(ana.expect_message("lobby").data()["id"], seen["id"]);
    for other in [&mut ben, &mut ana_elsewhere] {
        assert_eq!(other.expect_message("lobby").data()["id"], hidden["id"]);
        assert_eq!(other.expect_message("lobby").data()["id"], seen["id"]);
    }
    let ids = |data: &Value| -> Vec<Value> {
        let messages = data["messages"].as_array().unwrap_or_else(|| panic!("no messages in {data}"));
        messages.iter().map(|message| message["id"].clone()).collect()
    };
    let history = json!({"roomId": "lobby", "limit": 10});
    assert_eq!(ids(&ben.call("room:history", history.clone())), [hidden["id"].clone(), seen["id"].clone()]);
    assert_eq!(ids(&ana.call("room:history", history)), [seen["id"].clone()]);
    ana.call("room:leave", json!({"roomId": "lobby"}));
    let rejoin = json!({"roomId": "lobby", "recover": {"epoch": epoch, "offset": 0}});
    let recovered = ana.call("room:join", rejoin);
    assert_eq!(recovered["recovered"], true);
    assert_eq!(ids(&recovered), [seen["id"].clone()]);
}

#[test]
fn a_batch_has_a_result_for_each_message_in_order() {
    for shards in [1, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = join(&server, "ana", "room.a");
        ana.join("room.b");
        let messages = json!([
            {"roomId": "room.a", "content": 1},
            {"roomId": "elsewhere", "content": 2},
            {"roomId": "room.b", "content": 3},
            {"roomId": "room.a", "content": 4},
            {"roomId": "room.a"},
        ]);
        let reply = ana.call("message:send-batch", json!({"messages": messages}));
        let results = reply["results"].as_array().expect("results is an array");
        let ok: Vec<bool> = results.iter().map(|result| result["ok"] == true).collect();
        assert_eq!(ok, [true, false, true, true, false], "{reply}");
        assert_eq!((&results[0]["offset"], &results[3]["offset"]), (&json!(1), &json!(2)));
        for result in results {
            let keys = if result["ok"] == true { &["id", "offset", "timestamp"][..] } else { &["error"][..] };
            assert!(keys.iter().all(|key| !result[*key].is_null()), "{result}");
        }
        assert!(results[1]["error"].to_string().contains("ROOM_ACCESS_DENIED"), "{reply}");
        assert!(results[4]["error"].to_string().contains("INVALID_PAYLOAD"), "{reply}");
        assert_eq!(ana.expect_message("room.a").data()["content"], 1);
        assert_eq!(ana.expect_message("room.a").data()["content"], 4);
        assert_eq!(ana.expect_message("room.b").data()["content"], 3);
    }
}

#[test]
fn a_message_to_a_user_reaches_each_of_its_sockets_and_nobody_else() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut cid) = (join(&server, "ana", "lobby"), join(&server, "cid", "lobby"));
        let mut sockets = [join(&server, "ben", "lobby"), join(&server, "ben", "lobby")];
        let sent =
            ana.request("user:send", &json!({"userId": "ben", "content": "psst", "metadata": {"k": 1}}));
        assert_eq!(sent.name, "message:sent");
        assert_eq!(sent.data()["roomId"], "user:ben");
        for ben in &mut sockets {
            let message = ben.expect_message("user:ben");
            assert_eq!(message.data()["id"], sent.data()["id"]);
            assert_eq!(message.data()["senderId"], "ana");
            assert_eq!(message.data()["metadata"]["k"], 1);
        }
        ana.say("lobby", "fence");
        for other in [&mut ana, &mut cid] {
            other.expect_message("lobby");
            other.ping();
            assert!(other.arrived("message:received").is_empty());
        }
    }
}

#[test]
fn what_is_missing_or_of_another_type_is_named() {
    let server = Server::start();
    let mut ana = join(&server, "ana", "lobby");
    let cases = [
        ("message:send", json!({"roomId": "lobby"}), "content"),
        ("message:send", json!({"roomId": "lobby", "content": 1, "type": "poem"}), "type"),
        ("message:send", json!({"roomId": "lobby", "content": 1, "clientId": 7}), "clientId"),
        ("message:send", json!({"roomId": "lobby", "content": 1, "excludeSender": "yes"}), "excludeSender"),
        ("message:send-batch", json!({}), "messages"),
        ("message:send-batch", json!({"messages": {}}), "messages"),
        ("user:send", json!({"content": 1}), "userId"),
        ("user:send", json!({"userId": "ana"}), "content"),
        ("room:join", json!({"roomId": "lobby", "recover": {"epoch": "x"}}), "recover"),
        ("room:join", json!({"roomId": "lobby", "history": -1}), "history"),
        ("room:history", json!({"roomId": "lobby", "limit": "ten"}), "limit"),
        ("room:history", json!({"roomId": "lobby", "before": -1, "limit": 1}), "before"),
        ("auth:refresh", json!({}), "token"),
    ];
    for (event, data, field) in cases {
        let error = ana.fail(event, data.clone(), "INVALID_PAYLOAD");
        let named = error["details"]["field"].as_str().unwrap_or_else(|| panic!("no field in {error}"));
        assert!(named.starts_with(field), "{event} {data}: {error}");
        assert!(error["details"]["reason"].is_string(), "{error}");
    }
}
