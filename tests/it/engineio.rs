//! Engine.IO 4 on the wire, against the echo that `--socketio-echo` serves: all that the protocol's own suite checks,
//! every sentence of the protocol facts, and what a proxy, a browser or a bad network makes of HTTP.

mod cors;
mod framing;
mod handshake;
mod heartbeat;
mod lines;
mod packets;
mod refusals;
mod upgrade;

use crate::support::Server;
use crate::support::engine::Endpoint;

/// The path of the Engine.IO echo.
const PATH: &str = "/engine.io/";

/// An echo on that many shards whose heartbeats come too seldom to disturb.
fn echo(shards: usize) -> (Server, Endpoint) {
    echo_with(shards, &[])
}

/// As [`echo`], with further arguments.
fn echo_with(shards: usize, arguments: &[&str]) -> (Server, Endpoint) {
    let server = Server::builder().shards(shards).with(&["--socketio-echo"]).with(arguments).start();
    let endpoint = Endpoint::new(server.address, PATH);
    (server, endpoint)
}

/// An echo with the times that the protocol's suite wants.
fn suite_echo() -> Server {
    let times = ["--socketio-ping-interval", "300ms", "--socketio-ping-timeout", "200ms"];
    let connect = ["--socketio-connect-timeout", "1s"];
    Server::builder().shards(2).with(&["--socketio-echo"]).with(&times).with(&connect).start()
}
