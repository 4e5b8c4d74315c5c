//! Several nodes on a real Redis: one room, wherever its members are connected (architecture §7).

mod chaos;
mod outage;
mod people;
mod rooms;
mod sessions;

use serde_json::{Value, json};

use crate::support::{Client, Redis, Server, eventually};

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
    let url = redis.url();
    // As short as it may be, so that nobody waits for it.
    let all = ["--engine", &url, "--engine-lease", "1s", "--presence-grace", "200ms"];
    Server::builder().shards(2).with(&all).with(arguments).start()
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
