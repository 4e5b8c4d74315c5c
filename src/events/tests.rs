//! That every text of the catalogue can be read, and that the document hangs together.

use std::collections::HashSet;

use roomcast_shards::backend::Routes;
use roomcast_shards::protocol::catalog::{EVENTS, Event, PUSHES};
use roomcast_shards::protocol::json::Parser;
use roomcast_shards::protocol::{event, topic};
use serde_json::Value;

use super::*;

/// Calls `visit` with every value below, and the key or index under which it stands.
fn walk(value: &Value, key: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(key, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| walk(value, key, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, "", visit)),
        _ => {}
    }
}

#[test]
fn every_text_is_read_and_every_name_has_a_type() {
    // Either would panic.
    let document = asyncapi::document();
    let operations = document["operations"].as_object().expect("operations");
    assert_eq!(operations.len(), EVENTS.len() + PUSHES.len());
    for spec in EVENTS {
        assert!(spec.summary.ends_with('.'), "{}: {:?}", spec.name, spec.summary);
    }
}

#[test]
fn references_lead_somewhere() {
    let document = asyncapi::document();
    let mut references = HashSet::new();
    walk(&document, "", &mut |key, value| {
        if let (true, Some(target)) = (key == "$ref", value.as_str()) {
            references.insert(target.to_owned());
        }
    });
    assert!(references.len() > EVENTS.len());
    for target in references {
        let pointer = target.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn keys_are_of_the_alphabet_of_asyncapi() {
    let document = asyncapi::document();
    for part in ["messages", "schemas", "correlationIds", "securitySchemes"] {
        for key in document["components"][part].as_object().expect("an object").keys() {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            assert!(key.bytes().all(allowed), "{key}");
        }
    }
}

#[test]
fn the_page_names_every_event_code_and_profile() {
    let page = markdown::render();
    let names = EVENTS.iter().flat_map(|spec| {
        [spec.name, spec.reply].into_iter().chain(spec.aliases.iter().map(|alias| alias.name))
    });
    let names = names.chain(PUSHES.iter().map(|push| push.name));
    let names = names.chain(PROFILES.iter().flat_map(|it| it.outbound.iter().map(|(_, name)| *name)));
    for name in names.chain(PROFILES.iter().map(|profile| profile.name)) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn rooms_have_the_names_that_the_decoder_knows() {
    for name in asyncapi::schema::ROOM_NAMES {
        let frame = format!(r#"{{"event":"room:leave","data":{{"{name}":"7"}}}}"#);
        let decoded =
            Parser::new(9).parse(frame.as_bytes(), |value| event::decode(value, &PROFILES[0], Routes::NONE));
        assert!(decoded.is_ok_and(|decoded| decoded.is_ok()), "{name}");
        assert!(markdown::render().contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_page_tells_what_frames_of_the_topic_dialect_are() {
    let types = [
        ("auth", Event::Auth, r#","token":"t""#),
        ("subscribe", Event::RoomJoin, r#","topic":"a""#),
        ("unsubscribe", Event::RoomLeave, r#","topic":"a""#),
        ("message", Event::MessageSend, r#","topic":"a","data":1"#),
        ("ping", Event::Ping, ""),
    ];
    for (name, event, members) in types {
        let frame = format!(r#"{{"type":"{name}"{members}}}"#);
        let decoded = Parser::new(9).parse(frame.as_bytes(), topic::decode).expect("JSON");
        assert_eq!(decoded.expect(name).event, event);
    }
}
