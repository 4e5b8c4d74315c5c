//! Offline queues: a `queued` room keeps messages for members who are away (protocol §4).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::reply::list;
use crate::support::{Client, QUIET, Server, Token, eventually};

/// A server where rooms `q.*` are queued as `user:` rooms are, and where absent members stay known to each other.
fn server(shards: usize, settings: &[&str]) -> Server {
    let builder = Server::builder().shards(shards).with(&["--room-class", "q.*=queued"]);
    builder.with(&["--presence-grace", "1h"]).with(settings).start()
}

fn write_to(sender: &mut Client, user: &str, content: impl Into<Value>) -> Value {
    sender.call("user:send", json!({"userId": user, "content": content.into()}))
}

/// An employee whose friend, to whom it may write, has gone.
fn ana_and_gone_ben(server: &Server) -> Client {
    let ana = server.member("ana", "lobby");
    server.member("ben", "lobby").close();
    ana
}

/// Fails unless the next messages of `room` are kept ones with these contents.
fn assert_kept(client: &mut Client, room: &str, contents: &[u64]) {
    for content in contents {
        let message = client.expect_message(room);
        assert_eq!(message.data()["content"], *content, "{}", message.raw);
        assert_eq!(message.data()["deliveryStatus"], "delivered", "{}", message.raw);
    }
}

#[test]
fn messages_to_an_absent_user_arrive_once_when_it_connects() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = ana_and_gone_ben(&server);
        for n in 1..=3 {
            write_to(&mut ana, "ben", n);
        }
        let mut ben = server.employee("ben");
        assert_kept(&mut ben, "user:ben", &[1, 2, 3]);
        write_to(&mut ana, "ben", 4);
        let live = ben.expect_message("user:ben");
        assert_eq!(live.data()["content"], 4);
        assert_eq!(live.data()["deliveryStatus"], "streaming");
        let mut second_device = server.employee("ben");
        second_device.ping();
        second_device.assert_no("message:received", "one socket got them");
        ben.assert_no("message:received", "nothing comes twice");
        for device in [ben, second_device] {
            device.close();
        }
        write_to(&mut ana, "ben", 5);
        let mut ben = server.employee("ben");
        assert_kept(&mut ben, "user:ben", &[5]);
        ben.assert_no("message:received", "what was delivered is no longer queued");
    }
}

#[test]
fn a_user_who_was_never_here_gets_what_was_sent_before() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut sue = server.open(&Token::supervisor("sue"));
        for n in 1..=2 {
            assert_eq!(write_to(&mut sue, "newcomer", n)["roomId"], "user:newcomer");
        }
        let mut newcomer = server.employee("newcomer");
        assert_kept(&mut newcomer, "user:newcomer", &[1, 2]);
        server.employee("other").assert_no("message:received", "queues are each user's own");
    }
}

#[test]
fn a_queued_room_keeps_messages_for_a_member_who_is_away_until_it_joins_again() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = server.member("ana", "q.1");
        server.member("ben", "q.1").close();
        for n in 1..=3 {
            ana.say("q.1", n);
        }
        let mut ben = server.employee("ben");
        ben.assert_no("message:received", "he has not joined yet");
        let id = ben.post("room:join", &json!({"roomId": "q.1"}));
        let first = ben.expect("anything", |_| true);
        assert_eq!(first.request_id.as_deref(), Some(id.as_str()), "the answer comes first: {}", first.raw);
        assert_kept(&mut ben, "q.1", &[1, 2, 3]);
        ana.say("q.1", 4);
        assert_eq!(ben.expect_message("q.1").data()["content"], 4);
        ben.close();
        let mut ben = server.member("ben", "q.1");
        ben.assert_no("message:received", "all of it was delivered");
    }
}

#[test]
fn a_queue_outlasts_the_grace_of_presence() {
    for shards in [1, 3] {
        let settings = ["--room-class", "q.*=queued", "--presence-grace", "50ms"];
        let server = Server::builder().shards(shards).with(&settings).start();
        let mut ana = server.member("ana", "q.1");
        server.member("ben", "q.1").close();
        assert_eq!(ana.expect_event("room:member-left").data()["userId"], "ben");
        ana.say("q.1", 1);
        assert_kept(&mut server.member("ben", "q.1"), "q.1", &[1]);
    }
}

#[test]
fn whoever_left_or_never_joined_has_no_queue() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = server.member("ana", "q.1");
        let mut ben = server.member("ben", "q.1");
        ben.call("room:leave", json!({"roomId": "q.1"}));
        server.member("cid", "reliable").close();
        ana.join("reliable");
        for room in ["q.1", "reliable"] {
            ana.say(room, "unheard");
        }
        ben.join("q.1");
        ben.assert_no("message:received", "he had left");
        server.member("dan", "q.1").assert_no("message:received", "he was never in it");
        server.member("cid", "reliable").assert_no("message:received", "the room is not queued");
    }
}

#[test]
fn what_a_recovery_brought_is_not_queued_as_well() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = server.member("ana", "q.1");
        let mut ben = server.member("ben", "q.1");
        let epoch = ben.join("q.1")["epoch"].clone();
        ben.close();
        ana.say("q.1", 1);
        let mut ben = server.employee("ben");
        let request = json!({"roomId": "q.1", "recover": {"epoch": epoch, "offset": 0}});
        assert_eq!(ben.call("room:join", request)["messages"][0]["content"], 1);
        ben.assert_no("message:received", "it was in the answer");
    }
}

#[test]
fn a_resumed_session_brings_each_kept_message_once() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = server.member("ana", "q.1");
        let mut ben = server.member("ben", "q.1");
        let session = ben.call("connection:create-session", json!({}));
        ben.cut(&mut ana);
        ana.say("q.1", 1);
        write_to(&mut ana, "ben", 2);
        let session = session["token"].as_str().expect("a token");
        let mut ben = server.connect().token(&Token::employee("ben")).query("session", session).open();
        let recovered = ben.expect_event("connection:recovered");
        ben.stays_open_for(QUIET);
        let replayed =
            list(recovered.data(), "rooms").iter().flat_map(|room| list(room, "messages")).cloned();
        let pushed = ben.arrived("message:received").into_iter().map(|message| message.data().clone());
        let mut contents: Vec<u64> =
            replayed.chain(pushed).map(|message| message["content"].as_u64().expect("a number")).collect();
        contents.sort_unstable();
        assert_eq!(contents, [1, 2], "{}", recovered.raw);
    }
}

#[test]
fn an_overflow_shows_as_resync_before_what_was_kept() {
    for shards in [1, 3] {
        let server = server(shards, &["--history-size", "10"]);
        let mut ana = server.member("ana", "q.1");
        server.member("ben", "q.1").close();
        let content = "x".repeat(100_000);
        let mut last = Value::Null;
        for _ in 0..300 {
            last = ana.say("q.1", content.as_str())["offset"].clone();
            ana.expect_message("q.1");
        }
        let mut ben = server.employee("ben");
        ben.call("room:join", json!({"roomId": "q.1"}));
        let first = ben.expect("anything", |_| true);
        assert_eq!(first.name, "room:error", "the loss is told first: {}", first.raw);
        assert_eq!(first.data()["roomId"], "q.1");
        assert_eq!([&first.data()["code"], &first.data()["reason"]], ["CHANNEL_ERROR", "resync"]);
        ben.stays_open_for(QUIET);
        let kept: Vec<u64> = ben.arrived("message:received").iter().map(|message| message.offset()).collect();
        assert!(kept.len() < 300, "something was lost");
        let last = last.as_u64().expect("a number");
        assert!(kept.iter().rev().copied().eq((0..=last).rev().take(kept.len())), "the newest: {kept:?}");
        ben.close();
        server.member("ben", "q.1").assert_no("room:error", "told once");
        let mut tom = server.connect().token(&Token::employee("tom")).topic().open();
        tom.send(&json!({"type": "subscribe", "topic": "q.1"}));
        tom.expect("the answer", |frame| frame.name == "subscribed");
        tom.close();
        for _ in 0..300 {
            ana.say("q.1", content.as_str());
            ana.expect_message("q.1");
        }
        let mut tom = server.connect().token(&Token::employee("tom")).topic().open();
        tom.send(&json!({"type": "subscribe", "topic": "q.1"}));
        let told = tom.expect("an error", |frame| frame.name == "error");
        assert!(
            told.raw.contains(r#""code":404,"message":"resync","details":{"topic":"q.1"}"#),
            "{}",
            told.raw
        );
    }
}

#[test]
fn a_queue_ends_with_its_time() {
    for shards in [1, 3] {
        let server = server(shards, &["--queue-ttl", "200ms"]);
        let mut ana = ana_and_gone_ben(&server);
        write_to(&mut ana, "ben", "old");
        ana.stays_open_for(Duration::from_millis(1000));
        write_to(&mut ana, "ben", "new");
        let mut ben = server.employee("ben");
        assert_eq!(ben.expect_message("user:ben").data()["content"], "new");
        ben.assert_no("message:received", "the old one waited too long");
    }
}

#[test]
fn what_a_dead_socket_never_read_is_kept_without_a_session() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        write_to(&mut ana, "ben", 1);
        assert_eq!(ben.expect_message("user:ben").data()["content"], 1);
        ben.ping();
        for n in 2..=6 {
            write_to(&mut ana, "ben", n);
        }
        drop(ben);
        eventually("the server has seen him go", || {
            let status = ana.call("presence:user-status", json!({"userId": "ben"}));
            (status["devices"] == 0).then_some(())
        });
        let mut ben = server.employee("ben");
        assert_kept(&mut ben, "user:ben", &[2, 3, 4, 5, 6]);
        ben.ping();
        ben.close();
        server.employee("ben").assert_no("message:received", "he has got them");
    }
}

#[test]
fn what_waits_for_the_dialect_is_not_delivered_yet() {
    for shards in [1, 3] {
        let server = server(shards, &[]);
        let mut ana = ana_and_gone_ben(&server);
        // Without a subprotocol pushes wait for the first frame; there is none.
        let ben = server.connect().token(&Token::employee("ben")).open();
        eventually("he is there", || {
            let status = ana.call("presence:user-status", json!({"userId": "ben"}));
            (status["devices"] == 1).then_some(())
        });
        write_to(&mut ana, "ben", 1);
        drop(ben);
        eventually("the server has seen him go", || {
            let status = ana.call("presence:user-status", json!({"userId": "ben"}));
            (status["devices"] == 0).then_some(())
        });
        assert_kept(&mut server.employee("ben"), "user:ben", &[1]);
    }
}

#[test]
fn a_client_that_answers_no_pings_between_its_reads_gets_nothing_twice() {
    let server = server(3, &[]);
    let mut ana = ana_and_gone_ben(&server);
    write_to(&mut ana, "ben", 1);
    let mut ben = server.employee("ben");
    assert_kept(&mut ben, "user:ben", &[1]);
    // The ping behind the message lies unread in its socket meanwhile.
    std::thread::sleep(Duration::from_millis(800));
    ben.close();
    ana.ping();
    server.employee("ben").assert_no("message:received", "he has got it");
}
