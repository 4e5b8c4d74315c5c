//! Clients that read or write too slowly: they are sent away in time, and hold little until then.

use std::time::Duration;

use serde_json::json;

use super::{Stage, auth};
use crate::support::SocketIo;
use crate::support::engine::Polling;
use crate::support::line::Line;

const PAYLOAD: usize = 64 * 1024;
/// Times after which whoever does not go on is given up.
const SHORT: [&str; 8] = [
    "--socketio-ping-interval",
    "500ms",
    "--socketio-ping-timeout",
    "1s",
    "--session-ttl",
    "1s",
    "--handshake-timeout",
    "2s",
];
const QUEUE: [&str; 4] = ["--max-outbound-queue", "262144", "--session-ttl", "1s"];

/// Somebody over polling in the busy room.
fn polling_member(stage: &Stage) -> Polling {
    let mut session = stage.endpoint.polling();
    session.send(format!("40{}\x1e421[\"room:join\",{{\"roomId\":\"busy\"}}]", auth("slow")));
    let mut packets = String::new();
    while !packets.contains("431[") {
        packets.push_str(&session.poll());
    }
    session
}

/// How often a session was closed because it did not read.
fn slow_consumers(stage: &Stage) -> f64 {
    let exposition = crate::support::http::get(stage.server.address, "/metrics").body;
    let lines = exposition.lines().filter(|line| {
        line.starts_with("roomcast_connections_closed") && line.contains("reason=\"slow_consumer\"")
    });
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Says so much in the busy room that whoever does not read is sent away.
fn publish_until_closed(stage: &mut Stage) {
    let mut publisher = stage.server.member("publisher", "busy");
    let content = "x".repeat(PAYLOAD);
    for _ in 0..400 {
        publisher.say("busy", content.as_str());
        publisher.expect_message("busy");
        if slow_consumers(stage) > 0.0 {
            return;
        }
    }
    panic!("400 messages of {PAYLOAD} bytes waited for a client that does not read");
}

#[test]
fn a_client_that_polls_no_more_is_a_slow_consumer() {
    let mut stage = Stage::new(2, &QUEUE);
    let mut slow = polling_member(&stage);
    publish_until_closed(&mut stage);
    slow.expect_end();
    drop(slow);
    stage.assert_nothing_left();
}

#[test]
fn a_client_that_polls_and_does_not_read_the_answers_is_a_slow_consumer_too() {
    let mut stage = Stage::new(2, &QUEUE);
    let slow = polling_member(&stage);
    let mut line = Line::to(stage.server.address);
    let before = stage.server.resident_kib();
    // Pipelined: each would be answered at once, if anybody read.
    line.send(slow.get_request().repeat(50));
    let mut publisher = stage.server.member("publisher", "busy");
    let content = "x".repeat(PAYLOAD);
    for _ in 0..400 {
        publisher.say("busy", content.as_str());
        publisher.expect_message("busy");
    }
    stage.assert_serving();
    let grown = stage.server.resident_kib().saturating_sub(before);
    // The room's history is bounded by 4 MiB.
    assert!(grown < 32 << 10, "{grown} KiB for a client that does not read");
    drop((line, slow, publisher));
    stage.assert_nothing_left();
}

#[test]
fn a_websocket_that_does_not_read_is_closed_with_4409_and_without_a_disconnect() {
    let mut stage = Stage::new(2, &QUEUE);
    let mut slow = stage.connected(false);
    slow.call("room:join", json!({"roomId": "busy"}));
    publish_until_closed(&mut stage);
    let mut count = 0;
    // Everything up to the close frame, of which none may tell it not to come back.
    let code = slow.socket().expect_close_after(|packet| {
        count += 1;
        assert_ne!(packet, "41");
    });
    assert_eq!(code, 4409, "after {count} packets");
    stage.assert_nothing_left();
}

#[test]
fn a_body_that_comes_byte_by_byte_holds_nothing_for_ever() {
    let mut stage = Stage::new(2, &SHORT);
    let session = stage.endpoint.polling();
    let whole = session.post_request(format!("42{}", "x".repeat(100_000)));
    let body = whole.len() - 100_002;
    let mut line = Line::to(stage.server.address);
    line.send(&whole[..body]);
    let mut rest = whole[body..].iter();
    stage.wait_until("it is no longer read", |_| {
        line.stirs_within(Duration::from_millis(1)) || !line.try_send([*rest.next().expect("100,000 bytes")])
    });
    session.assert_over();
    stage.assert_nothing_left();
}

#[test]
fn a_body_that_stops_half_way_ends_with_its_session() {
    let mut stage = Stage::new(2, &SHORT);
    let lines: Vec<Line> = (0..100)
        .map(|_| {
            let session = stage.endpoint.polling();
            let whole = session.post_request("x".repeat(900_000));
            let mut line = Line::to(stage.server.address);
            line.send(&whole[..200_000]);
            line
        })
        .collect();
    stage.assert_serving();
    stage.wait_until("what does not come is no longer waited for", |_| {
        lines.iter().all(|line| line.stirs_within(Duration::from_millis(1)))
    });
    stage.assert_nothing_left();
}

#[test]
fn a_post_for_nobody_is_refused_before_long() {
    let stage = Stage::new(2, &SHORT);
    let target = format!("{}&sid=unknown", stage.endpoint.target("polling"));
    let mut line = Line::to(stage.server.address);
    line.send(format!("POST {target} HTTP/1.1\r\nHost: roomcast\r\nContent-Length: 900000\r\n\r\n42["));
    let response = line.read();
    assert!(matches!(response.status, 400 | 408), "{response:?}");
}

#[test]
fn a_client_that_only_sends_is_no_burden() {
    let mut stage = Stage::new(2, &["--max-outbound-queue", "65536", "--session-ttl", "1s"]);
    let before = stage.server.resident_kib();
    let mut greedy: SocketIo = stage.connected(false);
    // Each asks for more than it takes to ask; the answers are never read.
    let packet = crate::support::engine::text_frame("421[\"room:list\",{}]");
    greedy.socket().give_up_writing_after(Duration::from_secs(1));
    for _ in 0..200 {
        if !greedy.socket().try_send_bytes(&packet.repeat(500)) {
            break;
        }
    }
    stage.assert_serving();
    let grown = stage.server.resident_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for answers that nobody reads");
    drop(greedy);
    stage.assert_nothing_left();
}
