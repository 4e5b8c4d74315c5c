use super::*;
use crate::protocol::command::Command;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::json::Parser;
use crate::protocol::profile::PROFILES;

fn read(text: &str) -> Result<Request, Rejection> {
    Parser::new(32)
        .parse(text.as_bytes(), |frame| decode(frame, &PROFILES[0], Routes::NONE))
        .expect("valid JSON")
}

fn code(text: &str) -> ErrorCode {
    read(text).expect_err(text).error.code
}

fn room(data: &str) -> String {
    match read(&format!(r#"{{"event":"room:join","data":{data}}}"#)).expect(data).command {
        Command::Join { room, .. } => room,
        other => panic!("{other:?}"),
    }
}

#[test]
fn request_ids_come_back_verbatim() {
    for raw in ["\"7\"", "7", "-1.5e3", r#""é\n""#] {
        let request = read(&format!(r#"{{"event":"ping","requestId":{raw}}}"#)).expect(raw);
        assert_eq!(request.id.as_deref(), Some(raw));
    }
    assert!(read(r#"{"event":"ping","requestId":null}"#).unwrap().id.is_none());
    for raw in ["{}", "[]", "true", &format!("\"{}\"", "x".repeat(65)), &"1".repeat(65)] {
        let rejection = read(&format!(r#"{{"event":"nonsense","requestId":{raw}}}"#)).expect_err(raw);
        assert_eq!((rejection.id, rejection.error.code), (None, ErrorCode::ProtocolError));
    }
}

#[test]
fn versions_other_than_one_are_refused() {
    for version in ["\"1\"", "\"1.0\"", "1"] {
        assert!(read(&format!(r#"{{"event":"ping","version":{version}}}"#)).is_ok(), "{version}");
    }
    for version in ["\"2\"", "2", "1.5", "{}", "\"\"", "null", "1e0"] {
        assert_eq!(code(&format!(r#"{{"event":"ping","version":{version}}}"#)), ErrorCode::ProtocolError);
    }
}

#[test]
fn a_frame_needs_a_known_event() {
    for text in ["{}", "[]", "1", r#"{"event":1}"#, r#"{"event":"x"}"#, r#"{"Event":"ping"}"#] {
        assert_eq!(code(text), ErrorCode::ProtocolError, "{text}");
    }
    assert_eq!(code(r#"{"event":"room:join","data":[]}"#), ErrorCode::InvalidPayload);
}

#[test]
fn the_seeds_names_of_a_room_are_understood() {
    assert_eq!(room(r#"{"roomId":"a"}"#), "a");
    assert_eq!(room(r#"{"chatId":"a"}"#), "a");
    assert_eq!(room(r#"{"conversationId":"a"}"#), "conversation:a");
    assert_eq!(room(r#"{"channelId":"a"}"#), "channel:a");
    assert_eq!(room(r#"{"threadId":"a"}"#), "thread:a");
    let rejection = read(r#"{"event":"join:chat","data":{"chatId":"a b"}}"#).expect_err("a space");
    assert!(rejection.error.details.contains(&("field".into(), Detail::Text("chatId".into()))));
}

#[test]
fn a_draft_keeps_its_bytes() {
    let text =
        r#"{"event":"message:send","data":{"roomId":"a","content": {"n":1e400 } ,"metadata":{"k" : 1}}}"#;
    let Command::Send(draft) = read(text).unwrap().command else { panic!("no send") };
    assert_eq!(&draft.content[..], br#"{"n":1e400 }"#);
    assert_eq!(draft.metadata.map(|metadata| metadata.raw).as_deref(), Some(&br#"{"k" : 1}"#[..]));
}

#[test]
fn metadata_cannot_speak_for_the_server_in_topic_frames() {
    let text = r#"{"event":"message:send","data":{"roomId":"a","content":1,"metadata":{"i\u0064":1, "a":[1 ,2],"offset":9,"b":"x"}}}"#;
    let Command::Send(draft) = read(text).unwrap().command else { panic!("no send") };
    let metadata = draft.metadata.expect("given");
    assert_eq!(&metadata.raw[..], br#"{"i\u0064":1, "a":[1 ,2],"offset":9,"b":"x"}"#);
    assert_eq!(metadata.for_topics.as_deref(), Some(&br#"{"a":[1 ,2],"b":"x"}"#[..]));
}

#[test]
fn a_draft_is_validated() {
    for data in [
        r#"{"roomId":"a"}"#,
        r#"{"content":1}"#,
        r#"{"roomId":"a","content":1,"type":"x"}"#,
        r#"{"roomId":"a","content":1,"metadata":[]}"#,
        r#"{"roomId":"a","content":1,"clientId":""}"#,
        r#"{"roomId":"a","content":1,"clientId":7}"#,
        r#"{"roomId":"a","content":1,"excludeSender":"yes"}"#,
        r#"{"roomId":"*","content":1}"#,
    ] {
        assert_eq!(
            code(&format!(r#"{{"event":"message:send","data":{data}}}"#)),
            ErrorCode::InvalidPayload,
            "{data}"
        );
    }
}
