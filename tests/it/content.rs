//! What an application sends is carried byte for byte, however odd, as long as it is JSON (protocol §1).

use crate::support::{Client, Server, Token};

/// Values by RFC 8259 that most parsers change or refuse.
const ODD_VALUES: [&str; 20] = [
    "1e400",
    "-1E-400",
    "12345678901234567890123",
    "0.1000000000000000055511151231257827",
    "-0",
    "1.0",
    r#""\ud800""#,
    r#""\uDC00\uD800""#,
    r#""\u0000\u001f\/\b""#,
    r#""\u00e4ä😀""#,
    "\"\u{2028}\u{7f}\"",
    r#"{"a":1,"a":2}"#,
    r#"{ "a" : [ 1 ,	2 ] , "" : { } }"#,
    "[\n 1,\r\n 2 ]",
    "[]",
    "{}",
    r#""""#,
    "false",
    r#"{"event":"ping","requestId":"inner","content":{"roomId":"x"}}"#,
    r#""}],\"event\":\"error\"""#,
];

/// What RFC 8259 does not allow.
const NO_VALUES: [&str; 14] = [
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "NaN",
    "Infinity",
    "tru",
    r#""\x""#,
    r#""\u12g4""#,
    "\"a\u{1}b\"",
    "[1,]",
    r#"{"a":}"#,
    "{1:2}",
];

fn pair(server: &Server) -> (Client, Client) {
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let mut topic = server.connect().token(&Token::employee("tom")).topic().open();
    ana.join("lobby");
    topic.send(&serde_json::json!({"type": "subscribe", "topic": "lobby"}));
    topic.expect_event("subscribed");
    (ana, topic)
}

#[test]
fn content_arrives_byte_for_byte_in_both_dialects_on_any_number_of_shards() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut topic) = pair(&server);
        for value in ODD_VALUES {
            let sent =
                ana.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{value}}}"#));
            assert_eq!(sent.name, "message:sent", "{value}: {}", sent.raw);
            assert_eq!(ana.expect_message("lobby").payload(), value);
            assert_eq!(topic.expect_message("lobby").payload(), value);
            topic.send_text(format!(r#"{{"type":"message","topic":"lobby","data":{value}}}"#));
            assert_eq!(ana.expect_message("lobby").payload(), value);
            assert_eq!(topic.expect_message("lobby").payload(), value);
        }
    }
}

#[test]
fn history_returns_content_byte_for_byte() {
    let server = Server::start();
    let (mut ana, _) = pair(&server);
    for value in ODD_VALUES {
        ana.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{value}}}"#));
    }
    let history = ana.request_text("room:history", r#"{"roomId":"lobby","limit":100}"#);
    for value in ODD_VALUES {
        assert!(history.raw.contains(value), "{value} is not in {}", history.raw);
    }
}

#[test]
fn metadata_arrives_byte_for_byte() {
    let server = Server::start();
    let (mut ana, _) = pair(&server);
    let metadata = r#"{ "n" : 1e400, "s":"\ud800" ,"n":2}"#;
    let data = format!(r#"{{"metadata":{metadata},"roomId":"lobby","content":1}}"#);
    assert_eq!(ana.request_text("message:send", &data).name, "message:sent");
    let message = ana.expect_message("lobby");
    assert!(message.raw.contains(metadata), "{}", message.raw);
}

#[test]
fn what_is_no_json_is_refused_and_reaches_nobody() {
    let server = Server::start();
    let (mut ana, mut topic) = pair(&server);
    for value in NO_VALUES {
        ana.send_text(format!(r#"{{"event":"message:send","data":{{"roomId":"lobby","content":{value}}}}}"#));
        ana.expect_event("error").assert_error("PROTOCOL_ERROR");
    }
    ana.say("lobby", "fence");
    assert_eq!(topic.expect_message("lobby").payload(), "\"fence\"");
}

#[test]
fn large_content_arrives_whole() {
    let server = Server::builder().shards(2).start();
    let (mut ana, mut topic) = pair(&server);
    for length in [4 * 1024, 100 * 1024, 1000 * 1024] {
        let value = format!("\"{}\"", "ä".repeat(length / 2));
        let sent = ana.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{value}}}"#));
        assert_eq!(sent.name, "message:sent");
        assert!(ana.expect_message("lobby").payload() == value, "{length} bytes to an event client");
        assert!(topic.expect_message("lobby").payload() == value, "{length} bytes to a topic client");
    }
}
