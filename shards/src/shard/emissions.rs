//! What a backend says to connections of this shard in the way of Socket.IO's emitters, and does with them.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::connection::engine::Role;
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Connection, Phase};
use crate::id::SessionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::outcome::Outcome;
use crate::protocol::close_code::CloseCode;
use crate::protocol::emission::{Action, Emission};
use crate::protocol::profile::Dialect;
use crate::protocol::push::Push;

impl Shard {
    /// Does with the connections here what an emission says; how many there were.
    pub(super) fn on_emission(&mut self, emission: &Emission, now: Now) -> Outcome {
        let slots = self.selected(emission);
        let members = slots.len();
        match &emission.action {
            Action::Tell { event, volatile } => {
                let class = if *volatile { FrameClass::Ephemeral } else { FrameClass::Reliable };
                self.push_to(&slots, &Push::Emitted(Arc::clone(event)), class, now);
            }
            Action::Join(rooms) => self.for_each(&slots, rooms, |shard, slot, caller, room| {
                if shard.check_room_for(slot, room) {
                    shard.grant(slot, caller, room);
                }
            }),
            Action::Leave(rooms) => self.for_each(&slots, rooms, |shard, slot, caller, room| {
                let key = shard.subscribed(slot, room);
                let key = key.filter(|key| {
                    shard.connections[slot]
                        .subscription(*key)
                        .is_some_and(|subscription| !subscription.forced)
                });
                if let Some(key) = key {
                    shard.unsubscribe(slot, caller, key, false);
                }
            }),
            Action::Disconnect { close } => {
                for slot in slots {
                    self.send_away(slot as usize, *close, now);
                }
            }
        }
        Outcome::Pushed { members }
    }

    /// Whether a connection may have another room, as far as numbers go: a backend needs no right.
    fn check_room_for(&self, slot: usize, room: &str) -> bool {
        let rooms = self.connections[slot].subscriptions.len();
        self.subscribed(slot, room).is_some() || rooms < self.config.limits.rooms_max
    }

    fn for_each(
        &mut self,
        slots: &[u32],
        rooms: &[Arc<str>],
        mut act: impl FnMut(&mut Self, usize, Caller, &Arc<str>),
    ) {
        for slot in slots {
            for room in rooms {
                let connection = self.connections[*slot as usize].id;
                act(self, *slot as usize, Caller { connection, reply: ReplyTo::Nobody }, room);
            }
        }
    }

    fn send_away(&mut self, slot: usize, close: bool, now: Now) {
        let at = match self.connections[slot].role.as_deref() {
            Some(Role::Child(parent)) if close => parent.slot as usize,
            _ => slot,
        };
        let client = &self.connections[at];
        // A Socket.IO client is told by a packet, and does not come back by itself, if the code is one of those.
        let by_packet = client.variant.dialect == Dialect::SocketIo;
        let code = if by_packet { CloseCode::AuthFailed } else { CloseCode::Policy };
        if client.is_active() {
            self.close(at, code, "disconnected by the server", now);
        }
    }

    /// The connections that an emission is for, each once.
    fn selected(&self, emission: &Emission) -> Vec<u32> {
        let is_there = |client: &Connection| {
            let open = matches!(client.phase, Phase::Open | Phase::Attaching);
            open && client.identity.is_some()
                && client.variant.namespace == emission.namespace
                && client.variant.dialect != Dialect::Topic
        };
        let mut slots = if emission.rooms.is_empty() {
            let slot = |slot| u32::try_from(slot).expect("slots fit 32 bits");
            self.connections.iter().map(|(at, _)| slot(at)).collect()
        } else {
            self.members_of(&emission.rooms)
        };
        let mut except = self.members_of(&emission.except);
        except.sort_unstable();
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| {
            is_there(&self.connections[*slot as usize]) && except.binary_search(slot).is_err()
        });
        slots
    }

    /// The connections in some rooms, or of those ids.
    fn members_of(&self, rooms: &[Arc<str>]) -> Vec<u32> {
        let mut slots = Vec::new();
        for room in rooms {
            match self.directory.find(room) {
                Some(key) => slots.extend_from_slice(&self.directory.get(key).members),
                None => slots.extend(self.connection_of(crate::room::name::local(room))),
            }
        }
        slots
    }

    /// In Socket.IO every connection is in a room of its own that has its id.
    fn connection_of(&self, id: &str) -> Option<u32> {
        if id.len() != 16 {
            return None;
        }
        let session = SessionId(u64::from_str_radix(id, 16).ok()?);
        let (slot, _) = self.connections.iter().find(|(_, client)| client.session == session)?;
        u32::try_from(slot).ok()
    }
}
