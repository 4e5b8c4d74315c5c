//! Sessions of Engine.IO that poll: packets in requests of connections that come and go.
//!
//! The session's queue holds frames like any other's; a request that waits for packets is answered with what is in it,
//! once a turn. A request that brings packets is answered when all of them are read, so that a client sends no faster
//! than the gateway takes. One request of each kind may be under way: a second one ends the session.

use super::Shard;
use super::engine::MALFORMED;
use super::events::Happened;
use super::flushing::mark_dirty;
use crate::clock::Now;
use crate::connection::Phase;
use crate::connection::delivery_log::Goodbye;
use crate::connection::engine::{Carrier, Polling, Role, Session, Terms, sid};
use crate::connection::handshake::engine::{EngineError, EngineRequest, response};
use crate::connection::http::Refusal;
use crate::connection::outbound_queue::FrameClass;
use crate::effect::{Admission, AdmissionEvent, Release, SocketEffect};
use crate::id::ConnectionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;
use crate::protocol::socketio::payload::{self, Part};

/// The type of every body.
const TEXT: &str = "text/plain; charset=UTF-8";
/// Seconds after which a client that was refused for its address may try again.
const RETRY_AFTER_S: u64 = 5;
/// Milliseconds for which a request may still ask how a session has ended that its client has closed.
const FAREWELL_MS: u64 = 1_000;

impl Shard {
    /// A session begins by polling.
    pub(super) fn open_polling(&mut self, slot: usize, request: &EngineRequest, now: Now) {
        let peer = self.connections[slot].peer;
        let limits = &self.config.limits;
        let polling = self.polling_by_peer.get(&peer).copied().unwrap_or(0);
        let full = limits.connections_per_ip_max.is_some_and(|max| polling >= max);
        let refusal = self.unavailable(slot).or_else(|| {
            full.then(|| {
                Refusal::new(429, "too many connections from this address").retry_after(RETRY_AFTER_S)
            })
        });
        let crowded = self.connections.len() >= self.config.limits.connections_max as usize;
        let refusal = refusal
            .or_else(|| crowded.then(|| Refusal::new(503, "the gateway is full").retry_after(RETRY_AFTER_S)));
        if let Some(refusal) = refusal {
            return self.refuse(slot, &request.terms.on(refusal), now);
        }
        *self.polling_by_peer.entry(peer).or_default() += 1;
        let secret = self.secret();
        let role = Role::Session(Session::new(request.app, Some(Polling::new(secret)), None));
        let session = self.open_virtual(slot, role, now);
        self.sids.insert(secret, self.connections[session].id);
        self.begin_session(session, request, now);
        let open = self.open_packet(&sid(self.id, secret), true);
        self.respond(slot, 200, open.as_bytes(), &request.terms, now);
    }

    /// A request waits for packets.
    pub(super) fn poll(&mut self, slot: usize, session: ConnectionId, terms: Terms, now: Now) {
        let Some(at) = self.polling_slot(session, now) else {
            return self.respond_error(slot, EngineError::UnknownSid, &terms, now);
        };
        let carrier = self.connections[slot].id;
        let written = self.connections[at].queue.written();
        let Some(polling) = self.polling_mut(at) else { return };
        polling.got = written;
        if polling.poll.is_some() {
            self.respond_error(slot, EngineError::BadRequest, &terms, now);
            return self.close(at, CloseCode::Protocol, "two polls at once", now);
        }
        polling.poll = Some(carrier);
        self.carry(slot, session, terms);
        self.answer_poll(at, now);
    }

    /// A request brings packets.
    pub(super) fn post(&mut self, slot: usize, session: ConnectionId, body: Vec<u8>, terms: Terms, now: Now) {
        let at = self.polling_slot(session, now);
        let Some(at) = at.filter(|at| self.connections[*at].is_active()) else {
            return self.respond_error(slot, EngineError::UnknownSid, &terms, now);
        };
        let carrier = self.connections[slot].id;
        let client = &mut self.connections[at];
        client.note_heard(now);
        let Some(polling) = self.polling_mut(at) else { return };
        if polling.post.is_some_and(|other| other != carrier) {
            self.respond_error(slot, EngineError::BadRequest, &terms, now);
            return self.close(at, CloseCode::Protocol, "two posts at once", now);
        }
        polling.post = Some(carrier);
        self.carry(slot, session, terms);
        if body.is_empty() {
            return self.close(at, CloseCode::Protocol, MALFORMED, now);
        }
        self.connections[at].unread = body;
        self.read_packets(at, now);
    }

    /// A request begins to bring packets; whether it may.
    pub(super) fn reserve_post(
        &mut self,
        slot: usize,
        session: ConnectionId,
        terms: &Terms,
        now: Now,
    ) -> bool {
        let carrier = self.connections[slot].id;
        let at = self.polling_slot(session, now);
        let Some(at) = at.filter(|at| self.connections[*at].is_active()) else {
            self.respond_error(slot, EngineError::UnknownSid, terms, now);
            return false;
        };
        let Some(polling) = self.polling_mut(at) else { return false };
        if polling.post.is_some_and(|other| other != carrier) {
            self.respond_error(slot, EngineError::BadRequest, terms, now);
            self.close(at, CloseCode::Protocol, "two posts at once", now);
            return false;
        }
        polling.post = Some(carrier);
        let carried = Carrier { session, terms: terms.clone() };
        self.connections[slot].role = Some(Box::new(Role::Carrier(carried)));
        true
    }

    /// The slot of a session that polls and whose time is not over.
    fn polling_slot(&mut self, session: ConnectionId, now: Now) -> Option<usize> {
        let client = self.client(session)?;
        client.engine()?.polling.as_ref()?;
        let slot = session.slot as usize;
        if client.is_active() && self.is_overdue(slot, now) {
            self.close(slot, CloseCode::Policy, "ping time-out", now);
            return None;
        }
        Some(slot)
    }

    pub(super) fn polling_mut(&mut self, slot: usize) -> Option<&mut Polling> {
        self.connections[slot].engine_mut()?.polling.as_deref_mut()
    }

    fn carry(&mut self, slot: usize, session: ConnectionId, terms: Terms) {
        let known = self.client(session).is_some_and(|client| client.identity.is_some());
        if known {
            self.recognise(slot);
        }
        let client = &mut self.connections[slot];
        client.phase = Phase::Carrying;
        client.role = Some(Box::new(Role::Carrier(Carrier { session, terms })));
    }

    /// A connection belongs to somebody who is known: refusals of others at its address are not meant for it.
    fn recognise(&mut self, slot: usize) {
        self.note_authenticated(slot);
        let client = &mut self.connections[slot];
        if client.rare_if_any().and_then(|rare| rare.turn_away.take()).is_some() {
            self.effects.admissions.push(Admission { peer: client.peer, event: AdmissionEvent::Recognised });
        }
    }

    /// Answers the request that waits, if there is anything to answer with.
    pub(super) fn answer_poll(&mut self, slot: usize, now: Now) {
        let client = &self.connections[slot];
        let Some(polling) = client.engine().and_then(|session| session.polling.as_deref()) else { return };
        let Some(carrier) = polling.poll else { return };
        let probed = polling
            .probe
            .and_then(|id| self.client(id))
            .is_some_and(|probe| matches!(probe.role.as_deref(), Some(Role::Probe { answered: true, .. })));
        let mut body = Vec::new();
        let (mut taken, mut packets) = (0, 0);
        for frames in client.queue.waiting() {
            packets += payload::count(frames);
            // What one event consists of stays together, and the first goes whatever its size.
            let is_full =
                packets > payload::PACKETS_MAX || body.len() >= self.config.socketio.payload_bytes_max;
            if taken > 0 && is_full {
                break;
            }
            payload::append(&mut body, frames);
            taken += frames.len();
        }
        if body.is_empty() && !probed {
            return;
        }
        if body.is_empty() {
            // The WebSocket is to take over: what is packed from here on goes there.
            body.push(b'6');
        }
        let id = client.id;
        if let Some(polling) = self.polling_mut(slot) {
            polling.poll = None;
        }
        self.answer_carrier(carrier, 200, &body, now);
        if taken > 0 {
            self.on_written(id, taken, now);
        }
    }

    /// Reads the packets that were brought, until something must come first; then answers the request.
    pub(super) fn read_packets(&mut self, slot: usize, now: Now) {
        let id = self.connections[slot].id;
        let body = std::mem::take(&mut self.connections[slot].unread);
        let mut rest: &[u8] = &body;
        while !rest.is_empty() && !self.draining && self.reads(id) {
            let bytes_max = self.message_bytes_max(slot);
            match payload::split_first(rest) {
                Err(payload::Malformed) => self.close(slot, CloseCode::Protocol, MALFORMED, now),
                Ok((_, taken)) if taken > bytes_max + 1 => {
                    self.close(slot, CloseCode::TooLarge, "message too large", now);
                }
                Ok((part, taken)) => {
                    rest = &rest[taken..];
                    match part {
                        Part::Text(text) => self.on_engine_text(slot, text.as_bytes(), now),
                        Part::Binary(data) => self.on_engine_binary(slot, &data, now),
                    }
                }
            }
            self.settle_items(now);
        }
        let Some(client) = self.client_mut(id) else { return };
        if !rest.is_empty() && client.is_active() {
            client.unread = rest.to_vec();
        } else if let Some(carrier) = self.polling_mut(slot).and_then(|polling| polling.post.take()) {
            self.answer_carrier(carrier, 200, b"ok", now);
        }
    }

    /// The client has closed its session: whoever waits hears so, or will for a moment.
    pub(super) fn polling_closed_by_client(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        let written = client.queue.written();
        client.rare_mut().goodbye = Some(Goodbye { written, reads: true, finished: false });
        client.queue.drop_all();
        client.queue.push_close(frame::text(b"6"));
        mark_dirty(client, &mut self.effects, false);
        self.metrics.count_close(CloseCode::Normal);
        self.note_event(slot, Happened::Closed(CloseCode::Normal), now);
        if let Some(carrier) = self.polling_mut(slot).and_then(|polling| polling.post.take()) {
            self.answer_carrier(carrier, 200, b"ok", now);
        }
        self.begin_close(slot, now);
        self.hurry_close(slot, now.ms + FAREWELL_MS, now);
        self.schedule_client(slot, now);
    }

    /// A session ends that has broken the protocol: who waits gets the packet that says so.
    pub(super) fn end_poll(&mut self, slot: usize, now: Now) {
        if let Some(carrier) = self.polling_mut(slot).and_then(|polling| polling.poll.take()) {
            self.answer_carrier(carrier, 200, b"1", now);
        }
    }

    /// No request finds the session from here on; those that wait are answered.
    pub(super) fn unlist(&mut self, slot: usize, now: Now) {
        let peer = self.connections[slot].peer;
        let Some(polling) = self.polling_mut(slot) else { return };
        let (secret, poll, post, probe) =
            (polling.secret, polling.poll.take(), polling.post.take(), polling.probe.take());
        self.forget_sid(secret, peer);
        // A close packet would keep some clients away for good; this brings all of them back.
        for (carrier, error) in [(poll, EngineError::UnknownSid), (post, EngineError::BadRequest)] {
            let (status, body) = error.answer();
            if let Some(carrier) = carrier {
                self.answer_carrier(carrier, status, body.as_bytes(), now);
            }
        }
        if let Some(probe) = probe.filter(|probe| self.client(*probe).is_some()) {
            self.close(probe.slot as usize, CloseCode::Normal, "the session is over", now);
        }
    }

    /// The session of that id no longer polls.
    pub(super) fn forget_sid(&mut self, secret: u128, peer: std::net::IpAddr) {
        if self.sids.remove(&secret).is_none() {
            return;
        }
        if let Some(count) = self.polling_by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.polling_by_peer.remove(&peer);
            }
        }
    }

    /// A connection is gone whose request was under way: a client that no longer waits for packets has left.
    pub(super) fn carrier_lost(&mut self, carrier: ConnectionId, session: ConnectionId, now: Now) {
        let slot = session.slot as usize;
        let Some(client) = self.client_mut(session) else { return };
        let active = client.is_active();
        let Some(polling) = client.engine_mut().and_then(|session| session.polling.as_deref_mut()) else {
            return;
        };
        // So has one that gives up a request whose packets are not all read: which of them count nobody could know.
        let posts = polling.post == Some(carrier);
        if !posts && polling.poll != Some(carrier) {
            return;
        }
        let ended = if posts { &mut polling.post } else { &mut polling.poll };
        *ended = None;
        if active {
            self.metrics.resets += 1;
            self.note_event(slot, Happened::Lost, now);
        }
        self.release(slot, Release::Close, now);
    }

    pub(super) fn answer_carrier(&mut self, carrier: ConnectionId, status: u16, body: &[u8], now: Now) {
        let Some(client) = self.client_mut(carrier) else { return };
        let Some(Role::Carrier(carried)) = client.role.take().map(|role| *role) else { return };
        self.respond(carrier.slot as usize, status, body, &carried.terms, now);
    }

    /// Answers a request; the connection takes another one, or ends.
    fn respond(&mut self, slot: usize, status: u16, body: &[u8], terms: &Terms, now: Now) {
        let kind = if status == 200 { TEXT } else { "application/json" };
        self.send_response(slot, response(status, (kind, body), terms, &[]), terms, now);
    }

    pub(super) fn respond_error(&mut self, slot: usize, error: EngineError, terms: &Terms, now: Now) {
        self.metrics.http_refusals += 1;
        let (status, body) = error.answer();
        self.respond(slot, status, body.as_bytes(), terms, now);
    }

    /// Tells a browser what requests it may send.
    pub(super) fn respond_preflight(&mut self, slot: usize, wanted: Option<&str>, terms: &Terms, now: Now) {
        let mut further = vec![
            "Access-Control-Allow-Methods: GET, POST".to_owned(),
            "Access-Control-Max-Age: 600".to_owned(),
        ];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(&byte);
        if let Some(wanted) = wanted.filter(|wanted| wanted.bytes().all(is_plain)) {
            further.push(format!("Access-Control-Allow-Headers: {wanted}"));
        }
        self.send_response(slot, response(204, (TEXT, b""), terms, &further), terms, now);
    }

    fn send_response(&mut self, slot: usize, response: Vec<u8>, terms: &Terms, now: Now) {
        self.send(slot, response.into(), FrameClass::Control);
        if !terms.keep_alive {
            self.connections[slot].unread = Vec::new();
            return self.begin_close(slot, now);
        }
        let client = &mut self.connections[slot];
        client.role = None;
        // An answer that comes later finds the connection in a request; it reads on then.
        let carried = std::mem::replace(&mut client.phase, Phase::Head) == Phase::Carrying;
        client.opened_ms = now.ms;
        let id = client.id;
        if carried {
            self.carriers.push_back(id);
            self.effects.sockets.push(SocketEffect::Resume(id));
        }
        self.schedule_client(slot, now);
    }

    /// Reads on what connections had sent behind a request that is answered now, or behind what had to come first.
    pub(super) fn read_further_requests(&mut self, now: Now) {
        while let Some(id) = self.carriers.pop_front() {
            let slot = id.slot as usize;
            let Some(client) = self.client(id).filter(|client| client.is_active()) else { continue };
            if client.engine().is_some() {
                self.resume(slot, now);
            } else if client.awaits_request() {
                self.read_requests(slot, now);
            }
        }
    }
}
