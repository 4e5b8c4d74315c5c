//! What hostile, broken and slow Socket.IO clients do to themselves, and to nobody else: whatever they send ends their
//! own session at most, memory stays bounded, and nothing is left of them (issue "Hardness").

mod attachments;
mod crowds;
mod draining;
mod malformed;
mod slowness;
mod walk;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::engine::Endpoint;
use crate::support::socketio::PATH;
use crate::support::{Client, DEADLINE, Server, SocketIo, Token};

/// Gauges that go back to where they were when everybody has left.
const GAUGES: [&str; 4] = [
    "roomcast_connections",
    "roomcast_connections_authenticated",
    "roomcast_subscriptions",
    "roomcast_outbound_queue_bytes",
];

/// A server whose well-behaved members chat on, whatever the others do.
struct Stage {
    server: Server,
    endpoint: Endpoint,
    chatter: SocketIo,
    listener: Client,
    said: u64,
    gauges: Vec<f64>,
}

impl Stage {
    fn new(shards: usize, arguments: &[&str]) -> Self {
        let server = Server::builder().shards(shards).with(arguments).start();
        let endpoint = Endpoint::new(server.address, PATH);
        let chatter = SocketIo::member(&server, "chatter", "chat");
        let mut listener = server.member("listener", "chat");
        listener.ping();
        let gauges = GAUGES.map(|name| server.metric(name)).to_vec();
        Self { server, endpoint, chatter, listener, said: 0, gauges }
    }

    /// Fails unless the well-behaved still hear each other, with nothing lost.
    #[track_caller]
    fn assert_serving(&mut self) {
        self.said += 1;
        assert_eq!(self.chatter.say("chat", self.said)["offset"], self.said);
        assert_eq!(self.listener.expect_message("chat").data()["content"], self.said);
        assert_eq!(self.chatter.event("message:received").data[1]["content"], self.said);
    }

    /// Fails unless all that the others had is given back.
    #[track_caller]
    fn assert_nothing_left(&mut self) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.assert_serving();
            let gauges = GAUGES.map(|name| self.server.metric(name)).to_vec();
            if gauges == self.gauges {
                return;
            }
            assert!(Instant::now() < end, "{GAUGES:?} were {:?}, are {gauges:?}", self.gauges);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits, with the well-behaved chatting on, until that is so.
    #[track_caller]
    fn wait_until(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !so(self) {
            self.assert_serving();
            assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Somebody in `/` over polling or WebSocket.
    fn connected(&self, polling: bool) -> SocketIo {
        let mut client = SocketIo::open(&self.endpoint, polling);
        client.connect(&auth("mallory"));
        client
    }
}

/// What an employee of that name says in CONNECT.
fn auth(name: &str) -> Value {
    json!({"token": Token::employee(name).mint()})
}
