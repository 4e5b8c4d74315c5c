//! Heartbeats: the server pings, a pong earns the next ping, and nothing else keeps a session alive.

use std::time::{Duration, Instant};

use super::{PATH, echo, suite_echo};
use crate::support::engine::{Endpoint, Packet};
use crate::support::{DEADLINE, Server};

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);
/// What a timer may be early by, because both sides round.
const ROUNDING: Duration = Duration::from_millis(20);

/// An echo that pings every [`INTERVAL`] and is patient with a busy test.
fn patient_echo() -> (Server, Endpoint) {
    let times = ["--socketio-ping-interval", "300ms", "--socketio-ping-timeout", "5s"];
    super::echo_with(1, &times)
}

#[test]
fn a_polling_client_is_pinged_an_interval_after_each_pong() {
    let (_server, endpoint) = patient_echo();
    let mut since = Instant::now();
    let mut session = endpoint.polling();
    for _ in 0..3 {
        assert_eq!(session.poll(), "2");
        let waited = since.elapsed();
        assert!(waited > INTERVAL - ROUNDING, "pinged after {waited:?}");
        since = Instant::now();
        session.send("3");
    }
}

#[test]
fn a_websocket_is_pinged_an_interval_after_each_pong() {
    let (_server, endpoint) = patient_echo();
    let mut since = Instant::now();
    let (mut socket, _) = endpoint.websocket();
    for _ in 0..3 {
        assert_eq!(socket.read(), Some(Packet::Text("2".to_owned())));
        let waited = since.elapsed();
        assert!(waited > INTERVAL - ROUNDING, "pinged after {waited:?}");
        since = Instant::now();
        socket.send("3");
    }
}

#[test]
fn a_session_that_does_not_answer_the_ping_is_over() {
    let server = suite_echo();
    for path in [PATH, "/socket.io/"] {
        let endpoint = Endpoint::new(server.address, path);
        let since = Instant::now();
        let (mut socket, _) = endpoint.websocket();
        socket.expect_close();
        assert!(since.elapsed() > INTERVAL + TIMEOUT - ROUNDING, "{:?}", since.elapsed());
        // As the protocol's suite does it: by then the session must be unknown, and the first request is answered so.
        // A busy machine may be late with a ping, but not with each.
        let on_time = (0..5).any(|_| {
            let mut session = endpoint.polling();
            std::thread::sleep(INTERVAL + TIMEOUT);
            session.get().status == 400
        });
        assert!(on_time, "sessions live longer than the client was told");
    }
}

#[test]
fn a_pending_get_is_released_when_its_session_times_out() {
    let server = suite_echo();
    let mut session = Endpoint::new(server.address, PATH).polling();
    assert_eq!(session.poll(), "2");
    session.begin_get();
    session.finish_last_get();
}

#[test]
fn other_traffic_is_no_pong() {
    let server = suite_echo();
    let (mut socket, _) = Endpoint::new(server.address, PATH).websocket();
    let since = Instant::now();
    while socket.try_send("4busy") {
        assert!(since.elapsed() < DEADLINE, "it is alive without a pong");
        match socket.read() {
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
            None => return,
        }
    }
}

#[test]
fn a_busy_client_is_pinged_all_the_same() {
    let (_server, endpoint) = patient_echo();
    let (mut socket, _) = endpoint.websocket();
    let (mut pings, mut echoes) = (0, 0);
    let since = Instant::now();
    socket.send("4busy");
    while pings < 3 {
        match socket.read().expect("it is alive") {
            Packet::Text(packet) if packet == "2" => {
                pings += 1;
                socket.send("3");
            }
            _ => {
                echoes += 1;
                socket.send("4busy");
            }
        }
        assert!(since.elapsed() < DEADLINE, "{pings} pings among {echoes} packets");
    }
}

#[test]
fn a_clients_own_ping_ends_its_session() {
    let (_server, endpoint) = echo(1);
    for packet in ["2", "2probe", "2x"] {
        let (mut socket, _) = endpoint.websocket();
        socket.send(packet);
        socket.expect_close();
        let mut session = endpoint.polling();
        assert_eq!(session.post(packet).status, 400, "{packet}");
        session.expect_end();
    }
}
