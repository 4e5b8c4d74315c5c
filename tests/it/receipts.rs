//! Receipts: what was delivered and read, told to the senders and to the reader's other sockets (protocol §5).

use serde_json::{Value, json};

use crate::support::reply::{column, entry};
use crate::support::{Client, Server, Token};

/// Fails unless this says that `user` came as far as `up_to`.
fn assert_status(data: &Value, user: &str, status: &str, up_to: u64) {
    let told = [&data["roomId"], &data["userId"], &data["status"]];
    assert_eq!(told, ["lobby", user, status], "{data}");
    assert_eq!(data["upToOffset"], up_to, "{data}");
    assert!(data["timestamp"].is_string(), "{data}");
}

fn read_up_to(client: &mut Client, offset: u64) -> Value {
    client.call("message:read", json!({"roomId": "lobby", "upToOffset": offset}))
}

/// What is known of `user` and a message: `deliveredAt` and `readAt`.
fn receipt_of(asker: &mut Client, message: &Value, user: &str) -> (Value, Value) {
    let request = json!({"roomId": "lobby", "messageId": message["id"]});
    let status = asker.call("message:delivery-status", request);
    assert_eq!(status["messageId"], message["id"]);
    let receipt = entry(&status, "users", "userId", user);
    (receipt["deliveredAt"].clone(), receipt["readAt"].clone())
}

#[test]
fn a_receipt_is_told_to_every_socket_of_the_sender_and_to_the_readers_other_sockets() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = [(); 2].map(|()| server.member("ana", "lobby"));
        let [mut ben, mut ben_elsewhere] = [(); 2].map(|()| server.member("ben", "lobby"));
        let mut cid = server.member("cid", "lobby");
        let sent = ana[0].say("lobby", "hello");
        for (event, status) in [("message:delivered", "delivered"), ("message:read", "read")] {
            let reply = ben.request(event, &json!({"roomId": "lobby", "messageId": sent["id"]}));
            assert_eq!(reply.name, "message:status", "{}", reply.raw);
            assert_status(reply.data(), "ben", status, 1);
            assert_eq!(reply.data()["messageId"], sent["id"]);
            for client in ana.iter_mut().chain([&mut ben_elsewhere]) {
                assert_status(client.expect_event("message:status").data(), "ben", status, 1);
            }
        }
        ben.assert_no("message:status", "the reader was answered");
        cid.assert_no("message:status", "it is not cid's message");
    }
}

#[test]
fn a_receipt_up_to_an_offset_covers_the_messages_of_every_sender_before_it() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.member(name, "lobby"));
        let sent = [ana.say("lobby", 1), ben.say("lobby", 2), ana.say("lobby", 3)];
        cid.send(&json!({"event": "message:read", "data": {"roomId": "lobby", "upToOffset": 2}}));
        for sender in [&mut ana, &mut ben] {
            assert_status(sender.expect_event("message:status").data(), "cid", "read", 2);
        }
        let read = sent.map(|message| receipt_of(&mut ana, &message, "cid").1.is_string());
        assert_eq!(read, [true, true, false]);
        cid.assert_no("message:status", "a receipt without requestId is silent");
    }
}

#[test]
fn whoever_has_sent_nothing_that_was_read_hears_nothing() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.member(name, "lobby"));
    ana.say("lobby", 1);
    ben.say("lobby", 2);
    read_up_to(&mut cid, 1);
    ana.expect_event("message:status");
    ben.assert_no("message:status", "only ana's message was read");
    read_up_to(&mut cid, 2);
    ben.expect_event("message:status");
    ana.assert_no("message:status", "nothing more of ana's was read");
}

#[test]
fn delivery_and_reading_have_times_of_their_own_and_reading_implies_delivery() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.member(name, "lobby"));
        let sent = ana.say("lobby", "hello");
        assert_eq!(receipt_of(&mut ana, &sent, "ben"), (Value::Null, Value::Null));
        let message = json!({"roomId": "lobby", "messageId": sent["id"]});
        ben.call("message:delivered", message.clone());
        let (delivered, read) = receipt_of(&mut ana, &sent, "ben");
        assert!(delivered.is_string() && read.is_null(), "{delivered} {read}");
        ben.call("message:read", message.clone());
        cid.call("message:read", message);
        assert_eq!(receipt_of(&mut ana, &sent, "ben").0, delivered, "it was delivered when it was");
        for reader in ["ben", "cid"] {
            let (delivered, read) = receipt_of(&mut ana, &sent, reader);
            assert!(delivered.is_string() && read.is_string(), "{reader}: {delivered} {read}");
        }
    }
}

#[test]
fn a_cursor_never_goes_back() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let sent = [1, 2, 3].map(|n| ana.say("lobby", n));
        assert_eq!(read_up_to(&mut ben, 3)["upToOffset"], 3);
        assert_status(ana.expect_event("message:status").data(), "ben", "read", 3);
        let read = receipt_of(&mut ana, &sent[0], "ben");
        assert_eq!(read_up_to(&mut ben, 1)["upToOffset"], 3);
        ben.call("message:delivered", json!({"roomId": "lobby", "messageId": sent[0]["id"]}));
        ana.assert_no("message:status", "nothing new was read");
        assert_eq!(receipt_of(&mut ana, &sent[0], "ben"), read);
        assert!(receipt_of(&mut ana, &sent[2], "ben").1.is_string());
    }
}

#[test]
fn a_burst_of_receipts_reaches_the_sender_as_few() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    for n in 0..100 {
        ana.say("lobby", n);
    }
    for _ in 0..100 {
        let id = ben.expect_message("lobby").data()["id"].clone();
        ben.send(&json!({"event": "message:read", "data": {"roomId": "lobby", "messageId": id}}));
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&100) {
        let status = ana.expect_event("message:status");
        seen.push(status.data()["upToOffset"].as_u64().expect("a number"));
    }
    assert!(seen.is_sorted_by(|one, two| one < two), "each push is news: {seen:?}");
    assert!(seen.len() < 100, "they share pushes: {seen:?}");
}

#[test]
fn a_receipt_ahead_of_the_room_marks_nothing_that_is_yet_to_come() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    ana.say("lobby", 1);
    let ahead = ben.request("message:read", &json!({"roomId": "lobby", "upToOffset": 1000}));
    if ahead.is_error() {
        ahead.assert_error("INVALID_PAYLOAD");
    }
    let later = ana.say("lobby", 2);
    assert_eq!(receipt_of(&mut ana, &later, "ben"), (Value::Null, Value::Null));
    assert_eq!(read_up_to(&mut ben, 2)["upToOffset"], 2);
    assert!(receipt_of(&mut ana, &later, "ben").1.is_string());
}

#[test]
fn a_subscription_counts_down_what_is_unread() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for n in 0..3 {
            ana.say("lobby", n);
        }
        let room = json!({"roomId": "lobby"});
        let status = ben.call("room:subscription-status", room.clone());
        assert_eq!(
            (&status["joined"], &status["offset"], &status["unread"]),
            (&json!(true), &json!(3), &json!(3))
        );
        assert!(status["since"].is_string(), "{status}");
        read_up_to(&mut ben, 2);
        assert_eq!(ben.call("room:subscription-status", room.clone())["unread"], 1);
        let details = ben.call("room:subscription-details", room.clone());
        assert_eq!((&details["readOffset"], &details["unread"]), (&json!(2), &json!(1)), "{details}");
        assert_eq!((&details["class"], &details["visibility"]), (&json!("reliable"), &json!("public")));
        assert_eq!((&details["members"], &details["forced"]), (&json!(2), &json!(false)), "{details}");
        let all = ben.call("room:subscription-status", json!({}));
        let rooms = column(&all, "rooms", "roomId");
        assert!(rooms.contains(&json!("lobby")) && rooms.contains(&json!("user:ben")), "{all}");
        let stranger = server.employee("cid").call("room:subscription-status", room);
        assert_eq!(
            (&stranger["joined"], &stranger["since"], &stranger["unread"]),
            (&json!(false), &Value::Null, &json!(0))
        );
    }
}

#[test]
fn only_members_give_receipts_and_only_of_messages_that_exist() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let sent = ana.say("lobby", 1);
    let mut cid = server.employee("cid");
    for event in ["message:read", "message:delivered", "message:delivery-status"] {
        let of = |id: &Value| json!({"roomId": "lobby", "messageId": id});
        cid.fail(event, of(&sent["id"]), "ROOM_ACCESS_DENIED");
        for unknown in [json!("0198c7a2-0000-7000-8000-000000000000"), json!("nonsense"), json!(7)] {
            let error = ben.fail(event, of(&unknown), "INVALID_PAYLOAD");
            assert_eq!(error["details"]["field"], "messageId", "{event} {unknown}: {error}");
        }
        ben.fail(event, json!({"roomId": "lobby"}), "INVALID_PAYLOAD");
    }
    let error = ben.fail("message:read", json!({"roomId": "lobby", "upToOffset": "two"}), "INVALID_PAYLOAD");
    assert_eq!(error["details"]["field"], "upToOffset");
    ana.assert_no("message:status", "nothing of this was a receipt");
}

#[test]
fn a_guest_gives_receipts_where_it_may_be() {
    let server = Server::start();
    let mut ana = server.member("ana", "lobby");
    let mut gil = server.open(&Token::guest("gil").rooms(&["lobby"]));
    ana.say("lobby", "hello");
    gil.expect_message("lobby");
    assert_status(&read_up_to(&mut gil, 1), "gil", "read", 1);
    assert_status(ana.expect_event("message:status").data(), "gil", "read", 1);
}

#[test]
fn what_is_unread_survives_an_absence() {
    for shards in [1, 3] {
        let server = Server::builder()
            .shards(shards)
            .with(&["--presence-grace", "0", "--room-class", "q.*=queued"])
            .start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for client in [&mut ana, &mut ben] {
            client.join("q.desk");
        }
        for room in ["lobby", "q.desk"] {
            ana.say(room, 1);
            ben.expect_message(room);
        }
        ben.call("message:read", json!({"roomId": "lobby", "upToOffset": 1}));
        ben.close();
        ana.expect("him going", |frame| {
            frame.name == "room:member-left" && frame.data()["roomId"] == "q.desk"
        });
        for room in ["lobby", "q.desk"] {
            ana.say(room, 2);
            ana.say(room, 3);
        }
        let mut ben = server.member("ben", "lobby");
        ben.join("q.desk");
        for room in ["lobby", "q.desk"] {
            let status = ben.call("room:subscription-status", json!({"roomId": room}));
            assert_eq!(status["unread"], 2, "{status}");
        }
    }
}
