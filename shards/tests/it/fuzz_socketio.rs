//! Every decoder of what Socket.IO clients send: no input panics, and what is accepted keeps its promises.

use bytes::Bytes;
use roomcast_shards::backend::Routes;
use roomcast_shards::connection::engine::{read_sid, sid};
use roomcast_shards::protocol::command::Rejection;
use roomcast_shards::protocol::frame;
use roomcast_shards::protocol::json::Parser;
use roomcast_shards::protocol::profile::PROFILES;
use roomcast_shards::protocol::socketio::binary;
use roomcast_shards::protocol::socketio::event::{self, Refused};
use roomcast_shards::protocol::socketio::packet::{Kind, Packet};
use roomcast_shards::protocol::socketio::payload::{self, Part};
use roomcast_shards::user::progress::Place;

use crate::fuzz::fuzz;
use crate::fuzz_decoders::check_decoded;

/// Attachments of one packet.
const ATTACHMENTS: [&[u8]; 3] = [b"", b"\xff\x00", b"attached"];

#[test]
fn fuzz_socketio_packet() {
    let tokens: [&[u8]; 24] = [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
        b"51-",
        b"53-",
        b"61-",
        b"/chat",
        b",",
        b"7",
        b"12345678901234567890",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"room:join\"",
        b"{\"roomId\":\"a\"}",
        b"{\"_placeholder\":true,\"num\":0}",
        b"{\"_placeholder\":true,\"num\":2}",
        b"{\"_base64\":\"AQID\"}",
        b"\"connect\"",
        b"null",
        "é".as_bytes(),
    ];
    let mut parser = Parser::new(32);
    fuzz("socketio_packet", &tokens, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let Some(packet) = Packet::parse(text) else { return };
        assert!(packet.namespace.starts_with('/') && !packet.namespace.contains(','), "{packet:?}");
        assert!(packet.id.is_none_or(|id| id.bytes().all(|byte| byte.is_ascii_digit())), "{packet:?}");
        assert!(text.ends_with(packet.payload), "{packet:?}");
        assert!(!matches!(packet.kind, Kind::Event | Kind::Ack) || packet.payload.starts_with('['));
        check_payload(&mut parser, &packet);
    });
}

/// Its JSON: an event, perhaps with attachments.
fn check_payload(parser: &mut Parser, packet: &Packet<'_>) {
    let payload = packet.payload.as_bytes();
    let _ =
        parser.parse(payload, |value| match event::decode(value, packet.id, &PROFILES[0], Routes::NONE) {
            Ok(request) => check_decoded(Ok(request), &format!("{:?}", packet.id)),
            // Its digits are the ack's, and no JSON.
            Err(Refused::Rejected(rejection)) => check_decoded(Err(Rejection { id: None, ..rejection }), ""),
            Err(Refused::Malformed) => {}
        });
    let attachments = ATTACHMENTS.map(Bytes::from_static);
    let inlined = parser.parse(payload, |value| binary::inline(payload, value, &attachments));
    let Ok(Ok(whole)) = inlined else { return };
    assert!(is_json(&whole), "{}", String::from_utf8_lossy(&whole));
    let (text, taken) = binary::extract(&whole, 10);
    assert!(is_json(&text) && taken.len() <= 10, "{}", String::from_utf8_lossy(&text));
    let taken: Vec<Bytes> = taken.into_iter().map(Bytes::from).collect();
    let again = parser.parse(&text, |value| binary::inline(&text, value, &taken));
    // What an application itself wrote in the place of an attachment may be one too many.
    if let Ok(Ok(again)) = again {
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&whole));
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[test]
fn fuzz_socketio_payload() {
    let tokens: [&[u8]; 9] = [
        b"\x1e",
        b"4",
        b"b",
        b"bAQID",
        b"AQIDBA==",
        b"\x81\x024a",
        b"\x82\x01x",
        b"\x88\x02\x03\xe8",
        b"\x89\x00",
    ];
    fuzz("socketio_payload", &tokens, |input| {
        payload::append(&mut Vec::new(), input);
        let (mut frames, mut rest) = (Vec::new(), input);
        while !rest.is_empty() {
            let Ok((part, taken)) = payload::split_first(rest) else { return };
            assert!(taken > 0 && taken <= rest.len());
            frames.extend_from_slice(&match part {
                Part::Text(text) => frame::text(text.as_bytes()),
                Part::Binary(data) => frame::binary(&data),
            });
            rest = &rest[taken..];
        }
        let mut body = Vec::new();
        payload::append(&mut body, &frames);
        assert_eq!(body, input, "what was read is written the same");
    });
}

#[test]
fn fuzz_socketio_place() {
    let tokens: [&[u8]; 6] = [b"0123456789abcdef", b"-", b"0", b"7", b"+", b"AAAAAAAAAAAAAAAAAAAAAAAA"];
    fuzz("socketio_place", &tokens, |input| {
        let text = String::from_utf8_lossy(input);
        if let Some(place) = Place::parse(&text) {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        if let Some((shard, secret)) = read_sid(&text) {
            assert_eq!(sid(shard, secret), text, "an id has one text");
        }
    });
}
