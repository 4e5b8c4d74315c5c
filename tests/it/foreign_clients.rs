//! The same story told by clients that we did not write: Python's `websockets` and Node's `ws`.
//!
//! The scripts are in `tests/clients`; each prints a line for every step, and this module compares the lines.

use std::process::Command;

use crate::support::{ProcessEnd, Server, Token, foreign};

/// The steps of the story, in both dialects; a script that skips one fails here.
const STEPS: [&str; 20] = [
    "event: refused without a good token: 401",
    "event: subprotocol roomcast.event.v1",
    "event: joined at offset 0",
    "event: sent and received",
    "event: fragmented message received",
    "event: large message received",
    "event: ping answered",
    "event: left a gap of 3 and recovered 3",
    "event: binary closes with 1003",
    "event: bad message closes with 4401",
    "event: too large closes with 1009",
    "event: closed with 1000",
    "topic: subprotocol roomcast.topic.v1",
    "topic: authenticated by a first message",
    "topic: subscribed at offset 0",
    "topic: sent and received",
    "topic: pattern received",
    "topic: fragmented and large messages received",
    "topic: left a gap of 3 and recovered 3",
    "topic: closed with 1000",
];

/// Runs a script against servers of 1, 2 and 4 shards.
fn assert_tells_the_story(script: impl Fn() -> Command) {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut command = script();
        command.env("URL", format!("ws://{}/ws", server.address));
        command.env("TOKEN_ANA", Token::employee("ana").mint());
        command.env("TOKEN_BEN", Token::employee("ben").mint());
        let end = ProcessEnd::of_command(command);
        let told: Vec<&str> = end.stdout.lines().collect();
        assert_eq!(told, STEPS, "on {shards} shards; its errors:\n{}", end.stderr);
        assert_eq!(end.code, Some(0), "{end:?}");
    }
}

#[test]
fn pythons_websockets_tells_the_story() {
    assert_tells_the_story(|| foreign::python("scenario.py"));
}

#[test]
fn nodes_ws_tells_the_story() {
    assert_tells_the_story(|| foreign::node("scenario.mjs"));
}
