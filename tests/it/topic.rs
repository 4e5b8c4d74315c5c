//! The topic dialect (protocol §6).

use serde_json::{Value, json};

use crate::support::{Client, Frame, Server, Token};

fn topic(server: &Server, name: &str) -> Client {
    server.connect().token(&Token::employee(name)).topic().open()
}

fn subscribe(client: &mut Client, topic: &str) -> Value {
    client.send(&json!({"type": "subscribe", "topic": topic}));
    let frame = client.expect_event("subscribed");
    assert_eq!(frame.value["topic"], topic);
    assert!(!frame.value["timestamp"].is_null(), "{}", frame.raw);
    frame.value
}

/// Sends and expects an error of that number in this dialect's shape.
fn assert_refused(client: &mut Client, text: &str, code: u16) -> Frame {
    client.send_text(text);
    let error = client.expect_event("error");
    assert_eq!(error.value["code"], code, "{text}: {}", error.raw);
    assert!(error.value["message"].is_string() && !error.value["timestamp"].is_null(), "{}", error.raw);
    error
}

#[test]
fn a_first_message_authenticates() {
    let server = Server::start();
    let mut client = server.connect().topic().open();
    assert_refused(&mut client, r#"{"type":"subscribe","topic":"lobby"}"#, 401);
    client.send(&json!({"type": "ping"}));
    assert!(!client.expect_event("pong").value["timestamp"].is_null());
    client.send(&json!({"type": "auth", "token": Token::employee("tom").mint()}));
    let success = client.expect_event("auth_success");
    assert_eq!(success.value["userId"], "tom");
    assert!(!success.value["timestamp"].is_null(), "{}", success.raw);
    subscribe(&mut client, "lobby");
}

#[test]
fn auth_when_authenticated_refreshes() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("tom").expires_in(2)).topic().open();
    client.send(&json!({"type": "auth", "token": Token::employee("eve").mint()}));
    client.expect("a refusal", |frame| frame.name == "auth_error" || frame.name == "error");
    client.send(&json!({"type": "auth", "token": Token::employee("tom").mint()}));
    assert_eq!(client.expect_event("auth_success").value["userId"], "tom");
    subscribe(&mut client, "lobby");
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.join("lobby");
    let end = std::time::Instant::now() + std::time::Duration::from_millis(2500);
    while std::time::Instant::now() < end {
        ana.say("lobby", 1);
        client.expect_message("lobby");
    }
}

#[test]
fn a_message_reaches_every_subscriber_its_sender_included() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let (mut tom, mut tim) = (topic(&server, "tom"), topic(&server, "tim"));
        let subscribed = subscribe(&mut tom, "lobby");
        assert_eq!(subscribed["offset"], 0);
        assert!(subscribed["epoch"].is_string(), "{subscribed}");
        subscribe(&mut tim, "lobby");
        tom.send(&json!({"type": "message", "topic": "lobby", "data": {"n": 1}, "metadata": {"lang": "en"}}));
        for client in [&mut tom, &mut tim] {
            let message = client.expect_message("lobby");
            assert_eq!(message.value["eventType"], "message.sent");
            assert_eq!(message.value["data"], json!({"n": 1}));
            assert!(!message.value["timestamp"].is_null(), "{}", message.raw);
            let metadata = &message.value["metadata"];
            assert_eq!(metadata["lang"], "en");
            assert_eq!(metadata["senderId"], "tom");
            assert_eq!(metadata["offset"], 1);
            assert_eq!(metadata["epoch"], subscribed["epoch"]);
            assert!(metadata["id"].is_string(), "{}", message.raw);
        }
    }
}

#[test]
fn the_clients_metadata_comes_first_and_verbatim() {
    let server = Server::start();
    let mut tom = topic(&server, "tom");
    subscribe(&mut tom, "lobby");
    tom.send_text(r#"{"type":"message","topic":"lobby","data":1,"metadata":{ "n" : 1e400, "s":"\ud800" }}"#);
    let raw = tom.expect_message("lobby").raw;
    let own = raw.find(r#""n" : 1e400, "s":"\ud800""#).unwrap_or_else(|| panic!("not verbatim: {raw}"));
    assert!(raw[own..].contains("\"senderId\""), "{raw}");
    tom.send(&json!({"type": "message", "topic": "lobby", "data": 1, "metadata": {}}));
    assert!(tom.expect_message("lobby").value["metadata"]["id"].is_string());
}

#[test]
fn metadata_may_not_name_what_the_gateway_adds() {
    let server = Server::start();
    let mut tom = topic(&server, "tom");
    subscribe(&mut tom, "lobby");
    for name in ["id", "senderId", "epoch", "offset", "\\u0069d"] {
        let text =
            format!(r#"{{"type":"message","topic":"lobby","data":1,"metadata":{{"x":1,"{name}":1}}}}"#);
        assert_refused(&mut tom, &text, 400);
    }
    assert_refused(&mut tom, r#"{"type":"message","topic":"lobby","data":1,"metadata":7}"#, 400);
}

#[test]
fn a_publisher_need_not_subscribe_but_must_be_allowed() {
    let server = Server::builder().shards(2).start();
    let (mut tom, mut tim) = (topic(&server, "tom"), topic(&server, "tim"));
    subscribe(&mut tim, "lobby");
    tom.send(&json!({"type": "message", "topic": "lobby", "data": "hello"}));
    assert_eq!(tim.expect_message("lobby").payload(), "\"hello\"");
    assert_refused(&mut tom, r#"{"type":"message","topic":"user:tim","data":1}"#, 403);
    assert_refused(&mut tom, r#"{"type":"subscribe","topic":"user:tim"}"#, 403);
    let mut gil = server.connect().token(&Token::guest("gil")).topic().open();
    assert_refused(&mut gil, r#"{"type":"message","topic":"lobby","data":1}"#, 403);
    assert_refused(&mut gil, r#"{"type":"subscribe","topic":"lobby"}"#, 403);
}

#[test]
fn an_unsubscribe_is_always_answered_and_ends_delivery() {
    let server = Server::builder().shards(2).start();
    let (mut tom, mut tim) = (topic(&server, "tom"), topic(&server, "tim"));
    subscribe(&mut tom, "lobby");
    subscribe(&mut tom, "desk");
    for _ in 0..2 {
        tom.send(&json!({"type": "unsubscribe", "topic": "lobby"}));
        let answer = tom.expect_event("unsubscribed");
        assert_eq!(answer.value["topic"], "lobby");
        assert!(!answer.value["timestamp"].is_null(), "{}", answer.raw);
    }
    for room in ["lobby", "desk"] {
        tim.send(&json!({"type": "message", "topic": room, "data": room}));
    }
    assert_eq!(tom.expect_event("message").value["topic"], "desk");
}

#[test]
fn missed_messages_come_before_the_answer() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut tim = topic(&server, "tim");
        let epoch = subscribe(&mut tim, "lobby")["epoch"].clone();
        for n in 1..=5 {
            tim.send(&json!({"type": "message", "topic": "lobby", "data": n}));
            tim.expect_message("lobby");
        }
        let mut tom = topic(&server, "tom");
        let mut recover = |epoch: &Value, offset: u64| {
            let recover = json!({"epoch": epoch, "offset": offset});
            tom.send(&json!({"type": "subscribe", "topic": "lobby", "recover": recover}));
            let subscribed = tom.expect_event("subscribed");
            let offsets: Vec<u64> = tom.arrived("message").iter().map(Frame::offset).collect();
            tom.send(&json!({"type": "unsubscribe", "topic": "lobby"}));
            tom.expect_event("unsubscribed");
            (subscribed.value["recovered"].clone(), offsets)
        };
        assert_eq!(recover(&epoch, 2), (json!(true), vec![3, 4, 5]));
        assert_eq!(recover(&epoch, 5), (json!(true), vec![]));
        assert_eq!(recover(&epoch, 6), (json!(false), vec![]));
        assert_eq!(recover(&json!("another"), 2), (json!(false), vec![]));
    }
}

#[test]
fn messages_cross_between_the_dialects() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut tom = topic(&server, "tom");
        subscribe(&mut tom, "lobby");
        let mut ana = server.connect().token(&Token::employee("ana")).open();
        ana.join("lobby");
        let sent = ana.call(
            "message:send",
            json!({"roomId": "lobby", "content": {"a": 1}, "metadata": {"lang": "en"}}),
        );
        let message = tom.expect_message("lobby");
        assert_eq!(message.payload(), r#"{"a":1}"#);
        assert_eq!(message.value["metadata"]["id"], sent["id"]);
        assert_eq!(message.value["metadata"]["offset"], sent["offset"]);
        assert_eq!(message.value["metadata"]["lang"], "en");
        ana.expect_message("lobby");
        tom.send(&json!({"type": "message", "topic": "lobby", "data": [1], "metadata": {"k": "v"}}));
        let message = ana.expect_message("lobby");
        assert_eq!(message.data()["content"], json!([1]));
        assert_eq!(message.data()["senderId"], "tom");
        assert_eq!(message.data()["metadata"], json!({"k": "v"}));
        assert_eq!(message.data()["id"], tom.expect_message("lobby").value["metadata"]["id"]);
    }
}

#[test]
fn pushes_of_the_event_dialect_are_not_sent() {
    let server = Server::start();
    let mut tom = topic(&server, "tom");
    subscribe(&mut tom, "lobby");
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.join("lobby");
    ana.say("lobby", 1);
    assert_eq!(tom.expect("anything", |_| true).name, "message", "no edge is told");
}

#[test]
fn what_is_no_command_is_a_400_and_the_connection_goes_on() {
    let server = Server::start();
    let mut tom = topic(&server, "tom");
    let texts = [
        "",
        "nonsense",
        "{",
        "[]",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"no such"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","topic":7}"#,
        r#"{"type":"subscribe","topic":""}"#,
        r#"{"type":"subscribe","topic":"a b"}"#,
        r#"{"type":"message","topic":"lobby"}"#,
        r#"{"type":"message","data":1}"#,
        r#"{"type":"message","topic":"lobby.*","data":1}"#,
        r#"{"type":"unsubscribe"}"#,
        r#"{"event":"ping"}"#,
    ];
    for text in texts {
        let error = assert_refused(&mut tom, text, 400);
        assert!(error.raw.len() < 8192);
    }
    tom.send(&json!({"type": "ping"}));
    tom.expect_event("pong");
}
