//! Engine.IO on the home shard: sessions that begin, beat and end, and the packets that they carry (protocol §7).
//!
//! A session over a WebSocket is a connection like any other, but for what its frames say. `polling` is what a session
//! does without a socket, `upgrading` how it gets one, `socketio` what its messages mean.

use std::num::NonZeroU64;

use rand::Rng;

use super::Shard;
use super::events::Happened;
use super::namespaces::is_at_rest;
use crate::clock::Now;
use crate::connection::engine::{App, Role, Session, Terms, sid};
use crate::connection::handshake::Upgrade;
use crate::connection::handshake::engine::{EngineError, EngineRequest, Outcome, Wish};
use crate::connection::outbound_queue::FrameClass;
use crate::connection::websocket::Incoming;
use crate::connection::{Connection, Phase};
use crate::effect::SocketEffect;
use crate::id::{ConnectionId, SessionId, ShardId};
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;
use crate::protocol::profile::{Dialect, Variant};
use crate::timer_wheel::TICK_MS;

/// Milliseconds that a client which could not be heard has to be heard after all.
const UNHEARD_MS: u64 = 5 * TICK_MS;
/// What a client is told that breaks the protocol.
pub(super) const MALFORMED: &str = "malformed packet";

impl Shard {
    /// A complete head of Engine.IO; whether the connection may have another request behind it.
    pub(super) fn on_engine_head(&mut self, slot: usize, outcome: Outcome, now: Now) -> bool {
        match outcome {
            Outcome::Error(error, terms, head_len) => {
                self.connections[slot].unread.drain(..head_len);
                self.respond_error(slot, error, &terms, now);
                true
            }
            Outcome::Request(request) => self.on_engine_request(slot, request, now),
        }
    }

    fn on_engine_request(&mut self, slot: usize, request: EngineRequest, now: Now) -> bool {
        let named = request.sid.as_deref().map(crate::connection::engine::read_sid);
        if let Some(Some((shard, _))) = named
            && shard != self.id
            && shard.index() < self.config.shards
        {
            self.move_to(slot, shard);
            return false;
        }
        let id = named.flatten().and_then(|(_, secret)| self.sids.get(&secret).copied());
        let client = &mut self.connections[slot];
        let whole = request.head_len.saturating_add(request.body_len);
        if client.unread.len() < whole {
            return self.await_body(slot, id, &request, now);
        }
        let mut head: Vec<u8> = client.unread.drain(..whole).collect();
        let body = head.split_off(request.head_len);
        match (&request.wish, id) {
            (Wish::Preflight, _) => {
                self.respond_preflight(slot, request.wanted_headers.as_deref(), &request.terms, now);
            }
            (Wish::Open(upgrade), _) => {
                self.open_engine(slot, upgrade, &request, now);
                return false;
            }
            (Wish::OpenPolling, _) => self.open_polling(slot, &request, now),
            (_, None) => self.respond_error(slot, EngineError::UnknownSid, &request.terms, now),
            (Wish::Probe(upgrade), Some(id)) => {
                self.begin_probe(slot, upgrade, id, now);
                return false;
            }
            (Wish::Poll, Some(id)) => self.poll(slot, id, request.terms, now),
            (Wish::Post, Some(id)) => self.post(slot, id, body, request.terms, now),
        }
        true
    }

    /// The rest of a request is yet to come; `false`, as nothing can be read behind it.
    fn await_body(
        &mut self,
        slot: usize,
        id: Option<ConnectionId>,
        request: &EngineRequest,
        now: Now,
    ) -> bool {
        // Nobody waits for a body that is refused by what stands in front of it.
        let terms = Terms { keep_alive: false, ..request.terms.clone() };
        let is_new = self.connections[slot].role.is_none();
        let Some(id) = id else {
            if request.sid.is_some() {
                self.respond_error(slot, EngineError::UnknownSid, &terms, now);
            }
            return false;
        };
        let is_welcome = matches!(request.wish, Wish::Post) && self.reserve_post(slot, id, &terms, now);
        if is_welcome && is_new && request.expects_continue {
            self.send(slot, (&b"HTTP/1.1 100 Continue\r\n\r\n"[..]).into(), FrameClass::Control);
        }
        false
    }

    /// Hands a connection to the shard of the session that its request names.
    fn move_to(&mut self, slot: usize, shard: ShardId) {
        self.metrics.connections_moved += 1;
        let client = self.connections.remove(slot).expect("its request was just read");
        let turn_away = client.rare().turn_away;
        self.effects.sockets.push(SocketEffect::Move {
            id: client.id,
            shard,
            moved: crate::effect::Moved {
                received: client.unread,
                turn_away,
                pending: client.counted_pending,
            },
        });
    }

    /// A connection that another shard has handed over, which has read from it.
    pub fn on_moved(&mut self, id: ConnectionId, pending: bool, received: &[u8], now: Now) {
        if let Some(client) = self.client_mut(id) {
            client.counted_pending = pending;
        }
        self.on_bytes(id, received, now);
    }

    /// A session begins over a WebSocket.
    fn open_engine(&mut self, slot: usize, upgrade: &Upgrade, request: &EngineRequest, now: Now) {
        if let Some(refusal) = self.unavailable(slot) {
            return self.refuse(slot, &refusal, now);
        }
        let secret = self.secret();
        let client = &mut self.connections[slot];
        let rest = std::mem::take(&mut client.unread);
        client.role = Some(Box::new(Role::Session(Session::new(request.app, None, None))));
        self.begin_session(slot, request, now);
        self.send(slot, upgrade.response().into(), FrameClass::Control);
        let open = self.open_packet(&sid(self.id, secret), false);
        self.send(slot, frame::text(open.as_bytes()), FrameClass::Control);
        let rest = self.connections[slot].socket.receive(&rest).to_vec();
        self.read_frames(slot, &rest, now);
    }

    /// What every session begins with.
    pub(super) fn begin_session(&mut self, slot: usize, request: &EngineRequest, now: Now) {
        let agent = self.intern_agent(request.agent.as_deref());
        let (interval_ms, connect_ms) =
            (self.config.socketio.ping_interval_ms, self.config.socketio.connect_timeout_ms);
        let client = &mut self.connections[slot];
        client.agent = agent;
        client.opened_ms = now.ms;
        client.phase = if request.app == App::Gateway { Phase::Pending } else { Phase::Echo };
        client.variant = Variant::new(Dialect::SocketIo, request.profile);
        if let Some(session) = client.engine_mut() {
            session.token = request.token.as_deref().map(Into::into);
            session.ping_due_ms = now.ms + interval_ms;
            session.connect_due_ms =
                if request.app == App::EngineEcho { u64::MAX } else { now.ms + connect_ms };
        }
        if request.app != App::Gateway {
            self.note_authenticated(slot);
        }
        self.note_event(slot, Happened::Connected, now);
        self.schedule_client(slot, now);
    }

    /// The first packet of a session.
    pub(super) fn open_packet(&self, sid: &str, upgradable: bool) -> String {
        let settings = &self.config.socketio;
        format!(
            "0{{\"sid\":\"{sid}\",\"upgrades\":[{}],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            if upgradable { "\"websocket\"" } else { "" },
            settings.ping_interval_ms,
            settings.ping_timeout_ms,
            settings.payload_bytes_max
        )
    }

    pub(super) fn secret(&mut self) -> u128 {
        u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64())
    }

    /// A connection without a socket, for a session that polls or for a further namespace.
    pub(super) fn open_virtual(&mut self, beside: usize, role: Role, now: Now) -> usize {
        self.opened = self.opened.wrapping_add(1);
        let id = ConnectionId { slot: self.connections.next_slot(), generation: self.opened };
        let session = SessionId(self.random.next_u64());
        let peer = self.connections[beside].peer;
        let mut client = Connection::new(id, peer, session, None, now);
        // Whoever counts connections by address counts those of the kernel.
        client.counted_pending = false;
        client.role = Some(Box::new(role));
        self.connections.insert(client);
        self.metrics.connections_opened += 1;
        id.slot as usize
    }

    /// A message of a session's WebSocket.
    pub(super) fn on_engine_message(&mut self, slot: usize, incoming: Incoming, now: Now) {
        match incoming {
            Incoming::Text(text) => self.on_engine_text(slot, text.as_bytes(), now),
            Incoming::Binary(data) => self.on_engine_binary(slot, &data, now),
            Incoming::Pong(_) => {}
            Incoming::Close => self.closed_by_client(slot, now),
        }
    }

    /// A packet of text: its type, and what it says.
    pub(super) fn on_engine_text(&mut self, slot: usize, text: &[u8], now: Now) {
        let Some(session) = self.connections[slot].engine() else {
            return self.on_probe_text(slot, text, now);
        };
        let app = session.app;
        match (text.split_first(), app) {
            (Some((b'4', _)), App::EngineEcho) => self.send(slot, frame::text(text), FrameClass::Reply),
            (Some((b'4', message)), _) => match std::str::from_utf8(message) {
                Ok(message) => self.on_socketio_text(slot, message, now),
                Err(_) => self.close(slot, CloseCode::Protocol, MALFORMED, now),
            },
            (Some((b'3', _)), _) => self.on_engine_pong(slot, now),
            (Some((b'1', [])), _) => self.closed_by_packet(slot, now),
            (Some((b'6', [])), _) => {}
            _ => self.close(slot, CloseCode::Protocol, MALFORMED, now),
        }
    }

    /// A binary message.
    pub(super) fn on_engine_binary(&mut self, slot: usize, data: &[u8], now: Now) {
        match self.connections[slot].engine().map(|session| session.app) {
            Some(App::EngineEcho) => self.send(slot, frame::binary(data), FrameClass::Reply),
            Some(_) => self.on_attachment(slot, data, now),
            None => self.close(slot, CloseCode::Protocol, MALFORMED, now),
        }
    }

    fn on_engine_pong(&mut self, slot: usize, now: Now) {
        let interval_ms = self.config.socketio.ping_interval_ms;
        let Some(session) = self.connections[slot].engine_mut() else { return };
        if session.pong_due_ms.take().is_none() {
            return;
        }
        session.ping_due_ms = now.ms + interval_ms;
        for slot in self.conversations(slot) {
            if let Some(log) = &mut self.connections[slot].log {
                log.note_pong();
            }
        }
        self.schedule_client(slot, now);
    }

    /// The connections of a session's namespaces: its own, and its children.
    pub(super) fn conversations(&self, slot: usize) -> Vec<usize> {
        let children = self.connections[slot].engine().map(|session| &session.children);
        let children = children.into_iter().flatten().map(|(_, id)| id.slot as usize);
        std::iter::once(slot).chain(children).collect()
    }

    /// Pings, and closes who does not answer, or has connected to nothing.
    pub(super) fn on_heartbeat(&mut self, slot: usize, now: Now) {
        let timeout_ms = self.config.socketio.ping_timeout_ms;
        let reading = self.reads_clients;
        let Some(session) = self.connections[slot].engine_mut() else { return };
        if session.connect_due_ms <= now.ms {
            self.admission_failed(slot);
            return self.close(slot, CloseCode::AuthTimeout, "no namespace in time", now);
        }
        match session.pong_due_ms {
            Some(due_ms) if due_ms <= now.ms && reading => {
                self.close(slot, CloseCode::Policy, "ping time-out", now);
            }
            // Nobody is heard while a ring is full; that is not the client's silence. Soon after it is.
            Some(due_ms) if due_ms <= now.ms => session.pong_due_ms = Some(now.ms + UNHEARD_MS),
            None if session.ping_due_ms <= now.ms => {
                // A tick late is not the client's fault either, and the client counts from when it was due.
                let sent_ms = session.ping_due_ms.max(now.ms.saturating_sub(TICK_MS));
                session.pong_due_ms = Some(sent_ms + timeout_ms);
                self.send(slot, frame::text(b"2"), FrameClass::Control);
                self.note_ping(slot, now);
            }
            _ => {}
        }
    }

    /// Whether a session's answer to a ping is overdue, be it not noticed yet.
    pub(super) fn is_overdue(&self, slot: usize, now: Now) -> bool {
        let timeout_ms = self.config.socketio.ping_timeout_ms;
        self.connections[slot].engine().is_some_and(|session| {
            session.pong_due_ms.unwrap_or(session.ping_due_ms.saturating_add(timeout_ms)) <= now.ms
        })
    }

    fn note_ping(&mut self, slot: usize, now: Now) {
        for conversation in self.conversations(slot) {
            let client = &mut self.connections[conversation];
            // What a child has not handed to the session stands behind the ping; then the next one tells of it.
            let waits = conversation != slot && !client.queue.is_empty();
            let end = client.queue.end();
            if let Some(log) = client.log.as_mut().filter(|_| !waits) {
                log.note_ping(end, now.ms);
            }
        }
    }

    /// The client's close packet.
    fn closed_by_packet(&mut self, slot: usize, now: Now) {
        if self.connections[slot].is_virtual() {
            return self.polling_closed_by_client(slot, now);
        }
        self.closed_by_client(slot, now);
    }

    /// Whether one of a session's further namespaces must come to rest before more is read.
    pub(super) fn is_engine_busy(&self, client: &Connection) -> bool {
        let Some(session) = client.engine() else { return false };
        let is_busy = |id: &ConnectionId| self.client(*id).is_some_and(|child| !is_at_rest(child));
        session.children.iter().any(|(_, id)| is_busy(id))
    }

    /// When a probe is given up.
    pub(super) fn probe_deadline_ms(client: &Connection) -> Option<NonZeroU64> {
        match client.role.as_deref() {
            Some(Role::Probe { deadline_ms, .. }) => NonZeroU64::new(*deadline_ms),
            _ => None,
        }
    }
}
