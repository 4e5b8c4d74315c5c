//! Several nodes on a real Redis: one room, wherever its members are connected (architecture §7).

mod administration;
mod chaos;
mod events;
mod outage;
mod people;
mod revocations;
mod rooms;
mod sessions;

use serde_json::{Value, json};

use crate::server_api::Backend;
use crate::support::{Client, Redis, Server, Token, eventually};

/// Nodes that share a Redis.
struct Nodes {
    redis: Redis,
    nodes: Vec<Server>,
}

impl Nodes {
    /// So many, of two shards each.
    fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// So many, with more arguments.
    fn start_with(count: usize, arguments: &[&str]) -> Self {
        let redis = Redis::start();
        let nodes = (0..count).map(|_| start_node(&redis, arguments)).collect();
        Self { redis, nodes }
    }

    /// A member of a room by each node: `user-0`, `user-1`, ….
    fn members(&self, room: &str) -> Vec<Client> {
        let members = self.nodes.iter().zip(0..);
        members.map(|(node, number)| node.member(&format!("user-{number}"), room)).collect()
    }

    /// Ends a node without a word, as a crash would.
    fn kill(&mut self, index: usize) {
        drop(self.nodes.remove(index));
    }
}

fn start_node(redis: &Redis, arguments: &[&str]) -> Server {
    start_node_at(&redis.url(), arguments)
}

/// Starts a node that reaches its Redis by this URL.
fn start_node_at(url: &str, arguments: &[&str]) -> Server {
    // As short as it may be, so that nobody waits for it.
    let lease = if arguments.contains(&"--engine-lease") { &[][..] } else { &["--engine-lease", "1s"] };
    let all = ["--engine", url, "--presence-grace", "200ms"];
    Server::builder().shards(2).with(&all).with(lease).with(arguments).start()
}

/// A backend of this node.
fn backend(node: &Server) -> Backend {
    let token = Token::guest("shop").permissions(&["server"]);
    Backend::new(node, &format!("Authorization: Bearer {}", token.mint()))
}

/// Nodes that count as alive for longer than any test takes.
fn lasting(count: usize) -> Nodes {
    Nodes::start_with(count, &["--engine-lease", "30s"])
}

fn expect_engine(node: &Server, is_up: bool) {
    eventually(&format!("the engine is up: {is_up}"), || {
        (node.metric("roomcast_engine_up") == f64::from(u8::from(is_up))).then_some(())
    });
}

/// Waits until a room has so many users, whoever is asked.
fn expect_members(asker: &mut Client, room: &str, count: u64) {
    eventually(&format!("{count} members of {room}"), || {
        let info = asker.call("room:info", json!({"roomId": room}));
        (info["members"] == count).then_some(())
    });
}

/// The next message of the room, less what only its stream may differ in: nothing.
fn message(client: &mut Client, room: &str) -> Value {
    client.expect_message(room).data().clone()
}
