//! Sanitising: `--sanitize escape` disarms markup in content for every reader; off, content is opaque (protocol §1).

use serde_json::{Value, json};

use crate::support::{Client, Frame, ProcessEnd, SECRET, Server, Token};

const MARKUP: &str = "<b>a & b</b>";
const ESCAPED: &str = "&lt;b&gt;a &amp; b&lt;/b&gt;";

fn escaping(shards: usize) -> Server {
    Server::builder().shards(shards).with(&["--sanitize", "escape"]).start()
}

/// A subscriber of `lobby` in the topic dialect.
fn subscriber(server: &Server) -> Client {
    let mut client = server.connect().token(&Token::employee("tom")).topic().open();
    client.send(&json!({"type": "subscribe", "topic": "lobby"}));
    client.expect_event("subscribed");
    client
}

fn payload(frame: &Frame) -> Value {
    serde_json::from_str(frame.payload()).unwrap_or_else(|error| panic!("{error} in {}", frame.raw))
}

#[test]
fn markup_is_escaped_for_every_reader_however_it_was_sent() {
    for shards in [1, 3] {
        let server = escaping(shards);
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let mut tom = subscriber(&server);
        ana.say("lobby", MARKUP);
        ana.call("message:send-batch", json!({"messages": [{"roomId": "lobby", "content": MARKUP}]}));
        tom.send(&json!({"type": "message", "topic": "lobby", "data": MARKUP}));
        for reader in [&mut ana, &mut ben, &mut tom] {
            for _ in 0..3 {
                assert_eq!(payload(&reader.expect_message("lobby")), ESCAPED);
            }
        }
        ana.call("user:send", json!({"userId": "ben", "content": MARKUP}));
        assert_eq!(payload(&ben.expect_message("user:ben")), ESCAPED);
        let id = ana.say("lobby", "plain")["id"].clone();
        let edited = ana.call("message:edit", json!({"roomId": "lobby", "messageId": id, "content": MARKUP}));
        assert_eq!(edited["content"], ESCAPED);
        assert_eq!(payload(&ben.expect_event("message:edited")), ESCAPED);
        let history = ben.request("room:history", &json!({"roomId": "lobby"}));
        assert_eq!(history.data()["messages"][3]["content"], ESCAPED);
        assert!(!history.raw.contains('<'), "{}", history.raw);
    }
}

#[test]
fn strings_within_content_are_escaped_and_everything_else_is_kept() {
    let server = escaping(3);
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let send = |ana: &mut Client, content: &str| {
        ana.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{content}}}"#));
    };
    send(&mut ana, r#"{"list":["<i>",7,true,null],"deep":{"text":"\u003cscript\u003e"},"n":-0.5}"#);
    assert_eq!(
        payload(&ben.expect_message("lobby")),
        json!({"list": ["&lt;i&gt;", 7, true, null], "deep": {"text": "&lt;script&gt;"}, "n": -0.5})
    );
    send(&mut ana, r#"[1e400, "grün \ud83d\ude00"]"#);
    let message = ben.expect_message("lobby");
    assert!(message.payload().contains("1e400") && message.payload().contains("grün"), "{}", message.raw);
    send(&mut ana, r#""plain text, \"quoted\"\n""#);
    let text = payload(&ben.expect_message("lobby"));
    assert!(
        text.as_str().is_some_and(|text| text.starts_with("plain text, ") && text.ends_with('\n')),
        "{text}"
    );
}

#[test]
fn without_it_content_is_carried_byte_for_byte() {
    for settings in [&[][..], &["--sanitize", "off"]] {
        let server = Server::builder().shards(3).with(settings).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let mut tom = subscriber(&server);
        let content = r#"{ "a" : "<b>\u003c&</b>" }"#;
        ana.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{content}}}"#));
        for reader in [&mut ben, &mut tom] {
            assert_eq!(reader.expect_message("lobby").payload(), content);
        }
    }
}

#[test]
fn another_way_of_sanitising_is_refused_at_the_start() {
    let end =
        ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET, "--sanitize", "maybe"]);
    assert_eq!(end.code, Some(64), "{end:?}");
    assert!(end.stderr.contains("--sanitize"), "{end:?}");
}
