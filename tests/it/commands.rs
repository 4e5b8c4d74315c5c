//! The commands beside `serve`: help, token, check.

use serde_json::json;

use crate::support::{ProcessEnd, SECRET, Server};

#[test]
fn help_tells_every_flag_with_its_default() {
    let end = ProcessEnd::of(&["serve", "--help"]);
    assert_eq!(end.code, Some(0));
    let flags = [
        "--listen",
        "--admin-listen",
        "--shards",
        "--cpus",
        "--auth",
        "--jwt-secret",
        "--jwt-secret-file",
        "--jwt-public-key-file",
        "--jwks",
        "--jwt-issuer",
        "--jwt-audience",
        "--allowed-origins",
        "--auth-timeout",
        "--profile",
        "--limits",
        "--drain-timeout",
        "--log-format",
        "--log-level",
        "--config",
        "--echo-path",
        "--limit-messages",
        "--limit-typing",
        "--limit-presence",
        "--limit-connects",
        "--limit-events",
        "--max-connections-per-ip",
        "--max-pending-per-ip",
        "--max-message-size",
        "--max-depth",
        "--max-rooms",
        "--max-patterns",
        "--max-outbound-queue",
        "--max-connections",
        "--ping-interval",
        "--ping-timeout",
        "--history-size",
        "--history-ttl",
        "--replay-max-bytes",
        "--dedup-window",
        "--presence-grace",
        "--auth-expiring-lead",
        "--no-websocket",
    ];
    for flag in flags {
        assert!(end.stdout.contains(flag), "{flag} is not in the help");
    }
    for default in ["0.0.0.0:3000", "100/1m", "50/1s", "10s", "30s", "5m"] {
        assert!(end.stdout.contains(default), "the default {default} is not in the help");
    }
    let version = ProcessEnd::of(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_token_of_the_token_command_is_accepted() {
    let server = Server::start();
    let mint = [
        "token",
        "--jwt-secret",
        SECRET,
        "--sub",
        "gil",
        "--user-type",
        "guest",
        "--account",
        "acme",
        "--permission",
        "room:join:support.*",
        "--permission",
        "message:send:news.*",
        "--room",
        "desk",
        "--room",
        "hall",
        "--ttl",
        "5m",
    ];
    let end = ProcessEnd::of(&mint);
    assert_eq!(end.code, Some(0), "{end:?}");
    let mut gil = server.connect().bearer(end.stdout.trim()).open();
    for room in ["user:gil", "account:acme", "support.7", "desk", "hall"] {
        gil.join(room);
    }
    gil.say("news.eu", 1);
    gil.fail("room:join", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
    assert_eq!(ProcessEnd::of(&["token", "--jwt-secret", SECRET]).code, Some(64), "--sub is needed");
}

#[test]
fn the_check_of_the_host_ends_with_0_and_speaks_of_each_subject() {
    let end = ProcessEnd::of(&["check"]);
    assert_eq!(end.code, Some(0), "{end:?}");
    let said = end.stdout.to_lowercase();
    for subject in ["kernel", "io_uring", "descriptors", "memory", "somaxconn", "port", "core"] {
        assert!(said.contains(subject), "nothing about {subject}: {said}");
    }
}
