//! `--dialect socketio` against the stand-in: the handshake, heartbeats, and the checks of deliveries.

use serde_json::json;

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, DELIVERIES, MESSAGES, ROOMS, faults, run};

/// The flags; the later of two URLs counts.
fn flags(server: &StandIn) -> [String; 4] {
    ["--dialect", "socketio", "--url", &format!("ws://{}/", server.address)].map(str::to_owned)
}

#[test]
fn a_socket_io_server_is_greeted_joined_and_checked() {
    for fault in [Fault::None, Fault::Trickle] {
        let server = StandIn::start(fault);
        let flags = flags(&server);
        let (code, report, text) = run(&server, &flags.each_ref().map(String::as_str));
        assert_eq!(code, Some(0), "{fault:?}: {text}");
        let traffic = &report["traffic"];
        assert_eq!(traffic["faults"], faults(0, 0, 0), "{text}");
        assert_eq!([&traffic["messages_sent"], &traffic["deliveries"]], [MESSAGES, DELIVERIES], "{text}");
        let heads = server.requests();
        assert_eq!(heads.len() as u64, CONNECTIONS);
        assert!(heads.iter().all(|head| !head.contains("Sec-WebSocket-Protocol")), "{heads:?}");
        // A heartbeat of each layer.
        assert_eq!(server.pongs() as u64, 2 * CONNECTIONS, "{text}");
    }
}

#[test]
fn planted_faults_are_found_in_socket_io_too() {
    for (fault, expected) in [
        (Fault::Drop, faults(ROOMS, 0, 0)),
        (Fault::Duplicate, faults(0, ROOMS, 0)),
        (Fault::Swap, faults(0, 0, ROOMS)),
    ] {
        let server = StandIn::start(fault);
        let flags = flags(&server);
        let (code, report, text) = run(&server, &flags.each_ref().map(String::as_str));
        assert_eq!((code, &report["traffic"]["faults"]), (Some(1), &expected), "{fault:?}: {text}");
    }
}

#[test]
fn a_server_without_a_greeting_is_named() {
    let server = StandIn::start(Fault::RefuseGreeting);
    let flags = flags(&server);
    let (code, report, text) = run(&server, &flags.each_ref().map(String::as_str));
    assert_eq!(code, Some(1), "{text}");
    let failures = json!({ r#"refused: 44{"message":"no"}"#: CONNECTIONS });
    assert_eq!(report["connects"]["failures"], failures, "{text}");
}
