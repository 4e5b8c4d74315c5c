//! The stock `socket.io-client` bundle in a real browser, on a page of another origin than the gateway's.

use crate::support::{ProcessEnd, Server, Token, foreign};

/// Where the page seems to be from; the browser is told where that is.
const ORIGIN: &str = "http://page.example";

const STEPS: [&str; 6] = [
    "connected by polling, then upgraded",
    "the page and a native client see each other's messages",
    "cut, and recovered",
    "polls with a token in a header",
    "a bad token is refused readably",
    "refused where its origin is not listed",
];

#[test]
fn a_page_of_a_listed_origin_chats_with_a_native_client() {
    for shards in [1, 2] {
        let listing = |origin| Server::builder().shards(shards).with(&["--allowed-origins", origin]).start();
        let (server, other) = (listing(ORIGIN), listing("http://other.example"));
        let mut command = foreign::node("socketio-browser.mjs");
        command.env("BROWSER", foreign::browser()).env("ORIGIN", ORIGIN);
        command.env("URL", format!("http://{}", server.address));
        command.env("URL_REFUSED", format!("http://{}", other.address));
        for user in ["ana", "ben", "cid"] {
            command.env(format!("TOKEN_{}", user.to_uppercase()), Token::employee(user).mint());
        }
        let end = ProcessEnd::of_command(command);
        let told: Vec<&str> = end.stdout.lines().collect();
        assert_eq!(told, STEPS, "on {shards} shards; its errors:\n{}", end.stderr);
        assert_eq!(end.code, Some(0), "{end:?}");
    }
}
