//! Logs: JSON lines of known keys, no token, no raw control character.

use serde_json::{Value, json};

use crate::support::{Server, Token, http};

const KEYS: [&str; 6] = ["timestamp", "level", "event", "userId", "channelId", "metadata"];

#[test]
fn every_line_is_json_of_the_known_keys() {
    let server = Server::builder().shards(2).with(&["--log-level", "trace"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.join("lobby");
    ana.say("lobby", 1);
    ana.fail("room:join", json!({"roomId": "user:ben"}), "ROOM_ACCESS_DENIED");
    ana.close();
    server.connect().bearer("nonsense").refused();
    let log = server.log();
    assert!(!log.is_empty());
    for line in &log {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let entry = value.as_object().unwrap_or_else(|| panic!("no object: {line}"));
        for key in ["timestamp", "level", "event"] {
            assert!(entry.get(key).is_some_and(Value::is_string), "{key} in {line}");
        }
        assert!(entry.keys().all(|key| KEYS.contains(&key.as_str())), "{line}");
    }
}

#[test]
fn no_token_is_ever_logged() {
    let settings = ["--log-level", "trace", "--auth-timeout", "300ms"];
    let server = Server::builder().shards(2).with(&settings).start();
    let good = Token::employee("ana").mint();
    let bad = Token::employee("ana").mint_with("another-secret-of-at-least-32-bytes-");
    let expired = Token::employee("ana").expires_in(-10).mint();
    server.connect().bearer(&good).open().ping();
    for token in [&bad, &expired] {
        server.connect().bearer(token).refused();
    }
    for token in [&good, &bad, &expired] {
        let subprotocol = format!("roomcast.bearer.{token}");
        drop(server.connect().query("token", token).open());
        drop(server.connect().subprotocols(&subprotocol).open());
        let mut first_message = server.connect().open();
        first_message.request("auth", &json!({"token": token}));
        first_message.request("auth:refresh", &json!({"token": token}));
        // Wherever a careless client may put it.
        drop(http::get(server.address, &format!("/metrics?token={token}")));
        drop(http::get(server.address, &format!("/{token}")));
        http::exchange(
            server.address,
            http::upgrade_head("/nowhere", &[&format!("Authorization: Bearer {token}")]),
        );
        let mut strange = server.connect().bearer(&good).open();
        strange.request(token, &json!({"token": token}));
        strange.send_text(format!("{{\"token\":\"{token}\""));
        strange.expect_event("error");
    }
    let log = server.log().join("\n");
    for token in [&good, &bad, &expired] {
        for part in token.split('.').skip(1) {
            assert!(!log.contains(part), "part of a token in the log");
        }
    }
    assert!(!log.contains(crate::support::SECRET), "the secret in the log");
}

#[test]
fn no_raw_control_character_reaches_the_log() {
    for format in ["json", "text"] {
        let settings = ["--log-level", "trace", "--log-format", format];
        let server = Server::builder().shards(1).with(&settings).start();
        // An escape in a header is refused with the whole request; one in the URL is encoded.
        let refused = server.connect().header("User-Agent", "x\u{1b}[31mred").refused();
        assert_eq!(refused.status, 400);
        let mut ana = server.connect().token(&Token::employee("ana")).open();
        ana.request("room:join", &json!({"roomId": "a\u{1b}]0;b\u{7}\r\n\u{0}c"}));
        ana.request_text("no\\u001b[2J:such", "{}");
        ana.ping();
        for line in server.log() {
            assert!(!line.chars().any(|c| c.is_control()), "{line:?}");
        }
    }
}
