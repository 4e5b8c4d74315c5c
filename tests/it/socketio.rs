//! Socket.IO 5 on the wire: the echo application with the exact bytes that the protocol's own suite wants, and the
//! gateway with its tokens, envelopes, namespaces and recovery (protocol §7).

mod echo;
mod envelope;
mod namespaces;
mod recovery;
mod recovery_refused;
mod server_acks;
mod tokens;

use serde_json::{Value, json};

use crate::support::engine::Endpoint;
use crate::support::socketio::PATH;
use crate::support::{Server, SocketIo, Token};

/// A gateway with tokens on that many shards.
fn gateway(shards: usize, arguments: &[&str]) -> (Server, Endpoint) {
    let server = Server::builder().shards(shards).with(arguments).start();
    let endpoint = Endpoint::new(server.address, PATH);
    (server, endpoint)
}

/// What an employee of that name says in CONNECT.
fn auth(name: &str) -> Value {
    json!({"token": Token::employee(name).mint()})
}

/// An employee of that name in that room of `/`, over polling or WebSocket; also its pid.
fn member(endpoint: &Endpoint, polling: bool, name: &str, room: &str) -> (SocketIo, String) {
    let mut client = SocketIo::open(endpoint, polling);
    let connected = client.connect(&auth(name));
    client.call("room:join", json!({"roomId": room}));
    (client, pid(&connected))
}

/// The pid in what CONNECT was answered with.
#[track_caller]
fn pid(connected: &Value) -> String {
    connected["pid"].as_str().unwrap_or_else(|| panic!("no pid in {connected}")).to_owned()
}
