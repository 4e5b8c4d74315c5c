//! What has to be done now and then, whatever is asked: this node lives, what it follows lasts, who is gone is told.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use roomcast_shards::engine::codec::read_member_name;
use roomcast_shards::engine::{Event, RoomState, Table};
use tokio::time::Instant;

use super::Link;
use crate::engine::redis::keys;

/// Rooms that are made to last in one batch.
const TOUCHES_AT_ONCE: usize = 1_000;

impl Link {
    /// Says that this node lives, and tells of those that do not.
    pub(super) async fn renew(&mut self, connection: &mut MultiplexedConnection) -> Result<(), String> {
        self.renewed = Instant::now();
        let census = self.nodes.renew(connection).await.map_err(|error| error.to_string())?;
        self.status.found(census.peers);
        for node in census.gone {
            tracing::warn!(event = "node_gone", node = format!("{:016x}", node.0));
            for outbox in &mut self.outbox {
                outbox.push(Event::NodeGone(node));
            }
        }
        // The others may have taken this node for gone, and its users with it: it says anew who is here.
        if census.lapsed { Err("the lease of this node had run out".to_owned()) } else { Ok(()) }
    }

    /// Rooms that are followed last, however long nothing happens in them.
    pub(super) async fn touch(&mut self, connection: &mut MultiplexedConnection) -> Result<(), String> {
        let rooms: Vec<Arc<str>> = self.followed.keys().cloned().collect();
        for rooms in rooms.chunks(TOUCHES_AT_ONCE) {
            let mut pipeline = redis::pipe();
            for room in rooms {
                let keys = self.style.keys.room(room);
                for key in [&keys.fields, &keys.stream] {
                    let last = pipeline.cmd("PEXPIRE").arg(key);
                    if self.style.sharded {
                        // Never shorter than it would last anyway.
                        last.arg(self.style.ttl_ms).arg("GT").ignore();
                    } else {
                        last.arg(self.settings.queue_ttl_ms).ignore();
                    }
                }
            }
            pipeline.exec_async(connection).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Members that a node has left behind which is gone are none.
    pub(super) async fn clear_dead(
        &mut self,
        connection: &mut MultiplexedConnection,
        room: &str,
        state: &mut RoomState,
    ) -> Result<(), String> {
        let node_of = |name: &str| read_member_name(name).map(|(node, _)| node);
        let members = || state.fields.iter().filter(|field| field.table == Table::Members);
        if members().any(|field| node_of(&field.name).is_some_and(|node| !self.nodes.is_alive(node))) {
            // It may have come since they were looked for.
            self.renew(connection).await?;
        }
        let mut dead = Vec::new();
        state.fields.retain(|field| {
            let lives = node_of(&field.name).is_none_or(|node| self.nodes.is_alive(node));
            if field.table == Table::Members && !lives {
                dead.push(keys::field(Table::Members, &field.name));
                return false;
            }
            true
        });
        if !dead.is_empty() {
            let fields = self.style.keys.room(room).fields;
            let forget = redis::cmd("HDEL").arg(fields).arg(dead).exec_async(connection).await;
            forget.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
