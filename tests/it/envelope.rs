//! The envelope of the event dialect: requestId, version, replies and protocol errors (protocol §1, §2).

use serde_json::json;

use crate::support::{Client, Server, Token};

fn ana(server: &Server) -> Client {
    server.connect().token(&Token::employee("ana")).open()
}

/// Sends `text`, expects an error of that code without `requestId`, and that the connection goes on.
fn assert_refused(client: &mut Client, text: &str, code: &str) {
    client.send_text(text);
    let error = client.expect_event("error");
    error.assert_error(code);
    assert_eq!(error.request_id, None, "{text}");
    assert!(error.raw.len() < 8192, "an error stays small");
    client.ping();
}

#[test]
fn a_request_id_is_echoed_verbatim() {
    let server = Server::start();
    let mut client = ana(&server);
    let longest = format!("\"{}\"", "i".repeat(64));
    for id in [
        "\"7\"",
        "7",
        "-1",
        "1.50",
        "1e3",
        "12345678901234567890123",
        "\"\"",
        "\"\\u00e9\\n\"",
        "\"ü\"",
        &longest,
    ] {
        client.send_text(format!(r#"{{"event":"ping","requestId":{id}}}"#));
        assert_eq!(client.reply(id).name, "pong", "{id}");
        client.send_text(format!(r#"{{"requestId":{id},"event":"no:such"}}"#));
        client.reply(id).assert_error("PROTOCOL_ERROR");
    }
}

#[test]
fn a_request_id_of_another_type_or_too_long_is_refused_without_echo() {
    let server = Server::start();
    let mut client = ana(&server);
    let long = format!("\"{}\"", "i".repeat(65));
    for id in ["{}", "{\"a\":1}", "[1]", "true", "false", &long] {
        assert_refused(&mut client, &format!(r#"{{"event":"ping","requestId":{id}}}"#), "PROTOCOL_ERROR");
    }
}

#[test]
fn a_null_request_id_is_absent() {
    let server = Server::start();
    let mut client = ana(&server);
    client.send_text(r#"{"event":"ping","requestId":null}"#);
    assert_eq!(client.expect_event("pong").request_id, None);
}

#[test]
fn queries_joins_and_leaves_are_answered_without_a_request_id_and_sends_are_silent() {
    let server = Server::start();
    let mut client = ana(&server);
    client.send(&json!({"event": "room:join", "data": {"roomId": "lobby"}}));
    assert_eq!(client.expect_event("room:joined").request_id, None);
    client.send(&json!({"event": "room:info", "data": {"roomId": "lobby"}}));
    client.expect_event("room:info");
    client.send(&json!({"event": "message:send", "data": {"roomId": "lobby", "content": 1}}));
    client.send(
        &json!({"event": "message:send-batch", "data": {"messages": [{"roomId": "lobby", "content": 2}]}}),
    );
    client.expect_message("lobby");
    client.expect_message("lobby");
    client.send(&json!({"event": "room:leave", "data": {"roomId": "lobby"}}));
    client.expect_event("room:left");
    client.ping();
    assert!(client.arrived("message:sent").is_empty(), "a send without requestId is silent");
    client.send(&json!({"event": "message:send", "data": {"roomId": "lobby", "content": 1}}));
    client.expect_event("error").assert_error("ROOM_ACCESS_DENIED");
}

#[test]
fn each_request_gets_exactly_one_reply() {
    let server = Server::start();
    let mut client = ana(&server);
    client.join("lobby");
    let ids: Vec<String> = (0..50)
        .map(|n| match n % 5 {
            0 => client.post("ping", &json!({})),
            1 => client.post("message:send", &json!({"roomId": "lobby", "content": n})),
            2 => client.post("message:send", &json!({"roomId": "elsewhere", "content": n})),
            3 => client.post("no:such", &json!({})),
            _ => client.post("room:join", &json!({"roomId": format!("room.{n}")})),
        })
        .collect();
    for id in &ids {
        client.reply(id);
    }
    client.ping();
    for name in ["pong", "message:sent", "error", "room:joined"] {
        assert!(client.arrived(name).is_empty(), "a second {name}");
    }
}

#[test]
fn an_absent_or_null_data_is_empty_and_another_is_refused() {
    let server = Server::start();
    let mut client = ana(&server);
    for text in [r#"{"event":"ping","requestId":1}"#, r#"{"event":"ping","data":null,"requestId":1}"#] {
        client.send_text(text);
        assert_eq!(client.reply("1").name, "pong");
    }
    for data in ["[]", "1", "\"text\"", "true"] {
        client.send_text(format!(r#"{{"event":"room:join","data":{data},"requestId":2}}"#));
        client.reply("2").assert_error("INVALID_PAYLOAD");
    }
}

#[test]
fn known_versions_are_accepted_and_another_names_those() {
    let server = Server::start();
    let mut client = ana(&server);
    for version in ["\"1\"", "\"1.0\"", "1"] {
        client.send_text(format!(r#"{{"event":"ping","requestId":1,"version":{version}}}"#));
        assert_eq!(client.reply("1").name, "pong", "{version}");
    }
    for version in ["\"2\"", "2", "\"\"", "\"1.1\"", "{}", "true"] {
        client.send_text(format!(r#"{{"event":"ping","requestId":"v","version":{version}}}"#));
        let error = client.reply("\"v\"");
        error.assert_error("PROTOCOL_ERROR");
        assert!(error.data()["details"].to_string().contains("\"1\""), "{}", error.raw);
    }
}

#[test]
fn an_unknown_event_says_so() {
    let server = Server::start();
    let mut client = ana(&server);
    for event in ["no:such", "", "message:received", "room:joined"] {
        let reply = client.request(event, &json!({}));
        reply.assert_error("PROTOCOL_ERROR");
        assert_eq!(reply.data()["details"]["reason"], "unknown event", "{}", reply.raw);
    }
}

#[test]
fn what_is_no_envelope_is_a_protocol_error_and_the_connection_goes_on() {
    let server = Server::start();
    let mut client = ana(&server);
    let long = format!(r#"{{"event":"{}"}}"#, "e".repeat(60_000));
    let frames = [
        "",
        " ",
        "nonsense",
        "{",
        "{\"event\":\"ping\"",
        "[]",
        "[{\"event\":\"ping\"}]",
        "1",
        "null",
        "\"ping\"",
        "{}",
        r#"{"data":{}}"#,
        r#"{"event":1}"#,
        r#"{"event":null}"#,
        r#"{"event":{}}"#,
        r#"{"event":"ping"}x"#,
        r#"{"event":"ping",}"#,
        r#"{event:"ping"}"#,
        r#"{'event':'ping'}"#,
        "{\"event\":\"pi\nng\"}",
        &long,
    ];
    for frame in frames {
        assert_refused(&mut client, frame, "PROTOCOL_ERROR");
    }
    assert_refused(&mut client, &format!(r#"{{"event":"{}"}}"#, "e".repeat(65)), "PROTOCOL_ERROR");
}

#[test]
fn depth_is_counted_from_the_outer_object() {
    let server = Server::builder().with(&["--max-depth", "8"]).start();
    let mut client = ana(&server);
    client.join("lobby");
    let send = |client: &mut Client, arrays: usize| {
        let content = format!("{}{}", "[".repeat(arrays), "]".repeat(arrays));
        client.request_text("message:send", &format!(r#"{{"roomId":"lobby","content":{content}}}"#))
    };
    // The envelope is 1 and data 2.
    assert_eq!(send(&mut client, 6).name, "message:sent");
    let error =
        |frame: crate::support::Frame| assert_eq!(frame.data()["code"], "PROTOCOL_ERROR", "{}", frame.raw);
    let deep = format!(
        r#"{{"event":"message:send","data":{{"roomId":"lobby","content":{}{}}}}}"#,
        "[".repeat(7),
        "]".repeat(7)
    );
    client.send_text(deep);
    error(client.expect_event("error"));
    let brackets = 400_000;
    client.send_text("[".repeat(brackets));
    error(client.expect_event("error"));
    client.send_text(format!("{}{}", "{\"a\":".repeat(brackets / 4), "1"));
    error(client.expect_event("error"));
    client.ping();
}

#[test]
fn of_duplicate_keys_the_last_counts_and_escaped_keys_are_the_same_keys() {
    let server = Server::start();
    let mut client = ana(&server);
    client.send_text(r#"{"event":"no:such","event":"ping","requestId":1,"requestId":2}"#);
    assert_eq!(client.reply("2").name, "pong");
    client.send_text(r#"{"\u0065vent":"pi\u006eg","request\u0049d":3}"#);
    assert_eq!(client.reply("3").name, "pong");
    let joined = client.request_text("room:join", r#"{"roomId":"first","roomId":"second"}"#);
    assert_eq!(joined.data()["roomId"], "second");
    client
        .send_text(r#"{"data":{"roomId":"x"},"data":{"roomId":"third"},"event":"room:join","requestId":4}"#);
    assert_eq!(client.reply("4").data()["roomId"], "third");
}

#[test]
fn unknown_members_of_the_envelope_and_whitespace_are_ignored() {
    let server = Server::start();
    let mut client = ana(&server);
    client.send_text(
        " {\r\n\t\"extra\" : [1, {\"event\": \"x\"}] , \"event\" : \"ping\" , \"requestId\" : 1 } ",
    );
    assert_eq!(client.reply("1").name, "pong");
}
