//! One order for all members of a room, whoever they are and whichever shard they sit on; and no gap and no
//! duplicate at the seam between a join's answer and the live messages (protocol §4).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{Client, Server, Token};

const PUBLISHERS: u64 = 4;
const MESSAGES_EACH: u64 = 100;

/// What one member saw of one message: offset, publisher, the publisher's own count.
type Seen = (u64, u64, u64);

fn seen(client: &mut Client, room: &str) -> Seen {
    let message = client.expect_message(room);
    let payload: Value = serde_json::from_str(message.payload()).expect("our own payload");
    (message.offset(), payload[0].as_u64().expect("a number"), payload[1].as_u64().expect("a number"))
}

fn publish(server: &Server, publisher: u64, room: &str) {
    let connect = server.connect().token(&Token::employee(&format!("publisher{publisher}")));
    if publisher.is_multiple_of(2) {
        let mut client = connect.open();
        client.join(room);
        for n in 0..MESSAGES_EACH {
            let data = json!({"roomId": room, "content": [publisher, n]});
            client.send(&json!({"event": "message:send", "data": data}));
        }
        client.ping();
    } else {
        let mut client = connect.topic().open();
        for n in 0..MESSAGES_EACH {
            client.send(&json!({"type": "message", "topic": room, "data": [publisher, n]}));
        }
        client.send(&json!({"type": "ping"}));
        client.expect_event("pong");
    }
}

fn event_member(server: &Server, name: &str, room: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join(room);
    client
}

fn topic_member(server: &Server, name: &str, topic: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).topic().open();
    client.send(&json!({"type": "subscribe", "topic": topic}));
    client.expect_event("subscribed");
    client
}

#[test]
fn members_of_both_dialects_see_racing_publishers_in_one_order() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut members: Vec<Client> = (0..4)
            .flat_map(|n| {
                let (event, topic) = (format!("event{n}"), format!("topic{n}"));
                [event_member(&server, &event, "race.eu"), topic_member(&server, &topic, "race.eu")]
            })
            .collect();
        members.push(topic_member(&server, "pattern", "race.*"));
        thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let server = &server;
                scope.spawn(move || publish(server, publisher, "race.eu"));
            }
        });
        let total = PUBLISHERS * MESSAGES_EACH;
        let sequences: Vec<Vec<Seen>> =
            members.iter_mut().map(|member| (0..total).map(|_| seen(member, "race.eu")).collect()).collect();
        let first = &sequences[0];
        assert!(first.iter().map(|seen| seen.0).eq(1..=total), "offsets on {shards} shards");
        for publisher in 0..PUBLISHERS {
            let own = first.iter().filter(|seen| seen.1 == publisher).map(|seen| seen.2);
            assert!(own.eq(0..MESSAGES_EACH), "a publisher's messages keep their order on {shards} shards");
        }
        for sequence in &sequences {
            assert!(sequence == first, "one order for all on {shards} shards");
        }
    }
}

/// Publishes until `stop`, and returns how many messages it sent.
fn publish_until(server: &Server, room: &str, stop: &AtomicBool) -> u64 {
    let mut client = event_member(server, "publisher", room);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        client.say(room, count);
        // Its own copy; otherwise the backlog of an unread publisher would grow.
        client.expect_message(room);
    }
    count
}

#[test]
fn between_a_joins_answer_and_the_live_messages_nothing_is_missing_or_twice() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let epoch = event_member(&server, "first", "seam").join("seam")["epoch"].clone();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let publisher = scope.spawn(|| publish_until(&server, "seam", &stop));
            let mut known = 0;
            for round in 0..30 {
                known = check_seam_of_event_client(&server, &epoch, known, round);
                known = check_seam_of_topic_client(&server, &epoch, known, round);
            }
            stop.store(true, Ordering::Relaxed);
            assert!(publisher.join().expect("the publisher goes on") >= known);
        });
    }
}

/// Joins from offset `known` on while messages fly, and returns the last offset that it saw.
fn check_seam_of_event_client(server: &Server, epoch: &Value, known: u64, round: u64) -> u64 {
    let mut client = server.connect().token(&Token::employee(&format!("event{round}"))).open();
    let request = json!({"roomId": "seam", "recover": {"epoch": epoch, "offset": known}});
    let joined = client.call("room:join", request);
    assert_eq!(joined["recovered"], true, "{joined}");
    let last = joined["offset"].as_u64().expect("a number");
    let messages = joined["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let replayed = messages.iter().map(|message| message["offset"].as_u64().expect("a number"));
    assert!(replayed.eq(known + 1..=last), "from {known}: {joined}");
    for offset in last + 1..last + 6 {
        assert_eq!(client.expect_message("seam").offset(), offset, "live messages follow the answer");
    }
    last + 5
}

/// As [`check_seam_of_event_client`], where the missed messages come as messages before the answer.
fn check_seam_of_topic_client(server: &Server, epoch: &Value, known: u64, round: u64) -> u64 {
    let mut client = server.connect().token(&Token::employee(&format!("topic{round}"))).topic().open();
    let recover = json!({"epoch": epoch, "offset": known});
    client.send(&json!({"type": "subscribe", "topic": "seam", "recover": recover}));
    let mut next = known + 1;
    let subscribed = loop {
        let frame = client.expect("a message or the answer", |_| true);
        if frame.name == "subscribed" {
            break frame;
        }
        assert_eq!(frame.offset(), next, "missed messages come first, in order");
        next += 1;
    };
    assert_eq!(subscribed.value["recovered"], true, "{}", subscribed.raw);
    assert_eq!(subscribed.value["offset"], next - 1, "{}", subscribed.raw);
    for offset in next..next + 5 {
        assert_eq!(client.expect_message("seam").offset(), offset, "live messages follow the answer");
    }
    next + 4
}

#[test]
fn sends_of_one_connection_take_effect_in_the_order_sent_with_joins_and_leaves_between() {
    for shards in [1, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = server.connect().token(&Token::employee("ana")).open();
        let mut ids = Vec::new();
        for n in 0..20 {
            let room = format!("room.{}", n % 3);
            ids.push(ana.post("room:join", &json!({"roomId": room})));
            ids.push(ana.post("message:send", &json!({"roomId": room, "content": n})));
            ids.push(ana.post("room:leave", &json!({"roomId": room})));
        }
        for id in ids {
            let reply = ana.reply(&id);
            assert_ne!(reply.name, "error", "{}", reply.raw);
        }
    }
}
