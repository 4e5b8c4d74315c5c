//! A connection's beginning and end, and the shard's drain.

use std::net::IpAddr;

use rand::{Rng, RngExt};

use super::Shard;
use super::events::Happened;
use super::flushing::mark_dirty;
use super::namespaces::is_final;
use crate::access::limits::Bucket;
use crate::clock::{Now, Soon};
use crate::config::Rate;
use crate::connection::delivery_log::Goodbye;
use crate::connection::engine::{Own, Role};
use crate::connection::handshake::HEAD_BYTES_MAX;
use crate::connection::http::{Refusal, TurnAway};
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Connection, Dirty, Phase};
use crate::effect::{Admission, AdmissionEvent, Release, SocketEffect};
use crate::id::{ConnectionId, SessionId};
use crate::mesh::item::{Caller, ReplyTo};
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;
use crate::protocol::push::Push;
use crate::protocol::socketio::write;

/// Milliseconds that a client has to take its last frame and close.
pub(super) const CLOSE_TIMEOUT_MS: u64 = 5_000;
/// Milliseconds that a client has to close once it was told everything.
const LINGER_MS: u64 = 2_000;
/// Milliseconds between two closes of a drain, unless there are too many for its time: a handful is gone at once.
const DRAIN_SPACING_MS: u64 = 20;
/// Refusals of one connection that count as abuse: 100 in 10 s.
const REFUSALS: Rate = Rate { count: 100, interval_ms: 10_000, burst: 99 };

impl Shard {
    /// A socket that the acceptor handed over, to be served or turned away.
    pub fn on_open(&mut self, peer: IpAddr, turn_away: Option<TurnAway>, now: Now) -> ConnectionId {
        self.opened = self.opened.wrapping_add(1);
        let id = ConnectionId { slot: self.connections.next_slot(), generation: self.opened };
        let session = SessionId(self.random.next_u64());
        self.connections.insert(Connection::new(id, peer, session, turn_away, now));
        self.metrics.connections_opened += 1;
        self.schedule_client(id.slot as usize, now);
        id
    }

    /// So many bytes of a connection's queue were written; whether more waited behind them.
    pub fn on_written(&mut self, id: ConnectionId, bytes: usize, now: Now) -> bool {
        self.metrics.bytes_sent += bytes as u64;
        let unread_min = self.config.limits.outbound_queue_bytes_max / 4;
        let Some(client) = self.client_mut(id) else { return false };
        client.blocked = false;
        let frames = client.queue.advance(bytes);
        let more = !client.queue.is_empty();
        let resumes = client.is_active() && client.paused && client.queue.reply_bytes() <= unread_min;
        let done = !more && !client.is_active() && !client.shut;
        let plays = client.role.is_some();
        let asks = client.phase == Phase::Head && client.awaits_request();
        self.metrics.frames_sent += frames as u64;
        let slot = id.slot as usize;
        if plays {
            self.unblock_children(slot);
        }
        if asks {
            self.carriers.push_back(id);
            self.settle(now);
        }
        if resumes {
            self.connections[slot].paused = false;
            self.resume(slot, now);
            self.settle(now);
        } else if done {
            self.shut(slot, now);
        }
        more
    }

    /// The rim took the connection off a flush list; whether there is something to write now.
    ///
    /// One without a socket hands on what waits for it: whoever takes it is on a flush list then.
    pub fn begin_flush(&mut self, id: ConnectionId, now: Now) -> bool {
        let Some(client) = self.client_mut(id) else { return false };
        client.dirty = Dirty::Clean;
        let flushes = !client.blocked && !client.queue.is_empty();
        if client.role.is_none() || !client.is_virtual() {
            return flushes;
        }
        self.hand_on_if(flushes, id, now)
    }

    #[cold]
    fn hand_on_if(&mut self, flushes: bool, id: ConnectionId, now: Now) -> bool {
        if flushes {
            self.hand_on(id, now);
            self.settle(now);
        }
        false
    }

    fn hand_on(&mut self, id: ConnectionId, now: Now) {
        let slot = id.slot as usize;
        match self.connections[slot].role.as_deref() {
            Some(Role::Child(parent)) => self.pump(slot, *parent, now),
            _ => self.answer_poll(slot, now),
        }
    }

    /// The socket took all it can for now.
    pub fn on_blocked(&mut self, id: ConnectionId) {
        if let Some(client) = self.client_mut(id) {
            client.blocked = true;
        }
    }

    /// The socket can be written again.
    pub fn on_writable(&mut self, id: ConnectionId) {
        let Some(client) = self.connections.get_mut(id.slot as usize).filter(|client| client.id == id) else {
            return;
        };
        client.blocked = false;
        if !client.queue.is_empty() {
            mark_dirty(client, &mut self.effects, false);
        }
    }

    /// Whether bytes of this connection may be read now; if not, [`SocketEffect::Resume`] follows.
    #[must_use]
    pub fn wants_bytes(&self, id: ConnectionId) -> bool {
        self.client(id).is_some_and(|client| {
            if client.phase == Phase::Carrying {
                // Only its end is of interest, and the beginning of what it asks next.
                return client.unread.len() <= HEAD_BYTES_MAX;
            }
            let silenced = self.draining && !matches!(client.phase, Phase::Head | Phase::Closing { .. });
            let rests = !client.paused && client.awaiting == 0 && client.phase != Phase::Attaching;
            !silenced && rests && !self.is_engine_busy(client)
        })
    }

    /// The client closed its side, and had read all that there was.
    pub fn on_finished(&mut self, id: ConnectionId, now: Now) {
        if let Some(client) = self.client_mut(id)
            && client.shut
            && let Some(goodbye) = client.rare_if_any().and_then(|rare| rare.goodbye.as_mut())
        {
            goodbye.finished = true;
        }
        self.on_gone(id, now);
    }

    /// The client closed its side, or the socket failed.
    pub fn on_gone(&mut self, id: ConnectionId, now: Now) {
        let Some(client) = self.client(id) else { return };
        if client.is_active() && !matches!(client.phase, Phase::Head | Phase::Carrying | Phase::Probing) {
            self.metrics.resets += 1;
            self.note_event(id.slot as usize, Happened::Lost, now);
        }
        self.release(id.slot as usize, Release::Close, now);
    }

    /// Answers a request with an HTTP refusal, and ends the connection.
    pub(super) fn refuse(&mut self, slot: usize, refusal: &Refusal, now: Now) {
        self.metrics.http_refusals += 1;
        self.send(slot, refusal.to_bytes().into(), FrameClass::Control);
        self.connections[slot].unread = Vec::new();
        self.begin_close(slot, now);
    }

    /// Closes a WebSocket: a close frame behind all that is queued, and nothing after it.
    pub(super) fn close(&mut self, slot: usize, code: CloseCode, reason: &str, now: Now) {
        let client = &mut self.connections[slot];
        if !client.is_active() {
            return;
        }
        if let Some(Role::Child(parent)) = client.role.as_deref() {
            let parent = *parent;
            return self.close_child(slot, parent, code, reason, now);
        }
        tracing::debug!(
            event = "closed",
            user_id = client.identity.as_ref().map(|identity| &*identity.user),
            code = code.number(),
            reason
        );
        self.metrics.count_close(code);
        // Who polls gets what waits with its next request, unless it has broken something or does not ask any more.
        let polls = client.is_virtual();
        let at_once = polls && !is_final(code) && code != CloseCode::Restart;
        if at_once {
            client.queue.drop_all();
        } else if is_final(code) && client.engine().is_some_and(|session| session.own == Own::Connected) {
            client.queue.push_always(write::disconnected(client.variant.namespace), FrameClass::Control);
        }
        if polls && !is_final(code) {
            client.queue.seal();
        } else {
            client.queue.push_close(frame::close(code, reason));
        }
        mark_dirty(client, &mut self.effects, false);
        self.note_event(slot, Happened::Closed(code), now);
        if at_once && matches!(code, CloseCode::Protocol | CloseCode::InvalidData | CloseCode::TooLarge) {
            self.end_poll(slot, now);
        }
        self.begin_close(slot, now);
    }

    /// The client closed; the answer to that is queued already.
    pub(super) fn closed_by_client(&mut self, slot: usize, now: Now) {
        self.metrics.count_close(CloseCode::Normal);
        self.note_event(slot, Happened::Closed(CloseCode::Normal), now);
        // Answers of owners may still be on their way, and nothing follows a close frame.
        let client = &mut self.connections[slot];
        client.queue.seal();
        let reads = client.log.as_ref().is_none_or(|log| log.reads(now.ms));
        let written = client.queue.written();
        client.rare_mut().goodbye = Some(Goodbye { written, reads, finished: false });
        self.begin_close(slot, now);
    }

    /// From here on the connection only empties its queue.
    pub(super) fn begin_close(&mut self, slot: usize, now: Now) {
        self.leave_everything(slot, now);
        self.close_children(slot, now);
        // A session may try again to get a WebSocket.
        if let Some(Role::Probe { session, .. }) = self.connections[slot].role.as_deref() {
            self.probe_lost(*session, self.connections[slot].id);
        }
        let client = &mut self.connections[slot];
        // Whoever waits for its session does not wait longer because it closes.
        let deadline_ms = client.evicted.take().map_or(now.ms + CLOSE_TIMEOUT_MS, |at| at.ms(now.ms));
        client.phase = Phase::Closing { deadline: Soon::at(deadline_ms) };
        client.held = None;
        client.unread = Vec::new();
        if client.queue.is_empty() && !client.shut {
            self.shut(slot, now);
        }
        self.schedule_client(slot, now);
    }

    /// A connection that closes waits no longer than until then.
    pub(super) fn hurry_close(&mut self, slot: usize, deadline_ms: u64, now: Now) {
        if let Phase::Closing { deadline } = &mut self.connections[slot].phase {
            *deadline = Soon::at(deadline.ms(now.ms).min(deadline_ms));
        }
        self.schedule_client(slot, now);
    }

    /// All is sent: the socket is shut for writing and waits a little for the client to close.
    fn shut(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        client.shut = true;
        if client.is_virtual() {
            client.phase = Phase::Closing { deadline: Soon::at(now.ms) };
            self.unlist(slot, now);
        } else {
            client.phase = Phase::Closing { deadline: Soon::at(now.ms + LINGER_MS) };
            self.effects.sockets.push(SocketEffect::ShutdownWrite(client.id));
        }
        self.schedule_client(slot, now);
    }

    /// Takes the connection out of all its rooms and patterns. Its user stays in them for the grace.
    pub(super) fn leave_everything(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        if client.identity.is_none() {
            return;
        }
        self.note_disconnected(slot, now);
        self.leave_rooms(slot);
        let client = &mut self.connections[slot];
        client.departed = client.identity.take();
        self.metrics.connections_authenticated -= 1;
    }

    /// Nothing of any room is given to the connection from here on.
    pub(super) fn leave_rooms(&mut self, slot: usize) {
        let client = &mut self.connections[slot];
        let partial = client.is_partial();
        if let Some(log) = client.log.as_mut().filter(|log| partial && log.has_trail()) {
            log.is_partial = true;
        }
        self.unwatch_everything(slot);
        let client = &mut self.connections[slot];
        let connection = client.id;
        let patterns = client.rare().patterns.clone();
        let rooms: Vec<_> = client.subscriptions.iter().map(|subscription| subscription.room).collect();
        for pattern in &patterns {
            self.unsubscribe_pattern(slot, pattern);
        }
        for room in rooms {
            self.unsubscribe(slot, Caller { connection, reply: ReplyTo::Nobody }, room, true);
        }
    }

    /// Ends a connection: its socket goes.
    pub(super) fn release(&mut self, slot: usize, how: Release, now: Now) {
        self.leave_everything(slot, now);
        self.close_children(slot, now);
        let client = &self.connections[slot];
        let (id, is_virtual) = (client.id, client.is_virtual());
        if is_virtual {
            self.unlist(slot, now);
            self.leave_session(slot);
        } else {
            self.effects.sockets.push(SocketEffect::Release(id, how));
        }
        let mut client = self.forget(slot);
        self.depart(&mut client);
        match client.role.take().map(|role| *role) {
            Some(Role::Carrier(carrier)) => self.carrier_lost(id, carrier.session, now),
            Some(Role::Probe { session, .. }) => self.probe_lost(session, id),
            Some(Role::Session(session)) if is_virtual => {
                let got = session.polling.map_or(0, |polling| polling.got);
                self.on_released(id, client.queue.written().saturating_sub(got), now);
            }
            Some(Role::Child(_)) => self.on_released(id, u64::MAX, now),
            _ => {}
        }
        self.settle(now);
    }

    /// Removes a connection whose socket is gone from here.
    pub(super) fn forget(&mut self, slot: usize) -> Connection {
        let client = self.connections.remove(slot).expect("whoever forgets a connection has it");
        if client.is_virtual() {
            return client;
        }
        let refused = client.rare().turn_away.is_some();
        let event = AdmissionEvent::Closed { pending: client.counted_pending, refused };
        self.effects.admissions.push(Admission { peer: client.peer, event });
        client
    }

    /// Counts a refused command; too many in a short time end the connection, unless rates are off.
    pub(super) fn count_refusal(&mut self, slot: usize, now: Now) {
        if self.config.limits.events.is_none() {
            return;
        }
        let bucket: &mut Bucket = &mut self.connections[slot].rare_mut().refusals;
        if bucket.take(REFUSALS, now.ms, 1).is_err() {
            self.close(slot, CloseCode::Abuse, "too many refused requests", now);
        }
    }

    /// Takes no more commands: what was acknowledged is on its way to everybody, and nothing more will be. The drain
    /// proper follows once no ring holds anything.
    pub fn on_quiesce(&mut self, now: Now) {
        self.draining = true;
        let heads: Vec<_> =
            self.connections.iter().filter(|(_, client)| client.phase == Phase::Head).collect();
        let heads: Vec<_> = heads.into_iter().map(|(slot, _)| slot).collect();
        for slot in heads {
            self.schedule_client(slot, now);
        }
    }

    /// Sends everybody away: told now, closed one after the other within `spread_ms`, each with its own moment to
    /// come back within `window_ms`.
    pub fn on_drain(&mut self, spread_ms: u64, window_ms: u64, now: Now) {
        let spread_ms = spread_ms.min(self.connections.len() as u64 * DRAIN_SPACING_MS).max(1);
        let slots: Vec<_> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            match self.connections[slot].phase {
                Phase::Closing { .. } | Phase::Head | Phase::Carrying | Phase::Probing | Phase::Moving => {}
                // It is told, and goes, with its session.
                _ if matches!(self.connections[slot].role.as_deref(), Some(Role::Child(_))) => {}
                _ => {
                    let reconnect_ms = self.random.random_range(window_ms / 10..=window_ms.max(1));
                    let drain_ms = Some(now.ms + self.random.random_range(0..spread_ms));
                    let rare = self.connections[slot].rare_mut();
                    (rare.reconnect_ms, rare.drain_ms) = (reconnect_ms, drain_ms);
                    self.settle_dialect(slot, now);
                    let is_told = self.connections[slot].engine().is_none_or(|it| it.own == Own::Connected);
                    if is_told {
                        self.push(slot, &Push::Draining { reconnect_ms }, FrameClass::Reliable, now);
                    }
                    for conversation in self.conversations(slot).into_iter().skip(1) {
                        self.push(conversation, &Push::Draining { reconnect_ms }, FrameClass::Reliable, now);
                    }
                    self.schedule_client(slot, now);
                }
            }
        }
        self.settle(now);
    }
}
