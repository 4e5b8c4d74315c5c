//! What the control plane asks every shard, or one, to do with its own connections.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::revocations::Revocation;
use crate::id::ConnectionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::profile::Dialect;

/// What a shard is to do.
#[derive(Debug, Clone)]
pub enum Administration {
    /// Put a user's connections into a room, or take them out; their clients are told.
    Place {
        /// The user.
        user: Arc<str>,
        /// The room.
        room: Arc<str>,
        /// Which of the two.
        inside: bool,
    },
    /// Close connections.
    Disconnect {
        /// Whose.
        whom: Whom,
        /// With this code.
        code: CloseCode,
        /// And this reason, of 123 bytes at most.
        reason: Arc<str>,
    },
    /// Refuse users and tokens from now on, and close what they have; or do so no longer.
    Revoke(Arc<[Revocation]>),
    /// Describe connections.
    List(Arc<Listing>),
}

/// Whose connections are meant.
#[derive(Debug, Clone)]
pub enum Whom {
    /// A user's.
    User(Arc<str>),
    /// One.
    Connection {
        /// Its id.
        id: ConnectionId,
        /// The namespace that it must be in.
        namespace: Option<Arc<str>>,
    },
}

/// A page of connections.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The namespace that they must be in.
    pub namespace: Option<Arc<str>>,
    /// Only this user's.
    pub user: Option<Arc<str>>,
    /// Only this account's.
    pub account: Option<Box<str>>,
    /// Only those in this room.
    pub room: Option<Arc<str>>,
    /// Only those of this profile.
    pub profile: Option<Box<str>>,
    /// Only those that speak this dialect.
    pub dialect: Option<Dialect>,
    /// Only those from this address.
    pub peer: Option<IpAddr>,
    /// The first slot to look at.
    pub from: u32,
    /// Connections that are described at most.
    pub limit: usize,
}

/// What a shard has found.
#[derive(Debug)]
pub struct Listed {
    /// Connections, each as a JSON object.
    pub connections: Vec<Vec<u8>>,
    /// The slot to look on at; `None` when all were looked at.
    pub next: Option<u32>,
}
