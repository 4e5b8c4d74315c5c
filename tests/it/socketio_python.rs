//! `python-socketio`, with its two clients, over WebSocket, polling and its default, which upgrades.
//!
//! The script is `tests/clients/socketio_scenario.py`; it prints a line for every step, and this module compares them.

use crate::support::{Server, foreign, story};

/// The steps on one transport; a script that skips one fails here.
const STEPS: [&str; 19] = [
    "refused without a good token: AUTH_FAILED",
    "refused in another namespace: Invalid namespace",
    "connected over TRANSPORT",
    "joined at offset 0",
    "sent and received at offset 1",
    "20 sent and received at once",
    "acknowledged with an error: ROOM_ACCESS_DENIED",
    "bytes sent and found in the history",
    "bytes received",
    "the room of that name in /chat is another",
    "cut",
    "mend",
    "reconnected by itself, caught up on 20 and chatted on",
    "cut",
    "mend",
    "recovered 20 and is still in the room",
    "restart",
    "reconnected by itself to another server and chatted on",
    "disconnected, so ana left",
];

fn steps(client: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for (name, transport) in [("websocket", "websocket"), ("polling", "polling"), ("upgrade", "websocket")] {
        for step in STEPS {
            // The script says why the client with threads does not tell it.
            if client == "asyncio" || step != "bytes received" {
                steps.push(format!("{name}: {}", step.replace("TRANSPORT", transport)));
            }
        }
    }
    steps
}

fn assert_tells_the_story(client: &str, shards: usize) {
    let mut command = foreign::python("socketio_scenario.py");
    command.env("CLIENT", client);
    story::assert_tells(command, &steps(client), || {
        // A client that does not get its farewell out leaves when its poll is next answered: with a ping.
        let heartbeat = ["--socketio-ping-interval", "200ms", "--socketio-ping-timeout", "10s"];
        let settings = ["--socketio-namespaces", "/chat", "--presence-grace", "200ms"];
        Server::builder().shards(shards).with(&heartbeat).with(&settings).start()
    });
}

#[test]
fn pythons_asyncio_client_tells_the_story_on_one_shard() {
    assert_tells_the_story("asyncio", 1);
}

#[test]
fn pythons_asyncio_client_tells_the_story_on_two_shards() {
    assert_tells_the_story("asyncio", 2);
}

#[test]
fn pythons_client_with_threads_tells_the_story_on_one_shard() {
    assert_tells_the_story("threads", 1);
}

#[test]
fn pythons_client_with_threads_tells_the_story_on_two_shards() {
    assert_tells_the_story("threads", 2);
}
