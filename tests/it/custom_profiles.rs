//! Profiles that the configuration file defines: names, shapes, limits and time-outs of their own (protocol,
//! introduction), and what is refused of them.

use serde_json::{Value, json};

use crate::support::raw::{CLOSE, FIN, PING};
use crate::support::{Client, Frame, ProcessEnd, RawSocket, SECRET, Server, TemporaryFile, Token};

const PROFILES: &str = r#"
shards = 2

[profiles.mychat]
base = "chat"
auth-tries = 2
presence-edges = true
watches = "account"

[profiles.mychat.inbound]
"say" = "message:send"
"typing:stop" = { event = "message:typing", isTyping = false }
"typing:start" = "message:typing"

[profiles.mychat.outbound]
"message:received" = "said"
"message:sent" = "say:ok"

[profiles.slow]
limit-messages = "2/1h"
limit-typing = "1/1h"
limit-presence = "1/1h"

[profiles.slowchat]
base = "slow"
error-shape = "channel"
limit-typing = "3/1h"

[profiles.quick]
ping-interval = "100ms"
ping-timeout = "400ms"

[profiles.lines]
dialect = "topic"
"#;

/// A server with [`PROFILES`] and these arguments.
fn server(name: &str, arguments: &[&str]) -> Server {
    let file = TemporaryFile::with(&format!("profiles-{name}"), PROFILES);
    Server::builder().with(&["--config", file.path(), "--presence-grace", "100ms"]).with(arguments).start()
}

fn open(server: &Server, profile: &str, name: &str) -> Client {
    let token = Token::employee(name).account("7");
    let mut client = server.connect().token(&token).query("profile", profile).open();
    client.ping();
    client
}

#[test]
fn events_have_the_names_of_the_profile_and_others_keep_theirs() {
    let server = server("names.toml", &[]);
    let mut ana = open(&server, "mychat", "ana");
    let mut ben = open(&server, "chat", "ben");
    let mut cid = open(&server, "native", "cid");
    for client in [&mut ana, &mut ben] {
        let joined = client.request("room:join", &json!({"roomId": "lobby"}));
        assert_eq!(joined.name, "chat:room:joined", "the base's name: {}", joined.raw);
    }
    cid.join("lobby");

    let sent = ana.request("say", &json!({"roomId": "lobby", "content": "hello"}));
    assert_eq!(sent.name, "say:ok", "{}", sent.raw);
    for (client, name) in
        [(&mut ana, "said"), (&mut ben, "chat:message:received"), (&mut cid, "message:received")]
    {
        assert_eq!(client.expect_event(name).data()["content"], "hello");
    }

    for (event, is_typing) in [("typing:start", true), ("typing:stop", false)] {
        ana.send(&json!({"event": event, "data": {"roomId": "lobby"}}));
        let typing = cid.expect_event("user:typing");
        assert_eq!(typing.data(), &json!({"roomId": "lobby", "userId": "ana", "isTyping": is_typing}));
    }

    // The catalogue's own names stay, and nobody else knows those of the profile.
    ana.request("message:send", &json!({"roomId": "lobby", "content": 1}));
    cid.fail("say", json!({"roomId": "lobby", "content": 1}), "PROTOCOL_ERROR");
    let refused = ana.request("shout", &json!({}));
    assert_eq!(refused.name, "chat:error", "the base's shape: {}", refused.raw);
}

#[test]
fn presence_is_watched_and_told_as_the_profile_says() {
    let server = server("presence.toml", &[]);
    let mut ana = open(&server, "mychat", "ana");
    let mut other = open(&server, "native", "other");
    let of = |name: &'static str| move |frame: &Frame| frame.name == name && frame.data()["userId"] == "ben";
    let ben = open(&server, "native", "ben");
    ana.expect("ben comes online", of("user:online"));
    ben.close();
    ana.expect("ben goes offline", of("user:offline"));
    other.assert_no("presence:changed", "native watches nobody");
}

#[test]
fn the_default_profile_may_be_one_of_the_file() {
    let server = server("default.toml", &["--profile", "mychat"]);
    let token = Token::employee("ana");
    let mut ana = server.connect().token(&token).open();
    ana.request("room:join", &json!({"roomId": "lobby"}));
    assert_eq!(ana.request("say", &json!({"roomId": "lobby", "content": 1})).name, "say:ok");

    let mut stranger = server.connect().open();
    for _ in 0..2 {
        stranger.send(&json!({"event": "auth", "data": {"token": "none"}}));
        stranger.expect_event("chat:error");
    }
    assert_eq!(stranger.expect_close().0, 4401, "after two tries");

    let mut lines = server.connect().token(&token).query("profile", "lines").open();
    lines.send(&json!({"type": "ping"}));
    lines.expect_event("pong");
    assert_eq!(server.connect().token(&token).query("profile", "mychta").refused().status, 400);
}

/// How many of ten requests succeed before one is refused for its rate.
fn allowed(client: &mut Client, event: &str, data: &Value) -> usize {
    let succeeds = |client: &mut Client| {
        let reply = client.request(event, data);
        let limited = reply.data()["code"] == "RATE_LIMITED";
        assert_eq!(reply.is_error(), limited, "{}", reply.raw);
        !limited
    };
    (0..10).take_while(|_| succeeds(client)).count()
}

#[test]
fn a_profile_brings_its_limits_which_set_ones_outdo() {
    let file = TemporaryFile::with("profiles-limits.toml", PROFILES);
    let with = |arguments: &[&str]| {
        let server = Server::builder().default_limits().with(&["--config", file.path()]);
        server.with(arguments).start()
    };
    let server = with(&[]);
    let message = json!({"roomId": "lobby", "content": 1});
    let typing = json!({"roomId": "lobby"});
    for (profile, typings) in [("slow", 1), ("slowchat", 3)] {
        let mut client = open(&server, profile, profile);
        client.join("lobby");
        assert_eq!(allowed(&mut client, "message:send", &message), 2, "{profile}");
        assert_eq!(allowed(&mut client, "message:typing", &typing), typings, "{profile}");
        let status = json!({"status": "busy"});
        assert_eq!(allowed(&mut client, "presence:update-status", &status), 1, "{profile}");
    }
    let mut native = open(&server, "native", "native");
    native.join("lobby");
    assert_eq!(allowed(&mut native, "message:send", &message), 10);

    let server = with(&["--limit-messages", "4/1h"]);
    let mut slow = open(&server, "slow", "slow");
    slow.join("lobby");
    assert_eq!(allowed(&mut slow, "message:send", &message), 4, "the flag was given");
}

#[test]
fn a_profile_has_a_heartbeat_of_its_own() {
    let server = server("heartbeat.toml", &[]);
    let token = Token::employee("ana").mint();
    let mut mute = RawSocket::upgrade(server.address, &format!("/ws?profile=quick&token={token}"));
    let mut pings = 0;
    while let Some((first, _)) = mute.read() {
        pings += usize::from(first == FIN | PING);
        if first == FIN | CLOSE {
            break;
        }
    }
    assert!(pings > 0, "closed for silence, but not before it was asked");
    // Thirty seconds are the others' interval.
    open(&server, "native", "ben").stays_open_for(std::time::Duration::from_millis(600));
}

#[test]
fn what_config_prints_defines_the_same_profiles() {
    let file = TemporaryFile::with("profiles-printed.toml", PROFILES);
    let printed = ProcessEnd::of(&["config", "--config", file.path(), "--profile", "slowchat"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let again = TemporaryFile::with("profiles-again.toml", &printed.stdout);
    let twice = ProcessEnd::of(&["config", "--config", again.path()]);
    assert_eq!(twice.stdout, printed.stdout);
    let server = Server::builder().with(&["--config", again.path()]).start();
    let mut ana = open(&server, "mychat", "ana");
    ana.request("room:join", &json!({"roomId": "lobby"}));
    assert_eq!(ana.request("say", &json!({"roomId": "lobby", "content": 1})).name, "say:ok");
    let mut ben = server.connect().token(&Token::employee("ben")).open();
    let refused = ben.request("shout", &json!({}));
    assert!(refused.data()["data"].is_object(), "slowchat shows errors as channel: {}", refused.raw);
}

#[test]
fn a_bad_profile_ends_with_64_and_names_file_profile_and_key() {
    let bad = [
        ("[profiles.mine]\nbass = 'chat'", "profiles.mine: unknown key \"bass\" (did you mean \"base\"?)"),
        ("[profiles.mine]\nbase = 'chta'", "profiles.mine.base: unknown profile \"chta\""),
        ("[profiles.mine]\nlimit-messages = 'many'", "profiles.mine.limit-messages: expected N/interval"),
        (
            "[profiles.mine.inbound]\nsay = 'message:sned'",
            "profiles.mine.inbound.say: expected the canonical",
        ),
        ("[profiles.mine.outbound]\n'message:got' = 'x'", "profiles.mine.outbound.\"message:got\": no event"),
        (
            "[profiles.mine.outbound]\n'room:left' = 'a\"b'",
            "profiles.mine.outbound.\"room:left\": expected a name",
        ),
        ("[profiles.chat]", "profiles.chat: is built in"),
        ("profile = 'mien'\n[profiles.mine]", "unknown profile \"mien\"; known are native"),
    ];
    for (text, expected) in bad {
        let file = TemporaryFile::with("profiles-bad.toml", text);
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET, "--config", file.path()];
        let end = ProcessEnd::of(&arguments);
        assert_eq!(end.code, Some(64), "{text}: {end:?}");
        assert!(end.stderr.contains(expected) && end.stderr.contains(file.path()), "{text}: {end:?}");
    }
}
