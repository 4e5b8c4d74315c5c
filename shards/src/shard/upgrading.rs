//! A polling session gets a WebSocket.
//!
//! The client proves on the WebSocket that it works (`2probe`), lets its last poll be answered, and then says that the
//! session is there from now on (`5`). The session's connection takes over the socket: what waits in its queue waits as
//! WebSocket frames already.

use super::Shard;
use super::engine::MALFORMED;
use super::flushing::mark_dirty;
use crate::clock::Now;
use crate::connection::Phase;
use crate::connection::engine::Role;
use crate::connection::handshake::Upgrade;
use crate::connection::outbound_queue::FrameClass;
use crate::effect::SocketEffect;
use crate::id::ConnectionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;

/// Milliseconds within which an upgrade must be complete; the session goes on polling without.
const UPGRADE_TIMEOUT_MS: u64 = 10_000;

impl Shard {
    /// A WebSocket names a session that polls.
    pub(super) fn begin_probe(&mut self, slot: usize, upgrade: &Upgrade, session: ConnectionId, now: Now) {
        if let Some(refusal) = self.unavailable(slot) {
            return self.refuse(slot, &refusal, now);
        }
        let client = &mut self.connections[slot];
        let probe = client.id;
        let rest = std::mem::take(&mut client.unread);
        client.phase = Phase::Probing;
        let deadline_ms = now.ms + UPGRADE_TIMEOUT_MS;
        client.role = Some(Box::new(Role::Probe { session, answered: false, deadline_ms }));
        self.send(slot, upgrade.response().into(), FrameClass::Control);
        let at = session.slot as usize;
        let known = self.client(session).is_some_and(|client| client.is_active());
        let polling = if known { self.polling_mut(at) } else { None };
        match polling {
            Some(polling) if polling.probe.is_none() => polling.probe = Some(probe),
            _ => return self.close(slot, CloseCode::Policy, "the session is upgraded already", now),
        }
        self.schedule_client(slot, now);
        let rest = self.connections[slot].socket.receive(&rest).to_vec();
        self.read_frames(slot, &rest, now);
    }

    /// What comes over a WebSocket that wants to take over.
    pub(super) fn on_probe_text(&mut self, slot: usize, text: &[u8], now: Now) {
        let Some(Role::Probe { session, answered, .. }) = self.connections[slot].role.as_deref_mut() else {
            return;
        };
        let session = *session;
        match (text, *answered) {
            (b"2probe", false) => {
                *answered = true;
                self.send(slot, frame::text(b"3probe"), FrameClass::Control);
                if self.client(session).is_some() {
                    self.answer_poll(session.slot as usize, now);
                }
            }
            (b"5", true) => self.connections[slot].phase = Phase::Moving,
            _ => self.close(slot, CloseCode::Protocol, MALFORMED, now),
        }
    }

    /// After reading: a WebSocket that takes over does so.
    pub(super) fn adopt_if_due(&mut self, id: ConnectionId, now: Now) {
        let Some(client) = self.client(id).filter(|client| client.phase == Phase::Moving) else { return };
        if let Some(Role::Probe { session, .. }) = client.role.as_deref() {
            let session = *session;
            self.adopt(id.slot as usize, session, now);
        }
    }

    /// The session takes the socket over.
    fn adopt(&mut self, slot: usize, session: ConnectionId, now: Now) {
        let at = session.slot as usize;
        let known = self.client(session).is_some_and(|client| client.is_active() && client.unread.is_empty());
        let polling = if known { self.polling_mut(at) } else { None };
        let Some(polling) = polling.filter(|polling| polling.post.is_none()) else {
            // It is over, or the client has not waited for its packets to be read.
            self.connections[slot].phase = Phase::Probing;
            return self.close(slot, CloseCode::Protocol, MALFORMED, now);
        };
        polling.probe = None;
        // Whoever polls at this moment is released with what there is, or with nothing.
        if let Some(carrier) = polling.poll.take() {
            self.answer_carrier(carrier, 200, b"6", now);
        }
        let Some(polling) = self.connections[at].engine_mut().and_then(|engine| engine.polling.take()) else {
            return;
        };
        let peer = self.connections[at].peer;
        self.forget_sid(polling.secret, peer);
        let mut probe = self.connections.remove(slot).expect("it was just read");
        let client = &mut self.connections[at];
        let bytes = probe.queue.bytes() as u64;
        if let Some(log) = &mut client.log {
            log.shift(bytes);
        }
        client.queue.put_in_front(&mut probe.queue);
        client.socket = std::mem::take(&mut probe.socket);
        client.unread = std::mem::take(&mut probe.unread);
        client.blocked = probe.blocked;
        // The acceptor has counted the socket for where it came from, be that another address.
        client.peer = probe.peer;
        client.counted_pending = probe.counted_pending;
        client.heard_ms = now.ms;
        self.effects.sockets.push(SocketEffect::Rebind { from: probe.id, to: session });
        let client = &mut self.connections[at];
        if !client.queue.is_empty() {
            mark_dirty(client, &mut self.effects, false);
        }
        if client.identity.is_some() {
            self.note_authenticated(at);
        }
        self.metrics.socketio_upgrades += 1;
        self.resume(at, now);
    }

    /// A WebSocket is gone that wanted to take over.
    pub(super) fn probe_lost(&mut self, session: ConnectionId, probe: ConnectionId) {
        if self.client(session).is_some()
            && let Some(polling) = self.polling_mut(session.slot as usize)
            && polling.probe == Some(probe)
        {
            polling.probe = None;
        }
    }
}
