//! Attachments: too many, too large, never sent, sent for nothing, named wrongly.

use serde_json::json;

use super::Stage;
use crate::support::SocketIo;

/// A send of a message whose content is `content`, with that many attachments announced.
fn send_of(count: usize, id: &str, content: &str) -> String {
    format!(r#"45{count}-{id}["message:send",{{"roomId":"chat","content":{content}}}]"#)
}

/// A placeholder for that attachment, as it is written.
fn placeholder(number: &str) -> String {
    format!(r#"{{"_placeholder":true,"num":{number}}}"#)
}

/// Somebody in the room.
fn member(stage: &Stage) -> SocketIo {
    let mut client = stage.connected(false);
    client.call("room:join", json!({"roomId": "chat"}));
    client
}

#[test]
fn as_many_attachments_as_are_allowed_arrive_whole() {
    let mut stage = Stage::new(3, &["--session-ttl", "1s"]);
    let mut client = member(&stage);
    let all: Vec<String> = (0..10).map(|n| placeholder(&n.to_string())).collect();
    client.send(&send_of(10, "1", &format!("[{}]", all.join(","))));
    for n in 0..10_u8 {
        client.try_send_binary(&vec![n; usize::from(n) * 100]);
    }
    assert_eq!(client.ack(1)["offset"], 1);
    let received = stage.chatter.event("message:received");
    assert_eq!(received.attachments.len(), 10, "{}", received.raw);
    for (n, attachment) in received.attachments.iter().enumerate() {
        assert_eq!(*attachment, vec![u8::try_from(n).expect("small"); n * 100]);
    }
    let native = stage.listener.expect_message("chat");
    assert_eq!(native.data()["content"][0], json!({"_base64": ""}), "{}", native.raw);
    assert_eq!(native.data()["content"][1]["_base64"].as_str().map(str::len), Some(136), "{}", native.raw);
}

#[test]
fn a_placeholder_that_names_no_attachment_of_its_own_ends_the_session() {
    let mut stage = Stage::new(2, &["--session-ttl", "1s"]);
    for (count, content) in [
        (1, placeholder("1")),
        (1, placeholder("-1")),
        (1, placeholder("0.5")),
        (1, placeholder("\"0\"")),
        (1, placeholder("null")),
        (1, placeholder("1e0")),
        (1, placeholder("18446744073709551616")),
        (1, r#"{"_placeholder":true}"#.to_owned()),
        (1, format!("[{},{}]", placeholder("0"), placeholder("0"))),
        (2, format!("[{},{}]", placeholder("0"), placeholder("2"))),
        (2, format!("[{},{}]", placeholder("1"), placeholder("1"))),
    ] {
        let mut client = member(&stage);
        client.try_send(&send_of(count, "", &content));
        for _ in 0..count {
            client.try_send_binary(&[1, 2, 3]);
        }
        client.expect_end();
        stage.assert_serving();
    }
    stage.assert_nothing_left();
}

#[test]
fn attachments_out_of_place_end_the_session() {
    let mut stage = Stage::new(2, &["--session-ttl", "1s"]);
    let header = send_of(2, "", &format!("[{},{}]", placeholder("0"), placeholder("1")));
    for between in ["42[\"ping\",{}]", "421[\"ping\",{}]", "41", "43[]", &header] {
        let mut client = member(&stage);
        client.try_send(&header);
        client.try_send_binary(&[1]);
        client.try_send(between);
        client.expect_end();
        stage.assert_serving();
    }
    // Without a header, before CONNECT and behind it.
    let mut client = member(&stage);
    client.try_send_binary(&[1, 2, 3]);
    client.expect_end();
    let mut client = SocketIo::open(&stage.endpoint, false);
    client.try_send_binary(&[1, 2, 3]);
    client.expect_end();
    // One more than was announced.
    let mut client = member(&stage);
    client.try_send(&send_of(1, "", &placeholder("0")));
    client.try_send_binary(&[1]);
    client.try_send_binary(&[2]);
    client.expect_end();
    assert_eq!(stage.chatter.event("message:received").attachments, [[1]]);
    let mut polling = stage.connected(true);
    polling.try_send("451-[\"ping\",{\"_placeholder\":true,\"num\":0}]\x1e42[\"ping\"]\x1ebAQID");
    polling.expect_end();
}

#[test]
fn a_heartbeat_between_attachments_is_no_text_of_socketio() {
    let mut stage = Stage::new(2, &["--socketio-ping-interval", "300ms", "--socketio-ping-timeout", "10s"]);
    let mut client = member(&stage);
    client.send(&send_of(1, "7", &placeholder("0")));
    while client.socket().read() != Some(crate::support::engine::Packet::Text("2".to_owned())) {}
    client.send("3");
    client.try_send_binary(&[1]);
    assert_eq!(client.ack(7)["offset"], 1);
    assert_eq!(stage.chatter.event("message:received").attachments, [[1]]);
}

#[test]
fn more_attachments_or_bytes_than_are_allowed_end_the_session() {
    let arguments = ["--max-message-size", "65536", "--socketio-max-attachments", "3", "--session-ttl", "1s"];
    let mut stage = Stage::new(2, &arguments);
    let mut client = member(&stage);
    client.try_send(&send_of(4, "", "0"));
    client.expect_end();
    for sizes in [&[65_537][..], &[40_000, 40_000], &[30_000, 30_000, 30_000]] {
        let mut client = member(&stage);
        let all: Vec<String> = (0..sizes.len()).map(|n| placeholder(&n.to_string())).collect();
        client.try_send(&send_of(sizes.len(), "", &format!("[{}]", all.join(","))));
        for size in sizes {
            client.try_send_binary(&vec![0; *size]);
        }
        client.expect_end();
        stage.assert_serving();
    }
    stage.assert_nothing_left();
}

#[test]
fn attachments_that_never_come_hold_little() {
    let arguments = ["--max-message-size", "65536", "--session-ttl", "1s"];
    let mut stage = Stage::new(2, &arguments);
    let before = stage.server.resident_kib();
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut client = stage.connected(false);
        client.send(&send_of(10, "1", "0"));
        for _ in 0..9 {
            client.try_send_binary(&[0; 6_000]);
        }
        waiting.push(client);
    }
    stage.assert_serving();
    let grown = stage.server.resident_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB for 200 clients of which each may send 64");
    drop(waiting);
    stage.assert_nothing_left();
}
