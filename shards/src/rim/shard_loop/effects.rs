//! What the core wants done, done: sockets let go, handed over and moved, and what other threads are told.

use super::{ShardLoop, list};
use crate::effect::{Admission, AdmissionEvent, Moved, Release, SocketEffect};
use crate::id::{ConnectionId, ShardId};
use crate::rim::inbox::Accepted;
use crate::rim::{HttpConnection, sys};

impl ShardLoop {
    pub(super) fn apply_effects(&mut self) {
        self.apply_socket_effects();
        self.pass_on_news();
    }

    pub(super) fn apply_socket_effects(&mut self) {
        for effect in std::mem::take(&mut self.shard.effects.sockets) {
            match effect {
                SocketEffect::Resume(id) => {
                    if let Some(socket) = self.sockets.get_mut(id).filter(|socket| socket.readable) {
                        list(socket, &mut self.readable);
                    }
                }
                SocketEffect::ShutdownWrite(id) => {
                    if let Some(socket) = self.sockets.get_mut(id) {
                        socket.shutdown_write();
                    }
                }
                SocketEffect::Release(id, how) => self.release(id, how),
                SocketEffect::HandOver(id, received) => self.hand_over(id, received),
                SocketEffect::Move { id, shard, moved } => self.move_to(id, shard, moved),
                SocketEffect::Rebind { from, to } => self.rebind(from, to),
            }
        }
    }

    /// Hands questions and answers to the control plane, and news of connections to the acceptor.
    fn pass_on_news(&mut self) {
        for inquiry in std::mem::take(&mut self.shard.effects.inquiries) {
            if let Err(inquiry) = self.inbox.control.inquire(self.shard.id(), inquiry) {
                self.shard.on_unasked(inquiry, self.now);
            }
        }
        if !self.shard.effects.events.is_empty() {
            let events = std::mem::take(&mut self.shard.effects.events);
            let dropped = self.inbox.control.happened(self.now.unix_ms, events);
            self.shard.metrics.gateway_events_dropped += dropped as u64;
        }
        let admissions = &mut self.shard.effects.admissions;
        let sent = admissions
            .iter()
            .take_while(|admission| self.inbox.admissions.try_send(**admission).is_ok())
            .count();
        admissions.drain(..sent);
        if !self.shard.effects.api_answers.is_empty() {
            self.inbox.control.answered(std::mem::take(&mut self.shard.effects.api_answers));
        }
    }

    /// Lets a socket go, and tells the core how much of what was written has arrived, if that matters to it.
    fn release(&mut self, id: ConnectionId, how: Release) {
        let Some(socket) = self.sockets.remove(id) else {
            return self.shard.on_released(id, u64::MAX, self.now);
        };
        if self.shard.awaits_release(id) {
            // When the kernel does not say, nothing more is believed to have arrived than the client confirmed.
            let unacknowledged = sys::unacknowledged(&socket).unwrap_or(u64::MAX);
            self.shard.on_released(id, unacknowledged, self.now);
        }
        if how == Release::Reset {
            socket.reset();
        }
    }

    fn hand_over(&mut self, id: ConnectionId, received: Vec<u8>) {
        let Some(socket) = self.sockets.remove(id) else { return };
        if let Err(error) = self.poller.remove(&socket) {
            tracing::error!(event = "epoll_remove_failed", %error);
        }
        let connection = HttpConnection { stream: socket.into_stream(), received };
        if self.inbox.control.hand_over(connection).is_err() {
            self.shard.metrics.control_overflows += 1;
        }
    }

    /// Gives a socket to another shard, with what was read from it.
    fn move_to(&mut self, id: ConnectionId, shard: ShardId, moved: Moved) {
        let Some(socket) = self.sockets.remove(id) else { return };
        if let Err(error) = self.poller.remove(&socket) {
            tracing::error!(event = "epoll_remove_failed", %error);
        }
        let (stream, peer) = socket.into_stream_of_peer();
        let (turn_away, pending) = (moved.turn_away, moved.pending);
        let accepted = Accepted { stream, peer, turn_away, moved: Some(moved) };
        if self.inbox.peers[shard.index()].take_over(accepted).is_err() {
            // It is closed, as nobody has room for it; whoever counts connections must know.
            self.shard.metrics.connections_lost += 1;
            let event = AdmissionEvent::Closed { pending, refused: turn_away.is_some() };
            self.shard.effects.admissions.push(Admission { peer, event });
        }
    }

    /// A socket is another connection's from now on.
    fn rebind(&mut self, from: ConnectionId, to: ConnectionId) {
        let Some(mut socket) = self.sockets.remove(from) else { return };
        (socket.id, socket.listed) = (to, false);
        if let Err(error) = self.poller.rename(&socket, to) {
            tracing::error!(event = "epoll_modify_failed", %error);
        }
        if socket.readable {
            list(&mut socket, &mut self.readable);
        }
        self.sockets.insert(socket);
    }
}
