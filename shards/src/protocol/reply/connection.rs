//! What replies say of connections and sessions.

use std::sync::Arc;

use super::user_type_name;
use crate::access::permission::Identity;
use crate::id::SessionId;
use crate::protocol::write::{self, display, key, list, name, quoted, time};
use crate::room::name::local;

/// A connection, to its own client.
#[derive(Debug)]
pub struct SessionInfo {
    /// Who.
    pub identity: Arc<Identity>,
    /// Its session.
    pub session: SessionId,
    /// When it became a WebSocket.
    pub connected_unix_ms: u64,
    /// When it was last heard before this.
    pub active_unix_ms: u64,
    /// Its rooms.
    pub rooms: Vec<Arc<str>>,
    /// Whether it resumed an earlier session.
    pub recovered: bool,
}

/// Recoveries of sessions, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryStats {
    /// Recoveries asked for.
    pub tried: u64,
    /// Those that recovered every room.
    pub full: u64,
    /// Those that could not recover some room.
    pub partial: u64,
    /// Those that were refused, by [`SessionError::ALL`]'s position.
    pub refused: [u64; SessionError::ALL.len()],
    /// Sessions that can be resumed now.
    pub sessions: u64,
    /// Those of them that have no connection.
    pub parked: u64,
}

/// Why a session cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// The token is none of ours.
    Invalid,
    /// It is another user's.
    Foreign,
    /// There is no such session, or not any more.
    Expired,
}

impl SessionError {
    /// Every reason; its position is its index in counts.
    pub const ALL: [Self; 3] = [Self::Invalid, Self::Foreign, Self::Expired];

    /// The reason on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Foreign => "foreign",
            Self::Expired => "expired",
        }
    }
}

impl SessionInfo {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::user(out, &self.identity.user);
        key(out, "userType");
        name(out, user_type_name(self.identity.user_type));
        key(out, "sessionId");
        quoted(out, self.session);
        key(out, "connectedAt");
        time(out, self.connected_unix_ms);
        key(out, "lastActivity");
        time(out, self.active_unix_ms);
        key(out, "rooms");
        list(out, &self.rooms, |out, room| name(out, local(room)));
        key(out, "recovered");
        display(out, self.recovered);
    }
}

impl RecoveryStats {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.full += other.full;
        self.partial += other.partial;
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            *mine += theirs;
        }
        self.sessions += other.sessions;
        self.parked += other.parked;
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let refused = self.refused.iter().sum();
        for (field, count) in
            [("tried", self.tried), ("full", self.full), ("partial", self.partial), ("refused", refused)]
        {
            key(out, field);
            display(out, count);
        }
        key(out, "reasons");
        out.push(b'{');
        for (error, count) in SessionError::ALL.into_iter().zip(self.refused) {
            key(out, error.name());
            display(out, count);
        }
        out.push(b'}');
        key(out, "sessions");
        display(out, self.sessions);
        key(out, "parked");
        display(out, self.parked);
    }
}
