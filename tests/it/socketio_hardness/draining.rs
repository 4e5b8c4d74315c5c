//! The end of the process: transports are closed, held requests are released, and nobody is told not to come back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::engine::Endpoint;
use crate::support::http;
use crate::support::socketio::PATH;
use crate::support::{Server, SocketIo};

#[test]
fn a_drain_closes_websockets_with_1012_and_sends_no_disconnect() {
    for shards in [1, 4] {
        let mut server = Server::builder().shards(shards).with(&["--drain-timeout", "1s"]).start();
        let mut clients: Vec<SocketIo> =
            (0..10).map(|n| SocketIo::member(&server, &format!("user{n}"), "lobby")).collect();
        server.terminate();
        for client in &mut clients {
            let mut announced = 0;
            let code = client.socket().expect_close_after(|packet| {
                assert_ne!(packet, "41");
                announced += usize::from(packet.starts_with("42[\"server:draining\""));
            });
            assert_eq!((code, announced), (1012, 1));
        }
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn a_drain_releases_the_requests_that_are_held() {
    for shards in [1, 4] {
        let mut server = Server::builder().shards(shards).with(&["--drain-timeout", "1s"]).start();
        let endpoint = Endpoint::new(server.address, PATH);
        let mut sessions: Vec<_> = (0..10)
            .map(|n| {
                let mut session = endpoint.polling();
                let auth = super::auth(&format!("user{n}"));
                session.send(format!("40{auth}\x1e421[\"room:join\",{{\"roomId\":\"lobby\"}}]"));
                let mut packets = String::new();
                while !packets.contains("431[") {
                    packets.push_str(&session.poll());
                }
                session.begin_get();
                session
            })
            .collect();
        let unused = endpoint.polling();
        let since = Instant::now();
        server.terminate();
        for session in &mut sessions {
            let mut packets = Vec::new();
            // Whatever is left for it comes first; then it is told that the session is over, in either way.
            loop {
                let response = session.finish_get();
                if response.status == 400 || response.body == "1" {
                    break;
                }
                packets.extend(response.body.split('\x1e').map(str::to_owned));
                session.begin_get();
            }
            assert!(!packets.contains(&"41".to_owned()), "{packets:?}");
        }
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        drop(unused);
    }
}

#[test]
fn while_draining_nobody_new_comes_in() {
    let mut server = Server::builder().shards(2).with(&["--drain-timeout", "5s"]).start();
    let endpoint = Endpoint::new(server.address, PATH);
    let mut stays = SocketIo::member(&server, "ana", "lobby");
    server.terminate();
    stays.event("server:draining");
    let polling = http::get(server.address, &endpoint.target("polling"));
    assert_eq!(polling.status, 503, "{polling:?}");
    assert!(polling.retry_after() >= 1);
    let websocket = http::exchange(server.address, http::upgrade_head(&endpoint.target("websocket"), &[]));
    assert_eq!(websocket.status, 503, "{websocket:?}");
    drop(stays);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn what_was_acknowledged_before_a_drain_has_arrived() {
    for polling in [false, true] {
        let mut server = Server::builder().shards(4).with(&["--drain-timeout", "1s"]).start();
        let endpoint = Endpoint::new(server.address, PATH);
        let mut ben = SocketIo::open(&endpoint, polling);
        ben.connect(&super::auth("ben"));
        ben.call("room:join", json!({"roomId": "lobby"}));
        let mut ana = SocketIo::member(&server, "ana", "lobby");
        let ids: Vec<u64> =
            (0..200).map(|n| ana.post("message:send", &json!({"roomId": "lobby", "content": n}))).collect();
        for id in ids {
            ana.ack(id);
        }
        server.terminate();
        let received = ben.expect_end();
        let offsets = received.iter().filter(|message| message.is_event("message:received"));
        assert!(offsets.map(|message| message.data[1]["offset"].as_u64()).eq((1..=200).map(Some)));
        assert!(received.iter().all(|message| message.kind != '1'));
        drop(ana);
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }
}
