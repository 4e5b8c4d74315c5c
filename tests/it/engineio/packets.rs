//! Packets over each transport: what comes back, what ends a session, and how GET and POST overlap.

use super::echo;
use crate::support::engine::{Packet, assert_refused};
use crate::support::line::Line;
use crate::support::{QUIET, eventually, http};

/// The `maxPayload` that is told by default.
const MAX_PAYLOAD: usize = 1_000_000;

#[test]
fn packets_of_one_post_come_back_in_one_get() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    for body in [
        "4hello",
        "4test1\x1e4test2\x1e4test3",
        "4hello\x1ebAQIDBA==",
        "bAQIDBA==",
        "bAQ==\x1eb\x1ebAQI=\x1ebAQID",
        "4",
        "4\x1e4",
        "4€ and 😀\x1e4\u{1f}",
        "4{\"json\":[1,\"\\u001e\"]}",
    ] {
        session.send(body);
        assert_eq!(session.poll(), body);
    }
}

#[test]
fn packets_of_several_posts_wait_for_the_next_get_in_order() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let packets: Vec<String> = (0..100).map(|n| format!("4{n}")).collect();
    for packet in &packets {
        session.send(packet);
    }
    let mut received: Vec<String> = Vec::new();
    while received.len() < packets.len() {
        received.extend(session.poll().split('\x1e').map(str::to_owned));
    }
    assert_eq!(received, packets);
}

#[test]
fn a_get_waits_until_there_is_something() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.begin_get();
    assert!(!session.get_ends_within(QUIET), "there was nothing to say");
    session.send("4hello");
    assert_eq!(session.finish_poll(), "4hello");
}

#[test]
fn a_websocket_carries_text_and_binary() {
    let (_server, endpoint) = echo(2);
    let (mut socket, _) = endpoint.websocket();
    for text in ["4hello", "4", "4€ and 😀", "4\x1e4x"] {
        socket.send(text);
        socket.expect(text);
    }
    let long = format!("4{}", "x".repeat(200_000));
    socket.send(&long);
    socket.expect(&long);
    for payload in [&[1, 2, 3, 4][..], &[], &[0xFF; 70_000]] {
        socket.send_binary(payload);
        socket.expect_binary(payload);
    }
}

#[test]
fn an_invalid_packet_ends_a_polling_session() {
    let (_server, endpoint) = echo(2);
    for body in ["abc", "", "7", "9x", "\x1e4x", "4x\x1e", "4x\x1eabc", "\0", "-4", " 4x", "é", "b*"] {
        let mut session = endpoint.polling();
        let response = session.post(body);
        assert_eq!(response.status, 400, "{body:?}: {response:?}");
        session.expect_end();
    }
    let mut session = endpoint.polling();
    let response = session.post(b"4\xFF\xFE");
    assert_eq!(response.status, 400, "not UTF-8: {response:?}");
    session.expect_end();
}

#[test]
fn an_invalid_packet_closes_a_websocket() {
    let (_server, endpoint) = echo(2);
    for packet in ["abc", "", "7", "9x", " 4x", "é", "-"] {
        let (mut socket, _) = endpoint.websocket();
        socket.send(packet);
        socket.expect_close();
    }
}

#[test]
fn a_second_get_ends_the_session_and_the_first_is_told() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.begin_get();
    assert!(!session.get_ends_within(QUIET));
    let second = http::exchange(endpoint.address, session.get_request());
    assert_eq!(second.status, 400, "{second:?}");
    assert_eq!(session.finish_poll(), "1");
    session.assert_over();
}

#[test]
fn a_second_post_ends_the_session() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let whole = session.post_request("4half of this is sent");
    let mut first = Line::to(endpoint.address);
    // The server has the first's head once it has answered something that was sent later on another connection.
    first.send(&whole[..whole.len() - 10]);
    let second = eventually("two POSTs overlap", || {
        let response = session.post("4x");
        (response.status != 200).then_some(response)
    });
    assert_eq!(second.status, 400, "{second:?}");
    first.try_send(&whole[whole.len() - 10..]);
    if let Ok(response) = first.try_read() {
        assert_eq!(response.status, 400, "{response:?}");
    }
    session.assert_over();
}

#[test]
fn a_cancelled_get_ends_the_session() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.begin_get();
    assert!(!session.get_ends_within(QUIET));
    session.cut_get();
    assert_eq!(session.get().status, 400);
    session.assert_over();
}

#[test]
fn a_cancelled_post_leaves_nothing_half_done() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let whole = session.post_request("4half of this is sent");
    let mut cancelled = Line::to(endpoint.address);
    cancelled.send(&whole[..whole.len() - 10]);
    drop(cancelled);
    // Whether that ends the session is not said, but it must not stay with a POST that never ends.
    eventually("it is noticed", || {
        let goes_on = session.post("4whole").status == 200;
        let response = session.get();
        (response.status == 400 || goes_on && response.body.contains("4whole")).then_some(())
    });
}

#[test]
fn a_post_at_the_limit_is_taken_and_one_above_is_413() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let longest = format!("4{}", "x".repeat(MAX_PAYLOAD - 1));
    session.send(&longest);
    assert!(session.poll() == longest, "it comes back whole");
    let response = session.post(format!("{longest}x"));
    assert_eq!(response.status, 413, "{response:?}");

    // The length alone says enough.
    let session = endpoint.polling();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: roomcast\r\nContent-Length: 99999999999\r\n\r\n4",
        session.target("polling")
    );
    assert_eq!(http::exchange(endpoint.address, head).status, 413);
    endpoint.polling().send("4others go on");
}

#[test]
fn a_websocket_message_above_its_limit_closes_with_1009() {
    let (_server, endpoint) = super::echo_with(1, &["--max-message-size", "65536"]);
    let (mut socket, _) = endpoint.websocket();
    let fits = format!("4{}", "x".repeat(60_000));
    socket.send(&fits);
    socket.expect(&fits);
    socket.send(&format!("4{}", "x".repeat(70_000)));
    assert_eq!(socket.expect_close(), 1009);
}

#[test]
fn a_post_of_octets_is_refused() {
    let (_server, endpoint) = echo(2);
    let session = endpoint.polling();
    let kind = ["Content-Type: application/octet-stream", "Connection: close"];
    let request = http::request("POST", &session.target("polling"), &kind, &[1, 2, 3]);
    let response = http::exchange(endpoint.address, request);
    assert_eq!(response.status, 400, "{response:?}");
}

#[test]
fn any_other_type_of_a_post_is_taken() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    for kind in [&[][..], &["Content-Type: text/plain"], &["Content-Type: application/x-www-form-urlencoded"]]
    {
        let request = http::request("POST", &session.target("polling"), kind, b"4hello");
        assert_eq!(Line::to(endpoint.address).exchange(request).body, "ok");
        assert_eq!(session.poll(), "4hello");
    }
}

#[test]
fn a_clients_close_packet_releases_the_pending_get() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.begin_get();
    assert!(!session.get_ends_within(QUIET));
    session.send("1");
    assert_eq!(session.finish_poll(), "6");
    session.assert_over();

    // A GET that the POST has overtaken is released as well.
    let mut session = endpoint.polling();
    session.send("1");
    let response = session.get();
    assert!(matches!((response.status, response.body.as_str()), (200, "6") | (400, _)), "{response:?}");
    session.assert_over();
}

#[test]
fn a_clients_close_packet_ends_a_websocket() {
    let (_server, endpoint) = echo(2);
    let (mut socket, open) = endpoint.websocket();
    socket.send("4last");
    socket.send("1");
    assert_eq!(socket.next(), Some(Packet::Text("4last".to_owned())));
    assert_eq!(socket.next(), None);
    let query = format!("EIO=4&transport=polling&sid={}", open["sid"].as_str().expect("a sid"));
    assert_refused(&http::get(endpoint.address, &endpoint.target_of(&query)), 1);
}
