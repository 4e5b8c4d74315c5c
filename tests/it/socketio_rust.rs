//! `rust_socketio` over WebSocket, polling, upgrade and its default.
//!
//! It is built from `tests/clients/rust`, a workspace of its own; it prints a line for every step, and this module
//! compares them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Server, story};

/// The steps on one transport; a client that skips one fails here.
const STEPS: [&str; 14] = [
    "refused without a good token: AUTH_FAILED",
    "refused in another namespace: Invalid namespace",
    "joined at offset 0",
    "sent and received at offset 1",
    "acknowledged with an error: ROOM_ACCESS_DENIED",
    "bytes are no data: INVALID_PAYLOAD",
    "bytes received and found in the history",
    "the room of that name in /chat is another",
    "cut",
    "mend",
    "reconnected by itself, caught up on 3 and chatted on",
    "restart",
    "reconnected by itself to another server and chatted on",
    "disconnected, so ana left",
];

/// Builds the client, once; within the target folder, so that what keeps that keeps it too.
fn client() -> &'static Path {
    static CLIENT: OnceLock<PathBuf> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/rust/Cargo.toml");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("socketio-rust");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
        build.arg("--target-dir").arg(&target);
        let built = build.status().expect("cargo starts");
        assert!(built.success(), "{build:?}: {built}; was ./scripts/setup run?");
        target.join("debug/socketio-scenario")
    })
}

/// One process for each transport, because the library's thread spins once its client has disconnected.
fn assert_tells_the_story(transport: &str) {
    for shards in [1, 2] {
        let mut command = Command::new(client());
        command.env("TRANSPORT", transport);
        let steps: Vec<String> = STEPS.iter().map(|step| format!("{transport}: {step}")).collect();
        story::assert_tells(command, &steps, || {
            let settings = ["--socketio-namespaces", "/chat", "--presence-grace", "200ms"];
            Server::builder().shards(shards).with(&settings).start()
        });
    }
}

#[test]
fn rust_socketio_tells_the_story_over_websocket() {
    assert_tells_the_story("websocket");
}

#[test]
fn rust_socketio_tells_the_story_over_polling() {
    assert_tells_the_story("polling");
}

#[test]
fn rust_socketio_tells_the_story_over_an_upgrade() {
    assert_tells_the_story("upgrade");
}

#[test]
fn rust_socketio_tells_the_story_with_its_default() {
    assert_tells_the_story("default");
}
