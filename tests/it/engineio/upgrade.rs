//! The way from long-polling to WebSocket: nothing is lost on it, nothing comes twice, and it may be left half-way.

use std::time::{Duration, Instant};

use super::{echo, echo_with};
use crate::support::engine::{Endpoint, EngineSocket, Packet, Polling, assert_refused, text_frame};
use crate::support::line::Line;
use crate::support::{QUIET, eventually, http};

/// Fails unless the session lives on over polling.
fn assert_polls(session: &mut Polling) {
    session.send("4over polling");
    while session.poll().split('\x1e').all(|packet| packet != "4over polling") {}
}

/// Fails unless the session lives on over that WebSocket.
fn assert_echoes(socket: &mut EngineSocket) {
    socket.send("4over websocket");
    socket.expect("4over websocket");
}

/// Fails unless polling requests of that session are refused.
fn assert_polling_refused(session: &mut Polling) {
    for response in [session.get(), session.post("4too late")] {
        assert_eq!(response.status, 400, "{response:?}");
    }
}

#[test]
fn a_polling_session_goes_on_over_websocket() {
    for shards in [1, 4] {
        let (_server, endpoint) = echo(shards);
        // On several shards the WebSocket begins on any of them.
        for _ in 0..2 * shards {
            let mut session = endpoint.polling();
            let mut socket = session.socket();
            socket.send("2probe");
            socket.expect("3probe");
            assert_eq!(session.poll(), "6");
            socket.send("5");
            assert_echoes(&mut socket);
            assert_polling_refused(&mut session);
            assert_echoes(&mut socket);
        }
    }
}

#[test]
fn a_pending_get_is_released_by_the_probe() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    session.begin_get();
    assert!(!session.get_ends_within(QUIET));
    let mut socket = session.socket();
    socket.send("2probe");
    socket.expect("3probe");
    assert_eq!(session.finish_poll(), "6");
    socket.send("5");
    assert_echoes(&mut socket);
}

#[test]
fn a_get_that_is_pending_when_the_upgrade_ends_is_released() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let mut socket = session.socket();
    socket.send("2probe");
    socket.expect("3probe");
    session.begin_get();
    socket.send("5");
    let response = session.finish_get();
    assert!(matches!((response.status, response.body.as_str()), (200, "6" | "1") | (400, _)), "{response:?}");
    assert_echoes(&mut socket);
}

#[test]
fn head_probe_upgrade_and_message_may_come_in_one_segment() {
    let (_server, endpoint) = echo(4);
    for _ in 0..8 {
        let session = endpoint.polling();
        let mut bytes = http::upgrade_head(&session.target("websocket"), &[]).into_bytes();
        bytes.extend(["2probe", "5", "4hello"].into_iter().flat_map(text_frame));
        let mut socket = EngineSocket::over(Line::to(endpoint.address), &bytes);
        socket.expect("3probe");
        socket.expect("4hello");
    }
}

#[test]
fn a_second_websocket_is_closed_and_the_first_goes_on() {
    let (_server, endpoint) = echo(4);
    let mut session = endpoint.polling();
    let mut first = session.socket();
    first.send("2probe");
    first.expect("3probe");
    assert_second_is_closed(&session);
    first.send("5");
    assert_echoes(&mut first);
    assert_second_is_closed(&session);
    assert_echoes(&mut first);
    assert_polling_refused(&mut session);
}

/// Fails unless a further WebSocket of that session is refused or closed.
fn assert_second_is_closed(session: &Polling) {
    match session.try_socket() {
        Err(response) => assert_eq!(response.status, 400, "{response:?}"),
        Ok(mut second) => {
            second.try_send("2probe");
            assert_eq!(second.next(), None);
        }
    }
}

#[test]
fn what_is_sent_while_upgrading_comes_once_and_in_order() {
    let (_server, endpoint) = echo(4);
    for round in 0..60 {
        let mut session = endpoint.polling();
        let mut numbers = 0..;
        let mut say = |session: &mut Polling, count: usize| {
            let packets: Vec<String> = numbers.by_ref().take(count).map(|n| format!("4{n}")).collect();
            session.send(packets.join("\x1e"));
        };
        let mut received: Vec<String> = Vec::new();
        say(&mut session, round % 3 + 1);
        if round % 2 == 0 {
            received.extend(session.poll().split('\x1e').map(str::to_owned));
            session.begin_get();
        }
        let mut socket = session.socket();
        if round % 2 == 0 && round % 5 != 0 {
            say(&mut session, 2);
        }
        socket.send("2probe");
        socket.expect("3probe");
        if round % 2 == 0 {
            received.extend(session.finish_poll().split('\x1e').map(str::to_owned));
        }
        say(&mut session, round % 4 + 1);
        socket.send("5");
        socket.send("4end");
        loop {
            let packet = socket.expect_text();
            if packet == "4end" {
                break;
            }
            received.push(packet);
        }
        received.retain(|packet| packet != "6");
        let sent: Vec<String> = (0..numbers.start).map(|n| format!("4{n}")).collect();
        assert_eq!(received, sent, "round {round}");
    }
}

#[test]
fn an_upgrade_that_is_not_finished_leaves_polling_working_and_is_closed_after_a_while() {
    let (_server, endpoint) = echo(2);
    let since = Instant::now();
    let mut silent = endpoint.polling();
    let mut silent_socket = silent.socket();
    let mut probed = endpoint.polling();
    let mut probed_socket = probed.socket();
    probed_socket.send("2probe");
    probed_socket.expect("3probe");
    for session in [&mut silent, &mut probed] {
        for _ in 0..3 {
            assert_polls(session);
        }
    }
    for socket in [&mut silent_socket, &mut probed_socket] {
        assert_eq!(socket.next(), None);
    }
    assert!(since.elapsed() > Duration::from_secs(5), "closed after {:?}", since.elapsed());
    for session in [&mut silent, &mut probed] {
        assert_polls(session);
        assert_echoes(&mut session.upgrade());
    }
}

#[test]
fn an_upgrade_that_breaks_off_leaves_polling_working() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    for probed in [false, true] {
        let mut socket = session.socket();
        if probed {
            socket.send("2probe");
            socket.expect("3probe");
        }
        drop(socket);
        assert_polls(&mut session);
    }
    // The server may learn only by and by that the sockets are gone.
    let mut socket = eventually("an upgrade is possible again", || {
        let mut socket = session.try_socket().ok()?;
        (socket.try_send("2probe") && socket.next() == Some(Packet::Text("3probe".to_owned())))
            .then_some(socket)
    });
    socket.send("5");
    assert_echoes(&mut socket);
}

#[test]
fn anything_but_a_probe_closes_the_websocket_and_no_other_session() {
    let (_server, endpoint) = echo(2);
    let mut other = endpoint.polling();
    for packet in ["4early", "abc", "", "2", "2probes", "3", "1"] {
        let session = endpoint.polling();
        let mut socket = session.socket();
        socket.send(packet);
        assert_eq!(socket.next(), None, "{packet:?}");
    }
    let session = endpoint.polling();
    let mut socket = session.socket();
    socket.send_binary(&[1, 2, 3]);
    assert_eq!(socket.next(), None);
    assert_polls(&mut other);
}

#[test]
fn an_upgrade_packet_without_probe_upgrades_or_closes_but_never_both() {
    let (_server, endpoint) = echo(2);
    let mut session = endpoint.polling();
    let mut socket = session.socket();
    socket.send("5");
    if socket.try_send("4hello") && socket.next() == Some(Packet::Text("4hello".to_owned())) {
        assert_polling_refused(&mut session);
    } else {
        assert_polls(&mut session);
    }
}

#[test]
fn a_probe_for_an_unknown_or_ended_session_is_refused() {
    let (_server, endpoint) = echo(4);
    let unknown = format!("{}&sid=unknown", endpoint.target("websocket"));
    assert_refused(&http::exchange(endpoint.address, http::upgrade_head(&unknown, &[])), 1);
    let mut session = endpoint.polling();
    session.send("1");
    assert_second_is_closed(&session);
    session.get();
    let ended = http::upgrade_head(&session.target("websocket"), &[]);
    assert_refused(&http::exchange(endpoint.address, ended), 1);
}

#[test]
fn a_session_that_began_on_websocket_is_not_taken_over() {
    let (_server, endpoint) = echo(2);
    let (mut socket, open) = endpoint.websocket();
    let sid = open["sid"].as_str().expect("a sid");
    let get = http::get(endpoint.address, &format!("{}&sid={sid}", endpoint.target("polling")));
    assert_eq!(get.status, 400, "{get:?}");
    let head = http::upgrade_head(&format!("{}&sid={sid}", endpoint.target("websocket")), &[]);
    let response = http::exchange(endpoint.address, head);
    assert!(matches!(response.status, 400 | 101), "{response:?}");
    assert_echoes(&mut socket);
}

#[test]
fn heartbeats_go_on_across_the_upgrade() {
    let (_server, endpoint) =
        echo_with(2, &["--socketio-ping-interval", "300ms", "--socketio-ping-timeout", "5s"]);
    let mut session = endpoint.polling();
    assert_eq!(session.poll(), "2");
    let mut socket = session.upgrade();
    // The answer to a ping that came over polling may go over the WebSocket.
    socket.send("3");
    for _ in 0..2 {
        assert_eq!(socket.read(), Some(Packet::Text("2".to_owned())));
        socket.send("3");
    }
    assert_echoes(&mut socket);
}

#[test]
fn many_sessions_upgrade_at_once() {
    let (_server, endpoint) = echo(4);
    let upgrade = |endpoint: &Endpoint| {
        for _ in 0..20 {
            let mut session = endpoint.polling();
            session.send("4before");
            let mut socket = session.upgrade();
            socket.send("4after");
            socket.expect("4before");
            socket.expect("4after");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| upgrade(&endpoint));
        }
    });
}
