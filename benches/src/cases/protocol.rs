//! Frames to commands, and pushes to frames.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use roomcast_shards::backend::Routes;
use roomcast_shards::config::{Config, Limits};
use roomcast_shards::connection::handshake;
use roomcast_shards::id::{Epoch, MessageIds};
use roomcast_shards::protocol::command::Request;
use roomcast_shards::protocol::json::{Parser, Value};
use roomcast_shards::protocol::message::{Except, Lane, MessageType, Publication};
use roomcast_shards::protocol::profile::{Dialect, Profile, Profiles, Variant};
use roomcast_shards::protocol::push::Push;
use roomcast_shards::protocol::{event, topic};

use super::{Case, warm};
use crate::gateway::{START_UNIX_MS, upgrade_head};

/// Content of a message as people write them: 128 bytes with an escape and a letter outside ASCII.
pub const CONTENT: &str = "Shall we meet at the station at ten past six? I have the tickets for both of us, \
                           \\\"row 7\\\", and could bring the book to caf\u{e9} X";
const ROOM: &str = "conversation:4711";
const TIMES: u32 = 10;

/// A client's `message:send`, or what the topic dialect has for it.
#[must_use]
pub fn message_text(dialect: Dialect, room: &str) -> String {
    match dialect {
        Dialect::Event | Dialect::SocketIo => {
            format!(r#"{{"event":"message:send","data":{{"roomId":"{room}","content":"{CONTENT}"}}}}"#)
        }
        Dialect::Topic => {
            format!(r#"{{"type":"message","topic":"{room}","data":{{"content":"{CONTENT}"}}}}"#)
        }
    }
}

fn native() -> &'static Profile {
    Profiles::default().find("native").expect("built in")
}

/// Reading a message from a client: JSON to command.
pub struct Decode {
    parser: Parser,
    text: String,
    dialect: Dialect,
    profile: &'static Profile,
}

impl Decode {
    /// The case for a dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let parser = Parser::new(Limits::default().depth_max);
        warm(Self { parser, text: message_text(dialect, ROOM), dialect, profile: native() }, 3)
    }
}

impl Case for Decode {
    fn run(&mut self) {
        let Self { parser, text, dialect, profile } = self;
        let decode = |value: Value<'_>| -> Request {
            match dialect {
                Dialect::Event | Dialect::SocketIo => event::decode(value, profile, Routes::NONE),
                Dialect::Topic => topic::decode(value),
            }
            .expect("a good message")
        };
        for _ in 0..TIMES {
            black_box(parser.parse(black_box(text.as_bytes()), decode).expect("good JSON"));
        }
    }

    fn times(&self) -> u32 {
        TIMES
    }
}

/// Writing a message for its recipients: publication to frame.
pub struct Encode {
    push: Push,
    variant: Variant,
    scratch: Vec<u8>,
}

impl Encode {
    /// The case for a dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let publication = Publication {
            id: MessageIds::default().next(START_UNIX_MS, &mut StdRng::from_seed([1; 32])),
            room: ROOM.into(),
            epoch: Epoch(0x0123_4567_89ab_cdef),
            offset: 123_456,
            sender: "alice".into(),
            kind: MessageType::Chat,
            content: Bytes::from(format!("\"{CONTENT}\"")),
            metadata: None,
            client_id: None,
            unix_ms: START_UNIX_MS,
            exclude: Except::Nobody,
            lane: Lane::Streaming,
            revision: None,
            audience: None,
            binary: false,
            ack_requested: false,
        };
        let push = Push::Message(Arc::new(publication));
        warm(Self { push, variant: Variant::new(dialect, native()), scratch: Vec::new() }, 3)
    }
}

impl Case for Encode {
    fn run(&mut self) {
        for _ in 0..TIMES {
            black_box(
                self.push.encode(&mut self.scratch, black_box(self.variant)).expect("both have messages"),
            );
        }
    }

    fn times(&self) -> u32 {
        TIMES
    }
}

/// Reading the head of an upgrade request as a browser sends it, and writing the answer.
pub struct Handshake {
    head: Vec<u8>,
    config: Config,
}

impl Handshake {
    /// The case.
    #[must_use]
    pub fn new() -> Self {
        warm(Self { head: upgrade_head("roomcast.event.v1"), config: Config::default() }, 3)
    }
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for Handshake {
    fn run(&mut self) {
        for _ in 0..TIMES {
            match handshake::parse(black_box(&self.head), &self.config) {
                Ok(Some(handshake::Request::Upgrade(upgrade))) => black_box(upgrade.response()),
                other => panic!("no upgrade: {other:?}"),
            };
        }
    }

    fn times(&self) -> u32 {
        TIMES
    }
}
