//! Who is let in: keys, tokens that name `server`, and nobody else.

use serde_json::json;

use super::{Backend, Gateway, KEY, assert_error};
use crate::support::http::{exchange, get, request};
use crate::support::{ProcessEnd, Server, TemporaryFile, Token, eventually};

#[test]
fn credentials_are_judged_before_the_path() {
    let gateway = Gateway::start();
    let address = gateway.server.address;
    for path in ["/v1/", "/v1", "/v1/nothing", "/v1/rooms/a", "/v1/stats"] {
        let refused = get(address, path);
        assert_error(&refused, 401, "AUTH_FAILED");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    let with = |line: &str| exchange(address, request("GET", "/v1/rooms/a", &[line], b"")).status;
    assert_eq!(with(&format!("X-API-Key: {KEY}")), 404);
    assert_eq!(with(&format!("Authorization: Bearer {KEY}")), 404);
    for line in
        ["X-API-Key: a-key-for-tests-012345678", "Authorization: Basic eDp5", "Authorization: Bearer a.b.c"]
    {
        assert_eq!(with(line), 401, "{line}");
    }
    assert_eq!(
        get(address, &format!("/v1/stats?token={KEY}&api_key={KEY}")).status,
        401,
        "never in the query"
    );
    let mut backend = gateway.backend();
    backend.fail("GET", "/v1/nothing", "", 404, "PROTOCOL_ERROR");
    let wrong = backend.ask("PATCH", "/v1/rooms/a", "");
    assert_error(&wrong, 405, "PROTOCOL_ERROR");
    assert_eq!(wrong.header("allow"), Some("GET, DELETE"));
}

#[test]
fn a_token_must_name_the_permission() {
    let server = Server::start();
    let with = |token: &Token| {
        Backend::new(&server, &format!("Authorization: Bearer {}", token.mint())).ask("GET", "/v1/stats", "")
    };
    assert_eq!(with(&Token::guest("shop").permissions(&["server"])).status, 200);
    for token in [
        Token::supervisor("boss"),
        Token::supervisor("boss").permissions(&["*"]),
        Token::employee("ana").permissions(&["monitoring:read"]),
    ] {
        assert_error(&with(&token), 403, "PERMISSION_DENIED");
    }
    let expired = Token::guest("shop").permissions(&["server"]).expires_in(-1);
    assert_error(&with(&expired), 401, "AUTH_FAILED");
    Backend::new(
        &server,
        &format!("Authorization: Bearer {}", Token::guest("shop").permissions(&["server"]).mint()),
    )
    .call("PUT", "/v1/users/shop/block", &json!({}));
    let blocked = Token::guest("shop").permissions(&["server"]);
    assert_error(&with(&blocked), 401, "AUTH_FAILED");
}

#[test]
fn without_keys_and_tokens_the_api_is_off() {
    let server = Server::builder().auth_off().start();
    let off = get(server.address, "/v1/stats");
    assert_error(&off, 404, "PROTOCOL_ERROR");
    assert!(off.body.contains("--api-key-file"), "{}", off.body);
}

#[test]
fn keys_are_read_again_on_sighup_and_a_broken_file_changes_nothing() {
    let gateway = Gateway::start();
    let status = |key: &str| {
        Backend::new(&gateway.server, &format!("X-API-Key: {key}")).ask("GET", "/v1/stats", "").status
    };
    std::fs::write(gateway.keys.path(), "short\n").expect("the file is ours");
    gateway.server.hang_up();
    gateway.server.wait_for_log(|line| line.contains("api_keys_not_reloaded").then_some(()));
    assert_eq!(status(KEY), 200);
    std::fs::write(gateway.keys.path(), "another-key-0123456789\n").expect("the file is ours");
    gateway.server.hang_up();
    eventually("the new key is taken", || (status("another-key-0123456789") == 200).then_some(()));
    assert_eq!(status(KEY), 401);
    assert!(!gateway.server.log().join("\n").contains("another-key"), "no key is logged");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_start() {
    let file = TemporaryFile::with("api-keys-broken", "billing:short\n");
    let end = ProcessEnd::of(&["serve", "--auth", "off", "--api-key-file", file.path()]);
    assert_eq!(end.code, Some(64), "{end:?}");
    assert!(end.stderr.contains("--api-key-file") && end.stderr.contains("line 1"), "{}", end.stderr);
    assert!(!end.stderr.contains("short"), "no text of a key is shown: {}", end.stderr);
}

#[test]
fn each_key_has_its_own_rate() {
    let gateway = Gateway::on(Server::builder().with(&["--limit-api", "2/10m"]));
    std::fs::write(gateway.keys.path(), format!("{KEY}\nother-key-0123456789\n")).expect("the file is ours");
    let mut backend = gateway.backend();
    for _ in 0..2 {
        backend.get("/v1/rooms/lobby/members");
    }
    let limited = backend.ask("GET", "/v1/rooms/lobby/members", "");
    assert_error(&limited, 429, "RATE_LIMITED");
    assert!(limited.retry_after() > 60);
    let token = Token::guest("shop").permissions(&["server"]).mint();
    Backend::new(&gateway.server, &format!("Authorization: Bearer {token}")).get("/v1/rooms/lobby/members");
}
