//! What a backend is told, and what its answer is to the client.

use serde_json::{Value, json};

use super::{configured, echo, ended, series, server};
use crate::support::backend::{Backend, Does};
use crate::support::{SocketIo, Token, eventually};

#[test]
fn a_backend_is_told_who_wants_what_and_answers() {
    let backend = echo();
    let server = server(&backend, "['order:*', 'file:upload']", "include = ['claims', 'room']");
    let token = Token::employee("ana").account("7").permissions(&["order:create"]).rooms(&["desk"]);
    let mut ana = server.open(&token);
    let session = ana.call("connection:session-info", json!({}))["sessionId"].clone();
    ana.say("desk", "before");
    let data = r#"{"roomId":"desk","n":1e400,"text":"\ud800","list":[ 1 ]}"#;
    let reply = ana.request_text("order:create", data);
    assert_eq!((&*reply.name, reply.is_error()), ("order:create", false), "{}", reply.raw);

    let request = backend.request(0);
    assert!(request.text.contains(&format!("\"data\":{data}}}")), "byte for byte: {}", request.text);
    let told = request.text.replace("1e400", "0").replace("\\ud800", "");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["event"], "order:create");
    assert_eq!(
        told["user"],
        json!({"id": "ana", "type": "employee", "accountId": "7", "permissions": ["order:create"]})
    );
    assert_eq!((&told["sessionId"], &told["roomId"]), (&session, &json!("desk")));
    assert_eq!(told["claims"]["sub"], "ana");
    assert_eq!(told["claims"]["rooms"], json!(["desk"]));
    assert_eq!((&told["room"]["offset"], &told["room"]["members"]), (&json!(1), &json!(1)));
    assert!(told["requestId"].as_str().is_some_and(|id| id.len() == 36) && told["node"].is_string());
    assert!(told["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    assert!(told["clientRequestId"].is_string());
    assert_eq!(ended(&server, "answered"), 1.0);
}

#[test]
fn a_reply_bears_the_name_that_the_profile_gives_it() {
    let backend = echo();
    let server = server(&backend, "['robot:*', 'file:upload', 'escalation:create']", "");
    for (profile, event, canonical, reply) in [
        ("native", "robot:interact", "robot:interact", "robot:response"),
        ("native", "chat:file:upload", "file:upload", "file:uploaded"),
        ("chat", "chat:file:upload", "file:upload", "chat:file:uploaded"),
        ("chat", "chat:robot:interact", "robot:interact", "chat:robot:response"),
        ("chat", "escalation:create", "escalation:create", "chat:escalation:created"),
    ] {
        let mut client = server.connect().token(&Token::employee("ana")).query("profile", profile).open();
        let frame = client.request(event, &json!({"a": 1}));
        assert_eq!((&*frame.name, &frame.data()["said"]), (reply, &json!({"a": 1})), "{}", frame.raw);
        assert_eq!(backend.request(backend.count() - 1).body["event"], canonical);
    }
}

#[test]
fn an_answer_may_be_a_whole_object_nothing_or_an_error() {
    let backend = echo();
    let server = server(&backend, "'*'", "");
    let mut ana = server.employee("ana");
    backend.becomes(Does::say(json!({"url": "x", "n": 1})));
    assert_eq!(ana.call("anything", json!({})), json!({"url": "x", "n": 1}));
    backend.becomes(Does::Answers(204, String::new()));
    assert_eq!(ana.call("anything", json!(null)), json!({}));
    let error = json!({"code": "RATE_LIMITED", "message": "slow down", "details": {"retryAfterMs": 7}});
    backend.becomes(Does::say(json!({"error": error})));
    let told = ana.fail("anything", json!({}), "RATE_LIMITED");
    assert_eq!((&told["message"], &told["details"]), (&json!("slow down"), &json!({"retryAfterMs": 7})));
    backend.becomes(Does::Answers(
        409,
        json!({"error": {"code": "SOLD_OUT", "recoverable": false}}).to_string(),
    ));
    let told = ana.request("anything", &json!({}));
    let told = told.data();
    assert_eq!((&told["code"], &told["details"]["code"]), (&json!("CLIENT_ERROR"), &json!("SOLD_OUT")));
    assert_eq!(told["recoverable"], false);
    backend.becomes(Does::Answers(422, "no JSON".to_owned()));
    assert_eq!(ana.fail("anything", json!({}), "INVALID_PAYLOAD")["details"]["status"], 422);
    backend.becomes(Does::Answers(403, String::new()));
    ana.fail("anything", json!({}), "PERMISSION_DENIED");
    assert_eq!((ended(&server, "answered"), ended(&server, "refused")), (2.0, 4.0));
}

#[test]
fn without_a_route_events_are_refused_as_before() {
    let backend = echo();
    let server = server(&backend, "'order:*'", "");
    let mut ana = server.employee("ana");
    for event in ["robot:interact", "chat:file:upload", "escalation:create"] {
        assert_eq!(ana.fail(event, json!({}), "SERVER_ERROR")["details"]["component"], "route");
    }
    for event in ["no:such", "order", "message:received", "order:a:b"] {
        assert_eq!(ana.fail(event, json!({}), "PROTOCOL_ERROR")["details"]["reason"], "unknown event");
    }
    ana.fail("order:create", json!([]), "INVALID_PAYLOAD");
    ana.fail("order:create", json!({"roomId": "a b"}), "INVALID_PAYLOAD");
    assert_eq!(backend.count(), 0);
}

#[test]
fn the_first_route_of_an_event_counts() {
    let (first, rest) = (echo(), echo());
    let routes = format!(
        "[[routes]]\nevents = 'robot:interact'\nurl = '{}'\n[[routes]]\nevents = '*'\nurl = '{}'\n",
        first.url(),
        rest.url()
    );
    let server = configured(&routes);
    let mut ana = server.employee("ana");
    ana.call("robot:interact", json!({}));
    ana.call("file:upload", json!({}));
    ana.call("file:upload", json!({}));
    assert_eq!((first.count(), rest.count()), (1, 2));
}

#[test]
fn a_socketio_client_gets_the_answer_as_its_ack() {
    let backend = echo();
    let server = server(&backend, "['order:*', 'robot:*']", "");
    let mut ben = SocketIo::employee(&server, "ben");
    assert_eq!(ben.call("order:create", json!({"a": [1]})), json!({"said": {"a": [1]}}));
    ben.emit("chat:robot:interact", &json!({"b": 2}));
    let event = ben.event("robot:response");
    assert_eq!(event.data[1], json!({"said": {"b": 2}}), "{event:?}");
    backend.becomes(Does::Answers(500, String::new()));
    assert_eq!(ben.fail("order:create", json!({}), "SERVER_ERROR")["details"]["reason"], "status");
    backend.becomes(Does::say(json!({})));
    ben.send(r#"451-["order:file",{"bytes":{"_placeholder":true,"num":0}}]"#);
    ben.try_send_binary(&[1, 2, 3]);
    ben.event("order:file");
    assert_eq!(backend.request(3).body["data"], json!({"bytes": {"_base64": "AQID"}}));
    backend.becomes(Does::say(json!({"bytes": {"_base64": "BAUG"}})));
    let id = ben.post("order:create", &json!({}));
    let answer = ben.expect("an answer", |message| message.kind == '3' && message.id == Some(id));
    assert_eq!(answer.attachments, [[4, 5, 6]], "{}", answer.raw);
}

#[test]
fn a_client_that_is_gone_is_not_missed_and_a_drain_waits_for_answers() {
    let backend = Backend::that(Does::AnswersAfter(std::time::Duration::from_millis(400), "{}".to_owned()));
    let mut server = server(&backend, "'*'", "");
    let mut gone = server.employee("gil");
    gone.post("order:create", &json!({}));
    backend.request(0);
    drop(gone);
    let mut ana = server.employee("ana");
    let id = ana.post("order:create", &json!({}));
    backend.request(1);
    server.terminate();
    let reply = ana.reply(&id);
    assert!(!reply.is_error(), "{}", reply.raw);
    assert!(server.wait_for_exit().success());
}

#[test]
fn an_answer_may_publish_messages_and_events() {
    let backend = Backend::that(Does::say(json!({
        "reply": {"ok": true},
        "publish": [
            {"roomId": "desk", "content": {"made": 1}, "type": "robot", "senderId": "shop"},
            {"roomId": "desk", "event": "order.made", "data": {"n": 1}},
            {"roomId": "desk", "event": "message:received", "data": {}},
            {"roomId": "nobody.there", "content": "into the void"},
            {"content": "nowhere"},
            5,
            "text",
            null,
            {"roomId": "desk", "event": "order.last", "data": {}},
        ],
    })));
    let server = server(&backend, "'order:*'", "");
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "desk"));
    assert_eq!(ana.call("order:create", json!({"roomId": "desk"})), json!({"ok": true}));
    for client in [&mut ana, &mut ben] {
        let message = client.expect_message("desk");
        assert_eq!((&message.data()["senderId"], &message.data()["type"]), (&json!("shop"), &json!("robot")));
        assert_eq!(message.data()["content"], json!({"made": 1}));
        assert_eq!(client.expect_event("order.made").data(), &json!({"n": 1}));
        client.expect_event("order.last");
    }
    eventually("what cannot be published is counted", || {
        (series(&server, "backend_publishes_failed_total{route=\"shop\"}") == 5.0).then_some(())
    });
    let mut sio = SocketIo::member(&server, "sio", "desk");
    ben.call("order:create", json!({}));
    assert_eq!(sio.event("order.made").data[1], json!({"n": 1}));
}
