//! Writes are shared while a shard has much to do, and only then; nothing is lost or turned around by it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Server, eventually, http};

const MEMBERS: usize = 20;
const GIVE_UP: Duration = Duration::from_secs(30);

/// The largest value of a family's series.
fn gauge(server: &Server, family: &str) -> f64 {
    let body = http::get(server.address, "/metrics").body;
    let lines = body.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).fold(0.0, f64::max)
}

/// Sends as fast as the server takes it, until `enough` says so; the number of messages.
fn flood(ana: &mut Client, enough: impl Fn() -> bool) -> u64 {
    let deadline = Instant::now() + GIVE_UP;
    let mut sent = 0;
    while !enough() && Instant::now() < deadline {
        for _ in 0..200 {
            ana.send(&json!({"event": "message:send",
                "data": {"roomId": "lobby", "content": "talk", "excludeSender": true}}));
        }
        // The answer shows that the server has read all of them.
        ana.call("room:info", json!({"roomId": "lobby"}));
        sent += 200;
    }
    ana.send(&json!({"event": "message:send", "data": {"roomId": "lobby", "content": "end", "excludeSender": true}}));
    sent + 1
}

/// Reads until the end, and says how many messages there were, each behind the one before.
fn listen(mut member: Client) -> u64 {
    let mut last = 0;
    loop {
        let message = member.expect_message("lobby");
        assert_eq!(message.offset(), last + 1, "{}", message.raw);
        last += 1;
        if message.data()["content"] == "end" {
            return last;
        }
    }
}

fn run(flags: &[&str], enough: impl Fn(&Server) -> bool) -> (Server, u64) {
    let server = Server::builder().with(flags).start();
    let mut ana = server.member("ana", "lobby");
    let members: Vec<_> = (0..MEMBERS).map(|n| server.member(&format!("m{n}"), "lobby")).collect();
    let members: Vec<_> = members.into_iter().map(|member| thread::spawn(|| listen(member))).collect();
    let sent = flood(&mut ana, || enough(&server));
    for member in members {
        assert_eq!(member.join().expect("a member"), sent);
    }
    (server, sent)
}

#[test]
fn writes_are_shared_under_load_and_not_after_it() {
    let waits = |server: &Server| gauge(server, "roomcast_coalescing_wait_milliseconds");
    let (server, sent) = run(&["--shards", "1"], |server| waits(server) > 0.0);
    let sends = gauge(&server, "roomcast_sends_total");
    assert!((sent * MEMBERS as u64) as f64 > sends, "{sends} calls for {sent} messages");
    eventually("nothing waits without load", || (waits(&server) == 0.0).then_some(()));
    assert!(gauge(&server, "roomcast_load_percent") < 50.0);
    // At leisure every message has a write of its own.
    let [mut ben, mut cid] = ["ben", "cid"].map(|name| server.member(name, "quiet"));
    let before = gauge(&server, "roomcast_sends_total");
    for n in 0..10 {
        ben.say("quiet", n);
        cid.expect_message("quiet");
    }
    assert!(gauge(&server, "roomcast_sends_total") >= before + 20.0);
}

#[test]
fn without_a_budget_nothing_waits() {
    let began = Instant::now();
    let (_, sent) = run(&["--shards", "1", "--latency-budget", "0"], |server| {
        assert_eq!(gauge(server, "roomcast_coalescing_wait_milliseconds"), 0.0);
        began.elapsed() > Duration::from_secs(2) && gauge(server, "roomcast_load_percent") > 50.0
    });
    assert!(sent > 200);
}
