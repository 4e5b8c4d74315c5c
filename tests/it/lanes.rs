//! The lanes of delivery: streaming at once, batch-delay together, and one order for both (protocol §5).

use serde_json::{Value, json};

use crate::support::reply::column;
use crate::support::{Client, QUIET, Server, Token};

/// A server whose batches wait for ever, or for a later message of their room.
fn patient_server(shards: usize) -> Server {
    Server::builder().shards(shards).with(&["--batch-delay", "1h"]).start()
}

fn send(client: &mut Client, kind: &str, content: u64) -> Value {
    client.call("message:send", json!({"roomId": "lobby", "type": kind, "content": content}))
}

#[test]
fn files_robots_and_whatever_asks_for_it_go_by_batch_and_the_rest_streams() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut sue = server.open(&Token::supervisor("sue"));
        sue.join("lobby");
        let mut ben = server.member("ben", "lobby");
        for kind in ["chat", "file", "image", "robot", "graph", "system"] {
            let lane = if ["file", "robot"].contains(&kind) { "batch-delay" } else { "streaming" };
            send(&mut sue, kind, 1);
            let message = ben.expect_message("lobby");
            assert_eq!([&message.data()["type"], &message.data()["deliveryStatus"]], [kind, lane]);
        }
        sue.call("message:send", json!({"roomId": "lobby", "content": 2, "deliveryStatus": "batch-delay"}));
        assert_eq!(ben.expect_message("lobby").data()["deliveryStatus"], "batch-delay");
        let history = ben.call("room:history", json!({"roomId": "lobby"}));
        assert_eq!(column(&history, "messages", "deliveryStatus"), ["delivered"; 7]);
        let odd = json!({"roomId": "lobby", "content": 3, "deliveryStatus": "at once"});
        let error = sue.fail("message:send", odd, "INVALID_PAYLOAD");
        assert_eq!(error["details"]["field"], "deliveryStatus");
    }
}

#[test]
fn a_waiting_message_goes_before_any_later_one_of_its_room() {
    for shards in [1, 3] {
        let server = patient_server(shards);
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let mut tom = server.connect().token(&Token::employee("tom")).topic().open();
        tom.send(&json!({"type": "subscribe", "topic": "lobby"}));
        tom.expect_event("subscribed");
        for (kind, offset) in [("file", 1), ("file", 2), ("chat", 3)] {
            assert_eq!(send(&mut ana, kind, offset)["offset"], offset, "the sender is answered at once");
        }
        for member in [&mut ana, &mut ben, &mut tom] {
            for offset in 1..=3 {
                assert_eq!(member.expect_message("lobby").offset(), offset);
            }
        }
    }
}

#[test]
fn an_edit_and_a_deletion_flush_what_waits_too() {
    let server = patient_server(3);
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let id = send(&mut ana, "file", 1)["id"].clone();
    ana.call("message:edit", json!({"roomId": "lobby", "messageId": id, "content": 2}));
    let first = ben.expect("anything of the room", |frame| frame.data()["offset"].is_u64());
    assert_eq!((first.name.as_str(), first.offset()), ("message:received", 1), "{}", first.raw);
    assert_eq!(ben.expect_event("message:edited").offset(), 2);
}

#[test]
fn a_lone_batch_is_delivered_after_its_delay() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--batch-delay", "200ms"]).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for n in 1..=3 {
            send(&mut ana, "file", n);
        }
        for offset in 1..=3 {
            assert_eq!(ben.expect_message("lobby").offset(), offset);
        }
        ben.assert_no("message:received", "delivered once");
    }
}

#[test]
fn whoever_joins_or_recovers_while_a_message_waits_gets_it_once() {
    for shards in [1, 3] {
        let server = patient_server(shards);
        let mut ana = server.member("ana", "lobby");
        let sent = send(&mut ana, "file", 1);
        let recover = json!({"epoch": sent["epoch"], "offset": 0});
        let mut joiners = [json!({"history": 10}), json!({"recover": recover}), json!({})].map(|more| {
            let mut client = server.employee("joiner");
            let mut request = json!({"roomId": "lobby"});
            request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let joined = client.call("room:join", request);
            assert_eq!(joined["offset"], 1, "the message has its place: {joined}");
            let known = joined["messages"].as_array().map_or(0, Vec::len);
            (client, known)
        });
        assert_eq!(joiners.each_ref().map(|(_, known)| *known), [1, 1, 0]);
        send(&mut ana, "chat", 2);
        for (client, _) in &mut joiners {
            client.stays_open_for(QUIET);
            let offsets: Vec<u64> =
                client.arrived("message:received").iter().map(|frame| frame.offset()).collect();
            assert_eq!(offsets, [2], "what the join's answer covers does not follow it");
        }
    }
}
