//! Connections: listed page by page, and closed one by one.

use std::sync::Arc;

use roomcast_shards::engine::NodeId;
use roomcast_shards::id::{ConnectionId, ShardId};
use roomcast_shards::mesh::administration::{Administration, Listed, Listing, Whom};
use roomcast_shards::mesh::operation::Operation;
use roomcast_shards::mesh::outcome::Outcome;
use roomcast_shards::protocol::error_code::{CommandError, ErrorCode};
use roomcast_shards::protocol::profile::Dialect;
use roomcast_shards::protocol::write::{self, key, quoted};

use super::super::super::cluster::read_node;
use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::{Call, room_in, user_in};
use super::super::gateway::unexpected;
use super::rooms::affected;

/// Questions to shards that one page may take: each looks at some thousand connections.
const QUESTIONS_MAX: usize = 16;

impl Api {
    pub(super) async fn connections(&self, call: &Call) -> Result<Answer, Failure> {
        let limit = call.page()?;
        let (mut shard, mut from) = call.query("cursor").map_or(Ok((0, 0)), cursor)?;
        let mut listing = self.filter(call)?;
        let mut found: Vec<Vec<u8>> = Vec::new();
        for _ in 0..QUESTIONS_MAX {
            if usize::from(shard) >= self.data_plane.shards() || found.len() >= limit {
                break;
            }
            (listing.from, listing.limit) = (from, limit - found.len());
            let Listed { connections, next } = self.list(ShardId(shard), listing.clone()).await?;
            found.extend(connections);
            (shard, from) = next.map_or((shard + 1, 0), |next| (shard, next));
        }
        let mut json = vec![b'{'];
        write::parts(&mut json, "connections", &found);
        if usize::from(shard) < self.data_plane.shards() {
            key(&mut json, "next");
            quoted(&mut json, format_args!("{shard:x}.{from:x}"));
        }
        json.push(b'}');
        Ok(Answer::new(200, json))
    }

    fn filter(&self, call: &Call) -> Result<Listing, Failure> {
        let namespace = call.namespace()?;
        let inside = namespace.as_deref();
        let user = call.query("userId").map(|user| user_in(inside, user, "userId")).transpose()?;
        let room = call.query("roomId").map(|room| room_in(inside, room)).transpose()?;
        let dialect = call.query("dialect").map(|name| {
            let found = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
            found.ok_or_else(|| CommandError::invalid("dialect", "must be event, topic or socketio"))
        });
        let peer =
            call.query("ip").map(|ip| ip.parse().map_err(|_| CommandError::invalid("ip", "is no address")));
        Ok(Listing {
            user,
            account: call.query("accountId").filter(|_| namespace.is_none()).map(Into::into),
            room: room.map(Into::into),
            profile: call.query("profile").map(Into::into),
            dialect: dialect.transpose()?,
            peer: peer.transpose()?,
            namespace,
            from: 0,
            limit: 0,
        })
    }

    async fn list(&self, shard: ShardId, listing: Listing) -> Result<Listed, Failure> {
        let operation = Operation::Administer(Administration::List(Arc::new(listing)));
        match self.data_plane.ask_shard(shard, operation).await? {
            Outcome::Listed(listed) => Ok(listed),
            outcome => Err(unexpected(&outcome).into()),
        }
    }

    pub(super) async fn disconnect_connection(&self, call: &Call) -> Result<Answer, Failure> {
        let unknown = || CommandError::new(ErrorCode::ChannelError, "no such connection");
        let (shard, id) = connection(call.parameter(0), self.config.node).ok_or_else(unknown)?;
        if shard.index() >= self.data_plane.shards() {
            return Err(unknown().into());
        }
        let whom = Whom::Connection { id, namespace: call.namespace()? };
        match self.disconnect_on(call, shard, whom).await? {
            0 => Err(unknown().into()),
            closed => Ok(affected(closed)),
        }
    }
}

/// Where to go on.
fn cursor(text: &str) -> Result<(u16, u32), CommandError> {
    let parsed = text.split_once('.').and_then(|(shard, from)| {
        Some((u16::from_str_radix(shard, 16).ok()?, u32::from_str_radix(from, 16).ok()?))
    });
    parsed.ok_or_else(|| CommandError::invalid("cursor", "is no cursor of this list"))
}

/// Which connection of this node an id means; among several nodes it begins with the node's.
fn connection(text: &str, node: Option<NodeId>) -> Option<(ShardId, ConnectionId)> {
    let text = match node {
        None => text,
        Some(node) => text.split_once('-').filter(|(name, _)| read_node(name) == Some(node))?.1,
    };
    let mut parts = text.split('-');
    let shard = parts.next()?.parse().ok()?;
    let (slot, generation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some((ShardId(shard), ConnectionId { slot, generation }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_cursors_are_read_or_refused() {
        assert_eq!(connection("1-20-3", None), Some((ShardId(1), ConnectionId { slot: 20, generation: 3 })));
        let node = Some(NodeId(255));
        let expected = Some((ShardId(1), ConnectionId { slot: 20, generation: 3 }));
        assert_eq!(connection("00000000000000ff-1-20-3", node), expected);
        for wrong in ["1-20-3", "00000000000000fe-1-20-3", "00000000000000ff", "00000000000000ff-"] {
            assert_eq!(connection(wrong, node), None, "{wrong}");
        }
        for wrong in ["", "1-2", "1-2-3-4", "a-2-3", "-1-2-3", "70000-1-1"] {
            assert_eq!(connection(wrong, None), None, "{wrong}");
        }
        assert_eq!(cursor("1.1f"), Ok((1, 31)));
        for wrong in ["", "1", "1.", "x.1", "1.100000000"] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
    }
}
