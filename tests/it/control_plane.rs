//! Health, readiness and metrics on the same port, or on another (protocol §9).

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::support::{Server, Token, eventually, http};

/// Samples of an exposition by their series, once every line has been understood; and the families by type.
fn parse(text: &str) -> (HashMap<String, f64>, HashMap<String, String>) {
    let (mut samples, mut families) = (HashMap::new(), HashMap::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(rest) = comment.strip_prefix("TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
                assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
        let name = series.split('{').next().expect("split gives at least one");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "line {line:?}");
        assert_eq!(series.contains('{'), series.ends_with('}'), "line {line:?}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("line {line:?}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} appears twice");
    }
    (samples, families)
}

fn metrics(server: &Server) -> (HashMap<String, f64>, HashMap<String, String>) {
    let response = http::get(server.address, "/metrics");
    assert_eq!(response.status, 200);
    let content_type = response.header("content-type").expect("a type");
    assert!(
        content_type.starts_with("text/plain") || content_type.starts_with("application/openmetrics-text")
    );
    parse(&response.body)
}

/// The sum of all series of one name.
fn total(samples: &HashMap<String, f64>, name: &str) -> f64 {
    let mine =
        |series: &str| series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
    samples.iter().filter(|(series, _)| mine(series)).map(|(_, value)| value).sum()
}

#[test]
fn a_running_server_is_healthy_and_ready() {
    let server = Server::start();
    assert_eq!(http::get(server.address, "/healthz").status, 200);
    assert_eq!(http::get(server.address, "/readyz").status, 200);
}

#[test]
fn anything_else_is_404() {
    let server = Server::start();
    for path in ["/", "/nothing", "/healthz/x", "/v2/rooms", "/socket.io", "/%2e%2e/etc/passwd"] {
        assert_eq!(http::get(server.address, path).status, 404, "{path}");
    }
}

/// As a proxy or a browser may do: the request for a shard comes over a connection that the control plane has.
#[test]
fn a_socketio_request_behind_plain_http_is_sent_to_a_connection_of_its_own() {
    let server = Server::start();
    let mut stream = http::connect(server.address);
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("open");
    assert_eq!(http::read_response(&mut stream).status, 200);
    let target = "/socket.io/?EIO=4&transport=polling&t=x";
    write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").expect("the connection stays");
    let response = http::read_response(&mut stream);
    assert_eq!(response.status, 307);
    assert_eq!(response.header("location"), Some(target));
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(http::get(server.address, target).status, 200);
}

/// The first answer would be lost if the connection went to the control plane before it is written.
#[test]
fn requests_for_a_shard_and_for_the_control_plane_are_answered_in_order() {
    let server = Server::start();
    let mut stream = http::connect(server.address);
    let unknown = "GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\n\r\n";
    write!(stream, "{unknown}{unknown}GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("open");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("it is closed");
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["400", "400", "200"], "{answers}");
}

#[test]
fn one_connection_carries_several_requests() {
    let server = Server::start();
    let mut stream = http::connect(server.address);
    for path in ["/healthz", "/metrics", "/nothing", "/readyz"] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: roomcast\r\n\r\n").expect("the connection stays");
        let expected = if path == "/nothing" { 404 } else { 200 };
        assert_eq!(http::read_response(&mut stream).status, expected, "{path}");
    }
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("open");
    let mut pipelined = http::read_response(&mut stream);
    if pipelined.tail.is_empty() {
        pipelined = http::read_response(&mut stream);
    }
    assert_eq!(pipelined.status, 200);
}

#[test]
fn metrics_hold_every_family_that_an_operator_needs() {
    let server = Server::builder().shards(2).start();
    let (_, families) = metrics(&server);
    let wanted = [
        ["connections"].as_slice(),
        &["messages", "received"],
        &["frames", "sent"],
        &["deliveries"],
        &["bytes", "received"],
        &["bytes", "sent"],
        &["ring", "depth"],
        &["ring", "overflow"],
        &["drop"],
        &["close"],
        &["auth", "failure"],
        &["turn"],
        &["fan", "out"],
        &["rooms"],
        &["subscriptions"],
        &["memory"],
    ];
    for words in wanted {
        assert!(
            families.keys().any(|name| words.iter().all(|word| name.contains(word))),
            "no family about {words:?} in {families:#?}"
        );
    }
    let histograms = families.values().filter(|kind| *kind == "histogram").count();
    assert!(histograms >= 2, "loop turn and fan-out latency are histograms: {families:#?}");
    let prefixes: HashSet<&str> = families.keys().filter_map(|name| name.split('_').next()).collect();
    assert!(prefixes.iter().all(|prefix| ["roomcast", "process"].contains(prefix)), "{prefixes:?}");
}

#[test]
fn metrics_count_what_happens() {
    let server = Server::builder().shards(2).start();
    let mut clients: Vec<_> =
        ["ana", "ben", "cid"].map(|name| server.connect().token(&Token::employee(name)).open()).into();
    for client in &mut clients {
        client.join("lobby");
    }
    for n in 0..10 {
        clients[0].say("lobby", n);
    }
    for client in &mut clients {
        for _ in 0..10 {
            client.expect_message("lobby");
        }
    }
    server.connect().bearer("nonsense").refused();
    eventually("the counters show it", || {
        let (samples, families) = metrics(&server);
        let sum = |word: &str| -> f64 {
            let names = families.keys().filter(|name| name.contains(word));
            names
                .map(|name| total(&samples, name).max(total(&samples, &format!("{name}_total"))))
                .fold(0.0, f64::max)
        };
        (sum("deliveries") >= 30.0
            && sum("connections") >= 3.0
            && sum("auth") >= 1.0
            && sum("subscriptions") >= 3.0)
            .then_some(())
    });
}

#[test]
fn another_address_takes_all_but_the_websocket() {
    // Free a moment ago; nothing else on this machine binds ports of its own choice in between.
    let admin = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let server = Server::builder().shards(1).with(&["--admin-listen", &admin.to_string()]).start();
    eventually("the other address answers", || std::net::TcpStream::connect(admin).is_ok().then_some(()));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(http::get(admin, path).status, 200, "{path}");
        assert_eq!(http::get(server.address, path).status, 404, "{path}");
    }
    server.connect().token(&Token::employee("ana")).open().ping();
    let head = http::upgrade_head("/ws", &[]);
    assert_eq!(http::exchange(admin, head).status, 404);
}

#[test]
fn several_addresses_are_listened_on_ipv6_too() {
    let second = TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr());
    let Ok(second) = second else { return };
    let server = Server::builder().shards(2).with(&["--listen", &second.to_string()]).start();
    eventually("the second address answers", || std::net::TcpStream::connect(second).is_ok().then_some(()));
    assert_eq!(http::get(second, "/healthz").status, 200);
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let mut ben = crate::support::Connect::to(second).token(&Token::employee("ben")).open();
    ana.join("lobby");
    ben.join("lobby");
    ben.call("message:send", json!({"roomId": "lobby", "content": "over IPv6"}));
    ana.expect_message("lobby");
}
