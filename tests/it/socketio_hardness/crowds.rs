//! Many sessions that are opened and left, and polls that overlap or break off by the hundred.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Stage;
use crate::support::engine::{Endpoint, Polling, open_packet};
use crate::support::http;
use crate::support::line::Line;
use crate::support::socketio::PATH;
use crate::support::{QUIET, Server, eventually};

#[test]
fn thousands_of_handshakes_that_are_never_used_leave_nothing() {
    let times = ["--socketio-ping-interval", "500ms", "--socketio-ping-timeout", "1s"];
    let mut stage = Stage::new(2, &times);
    let request = http::request("GET", &stage.endpoint.target("polling"), &[], b"");
    let mut resident = Vec::new();
    for _ in 0..4 {
        let mut line = Line::to(stage.server.address);
        for _ in 0..50 {
            stage.assert_serving();
            line.send(request.repeat(100));
            for _ in 0..100 {
                open_packet(&line.read());
            }
        }
        drop(line);
        stage.assert_nothing_left();
        resident.push(stage.server.resident_kib());
    }
    // The first two touch what is never touched before.
    let grown = resident[3].saturating_sub(resident[1]);
    assert!(grown < 8 << 10, "{resident:?} KiB: what one crowd took serves the next");
}

#[test]
fn an_address_may_not_open_sessions_without_end() {
    let times = ["--socketio-ping-interval", "500ms", "--socketio-ping-timeout", "500ms"];
    let server = Server::builder().shards(2).default_limits().with(&times).start();
    let endpoint = Endpoint::new(server.address, PATH);
    let request = http::request("GET", &endpoint.target("polling"), &[], b"");
    let mut line = Line::to(server.address);
    let mut opened = 0;
    let refused = loop {
        let response = line.exchange(&request);
        if response.status != 200 {
            break response;
        }
        opened += 1;
        assert!(opened <= 1_000, "one address has {opened} sessions that are not authenticated");
    };
    assert!(matches!(refused.status, 429 | 503), "{refused:?}");
    assert!(refused.retry_after() >= 1, "{refused:?}");
    eventually("there is room again when they are over", || {
        std::thread::sleep(Duration::from_millis(100));
        let response = http::exchange(server.address, &request);
        (response.status == 200).then_some(())
    });
}

/// Ends a session in one of the ways that its client may not.
fn misuse(session: &mut Polling, way: usize) {
    match way {
        0 => {
            session.begin_get();
            let second = http::exchange(session.endpoint.address, session.get_request());
            assert!(matches!(second.status, 200 | 400), "{second:?}");
        }
        1 => {
            session.begin_get();
            session.cut_get();
        }
        2 => {
            let whole = session.post_request("42[\"ping\",{}]");
            let mut first = Line::to(session.endpoint.address);
            first.send(&whole[..whole.len() - 5]);
            let second = session.post("42[\"ping\",{}]");
            assert!(matches!(second.status, 200 | 400), "{second:?}");
        }
        3 => drop(session.socket()),
        _ => {
            let mut socket = session.socket();
            socket.send("2probe");
            socket.try_send("4early");
        }
    }
}

#[test]
fn polls_that_overlap_or_break_off_leave_nothing() {
    let times = ["--socketio-ping-interval", "1s", "--socketio-ping-timeout", "2s", "--session-ttl", "1s"];
    let mut stage = Stage::new(4, &times);
    let connect = format!("40{}", super::auth("mallory"));
    for round in 0..30 {
        let mut session = stage.endpoint.polling();
        if round % 2 == 0 {
            session.send(&connect);
        }
        misuse(&mut session, round % 5);
        if round % 10 == 0 {
            stage.assert_serving();
        }
    }
    stage.assert_nothing_left();
}

/// Tells the others to stop, also when it falls because a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Joins over polling, upgrades, and listens until it is told to stop; the offsets of what it heard, as it came.
fn hear_across_an_upgrade(endpoint: &Endpoint, name: &str, stop: &AtomicBool) -> Vec<u64> {
    let mut session = endpoint.polling();
    session.send(format!("40{}", super::auth(name)));
    session.send("421[\"room:join\",{\"roomId\":\"chat\"}]");
    let mut received = String::new();
    while !received.contains("431[") {
        received.push_str(&session.poll());
        received.push('\x1e');
    }
    let mut socket = session.socket();
    socket.send("2probe");
    session.begin_get();
    socket.expect("3probe");
    received.push_str(&session.finish_poll());
    socket.send("5");
    while !stop.load(Ordering::Acquire) || socket.stirs_within(QUIET) {
        if socket.stirs_within(Duration::from_millis(10)) {
            received.push('\x1e');
            received.push_str(&socket.expect_text());
        }
    }
    offsets(&received)
}

#[test]
fn upgrades_under_load_lose_nothing() {
    let mut stage = Stage::new(4, &["--session-ttl", "1s"]);
    let endpoint = stage.endpoint.clone();
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (endpoint, stopped) = (&endpoint, &stopped);
        let stop = Stop(stopped);
        let hear = |n| move || hear_across_an_upgrade(endpoint, &format!("member{n}"), stopped);
        let members: Vec<_> = (0..12).map(|n| scope.spawn(hear(n))).collect();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            stage.assert_serving();
        }
        drop(stop);
        for member in members {
            let offsets = member.join().expect("it has said why");
            let first = *offsets.first().expect("it got some");
            assert!(offsets.iter().copied().eq(first..=stage.said), "{offsets:?} of {}", stage.said);
        }
    });
    stage.assert_nothing_left();
}

/// The offsets of the messages among these packets, as they came.
fn offsets(packets: &str) -> Vec<u64> {
    let messages = packets.split('\x1e').filter_map(|packet| packet.strip_prefix("42"));
    messages
        .map(|packet| serde_json::from_str::<serde_json::Value>(packet).expect("JSON"))
        .filter(|event| event[0] == "message:received")
        .map(|event| event[1]["offset"].as_u64().expect("an offset"))
        .collect()
}

#[test]
fn a_room_of_sessions_that_all_vanish_is_soon_empty() {
    let times = ["--socketio-ping-interval", "500ms", "--socketio-ping-timeout", "2s"];
    let grace = ["--presence-grace", "50ms", "--session-ttl", "1s"];
    let mut stage = Stage::new(4, &[times, grace].concat());
    let crowd: Vec<_> = (0..100)
        .map(|n| {
            let mut client = stage.connected(n % 2 == 0);
            client.call("room:join", json!({"roomId": "crowded"}));
            client
        })
        .collect();
    drop(crowd);
    stage.assert_nothing_left();
}
