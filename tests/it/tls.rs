//! TLS where the gateway is the one that connects, against OpenSSL in redis-server and Python: whom it trusts, and how
//! it says that it does not.

use serde_json::json;

use crate::support::backend::{Backend, Does};
use crate::support::tls::{Authority, Identity, TlsFront};
use crate::support::{ProcessEnd, Redis, Server, TemporaryFile, eventually};

/// A Redis behind TLS whose only user is `roomcast` with the password `hunter2`.
fn redis(identity: &Identity) -> Redis {
    let user = ["--user", "roomcast", "on", ">hunter2", "~*", "&*", "+@all"];
    Redis::start_tls(
        identity.certificate.path(),
        identity.key.path(),
        &[&user[..], &["--user", "default", "off"]].concat(),
    )
}

fn url(redis: &Redis) -> String {
    format!("rediss://roomcast:hunter2@{}/", redis.address())
}

fn command(redis: &Redis, words: &[&str]) -> String {
    redis.command(&[&["--tls", "--insecure", "--user", "roomcast", "--pass", "hunter2"], words].concat())
}

#[test]
fn nodes_share_rooms_through_a_redis_behind_tls() {
    let authority = Authority::new("tls-nodes");
    let redis = redis(&authority.issue("127.0.0.1"));
    let start = || {
        let arguments = ["--engine", &url(&redis), "--ca-file", authority.path()];
        Server::builder().shards(1).with(&arguments).start()
    };
    let (one, other) = (start(), start());
    let (mut ana, mut ben) = (one.member("ana", "lobby"), other.member("ben", "lobby"));
    ben.ping();
    ana.call("message:send", json!({"roomId": "lobby", "content": "hi"}));
    assert_eq!(ben.expect_message("lobby").data()["content"], "hi");
}

#[test]
fn a_redis_that_nobody_trusted_vouches_for_is_an_error_at_start() {
    let (authority, stranger) = (Authority::new("tls-refused"), Authority::new("tls-stranger"));
    let (redis, elsewhere) =
        (redis(&authority.issue("127.0.0.1")), redis(&authority.issue("redis.example.org")));
    let start = |redis: &Redis, more: &[&str], reason: &str| {
        let url = url(redis);
        let end = ProcessEnd::of(&[&["serve", "--auth", "off", "--engine", &url], more].concat());
        assert_eq!(end.code, Some(69), "{end:?}");
        let address = redis.address().to_string();
        for part in ["--engine", &*address, "invalid peer certificate", reason] {
            assert!(end.stderr.contains(part), "no {part} in {}", end.stderr);
        }
        assert!(!end.stderr.contains("hunter2"), "{}", end.stderr);
    };
    start(&redis, &[], "UnknownIssuer");
    start(&redis, &["--ca-file", stranger.path()], "UnknownIssuer");
    start(&elsewhere, &["--ca-file", authority.path()], "not valid for name \"127.0.0.1\"");
}

#[test]
fn events_go_from_and_to_what_is_behind_tls() {
    let authority = Authority::new("tls-events");
    let identity = authority.issue("127.0.0.1");
    let (redis, hook) = (redis(&identity), Backend::that(Does::say(json!({}))));
    let (url, front) = (url(&redis), TlsFront::of(hook.address, &identity));
    let listener = |sink: &str, url: &str, more: &str| {
        format!("[[listeners]]\nname = '{sink}'\non = 'a.*'\nsink = '{sink}'\nurl = '{url}'\n{more}\n")
    };
    let source = format!("[events.redis]\nurl = '{url}'\nstream = 'events'\n");
    let text =
        source + &listener("webhook", &front.url(), "") + &listener("redis-stream", &url, "stream = 'out'");
    let file = TemporaryFile::with("tls-events.toml", &text);
    let arguments = ["--config", file.path(), "--ca-file", authority.path(), "--socketio-emitter", &url];
    let server = Server::builder().shards(1).with(&arguments).start();
    server.wait_for_log(|line| line.contains("emitter_connected").then_some(()));
    command(&redis, &["XADD", "events", "*", "name", "a.b", "data", r#"{"n":7}"#]);
    assert_eq!(hook.request(0).body["events"][0]["data"]["n"], 7);
    eventually("it is in the stream", || (command(&redis, &["XLEN", "out"]) == "1").then_some(()));
}

#[test]
fn a_backend_is_asked_by_https_only_if_it_is_trusted() {
    let authority = Authority::new("tls-backend");
    let backend = Backend::that(Does::say(json!({"reply": {"n": 7}})));
    let front = TlsFront::of(backend.address, &authority.issue("127.0.0.1"));
    let route = format!("[[routes]]\nname = 'shop'\nevents = 'order:*'\nurl = '{}'\n", front.url());
    let file = TemporaryFile::with("tls-backend.toml", &route);
    let start =
        |more: &[&str]| Server::builder().shards(1).with(&["--config", file.path()]).with(more).start();

    let stranger = start(&[]);
    let error = stranger.employee("ana").fail("order:create", json!({}), "SERVER_ERROR");
    assert_eq!(error["details"]["reason"], "connect", "{error}");
    let line = stranger.wait_for_log(|line| line.contains("certificate_refused").then(|| line.to_owned()));
    assert!(line.contains(&front.url()) && line.contains("UnknownIssuer"), "{line}");
    assert_eq!(backend.count(), 0, "nothing was sent");

    let server = start(&["--ca-file", authority.path()]);
    assert_eq!(server.employee("ana").call("order:create", json!({}))["n"], 7);
}

#[test]
fn a_file_without_authorities_is_an_error_at_start() {
    let empty = TemporaryFile::with("tls-empty.pem", "\n");
    for (path, reason) in [("/nowhere/ca.pem", "cannot read"), (empty.path(), "holds no certificate")] {
        let end = ProcessEnd::of(&["serve", "--auth", "off", "--ca-file", path]);
        assert_eq!(end.code, Some(64), "{end:?}");
        for part in ["--ca-file", path, reason] {
            assert!(end.stderr.contains(part), "no {part} in {}", end.stderr);
        }
    }
}
