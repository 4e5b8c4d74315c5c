//! The end of the process, as a backend sees it: what was answered with 200 is there for good, and everything else is
//! refused so that whoever asks goes elsewhere.

use std::collections::HashSet;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::{Gateway, KEY, assert_error, json};
use crate::support::http::{self, Response, is_closed, request, try_read_response};
use crate::support::{Client, DEADLINE, Server, TemporaryDirectory, eventually};

const MESSAGES: &str = "/v1/rooms/lobby/messages";

fn bytes(method: &str, path: &str, body: &str) -> Vec<u8> {
    request(method, path, &[&format!("X-API-Key: {KEY}")], body.as_bytes())
}

/// A gateway that drains, for as long as somebody does not answer the close.
fn draining() -> (Gateway, Vec<TcpStream>, Client) {
    let gateway = Gateway::on(Server::builder().shards(2).with(&["--drain-timeout", "1h"]));
    let mute = gateway.server.member("mute", "lobby");
    let kept = (0..3).map(|n| {
        let mut stream = http::connect(gateway.server.address);
        stream.write_all(&bytes("POST", MESSAGES, &format!(r#"{{"content":{n}}}"#))).expect("writable");
        assert_eq!(http::read_response(&mut stream).status, 200);
        stream
    });
    let kept = kept.collect();
    gateway.server.terminate();
    let address = gateway.server.address;
    eventually("/readyz says 503", || (http::get(address, "/readyz").status == 503).then_some(()));
    eventually("shards know", || {
        (http::exchange(address, bytes("GET", "/v1/rooms/lobby", "")).status == 503).then_some(())
    });
    (gateway, kept, mute)
}

fn assert_sent_away(response: &Response) {
    assert_error(response, 503, "SERVER_ERROR");
    assert!(response.retry_after() >= 1);
    assert!(response.ends_connection(), "{response:?}");
}

#[test]
fn requests_are_refused_on_old_and_new_connections_and_these_end() {
    let (gateway, mut kept, mut mute) = draining();
    let publish = bytes("POST", MESSAGES, r#"{"content":"late"}"#);
    let mut fresh = http::connect(gateway.server.address);
    for stream in [&mut kept[0], &mut fresh] {
        stream.write_all(&publish).expect("writable");
        assert_sent_away(&http::read_response(stream));
        assert!(is_closed(stream));
    }
    kept[1].write_all(&publish.repeat(3)).expect("writable");
    let first = http::read_response(&mut kept[1]);
    assert_sent_away(&first);
    assert!(first.tail.is_empty() && is_closed(&mut kept[1]), "what is pipelined behind it is not answered");
    for path in ["/v1/node", "/metrics"] {
        let answer = http::exchange(gateway.server.address, bytes("GET", path, ""));
        assert_eq!((answer.status, answer.ends_connection()), (200, true), "{path}: {answer:?}");
    }
    let event =
        http::exchange(gateway.server.address, bytes("POST", "/v1/events", r#"{"name":"order.paid"}"#));
    assert_sent_away(&event);
    mute.expect_close();
    assert_eq!(mute.arrived("message:received").len(), 3, "nothing that was refused is told");
}

/// Publishes one after the other, until nobody answers; the offsets of what was accepted, and how many were refused.
fn publish(address: SocketAddr, name: usize) -> (Vec<u64>, usize) {
    let (mut accepted, mut refused) = (Vec::new(), 0);
    while let Ok(mut stream) = TcpStream::connect_timeout(&address, DEADLINE) {
        stream.set_read_timeout(Some(DEADLINE)).expect("settable");
        loop {
            let body = json!({"content": accepted.len(), "senderId": format!("backend{name}")}).to_string();
            if stream.write_all(&bytes("POST", MESSAGES, &body)).is_err() {
                break;
            }
            match try_read_response(&mut stream) {
                Ok(response) if response.status == 200 => {
                    accepted.push(json(&response)["offset"].as_u64().expect("a number"));
                    if response.ends_connection() {
                        break;
                    }
                }
                Ok(response) => {
                    assert_sent_away(&response);
                    refused += 1;
                    break;
                }
                Err(_) => break,
            }
        }
    }
    (accepted, refused)
}

#[test]
fn whatever_was_accepted_under_load_is_delivered_and_outlives_the_process() {
    for shards in [1, 4] {
        let directory = TemporaryDirectory::new();
        let store = directory.path().to_str().expect("UTF-8");
        let settings =
            ["--store", store, "--durability", "batch", "--drain-timeout", "3s", "--history-size", "1000000"];
        let mut gateway = Gateway::on(Server::builder().shards(shards).with(&settings));
        let mut members: Vec<Client> =
            (0..4).map(|n| gateway.server.member(&format!("user{n}"), "lobby")).collect();
        let address = gateway.server.address;
        let backends: Vec<_> =
            (0..6).map(|name| std::thread::spawn(move || publish(address, name))).collect();
        for _ in 0..100 {
            members[0].expect_message("lobby");
        }
        gateway.server.terminate();
        let heard: Vec<HashSet<u64>> = members
            .iter_mut()
            .map(|member| {
                assert_eq!(member.expect_close().0, 1012);
                member.arrived("message:received").iter().map(|message| message.offset()).collect()
            })
            .collect();
        assert_eq!(gateway.server.wait_for_exit().code(), Some(0));
        let (mut accepted, mut refused) = (Vec::new(), 0);
        for backend in backends {
            let (offsets, more) = backend.join().expect("a backend does not panic");
            accepted.extend(offsets);
            refused += more;
        }
        assert!(refused > 0, "the load went on during the drain");
        for (number, heard) in heard.iter().enumerate() {
            // The first has taken some of them out above.
            let missed: Vec<_> = accepted.iter().filter(|offset| !heard.contains(offset)).collect();
            assert_eq!(missed.len(), if number == 0 { 100 } else { 0 }, "{shards}, {number}: {missed:?}");
        }
        let again = Gateway::on(Server::builder().shards(shards).with(&settings));
        let kept = kept(&again);
        let lost: Vec<_> = accepted.iter().filter(|offset| !kept.contains(offset)).collect();
        assert!(lost.is_empty(), "{shards}: {lost:?} of {}", accepted.len());
    }
}

/// The offsets of all messages of the room.
fn kept(gateway: &Gateway) -> HashSet<u64> {
    let (mut backend, mut offsets, mut after) = (gateway.backend(), HashSet::new(), 0);
    loop {
        let page = backend.get(&format!("{MESSAGES}?after={after}&limit=1000"));
        let messages = page["messages"].as_array().expect("messages").clone();
        let Some(last) = messages.last() else { return offsets };
        after = last["offset"].as_u64().expect("a number");
        offsets.extend(messages.iter().map(|message| message["offset"].as_u64().expect("a number")));
    }
}

#[test]
fn what_is_on_its_way_while_the_drain_begins_is_answered() {
    let gateway = Gateway::on(Server::builder().shards(2).with(&["--drain-timeout", "1h"]));
    let _mute = gateway.server.member("mute", "lobby");
    let whole = bytes("POST", MESSAGES, r#"{"content":"slow"}"#);
    let (head, rest) = whole.split_at(whole.len() - 5);
    let mut slow = http::connect(gateway.server.address);
    slow.write_all(head).expect("writable");
    // It has been read when an answer to another one behind it has come.
    assert_eq!(http::get(gateway.server.address, "/healthz").status, 200);
    gateway.server.terminate();
    let address = gateway.server.address;
    eventually("shards know", || {
        (http::exchange(address, bytes("GET", "/v1/rooms/lobby", "")).status == 503).then_some(())
    });
    slow.write_all(rest).expect("the connection stays until it is answered");
    assert_sent_away(&http::read_response(&mut slow));
    assert!(!http::stirs_within(&http::connect(address), Duration::from_millis(1)), "the listener stays");
}
