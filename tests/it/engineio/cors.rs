//! What a browser's page on another origin may do, by `--allowed-origins`.

use super::{echo, echo_with};
use crate::support::engine::{Endpoint, assert_refused};
use crate::support::http::{self, Response};

const ALLOWED: &str = "https://app.example";

fn listed() -> (crate::support::Server, Endpoint) {
    echo_with(2, &["--allowed-origins", "https://app.example,https://other.example:8443"])
}

/// The answer to a request from a page of that origin.
fn from(endpoint: &Endpoint, method: &str, target: &str, origin: &str) -> Response {
    let lines = [
        format!("Origin: {origin}"),
        "Access-Control-Request-Method: POST".to_owned(),
        "Access-Control-Request-Headers: content-type,x-extra".to_owned(),
        "Connection: close".to_owned(),
    ];
    let count = if method == "OPTIONS" { lines.len() } else { 1 };
    let mut lines: Vec<&str> = lines[..count].iter().map(String::as_str).collect();
    lines.push("Accept: */*");
    let body: &[u8] = if method == "POST" { b"4hello" } else { b"" };
    http::exchange(endpoint.address, http::request(method, target, &lines, body))
}

/// Fails unless a page of that origin may read this.
#[track_caller]
fn assert_readable(response: &Response, origin: &str) {
    assert_eq!(response.header("access-control-allow-origin"), Some(origin), "{response:?}");
    let vary = response.header("vary").unwrap_or_default().to_ascii_lowercase();
    assert!(vary.contains("origin"), "a cache must keep origins apart: {response:?}");
}

/// Whether the names in a list of them include all of these.
fn lists(response: &Response, header: &str, names: &[&str]) -> bool {
    let value = response.header(header).unwrap_or_default().to_ascii_lowercase();
    let listed: Vec<&str> = value.split(',').map(str::trim).collect();
    names.iter().all(|name| listed.contains(name) || listed == ["*"])
}

#[test]
fn a_listed_origin_may_poll_and_read_what_it_is_refused() {
    let (_server, endpoint) = listed();
    for origin in [ALLOWED, "https://other.example:8443"] {
        let mut session = endpoint.polling();
        let target = session.target("polling");
        for (method, target) in
            [("GET", endpoint.target("polling")), ("POST", target.clone()), ("GET", target)]
        {
            let response = from(&endpoint, method, &target, origin);
            assert_eq!(response.status, 200, "{response:?}");
            assert_readable(&response, origin);
        }
        session.send("4hello");
        let unknown = endpoint.target_of("EIO=4&transport=polling&sid=unknown");
        let refused = from(&endpoint, "GET", &unknown, origin);
        assert_refused(&refused, 1);
        assert_readable(&refused, origin);
    }
}

#[test]
fn a_preflight_of_a_listed_origin_allows_what_a_client_needs() {
    let (_server, endpoint) = listed();
    let session = endpoint.polling();
    for target in [endpoint.target("polling"), session.target("polling")] {
        let response = from(&endpoint, "OPTIONS", &target, ALLOWED);
        assert!(matches!(response.status, 200 | 204), "{response:?}");
        assert_readable(&response, ALLOWED);
        assert!(lists(&response, "access-control-allow-methods", &["get", "post"]), "{response:?}");
        assert!(lists(&response, "access-control-allow-headers", &["content-type"]), "{response:?}");
    }
}

#[test]
fn an_origin_that_is_not_listed_is_forbidden() {
    let (_server, endpoint) = listed();
    let mut session = endpoint.polling();
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil",
        "https://other.example",
        "null",
    ] {
        for (method, target) in [
            ("GET", endpoint.target("polling")),
            ("GET", session.target("polling")),
            ("POST", session.target("polling")),
        ] {
            let response = from(&endpoint, method, &target, origin);
            assert_refused(&response, 4);
            assert_eq!(response.header("access-control-allow-origin"), None, "{response:?}");
        }
        let preflight = from(&endpoint, "OPTIONS", &session.target("polling"), origin);
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{preflight:?}");
        let origin = format!("Origin: {origin}");
        for target in [endpoint.target("websocket"), session.target("websocket")] {
            let head = http::upgrade_head(&target, &[&origin]);
            assert_eq!(http::exchange(endpoint.address, head).status, 403, "{origin}");
        }
    }
    session.send("4the session is untouched");
    assert_eq!(session.poll(), "4the session is untouched");
}

#[test]
fn a_client_that_names_no_origin_is_let_in() {
    let (_server, endpoint) = listed();
    let mut session = endpoint.polling();
    session.send("4hello");
    let response = session.get();
    assert_eq!(response.body, "4hello");
    assert_eq!(response.header("access-control-allow-origin"), None, "{response:?}");
}

#[test]
fn by_default_any_origin_but_null_may_poll() {
    let (_server, endpoint) = echo(2);
    let response = from(&endpoint, "GET", &endpoint.target("polling"), "https://any.example");
    assert_eq!(response.status, 200);
    let allowed = response.header("access-control-allow-origin").expect("it may read");
    assert!(["*", "https://any.example"].contains(&allowed), "{response:?}");
    let preflight = from(&endpoint, "OPTIONS", &endpoint.target("polling"), "https://any.example");
    assert!(matches!(preflight.status, 200 | 204), "{preflight:?}");
    assert_refused(&from(&endpoint, "GET", &endpoint.target("polling"), "null"), 4);
}

#[test]
fn the_null_origin_may_poll_when_it_is_listed() {
    let (_server, endpoint) = echo_with(1, &["--allowed-origins", "null"]);
    let response = from(&endpoint, "GET", &endpoint.target("polling"), "null");
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("access-control-allow-origin"), Some("null"), "{response:?}");
    assert_refused(&from(&endpoint, "GET", &endpoint.target("polling"), ALLOWED), 4);
}
