//! Further namespaces of a Socket.IO session: connections without a socket, whose queues empty into the session's.

use super::Shard;
use super::events::Happened;
use super::flushing::mark_dirty;
use crate::clock::Now;
use crate::connection::delivery_log::Goodbye;
use crate::connection::engine::Role;
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Connection, Phase};
use crate::id::ConnectionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::protocol::close_code::CloseCode;
use crate::protocol::socketio::write;
use crate::room::name::user_room;

impl Shard {
    /// Bytes with which a session's queue takes nothing more from its children.
    fn pump_bytes_max(&self) -> usize {
        self.config.limits.outbound_queue_bytes_max / 4
    }

    /// Moves what waits for a further namespace into the session's queue, as far as there is room.
    pub(super) fn pump(&mut self, slot: usize, parent: ConnectionId, now: Now) {
        let Some(session) = self.client(parent) else { return };
        let room = self.pump_bytes_max().saturating_sub(session.queue.bytes());
        let client = &self.connections[slot];
        let id = client.id;
        let mut frames = Vec::new();
        let mut bytes = 0;
        for frame in client.queue.waiting().take_while(|_| room > 0) {
            if bytes >= room {
                break;
            }
            bytes += frame.len();
            frames.push(frame.clone());
        }
        if bytes > 0 {
            let session = &mut self.connections[parent.slot as usize];
            for frame in frames {
                session.queue.push_always(frame, FrameClass::Reliable);
            }
            mark_dirty(session, &mut self.effects, false);
            self.on_written(id, bytes, now);
        }
        if let Some(client) = self.client_mut(id).filter(|client| !client.queue.is_empty()) {
            client.blocked = true;
        }
    }

    /// A session's queue has room again: its children go on.
    pub(super) fn unblock_children(&mut self, slot: usize) {
        let client = &self.connections[slot];
        let Some(session) = client.engine().filter(|session| !session.children.is_empty()) else { return };
        if client.queue.bytes() > self.pump_bytes_max() {
            return;
        }
        let children: Vec<_> = session.children.iter().map(|(_, id)| *id).collect();
        for child in children {
            self.on_writable(child);
        }
    }

    /// A further namespace is given up by the gateway: the client is told, and does not come back by itself; or the whole
    /// transport is closed, so that it does.
    pub(super) fn close_child(
        &mut self,
        slot: usize,
        parent: ConnectionId,
        code: CloseCode,
        reason: &str,
        now: Now,
    ) {
        let at = parent.slot as usize;
        if self.client(parent).is_none() || !self.connections[slot].is_active() {
            return;
        }
        if !is_final(code) {
            return self.close(at, code, reason, now);
        }
        self.metrics.count_close(code);
        self.note_event(slot, Happened::Closed(code), now);
        let packet = write::disconnected(self.connections[slot].variant.namespace);
        let client = &mut self.connections[at];
        client.queue.push_always(packet, FrameClass::Reply);
        mark_dirty(client, &mut self.effects, false);
        self.drop_child(slot, now);
    }

    /// A further namespace ends; what waited for it waits no more.
    pub(super) fn drop_child(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        client.queue.drop_all();
        client.queue.seal();
        if let Some(Role::Child(parent)) = self.connections[slot].role.as_deref() {
            // The session was not read, perhaps, while this namespace was busy.
            self.carriers.push_back(*parent);
        }
        self.leave_session(slot);
        if self.connections[slot].is_active() {
            self.begin_close(slot, now);
        }
    }

    /// A further namespace is no longer one of its session's.
    pub(super) fn leave_session(&mut self, slot: usize) {
        let client = &self.connections[slot];
        let Some(Role::Child(parent)) = client.role.as_deref() else { return };
        let (parent, id) = (*parent, client.id);
        if let Some(session) = self.client_mut(parent).and_then(Connection::engine_mut) {
            session.children.retain(|(_, child)| *child != id);
        }
    }

    /// The transport is closed: so are all further namespaces. They go with the next tick, as whoever closed the transport
    /// may be at work for one of them.
    pub(super) fn close_children(&mut self, slot: usize, now: Now) {
        let Some(session) = self.connections[slot].engine_mut() else { return };
        for (_, child) in std::mem::take(&mut session.children) {
            if self.client(child).is_some() {
                self.drop_child(child.slot as usize, now);
            }
        }
    }

    /// The client has left for good: its session is forgotten, and it is believed to have got everything.
    pub(super) fn close_session(&mut self, slot: usize) {
        let client = &mut self.connections[slot];
        let written = client.queue.written();
        client.rare_mut().goodbye = Some(Goodbye { written, reads: true, finished: false });
        self.forget_session(slot);
    }

    /// Nobody can resume the session from here on.
    pub(super) fn forget_session(&mut self, slot: usize) {
        let client = &mut self.connections[slot];
        let (connection, session) = (client.id, client.session);
        if let Some(user) = client.take_session_user() {
            let nobody = Caller { connection, reply: ReplyTo::Nobody };
            let close = Operation::User(UserOperation::CloseSession { session });
            self.ask(nobody, user_room(&user).into(), close);
        }
    }
}

/// Whether a client that is closed so must not come back by itself: it would be closed again.
pub(super) fn is_final(code: CloseCode) -> bool {
    matches!(code, CloseCode::AuthFailed | CloseCode::Abuse | CloseCode::Replaced)
}

/// Whether a connection is at rest enough for its session to be read on.
pub(super) fn is_at_rest(client: &Connection) -> bool {
    client.phase != Phase::Attaching && client.awaiting == 0 && !client.paused
}
