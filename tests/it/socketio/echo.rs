//! The echo application, byte for byte.

use serde_json::Value;

use crate::support::Server;
use crate::support::engine::{Endpoint, EngineSocket};
use crate::support::reply::keys;
use crate::support::socketio::PATH;

/// The echo, whose clients must connect within a second.
fn echo() -> (Server, Endpoint) {
    let arguments = ["--socketio-echo", "--socketio-connect-timeout", "1s"];
    let server = Server::builder().shards(2).with(&arguments).start();
    let endpoint = Endpoint::new(server.address, PATH);
    (server, endpoint)
}

/// A WebSocket in `/`, with everything read that a fresh one is sent.
fn connected(endpoint: &Endpoint) -> EngineSocket {
    let (mut socket, _) = endpoint.websocket();
    socket.send("40");
    assert_connected(&socket.expect_text(), "40");
    socket.expect(r#"42["auth",{}]"#);
    socket
}

/// Fails unless `packet` is `prefix` and an object that has a sid and nothing else.
#[track_caller]
fn assert_connected(packet: &str, prefix: &str) -> String {
    let object = packet.strip_prefix(prefix).unwrap_or_else(|| panic!("{packet}"));
    let object: Value = serde_json::from_str(object).unwrap_or_else(|error| panic!("{error} in {packet}"));
    assert_eq!(keys(&object), ["sid"], "{packet}");
    object["sid"].as_str().unwrap_or_else(|| panic!("{packet}")).to_owned()
}

#[test]
fn a_client_connects_to_either_namespace_and_is_told_its_payload() {
    let (_server, endpoint) = echo();
    for (connect, prefix, auth) in [
        ("40", "40", r#"42["auth",{}]"#),
        (r#"40{"token":"123"}"#, "40", r#"42["auth",{"token":"123"}]"#),
        ("40/,", "40", r#"42["auth",{}]"#),
        ("40/custom,", "40/custom,", r#"42/custom,["auth",{}]"#),
        ("40/custom", "40/custom,", r#"42/custom,["auth",{}]"#),
        (r#"40/custom,{"token":"abc"}"#, "40/custom,", r#"42/custom,["auth",{"token":"abc"}]"#),
        (r#"40{"a":{"b":[1,null,"€"]}}"#, "40", r#"42["auth",{"a":{"b":[1,null,"€"]}}]"#),
    ] {
        let (mut socket, open) = endpoint.websocket();
        socket.send(connect);
        let sid = assert_connected(&socket.expect_text(), prefix);
        assert_ne!(Some(sid.as_str()), open["sid"].as_str(), "the engine's sid is secret");
        socket.expect(auth);
        let mut session = endpoint.polling();
        session.send(connect);
        let mut packets = String::new();
        while !packets.ends_with(auth) {
            packets = format!("{packets}\x1e{}", session.poll());
        }
        let mut packets = packets.trim_start_matches('\x1e').split('\x1e');
        assert_connected(packets.next().expect("the answer"), prefix);
        assert_eq!(packets.collect::<Vec<_>>(), [auth]);
    }
}

#[test]
fn an_unknown_namespace_is_refused_and_the_transport_stays_open() {
    let (_server, endpoint) = echo();
    let (mut socket, _) = endpoint.websocket();
    for (connect, refusal) in [
        ("40/random", r#"44/random,{"message":"Invalid namespace"}"#),
        ("40/random,", r#"44/random,{"message":"Invalid namespace"}"#),
        (r#"40/random,{"token":"123"}"#, r#"44/random,{"message":"Invalid namespace"}"#),
        ("40/Custom,", r#"44/Custom,{"message":"Invalid namespace"}"#),
        ("40/custom/,", r#"44/custom/,{"message":"Invalid namespace"}"#),
        ("40/é€,", r#"44/é€,{"message":"Invalid namespace"}"#),
    ] {
        socket.send(connect);
        socket.expect(refusal);
    }
    socket.send("40/custom,");
    assert_connected(&socket.expect_text(), "40/custom,");
}

#[test]
fn an_invalid_handshake_closes() {
    let (_server, endpoint) = echo();
    for packet in ["4abc", r#"42["message",1]"#, "41", "431[]", r#"40"text""#, "40[1]", "40null", "40{", "4"]
    {
        let (mut socket, _) = endpoint.websocket();
        socket.send(packet);
        socket.expect_close();
        let mut session = endpoint.polling();
        let answer = session.post(packet);
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        session.expect_end();
    }
}

#[test]
fn a_client_that_does_not_connect_in_time_is_closed() {
    let (_server, endpoint) = echo();
    let (mut socket, _) = endpoint.websocket();
    let mut session = endpoint.polling();
    session.begin_get();
    // Being refused is not being connected.
    let (mut refused, _) = endpoint.websocket();
    refused.send("40/random,");
    refused.expect(r#"44/random,{"message":"Invalid namespace"}"#);
    let mut stays = connected(&endpoint);
    socket.expect_close();
    refused.expect_close();
    session.finish_last_get();
    stays.send(r#"42["message",1]"#);
    stays.expect(r#"42["message-back",1]"#);
}

#[test]
fn a_disconnect_leaves_the_transport_open() {
    let (_server, endpoint) = echo();
    let mut socket = connected(&endpoint);
    socket.send("41");
    socket.send("40");
    assert_connected(&socket.expect_text(), "40");
    socket.expect(r#"42["auth",{}]"#);
    socket.send("40/custom");
    assert_connected(&socket.expect_text(), "40/custom,");
    socket.expect(r#"42/custom,["auth",{}]"#);
    socket.send(r#"42/custom,["message",1]"#);
    socket.expect(r#"42/custom,["message-back",1]"#);
    socket.send("41/custom");
    socket.send(r#"42["message","message to main namespace"]"#);
    socket.expect(r#"42["message-back","message to main namespace"]"#);
    socket.send(r#"42/custom,["message","too late"]"#);
    socket.expect_close();
}

#[test]
fn text_events_and_acks_come_back_byte_for_byte() {
    let (_server, endpoint) = echo();
    let mut socket = connected(&endpoint);
    for (packet, answer) in [
        (r#"42["message",1,"2",{"3":[true]}]"#, r#"42["message-back",1,"2",{"3":[true]}]"#),
        (r#"42["message"]"#, r#"42["message-back"]"#),
        (r#"42["message",null,[],{},"",-0.5]"#, r#"42["message-back",null,[],{},"",-0.5]"#),
        (r#"42["message","€ \" \\ 😀","x-y,z/[1]"]"#, r#"42["message-back","€ \" \\ 😀","x-y,z/[1]"]"#),
        (r#"42456["message-with-ack",1,"2",{"3":[false]}]"#, r#"43456[1,"2",{"3":[false]}]"#),
        (r#"420["message-with-ack"]"#, "430[]"),
        (r#"42/,7["message-with-ack",1]"#, "437[1]"),
    ] {
        socket.send(packet);
        socket.expect(answer);
    }
    // Nobody listens to these, and nothing is wrong with them.
    for packet in [r#"42["other",1]"#, r#"42[7,"x"]"#, r#"431["unasked"]"#, r#"4399999["unasked"]"#] {
        socket.send(packet);
    }
    socket.send(r#"42["message","still here"]"#);
    socket.expect(r#"42["message-back","still here"]"#);
}

#[test]
fn binary_events_and_acks_come_back_byte_for_byte() {
    let (_server, endpoint) = echo();
    let mut socket = connected(&endpoint);
    let two = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    for (packet, answer) in [
        (format!(r#"452-["message",{two}]"#), format!(r#"452-["message-back",{two}]"#)),
        (format!(r#"452-789["message-with-ack",{two}]"#), format!("462-789[{two}]")),
    ] {
        socket.send(&packet);
        socket.send_binary(&[1, 2, 3]);
        socket.send_binary(&[4, 5, 6]);
        socket.expect(&answer);
        socket.expect_binary(&[1, 2, 3]);
        socket.expect_binary(&[4, 5, 6]);
    }
    let nested = r#"["message",{"a":[{"_placeholder":true,"num":0}]}]"#;
    socket.send(&format!("451-{nested}"));
    socket.send_binary(&[]);
    socket.expect(&format!("451-{}", nested.replace("message", "message-back")));
    socket.expect_binary(&[]);
}

#[test]
fn binary_over_polling_comes_back_byte_for_byte() {
    let (_server, endpoint) = echo();
    let mut session = endpoint.polling();
    session.send("40");
    let mut received = Vec::new();
    let mut expect = |session: &mut crate::support::engine::Polling, count: usize| -> Vec<String> {
        while received.len() < count {
            received.extend(session.poll().split('\x1e').map(str::to_owned));
        }
        std::mem::take(&mut received)
    };
    expect(&mut session, 2);
    let event = r#"451-["message",{"_placeholder":true,"num":0}]"#;
    let back = r#"451-["message-back",{"_placeholder":true,"num":0}]"#;
    session.send(format!("{event}\x1ebAQIDBA=="));
    assert_eq!(expect(&mut session, 2), [back, "bAQIDBA=="]);
    // In two POSTs, as a client does whose first part was under way already.
    session.send(event);
    session.send("bAQID\x1e42[\"message\",1]");
    assert_eq!(expect(&mut session, 3), [back, "bAQID", r#"42["message-back",1]"#]);
}

#[test]
fn an_invalid_packet_closes() {
    let (_server, endpoint) = echo();
    for packet in [
        "4abc",
        "42{}",
        r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#,
        r#"42/custom,["message",1]"#,
        "40",
        "44{}",
    ] {
        let mut socket = connected(&endpoint);
        socket.send(packet);
        socket.expect_close();
    }
}

#[test]
fn an_upgraded_session_goes_on_where_it_was() {
    let (_server, endpoint) = echo();
    let mut session = endpoint.polling();
    session.send("40");
    session.send(r#"42["message","over polling"]"#);
    let mut socket = session.upgrade();
    assert_connected(&socket.expect_text(), "40");
    socket.expect(r#"42["auth",{}]"#);
    socket.expect(r#"42["message-back","over polling"]"#);
    socket.send(r#"42["message","over websocket"]"#);
    socket.expect(r#"42["message-back","over websocket"]"#);
}
