//! Requests that are refused: each with its exact object, and nobody else is any the worse for it.

use super::{PATH, echo, suite_echo};
use crate::support::engine::{Endpoint, assert_refused};
use crate::support::http::{self, Response, upgrade_head};
use crate::support::line::Line;

/// What the answer to a request without body is.
fn answer(endpoint: &Endpoint, method: &str, query: &str) -> Response {
    let request = http::request(method, &endpoint.target_of(query), &["Connection: close"], b"");
    http::exchange(endpoint.address, request)
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_its_code() {
    let server = suite_echo();
    for path in [PATH, "/socket.io/"] {
        let endpoint = Endpoint::new(server.address, path);
        for (method, query, code) in [
            ("GET", "transport=polling", 5),
            ("GET", "EIO=abc&transport=polling", 5),
            ("GET", "EIO=3&transport=polling", 5),
            ("GET", "EIO=5&transport=polling", 5),
            ("GET", "EIO=44&transport=polling", 5),
            ("GET", "EIO=4", 0),
            ("GET", "EIO=4&transport=abc", 0),
            ("GET", "EIO=4&transport=", 0),
            ("GET", "EIO=4&transport=webtransport", 0),
            ("GET", "EIO=4&transport=POLLING", 0),
            ("GET", "EIO=4&transport=polling&sid=unknown", 1),
            ("POST", "EIO=4&transport=polling&sid=unknown", 1),
            ("GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 1),
            ("POST", "EIO=4&transport=polling", 2),
            ("PUT", "EIO=4&transport=polling", 2),
            ("DELETE", "EIO=4&transport=polling", 2),
            ("PATCH", "EIO=4&transport=polling", 2),
            ("GET", "EIO=4&transport=websocket", 3),
        ] {
            let response = answer(&endpoint, method, query);
            assert_eq!(response.status, 400, "{method} {query}: {response:?}");
            assert_refused(&response, code);
        }
    }
}

#[test]
fn a_websocket_that_makes_no_sense_is_refused_before_the_upgrade() {
    let server = suite_echo();
    for path in [PATH, "/socket.io/"] {
        for (query, code) in [
            ("transport=websocket", 5),
            ("EIO=abc&transport=websocket", 5),
            ("EIO=3&transport=websocket", 5),
            ("EIO=4", 0),
            ("EIO=4&transport=abc", 0),
            ("EIO=4&transport=websocket&sid=unknown", 1),
        ] {
            let head = upgrade_head(&format!("{path}?{query}"), &[]);
            let response = http::exchange(server.address, head);
            assert_refused(&response, code);
        }
    }
}

#[test]
fn another_sessions_sid_or_a_changed_one_is_unknown() {
    let (_server, endpoint) = echo(4);
    let sessions: Vec<_> = (0..8).map(|_| endpoint.polling()).collect();
    for session in &sessions {
        let mut changed = session.sid().to_owned();
        let last = if changed.ends_with('A') { 'B' } else { 'A' };
        changed.pop();
        changed.push(last);
        for sid in [changed.as_str(), &session.sid()[1..], &format!("{}A", session.sid())] {
            let query = format!("EIO=4&transport=polling&sid={sid}");
            assert_refused(&answer(&endpoint, "GET", &query), 1);
        }
    }
    for mut session in sessions {
        session.send("4mine");
        assert_eq!(session.poll(), "4mine");
    }
}

#[test]
fn another_method_is_refused_and_the_session_goes_on() {
    let (_server, endpoint) = echo(1);
    let mut session = endpoint.polling();
    for method in ["PUT", "DELETE", "PATCH"] {
        let request = http::request(method, &session.target("polling"), &["Connection: close"], b"");
        let response = http::exchange(endpoint.address, request);
        assert!(matches!(response.status, 400 | 405), "{method}: {response:?}");
    }
    let mut line = Line::to(endpoint.address);
    line.send(http::request("HEAD", &session.target("polling"), &["Connection: close"], b""));
    let response = line.read_head();
    assert!(matches!(response.status, 400 | 405), "{response:?}");
    session.send("4hello");
    assert_eq!(session.poll(), "4hello");
}

#[test]
fn after_a_refusal_the_connection_serves_the_next_request_or_says_that_it_ends() {
    let (_server, endpoint) = echo(1);
    let mut line = Line::to(endpoint.address);
    for query in ["EIO=4&transport=abc", "EIO=4&transport=polling&sid=unknown", "EIO=3&transport=polling"] {
        let refused = line.exchange(http::request("GET", &endpoint.target_of(query), &[], b""));
        assert_eq!(refused.status, 400);
        let request = http::request("GET", &endpoint.target("polling"), &[], b"");
        assert_eq!(line.exchange(request).status, 200, "after {query}");
    }
}
