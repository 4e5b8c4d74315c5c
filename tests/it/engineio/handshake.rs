//! The open packet, on both transports and at both paths; what a sid is, and that unknown parameters are tolerated.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{PATH, echo, suite_echo};
use crate::support::engine::{Endpoint, open_packet};
use crate::support::http;
use crate::support::line::Line;
use crate::support::reply::keys;

/// Fails unless this is an open packet with the times of the suite; returns its sid.
fn assert_open(open: &Value, upgrades: &Value) -> String {
    assert_eq!(keys(open), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert_eq!(&open["upgrades"], upgrades, "{open}");
    assert_eq!(open["pingInterval"], 300, "{open}");
    assert_eq!(open["pingTimeout"], 200, "{open}");
    assert_eq!(open["maxPayload"], 1_000_000, "{open}");
    let sid = open["sid"].as_str().unwrap_or_else(|| panic!("no sid in {open}"));
    assert!(sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "sid {sid}");
    sid.to_owned()
}

#[test]
fn a_session_opens_on_either_transport_and_says_everything_that_a_client_needs() {
    let server = suite_echo();
    for path in [PATH, "/socket.io/"] {
        let endpoint = Endpoint::new(server.address, path);
        let polling = assert_open(&endpoint.polling().open, &json!(["websocket"]));
        let (_socket, open) = endpoint.websocket();
        assert_ne!(assert_open(&open, &json!([])), polling);
    }
}

#[test]
fn a_polling_answer_says_its_type_and_length_and_must_not_be_kept() {
    let (_server, endpoint) = echo(1);
    let mut session = endpoint.polling();
    session.send("4hello");
    let handshake = http::exchange(
        endpoint.address,
        http::request("GET", &endpoint.target("polling"), &["Connection: close"], b""),
    );
    for response in [handshake, session.get()] {
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"), "{response:?}");
        let length = response.header("content-length").map(str::to_owned);
        assert_eq!(length, Some(response.body.len().to_string()), "{response:?}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{response:?}");
        assert_eq!(response.header("transfer-encoding"), None, "{response:?}");
    }
}

#[test]
fn a_sid_cannot_be_guessed_from_others() {
    let (_server, endpoint) = echo(4);
    let mut line = Line::to(endpoint.address);
    let request = http::request("GET", &endpoint.target("polling"), &[], b"");
    let sids: Vec<String> = (0..500)
        .map(|_| {
            let open = open_packet(&line.exchange(&request));
            open["sid"].as_str().expect("a sid").to_owned()
        })
        .collect();
    let distinct: HashSet<&String> = sids.iter().collect();
    assert_eq!(distinct.len(), sids.len());
    // What differs at each place says how many bits may be random; a counter or a clock would show.
    let length = sids.iter().map(String::len).min().expect("there are some");
    let bits: f64 = (0..length)
        .map(|at| sids.iter().map(|sid| sid.as_bytes()[at]).collect::<HashSet<u8>>().len() as f64)
        .map(f64::log2)
        .sum();
    assert!(bits >= 96.0, "at most {bits} bits of it are random: {:?}", &sids[..5]);
}

#[test]
fn unknown_parameters_are_tolerated_in_any_order() {
    let (_server, endpoint) = echo(1);
    for query in [
        "EIO=4&transport=polling&t=PfKqHKb",
        "t=PfKqHKb&b64=1&transport=polling&EIO=4",
        "b64=true&EIO=4&transport=polling&x=%20%F0%9F%98%80&flag&=",
    ] {
        let request = http::request("GET", &endpoint.target_of(query), &[], b"");
        open_packet(&http::exchange(endpoint.address, request));
    }
    let noisy = endpoint.with("t=1&b64=1&_=%2B");
    let mut session = noisy.polling();
    session.send("4hello");
    assert_eq!(session.poll(), "4hello");
    let (mut socket, _) = noisy.websocket();
    socket.send("4hello");
    socket.expect("4hello");
}

#[test]
fn another_path_is_not_found_and_without_the_flag_there_is_no_echo() {
    let (server, _) = echo(1);
    for path in ["/engine.iox/", "/socket.ios/"] {
        let target = format!("{path}?EIO=4&transport=polling");
        assert_eq!(http::get(server.address, &target).status, 404, "{path}");
    }
    let server = crate::support::Server::start();
    assert_eq!(http::get(server.address, "/engine.io/?EIO=4&transport=polling").status, 404);
    assert_eq!(http::get(server.address, "/socket.io/?EIO=4&transport=polling").status, 200);
}
