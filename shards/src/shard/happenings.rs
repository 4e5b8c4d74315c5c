//! What happens, told to those who listen behind the gateway; see [`crate::gateway_event`].
//!
//! Each kind is noted where it is decided: connections on their home shard, rooms and users on their owner's. So the
//! events of one room or user come in their order.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::gateway_event::{Client, Ended, EventKind, GatewayEvent};
use crate::protocol::catalog::Event;
use crate::protocol::reply::{ReceiptStatus, RoomCard};
use crate::room::owned::Change;

impl Shard {
    /// Whether somebody listens to a kind of events.
    pub(super) fn listens(&self, kind: EventKind) -> bool {
        self.config.events.has(kind)
    }

    /// Notes an event that somebody listens to.
    #[cold]
    pub(super) fn note(&mut self, event: GatewayEvent) {
        self.metrics.gateway_events += 1;
        if self.storing.holds_events() {
            return self.storing.hold_event(event);
        }
        self.effects.events.push(event);
    }

    fn told_client(&self, slot: usize) -> Option<Client> {
        let client = &self.connections[slot];
        let identity = client.identity.as_ref()?;
        let (user, account) = (Arc::clone(&identity.user), identity.account.clone());
        Some(Client { user, account, session: client.session, peer: client.peer })
    }

    /// A connection has a user from now on.
    pub(super) fn note_connected(&mut self, slot: usize) {
        if !self.listens(EventKind::Connected) {
            return;
        }
        if let Some(client) = self.told_client(slot) {
            self.note(GatewayEvent::Connected(client));
        }
    }

    /// A connection is about to lose its user.
    pub(super) fn note_disconnected(&mut self, slot: usize, now: Now) {
        if !self.listens(EventKind::Disconnected) {
            return;
        }
        let Some(client) = self.told_client(slot) else { return };
        let ended = self.connection_events.end_of(client.session).unwrap_or(Ended::NamespaceLeft);
        let lasted_ms = now.ms.saturating_sub(self.connections[slot].opened_ms);
        self.note(GatewayEvent::Disconnected { client, ended, lasted_ms });
    }

    /// The users in a room have changed.
    pub(super) fn note_membership(&mut self, key: usize, change: &Change) {
        let (Change::Edge { user, joined } | Change::Counted { user, joined }) = change else { return };
        if !self.listens(if *joined { EventKind::Joined } else { EventKind::Left }) {
            return;
        }
        let room = Arc::clone(self.owned[key].name());
        self.note(GatewayEvent::Membership { room, user: Arc::clone(user), joined: *joined });
    }

    /// A user is there, or no longer.
    pub(super) fn note_presence(&mut self, name: &Arc<str>, online: bool) {
        if !self.listens(if online { EventKind::UserOnline } else { EventKind::UserOffline }) {
            return;
        }
        let account = self.users.get(name).and_then(|user| user.account.clone());
        self.note(GatewayEvent::Presence { user: Arc::clone(name), account, online });
    }

    /// A user writes, or no longer does.
    pub(super) fn note_typing(&mut self, room: &Arc<str>, user: &Arc<str>, typing: bool) {
        if self.listens(if typing { EventKind::TypingStarted } else { EventKind::TypingStopped }) {
            let (room, user) = (Arc::clone(room), Arc::clone(user));
            self.note(GatewayEvent::Typing { room, user, typing });
        }
    }

    /// Messages arrived, or were read.
    pub(super) fn note_receipt(&mut self, status: &ReceiptStatus) {
        if self.listens(if status.read { EventKind::MessageRead } else { EventKind::MessageDelivered }) {
            self.note(GatewayEvent::Receipt(Box::new(status.clone())));
        }
    }

    /// A client asks too often.
    #[cold]
    pub(super) fn note_rate_limited(&mut self, slot: usize, asked: Option<Event>) {
        if !self.listens(EventKind::RateLimited) {
            return;
        }
        if let Some(client) = self.told_client(slot) {
            let asked = asked.map(|event| event.spec().name);
            self.note(GatewayEvent::RateLimited { client, asked });
        }
    }

    /// Somebody created a room.
    pub(super) fn note_room_created(&mut self, card: &Arc<RoomCard>) {
        if self.listens(EventKind::RoomCreated) {
            self.note(GatewayEvent::RoomCreated(Arc::clone(card)));
        }
    }

    /// Somebody closed a room.
    pub(super) fn note_room_closed(&mut self, room: &Arc<str>, user: &str) {
        if self.listens(EventKind::RoomClosed) {
            self.note(GatewayEvent::RoomClosed { room: Arc::clone(room), user: user.into() });
        }
    }
}
