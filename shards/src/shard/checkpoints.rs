//! How far clients have got, told to the owners of their sessions and of queued rooms now and then.
//!
//! A connection that ends tells it by itself; this is for a process that ends without notice. What was told last is where
//! a client is then, so that it is given again at most what it has got since.

use std::sync::Arc;

use super::Shard;
use crate::connection::Phase;
use crate::id::ConnectionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::room::name::user_room;
use crate::user::progress::Progress;
use crate::user::session::SessionRoom;

/// Ticks in which every connection is looked at once.
const ROUND_TICKS: usize = 50;

impl Shard {
    /// Looks at the next few connections.
    pub(super) fn checkpoint_some(&mut self) {
        if !self.storing.is_on {
            return;
        }
        let end = self.connections.end();
        let first = if self.storing.looked_at < end { self.storing.looked_at } else { 0 };
        let last = (first + end.div_ceil(ROUND_TICKS)).min(end);
        for slot in first..last {
            let news = |client: &crate::connection::Connection| {
                client.log.as_ref().is_some_and(|log| log.has_news()) && client.phase == Phase::Open
            };
            if self.connections.get(slot).is_some_and(news) {
                self.checkpoint(slot);
            }
        }
        self.storing.looked_at = last;
    }

    /// Tells how far a connection's client has got.
    pub(super) fn checkpoint(&mut self, slot: usize) {
        if !self.storing.is_on {
            return;
        }
        let session_user = self.stored_session(slot);
        let client = &mut self.connections[slot];
        let (id, session) = (client.id, client.session);
        let Some(log) = &mut client.log else { return };
        let advanced: Vec<SessionRoom> = log.take_news();
        let named = client.identity.as_ref().filter(|identity| !identity.is_anonymous());
        let user = named.map(|identity| Arc::clone(&identity.user));
        if let Some(progress) = session_user.is_some().then(|| self.progress_to_store(slot)).flatten() {
            let checkpoint = UserOperation::Checkpoint { session, progress };
            let room = user_room(session_user.as_deref().unwrap_or_default());
            self.ask(nobody(id), room.into(), Operation::User(checkpoint));
        }
        let Some(user) = user else { return };
        for SessionRoom { room, epoch, offset } in advanced {
            if self.classes.of(&room) == crate::config::RoomClass::Queued {
                let user = Arc::clone(&user);
                self.ask(nobody(id), room, Operation::Settle { user, epoch, offset });
            }
        }
    }

    /// How far a connection's client has got, if a store is to know.
    pub(super) fn progress_to_store(&mut self, slot: usize) -> Option<Box<Progress>> {
        if !self.storing.is_on {
            return None;
        }
        let client = &mut self.connections[slot];
        let partial = client.is_partial();
        let log = client.log.as_mut()?;
        Some(Box::new(log.progress_of(partial)))
    }

    /// Whose session a connection has, if a store is to know.
    pub(super) fn stored_session(&self, slot: usize) -> Option<Arc<str>> {
        if !self.storing.is_on {
            return None;
        }
        self.connections[slot].rare().session_user.clone()
    }
}

fn nobody(connection: ConnectionId) -> Caller {
    Caller { connection, reply: ReplyTo::Nobody }
}
