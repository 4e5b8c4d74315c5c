//! The end of a process: announced, paced, without loss (protocol §2 and §9, issue "Drain").

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Server, Token, eventually, http};

fn server(shards: usize, drain_timeout: &str) -> Server {
    Server::builder().shards(shards).with(&["--drain-timeout", drain_timeout]).start()
}

fn join(server: &Server, name: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join("lobby");
    client
}

/// The delay that a close reason names, in milliseconds.
fn reconnect_ms(reason: &str) -> u64 {
    let number = reason.strip_prefix("reconnect=").unwrap_or_else(|| panic!("the reason is {reason:?}"));
    number.parse().unwrap_or_else(|_| panic!("the reason is {reason:?}"))
}

#[test]
fn a_drain_announces_closes_with_1012_and_ends_with_0() {
    for shards in [1, 2, 4] {
        let mut server = server(shards, "2s");
        let mut clients: Vec<Client> = (0..20).map(|n| join(&server, &format!("user{n}"))).collect();
        let mut topic = server.connect().token(&Token::employee("tom")).topic().open();
        let mut pending = server.connect().open();
        server.terminate();
        let mut delays: Vec<u64> = clients
            .iter_mut()
            .map(|client| {
                let (code, reason) = client.expect_close();
                assert_eq!(code, 1012);
                let announced = client.arrived("server:draining");
                assert_eq!(announced.len(), 1);
                assert!(announced[0].data()["reconnectMs"].is_u64(), "{}", announced[0].raw);
                reconnect_ms(&reason)
            })
            .collect();
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 10, "each client has a delay of its own: {delays:?}");
        assert_eq!(topic.expect_close().0, 1012);
        assert_eq!(pending.expect_close().0, 1012);
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn while_draining_it_is_not_ready_and_upgrades_are_refused() {
    let mut server = server(2, "5s");
    assert_eq!(http::get(server.address, "/readyz").status, 200);
    // Held open until the end of this test by not answering the close.
    let mut clients: Vec<Client> = (0..10).map(|n| join(&server, &format!("user{n}"))).collect();
    server.terminate();
    eventually("/readyz says 503", || (http::get(server.address, "/readyz").status == 503).then_some(()));
    assert_eq!(http::get(server.address, "/healthz").status, 200, "it is alive");
    let refused = server.connect().token(&Token::employee("late")).refused();
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after() >= 1);
    for client in &mut clients {
        assert_eq!(client.expect_close().0, 1012);
    }
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn nothing_acknowledged_before_the_drain_is_lost() {
    for shards in [1, 2, 4] {
        let mut server = server(shards, "3s");
        let mut members: Vec<Client> = (0..5).map(|n| join(&server, &format!("user{n}"))).collect();
        let mut ana = join(&server, "ana");
        let ids: Vec<String> =
            (0..200).map(|n| ana.post("message:send", &json!({"roomId": "lobby", "content": n}))).collect();
        let last = ids.iter().map(|id| ana.reply(id).data()["offset"].as_u64().expect("a number")).max();
        server.terminate();
        for member in &mut members {
            member.expect_close();
            let offsets = member.arrived("message:received");
            assert!(offsets.iter().map(|message| message.offset()).eq(1..=last.expect("some were sent")));
        }
        ana.expect_close();
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn a_client_that_does_not_answer_the_close_does_not_hold_up_the_exit() {
    let mut server = server(1, "1s");
    let _mute = join(&server, "mute");
    server.terminate();
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn without_connections_a_drain_is_immediate() {
    let mut server = server(2, "1h");
    server.terminate();
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn a_second_signal_exits_at_once() {
    let mut server = server(2, "1h");
    let mut client = join(&server, "ana");
    server.terminate();
    client.expect_event("server:draining");
    let since = Instant::now();
    server.terminate();
    server.wait_for_exit();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
