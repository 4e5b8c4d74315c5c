//! What the gateway takes of memory: nearly nothing by itself, and little for each connection that is idle.
//!
//! Only a release build is judged: another is larger, and has another allocator's habits.

use serde_json::json;

use crate::support::raw::{FIN, RawSocket, TEXT};
use crate::support::{Server, Token, http, raise_descriptor_limit};

/// Resident bytes of two shards that nobody has connected to.
const BASE_MAX: u64 = 16 << 20;
/// Resident bytes of an authenticated connection in its own room and one more; it is about 1.7 KiB.
const CONNECTION_MAX: u64 = 2 << 10;

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    let kib = line.split_whitespace().nth(1).expect("a number follows");
    kib.parse::<u64>().expect("of kibibytes") << 10
}

/// A user that is in a room and says nothing more.
fn idle_member(server: &Server, number: usize) -> RawSocket {
    let token = Token::employee(&format!("user-{number}")).mint();
    let headers =
        [format!("Authorization: Bearer {token}"), "Sec-WebSocket-Protocol: roomcast.event.v1".into()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let head = http::upgrade_head("/ws", &headers);
    let mut socket = RawSocket::upgrade_with(http::connect(server.address), head.as_bytes());
    let join = json!({"event": "room:join", "id": "1", "data": {"roomId": format!("room:{}", number / 10)}});
    socket.send(FIN | TEXT, join.to_string().as_bytes());
    assert!(socket.read().is_some(), "the join is answered");
    socket
}

#[test]
fn two_shards_take_at_most_16_mib() {
    if cfg!(debug_assertions) {
        return;
    }
    let server = Server::builder().shards(2).start();
    let resident = resident_bytes(&server);
    assert!(resident <= BASE_MAX, "{resident} bytes");
}

#[test]
fn an_idle_connection_takes_at_most_2_kib() {
    if cfg!(debug_assertions) {
        return;
    }
    raise_descriptor_limit();
    let server = Server::start();
    let mut sockets: Vec<RawSocket> = (0..500).map(|number| idle_member(&server, number)).collect();
    // What the first of them touch for the first time is not theirs.
    let before = resident_bytes(&server);
    sockets.extend((500..2_500).map(|number| idle_member(&server, number)));
    let each = resident_bytes(&server).saturating_sub(before) / 2_000;
    assert!(each <= CONNECTION_MAX, "{each} bytes for each of {} connections", sockets.len());
}
