//! Names in Redis. Everything of a room carries the same tag in braces, so that a cluster keeps it in one place, where a
//! script may touch all of it; there are as many tags as partitions, so that channels spread.

use roomcast_shards::engine::{NodeId, Table};

/// Over how many tags rooms spread. All nodes must agree.
const PARTITIONS: u64 = 256;

/// The names of one installation.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

/// The names of one room.
#[derive(Debug)]
pub(super) struct RoomKeys {
    /// Epoch, offset, and what is remembered.
    pub(super) fields: String,
    /// The entries.
    pub(super) stream: String,
    /// What is told.
    pub(super) channel: String,
    once: String,
}

impl RoomKeys {
    /// That an entry of this name was appended.
    pub(super) fn once(&self, name: &str) -> String {
        format!("{}{name}", self.once)
    }
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn room(&self, room: &str) -> RoomKeys {
        let partition = hash(room) % PARTITIONS;
        let tag = format!("{{{}:{partition}}}", self.prefix);
        RoomKeys {
            fields: format!("{tag}:room:{room}"),
            stream: format!("{tag}:stream:{room}"),
            channel: format!("{tag}:channel:{room}"),
            once: format!("{tag}:once:{room}:"),
        }
    }

    /// The room whose channel it is.
    pub(super) fn room_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let rest = channel.strip_prefix('{')?.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        rest.split_once("}:channel:").map(|(_, room)| room)
    }

    /// All nodes that there may be.
    pub(super) fn nodes(&self) -> String {
        format!("{{{}}}:nodes", self.prefix)
    }

    /// One node, for as long as it lives.
    pub(super) fn node(&self, node: NodeId) -> String {
        format!("{{{}}}:node:{:016x}", self.prefix, node.0)
    }

    /// What is said to one node.
    pub(super) fn node_channel(&self, node: NodeId) -> String {
        format!("{{{}}}:to:{:016x}", self.prefix, node.0)
    }

    /// Who is refused, and since when no longer.
    pub(super) fn revocations(&self) -> String {
        format!("{{{}}}:revocations", self.prefix)
    }

    /// When each of that is over.
    pub(super) fn revocation_ends(&self) -> String {
        format!("{{{}}}:revocation-ends", self.prefix)
    }

    /// Which of that refuses nobody any more.
    pub(super) fn revocations_lifted(&self) -> String {
        format!("{{{}}}:revocations-lifted", self.prefix)
    }

    /// What is told of it.
    pub(super) fn revoked_channel(&self) -> String {
        format!("{{{}}}:revoked", self.prefix)
    }

    /// What signs the tokens of sessions.
    pub(super) fn session_key(&self) -> String {
        format!("{{{}}}:session-key", self.prefix)
    }
}

/// FNV-1a: the same in every version of the gateway.
fn hash(room: &str) -> u64 {
    room.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The name of a field.
pub(super) fn field(table: Table, name: &str) -> String {
    let letter = match table {
        Table::Members => 'm',
        Table::Cursors => 'a',
        Table::Receipts => 'r',
        Table::Sessions => 's',
        Table::Card => 'c',
    };
    format!("{letter}:{name}")
}

/// The table and the name of a field; `None` for what is none of ours.
pub(super) fn read_field(field: &str) -> Option<(Table, &str)> {
    let (letter, name) = field.split_once(':')?;
    let table = match letter {
        "m" => Table::Members,
        "a" => Table::Cursors,
        "r" => Table::Receipts,
        "s" => Table::Sessions,
        "c" => Table::Card,
        _ => return None,
    };
    Some((table, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_name_their_rooms() {
        let keys = Keys::new("roomcast");
        for room in ["lobby", "7 user:alice", "a}:channel:b", "{x}"] {
            assert_eq!(keys.room_of(&keys.room(room).channel), Some(room));
        }
        assert_eq!(Keys::new("other").room_of(&keys.room("lobby").channel), None);
        assert_eq!(keys.room_of("lobby"), None);
    }

    #[test]
    fn fields_read_back() {
        for table in [Table::Members, Table::Cursors, Table::Receipts, Table::Sessions, Table::Card] {
            assert_eq!(read_field(&field(table, "a:b")), Some((table, "a:b")));
        }
        assert_eq!(read_field("e"), None);
        assert_eq!(read_field("z:1"), None);
    }
}
