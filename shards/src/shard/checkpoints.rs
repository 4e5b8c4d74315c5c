//! How far clients have got, told to the owners of their sessions and of queued rooms while they go on.
//!
//! A connection that ends tells it by itself; this is for a process that ends without notice. What was told last is where
//! a client is then, so that it is given again at most what it has got since. The owner leaves it with the store, or with
//! the engine that several nodes share.

use std::sync::Arc;

use super::Shard;
use crate::config::RoomClass;
use crate::connection::{Connection, Phase};
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::room::name::user_room;
use crate::user::progress::Progress;
use crate::user::session::SessionRoom;

/// Ticks in which every connection is looked at once for the store: five seconds.
const STORE_ROUND_TICKS: usize = 50;
/// The same for other nodes, for which a session is more likely to be resumed: two.
const NODES_ROUND_TICKS: usize = 20;

impl Shard {
    /// Looks at the next few connections.
    pub(super) fn checkpoint_some(&mut self) {
        let round = match (self.storing.is_on, &self.links) {
            (true, _) => STORE_ROUND_TICKS,
            (false, Some(_)) => NODES_ROUND_TICKS,
            (false, None) => return,
        };
        let end = self.connections.end();
        let first = if self.looked_at < end { self.looked_at } else { 0 };
        let last = (first + end.div_ceil(round)).min(end);
        for slot in first..last {
            let news = |client: &Connection| {
                client.log.as_ref().is_some_and(|log| log.has_news()) && client.phase == Phase::Open
            };
            if self.connections.get(slot).is_some_and(news) {
                self.checkpoint(slot);
            }
        }
        self.looked_at = last;
    }

    /// Whoever keeps sessions is to know how far a connection's client has got, and whether rooms are all that it has.
    pub(super) fn checkpoint(&mut self, slot: usize) {
        if !self.storing.is_on && self.links.is_none() {
            return;
        }
        let client = &mut self.connections[slot];
        let (partial, granted) = (client.is_partial(), client.rare().granted.clone());
        let Some(log) = &mut client.log else { return };
        let advanced: Vec<SessionRoom> = log.take_news();
        let progress = log.is_session.then(|| Box::new(log.progress_of(partial, &granted)));
        let caller = Caller { connection: client.id, reply: ReplyTo::Nobody };
        let session = client.session;
        if let (Some(user), Some(progress)) = (client.rare().session_user.clone(), progress) {
            let checkpoint = UserOperation::Checkpoint { session, progress };
            self.ask(caller.clone(), user_room(&user).into(), Operation::User(checkpoint));
        }
        self.settle_queued(slot, &caller, advanced);
    }

    /// The same if it is other nodes that keep them; a store knows by other ways.
    pub(super) fn checkpoint_for_nodes(&mut self, slot: usize) {
        if self.links.is_some() {
            self.checkpoint(slot);
        }
    }

    /// Tells the owners of queued rooms up to where a named user certainly has them.
    fn settle_queued(&mut self, slot: usize, caller: &Caller, advanced: Vec<SessionRoom>) {
        let named = self.connections[slot].identity.as_ref().filter(|identity| !identity.is_anonymous());
        let Some(user) = named.map(|identity| Arc::clone(&identity.user)) else { return };
        for SessionRoom { room, epoch, offset } in advanced {
            if self.classes.of(&room) == RoomClass::Queued {
                let user = Arc::clone(&user);
                self.ask(caller.clone(), room, Operation::Settle { user, epoch, offset });
            }
        }
    }

    /// How far a connection's client has got, if a store is to know.
    pub(super) fn progress_to_store(&mut self, slot: usize) -> Option<Box<Progress>> {
        if !self.storing.is_on {
            return None;
        }
        let client = &mut self.connections[slot];
        let (partial, granted) = (client.is_partial(), client.rare().granted.clone());
        let log = client.log.as_mut()?;
        Some(Box::new(log.progress_of(partial, &granted)))
    }

    /// Whose session a connection has, if a store is to know.
    pub(super) fn stored_session(&self, slot: usize) -> Option<Arc<str>> {
        if !self.storing.is_on {
            return None;
        }
        self.connections[slot].rare().session_user.clone()
    }
}
