//! Every decoder of what clients send: no input panics, and what is accepted keeps its promises.

use roomcast_shards::access::token::{KeySource, Verifier, VerifierSettings};
use roomcast_shards::backend::Routes;
use roomcast_shards::config::Config;
use roomcast_shards::connection::handshake::engine::{EngineRequest, Outcome};
use roomcast_shards::connection::handshake::{self, Request};
use roomcast_shards::connection::websocket::{Incoming, Pool, WebSocket};
use roomcast_shards::protocol::command::{Command, Draft, Rejection, Request as Decoded};
use roomcast_shards::protocol::json::{JsonError, Parser, Value};
use roomcast_shards::protocol::profile::PROFILES;
use roomcast_shards::protocol::{event, topic, write};
use roomcast_shards::room::pattern::{Pattern, PatternTrie, validate_name};
use roomcast_shards::testing::client_frame;

use crate::fuzz::fuzz;

/// Pieces of JSON, of commands, and of what has been wrong before.
const JSON: [&[u8]; 32] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"null",
    b"true",
    b"1e400",
    b"-0",
    b" ",
    b"\t",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\udc00",
    b"\\u0000",
    b"\"event\":",
    b"\"type\":",
    b"\"data\":{}",
    b"\"requestId\":1",
    b"\"version\":\"1\"",
    b"\"roomId\":\"a\"",
    b"\"content\":",
    b"\"metadata\":{}",
    b"\"recover\":{\"epoch\":\"0123456789abcdef\",\"offset\":1}",
    b"\"rooms\":[",
    b"\"messages\":[{",
    b"\"topic\":\"a.*\"",
    b"123456789012345678901234567890",
    "é".as_bytes(),
];

#[test]
fn fuzz_handshake() {
    let config = Config { allowed_origins: Some(vec!["https://a".into()]), ..Config::default() };
    let tokens: [&[u8]; 20] = [
        b"POST ",
        b"/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAA",
        b"/socket.io/?EIO=4&transport=websocket",
        b"Content-Length: 7\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b": ",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"GET ",
        b"/ws?profile=topic&token=%2B",
        b"Host: a\r\n",
        b"Origin: https://a\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Sec-WebSocket-Protocol: roomcast.topic.v1, roomcast.bearer.a.b.c\r\n",
        b"Authorization: Bearer x\r\n",
        b"\xff",
    ];
    fuzz("handshake", &tokens, |input| match handshake::parse(input, &config) {
        Ok(Some(Request::Upgrade(upgrade))) => {
            assert!(upgrade.head_len <= input.len());
            assert!(input[..upgrade.head_len].ends_with(b"\n"));
            assert!(upgrade.response().ends_with(b"\r\n\r\n"));
            let head = handshake::parse(&input[..upgrade.head_len], &config);
            assert!(matches!(head, Ok(Some(Request::Upgrade(_)))), "what follows the head changes nothing");
        }
        Ok(Some(Request::Engine(outcome))) => {
            let (Outcome::Request(EngineRequest { head_len, .. }) | Outcome::Error(_, _, head_len)) =
                *outcome;
            assert!(input[..head_len].ends_with(b"\n"));
        }
        Ok(Some(Request::Http)) => {}
        Ok(None) => assert!(input.len() < handshake::HEAD_BYTES_MAX),
        Err(refusal) => assert!(refusal.to_bytes().starts_with(b"HTTP/1.1 4") || refusal.status == 505),
    });
}

/// Bytes of the longest message that the WebSocket target takes.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// All that a WebSocket says of bytes that come in pieces of this size.
fn read(bytes: &[u8], piece_bytes: usize, pool: &mut Pool) -> Vec<String> {
    let mut socket = WebSocket::default();
    let mut said = Vec::new();
    for piece in bytes.chunks(piece_bytes.max(1)) {
        let piece = socket.receive(piece);
        let mut reading = socket.read(pool, piece, MESSAGE_BYTES_MAX);
        loop {
            let next = reading.next_message();
            let over = !matches!(next, Ok(Some(Incoming::Text(_) | Incoming::Binary(_) | Incoming::Pong(_))));
            match next {
                Ok(None) => {}
                Ok(Some(Incoming::Text(text))) => said.push(format!("text {text}")),
                Ok(Some(Incoming::Binary(data))) => said.push(format!("binary {data:?}")),
                Ok(Some(Incoming::Pong(payload))) => said.push(format!("pong {payload:?}")),
                Ok(Some(Incoming::Close)) => {
                    said.push("close".to_owned());
                    return said;
                }
                Err(failure) => {
                    said.push(format!("closes with {:?}", failure.code));
                    return said;
                }
            }
            if over {
                break;
            }
        }
        drop(reading.take_replies());
    }
    said
}

/// Reads an input as a list of frames: opcode and flags, a length, so many bytes.
fn frames(input: &[u8]) -> Vec<u8> {
    let (mut wire, mut rest) = (Vec::new(), input);
    while let [head, len, tail @ ..] = rest {
        let (payload, next) = tail.split_at(tail.len().min(usize::from(*len)));
        wire.extend(client_frame(head & 0x0f, head & 0x80 != 0, payload, [1, 2, 3, 4]));
        rest = next;
    }
    wire
}

#[test]
fn fuzz_websocket() {
    let tokens: [&[u8]; 12] = [
        b"\x81\x85\x01\x02\x03\x04ijoik",
        b"\x01\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x89\x80\0\0\0\0",
        b"\x8a\x80\0\0\0\0",
        b"\x88\x82\0\0\0\0\x03\xe8",
        b"\x82\x80\0\0\0\0",
        b"\x81\xfe\x00\x7e",
        b"\x81\xff\0\0\0\0\0\x01\0\0",
        b"\xc1",
        b"\xf0\x9f\x98",
        b"\x81\x05hello",
    ];
    fuzz("websocket", &tokens, |input| {
        for wire in [input.to_vec(), frames(input)] {
            let mut pool = Pool::default();
            let whole = read(&wire, wire.len(), &mut pool);
            for piece_bytes in [1, 3, 17] {
                assert_eq!(read(&wire, piece_bytes, &mut pool), whole, "cut into {piece_bytes}");
            }
        }
    });
}

/// Every value below this one is a piece of the text, and JSON by itself.
fn check_value(value: Value<'_>, levels: usize) {
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(value.raw()).is_ok(), "{value:?}");
    if levels == 0 {
        return;
    }
    for (key, member) in value.members() {
        assert!(value.get(key).is_some());
        check_value(member, levels - 1);
    }
    value.elements().into_iter().flatten().for_each(|element| check_value(element, levels - 1));
}

#[test]
fn fuzz_json() {
    let mut parser = Parser::new(32);
    fuzz("json", &JSON, |input| {
        let parsed = parser.parse(input, |value| check_value(value, 3));
        let Ok(text) = std::str::from_utf8(input) else { return assert!(parsed.is_err(), "no UTF-8") };
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        match parsed {
            Ok(()) => assert!(valid, "serde_json refuses it"),
            Err(JsonError::Syntax) => assert!(!valid, "serde_json takes it"),
            // Whatever follows a level too many is not looked at.
            Err(JsonError::Depth) => {}
        }
    });
}

fn check_draft(draft: &Draft) {
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&draft.content).is_ok());
    assert!(draft.metadata.as_ref().is_none_or(|metadata| metadata.raw.starts_with(b"{")));
    assert_eq!(validate_name(&draft.room), Ok(()));
}

/// What was decoded is usable, and what was refused can be told.
pub(crate) fn check_decoded(decoded: Result<Decoded, Rejection>, input: &str) {
    match decoded {
        Ok(Decoded { id, command, .. }) => {
            assert!(id.is_none_or(|id| input.contains(&*id)), "the request id is echoed as sent");
            match &command {
                Command::Send(draft) | Command::UserSend { draft, .. } => check_draft(draft),
                Command::SendBatch(drafts) => drafts.iter().flatten().for_each(check_draft),
                Command::Join { room, .. } | Command::Leave { room } | Command::History { room, .. } => {
                    assert_eq!(validate_name(room), Ok(()));
                }
                _ => {}
            }
        }
        Err(Rejection { id, error, .. }) => {
            let mut out = Vec::new();
            write::error(&mut out, &PROFILES[0], &error, id.as_deref());
            assert!(out.len() < 8 << 10, "an error never echoes long text");
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok(), "{out:?}");
            out.clear();
            write::topic_error(&mut out, &error, 0);
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok(), "{out:?}");
        }
    }
}

#[test]
fn fuzz_event() {
    let mut parser = Parser::new(32);
    fuzz("event", &JSON, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let _ = parser
            .parse(input, |value| check_decoded(event::decode(value, &PROFILES[0], Routes::NONE), text));
    });
}

#[test]
fn fuzz_topic() {
    let mut parser = Parser::new(32);
    fuzz("topic", &JSON, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let _ = parser.parse(input, |value| check_decoded(topic::decode(value), text));
    });
}

/// The first line is a pattern, all others are names.
#[test]
fn fuzz_pattern() {
    let tokens: [&[u8]; 10] = [b"*", b"**", b".", b":", b"\n", b"a", b"b", b"**.a", b"user:", b" "];
    fuzz("pattern", &tokens, |input| {
        let text = String::from_utf8_lossy(input);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let Ok(pattern) = Pattern::parse(first) else {
            assert!(validate_name(first).is_err(), "a name is a pattern too");
            return;
        };
        assert_eq!(pattern.as_str(), first);
        let mut trie: PatternTrie<u32> = PatternTrie::new();
        *trie.entry(&pattern) += 1;
        for name in lines.filter(|name| validate_name(name).is_ok()) {
            let mut found = 0;
            trie.for_each_match(name, |_| found += 1);
            assert_eq!(found == 1, pattern.matches(name), "{first} and {name}");
            if !first.contains('*') {
                assert_eq!(pattern.matches(name), first == name);
            }
        }
        assert_eq!(trie.remove(&pattern), Some(1));
        assert!(trie.is_empty());
    });
}

const SECRET: &[u8] = b"a secret of the fuzzer";

/// An input with a brace is the claims of a token that is signed well, any other is the token.
fn signed(input: &[u8]) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, crypto};

    let text = String::from_utf8_lossy(input).into_owned();
    if !text.starts_with('{') {
        return text;
    }
    let head = "eyJhbGciOiJIUzI1NiJ9";
    let body = format!("{head}.{}", base64_url(text.as_bytes()));
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(body.as_bytes(), &key, Algorithm::HS256).expect("a secret signs anything");
    format!("{body}.{signature}")
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let sextet = (word >> (18 - 6 * index)) & 63;
            out.push(char::from(ALPHABET[usize::try_from(sextet).expect("less than 64")]));
        }
    }
    out
}

#[test]
fn fuzz_token() {
    let settings = VerifierSettings {
        keys: vec![KeySource::Secret(SECRET.to_vec())],
        algorithm: None,
        issuer: None,
        audience: Vec::new(),
        leeway_s: 0,
    };
    let verifier = Verifier::new(settings).expect("a secret is a key");
    let tokens: [&[u8]; 14] = [
        b".",
        b"eyJhbGciOiJIUzI1NiJ9",
        b"eyJhbGciOiJub25lIn0",
        b"\"sub\":\"a\"",
        b"\"exp\":4102444800",
        b"\"nbf\":1",
        b"\"rooms\":[\"a\"]",
        b"\"permissions\":[\"*\"]",
        b"\"userType\":\"guest\"",
        b"\"accountId\":7",
        b",",
        b"}",
        b"\\ud800",
        b"1e400",
    ];
    fuzz("token", &tokens, |input| {
        let token = signed(input);
        if let Ok(claims) = verifier.verify(&token, 1_700_000_000_000) {
            assert!(input.starts_with(b"{"), "nobody guesses a signature");
            assert_eq!(validate_name(&format!("u:{}", claims.sub)), Ok(()));
            assert!(claims.expires_unix_ms > 1_700_000_000_000);
            assert!(verifier.verify(&token, claims.expires_unix_ms).is_err());
        }
    });
}
