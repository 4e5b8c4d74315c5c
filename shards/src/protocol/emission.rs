//! What a backend says in the way of Socket.IO's emitters: an event with any number of arguments, for whoever is in one of
//! some rooms and in none of others; or what is to be done with the connections that are.
//!
//! It goes to every shard, which knows its own connections: so a connection in several of the rooms is told once, and an
//! event without rooms costs one item a shard, however many connections there are.

use std::sync::Arc;

use bytes::Bytes;

use super::socketio::Namespace;

/// Something for some connections of one namespace.
#[derive(Debug)]
pub struct Emission {
    /// The namespace; clients of the other dialects are in the root's.
    pub namespace: &'static Namespace,
    /// Rooms, or ids of connections, as they are called inside the gateway; empty for everybody.
    pub rooms: Vec<Arc<str>>,
    /// Who is in one of these is left out.
    pub except: Vec<Arc<str>>,
    /// What is done.
    pub action: Action,
}

/// What is done with connections.
#[derive(Debug)]
pub enum Action {
    /// They are told something.
    Tell {
        /// What.
        event: Arc<Emitted>,
        /// Whether it may be dropped for those who are slow.
        volatile: bool,
    },
    /// They enter rooms.
    Join(Vec<Arc<str>>),
    /// They leave rooms.
    Leave(Vec<Arc<str>>),
    /// They are sent away: out of the namespace, or altogether.
    Disconnect {
        /// Whether the transport is closed too.
        close: bool,
    },
}

/// An event with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Its name.
    pub name: Box<str>,
    /// Its arguments as JSON, separated by commas; attachments stand in them in base64.
    pub arguments: Bytes,
    /// What clients of the event dialect get as `data`.
    pub data: Bytes,
    /// Whether there may be attachments.
    pub binary: bool,
}

impl Emission {
    /// Bytes that it holds while it waits.
    #[must_use]
    pub fn cost(&self) -> usize {
        let action = match &self.action {
            Action::Tell { event, .. } => event.arguments.len() + event.data.len(),
            Action::Join(rooms) | Action::Leave(rooms) => rooms.len() * 16,
            Action::Disconnect { .. } => 0,
        };
        action + (self.rooms.len() + self.except.len()) * 16
    }
}
