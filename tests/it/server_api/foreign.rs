//! The same story told by HTTP clients that we did not write: Node's `fetch` and Python's `requests`.

use std::process::Command;

use super::{Gateway, KEY};
use crate::support::{ProcessEnd, Server, foreign};

const STEPS: [&str; 4] =
    ["published 200 at once", "history holds 200", "unknown room: 404 CHANNEL_ERROR", "large message: 200"];

fn assert_tells_the_story(script: impl Fn() -> Command) {
    for shards in [1, 2, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let mut command = script();
        command.env("URL", format!("http://{}", gateway.server.address)).env("KEY", KEY);
        let end = ProcessEnd::of_command(command);
        let told: Vec<&str> = end.stdout.lines().collect();
        assert_eq!(told, STEPS, "on {shards} shards; its errors:\n{}", end.stderr);
    }
}

#[test]
fn nodes_fetch_tells_the_story() {
    assert_tells_the_story(|| foreign::node("server_api.mjs"));
}

#[test]
fn pythons_requests_tells_the_story() {
    assert_tells_the_story(|| foreign::python("server_api.py"));
}
