//! Ephemeral rooms lose the oldest for a slow consumer and keep nothing; and load that is shed (protocol §4, §8).

use serde_json::json;

use crate::support::{Server, Token, eventually, http};

#[test]
fn an_ephemeral_room_keeps_nothing_and_recovers_nothing() {
    let server = Server::builder().shards(2).with(&["--room-class", "live.**=ephemeral"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let joined = ana.join("live.game");
    ana.say("live.game", 1);
    let recover =
        json!({"roomId": "live.game", "history": 5, "recover": {"epoch": joined["epoch"], "offset": 0}});
    let again = ana.call("room:join", recover);
    assert_eq!(again["recovered"], false);
    assert_eq!(again["messages"], json!([]));
    assert_eq!(again["offset"], 1, "offsets count all the same");
    assert_eq!(ana.call("room:history", json!({"roomId": "live.game"}))["messages"], json!([]));
}

#[test]
fn a_slow_consumer_of_an_ephemeral_room_loses_the_oldest_and_stays() {
    let settings = ["--room-class", "live.**=ephemeral", "--max-outbound-queue", "262144"];
    let server = Server::builder().shards(1).with(&settings).start();
    let mut slow = server.connect().token(&Token::employee("slow")).open();
    slow.join("live.game");
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.join("live.game");
    let content = "x".repeat(64 * 1024);
    let mut last = 0;
    for _ in 0..400 {
        last = ana.say("live.game", content.as_str())["offset"].as_u64().expect("a number");
        ana.expect_message("live.game");
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        seen.push(slow.expect_message("live.game").offset());
    }
    assert!(seen.is_sorted_by(|one, two| one < two), "in order and without duplicates");
    assert!(seen.len() < 400, "something was lost: {}", seen.len());
    let metrics = http::get(server.address, "/metrics").body;
    let dropped =
        metrics.lines().find(|line| line.starts_with("roomcast_frames_dropped_total")).expect("counted");
    let dropped: u64 = dropped.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    assert_eq!(dropped, 400 - seen.len() as u64, "every loss is counted");
}

#[test]
fn short_of_memory_new_connections_are_refused_and_old_ones_served() {
    let server = Server::builder().shards(1).with(&["--max-memory", "32MiB"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.join("lobby");
    let content = "x".repeat(1_000_000);
    for room in 0..40 {
        let room = format!("filler:{room}");
        ana.join(&room);
        ana.say(&room, content.as_str());
    }
    eventually("it says that it is overloaded", || {
        (http::get(server.address, "/readyz").status == 503).then_some(())
    });
    let refused = server.connect().token(&Token::employee("ben")).refused();
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after() >= 1);
    ana.say("lobby", "still there");
    assert_eq!(http::get(server.address, "/healthz").status, 200);
}
