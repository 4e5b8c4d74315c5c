//! Packets that make no sense: each ends the session that sent it, at once and alone.

use serde_json::json;

use super::Stage;
use crate::support::SocketIo;
use crate::support::engine::Packet;

/// Packets behind a good CONNECT that must end the session.
const MALFORMED: [&str; 61] = [
    // Engine.IO.
    "",
    "7",
    "x",
    "4",
    " 4",
    "2",
    "0{}",
    // Types and counts.
    "4x",
    "47",
    "49[]",
    "4\u{0}",
    "4-1",
    "45[\"x\"]",
    "45-[\"x\"]",
    "45x-[\"x\"]",
    "451[\"x\"]",
    "45-1-[\"x\"]",
    "450-[\"x\"]",
    "451.5-[\"x\"]",
    "4511-[\"x\"]",
    "4599999999999999999999-[\"x\"]",
    "461-{}",
    // Events.
    "42",
    "42{}",
    "42[]",
    "42[true,{}]",
    "42[null]",
    "42[{}]",
    "42[[\"ping\"]]",
    "42\"ping\"",
    "427",
    "42[\"ping\",{}",
    "42[\"ping\",{}]]",
    "42[\"ping\",]",
    "42[\"ping\",{},]",
    "42['ping',{}]",
    "42[\"ping\",{a:1}]",
    "42[\"ping\",{\"a\":01}]",
    "42[\"ping\",\"\t\"]",
    "42[\"ping\",\"\\x\"]",
    "42[\"ping\",nul]",
    "42abc[\"ping\"]",
    "42-1[\"ping\"]",
    "421.5[\"ping\"]",
    "42[\"connect\"]",
    "42[\"disconnecting\",{}]",
    "421[\"newListener\"]",
    // Acks.
    "43",
    "431",
    "431{}",
    "431\"x\"",
    "43[",
    "431[",
    "43x[]",
    // Namespaces and the rest.
    "40",
    "40{}",
    "41{\"a\":1}",
    "44{}",
    "44/x,{}",
    "42/x,[\"ping\"]",
    "41/x,",
];

#[test]
fn a_malformed_packet_ends_its_session_and_no_other() {
    let mut stage = Stage::new(2, &["--socketio-namespaces", "/x", "--session-ttl", "1s"]);
    for polling in [false, true] {
        for packet in MALFORMED {
            eprintln!("over polling: {polling}, packet: {packet:?}");
            let mut client = stage.connected(polling);
            client.try_send(packet);
            let last = client.expect_end();
            assert!(last.iter().all(|message| message.kind != '1'), "{packet:?}: {last:?}");
            stage.assert_serving();
        }
    }
    stage.assert_nothing_left();
}

#[test]
fn what_stands_behind_a_malformed_packet_is_not_done() {
    let mut stage = Stage::new(2, &[]);
    let say = json!(["message:send", {"roomId": "chat", "content": "too late"}]);
    for polling in [false, true] {
        let mut client = stage.connected(polling);
        client.call("room:join", json!({"roomId": "chat"}));
        if polling {
            client.try_send(&format!("42{{}}\x1e42{say}"));
        } else {
            client.try_send("42{}");
            client.try_send(&format!("42{say}"));
        }
        client.expect_end();
    }
    // The next that the room hears is the next that the well-behaved say.
    stage.assert_serving();
}

#[test]
fn a_frame_that_is_no_text_closes_its_websocket() {
    let mut stage = Stage::new(2, &[]);
    for bytes in [&[0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFE][..], &[0x83, 0x80, 0, 0, 0, 0], &[0x81, 0x01, b'4']] {
        let mut client = stage.connected(false);
        client.socket().try_send_bytes(bytes);
        client.expect_end();
        stage.assert_serving();
    }
}

#[test]
fn json_of_any_depth_is_an_error_or_the_end() {
    let mut stage = Stage::new(2, &[]);
    let depth = 100_000;
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    let objects = "{\"a\":".repeat(depth / 2);
    for packet in [
        format!("421[\"ping\",{open}{close}]"),
        format!("421[\"ping\",{open}"),
        format!("421[\"message:send\",{{\"roomId\":\"chat\",\"content\":{open}{close}}}]"),
        format!("421[\"message:send\",{objects}"),
        format!("42{open}{close}"),
        format!("431{open}{close}"),
    ] {
        for polling in [false, true] {
            let mut client = stage.connected(polling);
            client.try_send(&packet);
            assert_refused_or_ended(&mut client);
            stage.assert_serving();
        }
    }
    for polling in [false, true] {
        let mut client = SocketIo::open(&stage.endpoint, polling);
        client.try_send(&format!("40{{\"token\":{open}{close}}}"));
        client.try_send("41");
        let last = client.expect_end();
        assert!(last.iter().all(|message| message.kind == '4'), "{last:?}");
        stage.assert_serving();
    }
}

/// Fails unless the packet with ack id 1 was refused, or ended the session.
#[track_caller]
fn assert_refused_or_ended(client: &mut SocketIo) {
    client.try_send("422[\"ping\",{}]");
    // The session is over, or answers what was sent behind.
    while let Some(message) = client.try_next() {
        if message.id == Some(2) {
            return;
        }
        assert!(message.raw.contains("\"code\":\""), "{}", message.raw);
    }
}

#[test]
fn ids_and_names_of_any_length_are_refused_or_served() {
    let mut stage = Stage::new(2, &[]);
    let thirty = "9".repeat(30);
    let (digits, name) = ("1".repeat(100_000), "x".repeat(100_000));
    for packet in [
        format!("42{thirty}[\"ping\",{{}}]"),
        format!("42{digits}[\"ping\",{{}}]"),
        format!("43{thirty}[]"),
        format!("43{digits}[]"),
        format!("45{digits}-[\"ping\",{{}}]"),
        format!("42[\"{name}\",{{}}]"),
        format!("421[\"{name}\",{{}}]"),
        format!("42[{thirty}]"),
        format!("42[{digits}]"),
        format!("42/{name},[\"ping\",{{}}]"),
        format!("41/{name},"),
    ] {
        for polling in [false, true] {
            let mut client = stage.connected(polling);
            client.try_send(&packet);
            client.try_send("422[\"ping\",{}]");
            while let Some(message) = client.try_next() {
                assert!(message.raw.len() < 8 << 10, "{} bytes echo what was sent", message.raw.len());
                if message.id == Some(2) {
                    break;
                }
                let answers = message.raw.starts_with(&format!("43{thirty}["));
                assert!(answers || message.data.to_string().contains("\"code\""), "{}", message.raw);
            }
            stage.assert_serving();
        }
    }
}

#[test]
fn thousands_of_namespaces_may_be_asked_for() {
    let mut stage = Stage::new(2, &[]);
    let before = stage.server.resident_kib();
    for round in 0..3 {
        let mut client = stage.connected(false);
        for n in 0..3_000 {
            client.try_send(&format!("40/namespace-{round}-{n},{{\"token\":\"x\"}}"));
        }
        for n in 0..3_000 {
            // It may also have had enough of this client.
            let Some(message) = client.try_next() else { break };
            let expected = format!("44/namespace-{round}-{n},{{\"message\":\"Invalid namespace\"}}");
            assert_eq!(message.raw, expected);
        }
        stage.assert_serving();
        let long = "n".repeat(200_000);
        client.try_send(&format!("40/{long},"));
        drop(client);
    }
    stage.assert_nothing_left();
    let grown = stage.server.resident_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more for namespaces that do not exist");
}

#[test]
fn a_session_that_was_closed_hears_nothing_more() {
    let mut stage = Stage::new(2, &[]);
    let mut client = stage.connected(false);
    client.call("room:join", json!({"roomId": "chat"}));
    client.try_send("42{}");
    assert!(!matches!(client.socket().next(), Some(Packet::Binary(_))));
    stage.assert_serving();
    let last = client.expect_end();
    assert!(last.iter().all(|message| message.kind != '1'), "{last:?}");
}
