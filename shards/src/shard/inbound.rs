//! Bytes from a client: request head, frames, commands (steps 2 to 4 of the path of a message).

use std::sync::Arc;

use super::{Overload, Shard};
use crate::access::limits::scaled;
use crate::access::permission::Identity;
use crate::access::token::UserType;
use crate::backend::Routes;
use crate::clock::Now;
use crate::connection::handshake::{self, Endpoint, Request as HttpRequest, TokenOrigin, Upgrade};
use crate::connection::http::{Refusal, TurnAway};
use crate::connection::outbound_queue::FrameClass;
use crate::connection::websocket::Incoming;
use crate::connection::{Held, Phase};
use crate::effect::SocketEffect;
use crate::id::ConnectionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::command::{Rejection, Request};
use crate::protocol::error_code::CommandError;
use crate::protocol::json::{JsonError, Value};
use crate::protocol::profile::{Dialect, Profile, Variant};
use crate::protocol::{event, frame, topic};

use super::events::Happened;
use super::sends::rate_limited;

/// Bytes of a message from a client that has not authenticated.
const PENDING_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Seconds after which a refused client may try again.
const RETRY_AFTER_S: u64 = 5;

impl Shard {
    /// Bytes that a connection's socket gave.
    pub fn on_bytes(&mut self, id: ConnectionId, bytes: &[u8], now: Now) {
        self.metrics.bytes_received += bytes.len() as u64;
        let Some(client) = self.client_mut(id) else { return };
        client.note_heard(now);
        client.pinged = None;
        let slot = id.slot as usize;
        match client.phase {
            Phase::Closing { .. } => {}
            Phase::Head => self.read_head(slot, bytes, now),
            // The next request, before this one is answered.
            Phase::Carrying => client.unread.extend_from_slice(bytes),
            _ => {
                let bytes = client.socket.receive(bytes);
                self.read_frames(slot, bytes, now);
            }
        }
        self.settle(now);
    }

    fn read_head(&mut self, slot: usize, bytes: &[u8], now: Now) {
        self.connections[slot].unread.extend_from_slice(bytes);
        self.read_requests(slot, now);
    }

    /// Reads requests until one is not complete, or must be answered first: an answer that waits to be written would be lost
    /// if the next request took the connection elsewhere.
    pub(super) fn read_requests(&mut self, slot: usize, now: Now) {
        let id = self.connections[slot].id;
        while let Some(client) = self.client(id).filter(|client| client.awaits_request()) {
            let more = match handshake::parse(&client.unread, &self.config) {
                Ok(Some(HttpRequest::Engine(outcome))) => self.on_engine_head(slot, *outcome, now),
                Ok(None) => false,
                Ok(Some(HttpRequest::Http)) => {
                    self.hand_over(slot);
                    false
                }
                Ok(Some(HttpRequest::Upgrade(upgrade))) => {
                    self.upgrade(slot, &upgrade, now);
                    false
                }
                Err(refusal) => {
                    self.refuse(slot, &refusal, now);
                    false
                }
            };
            if !more {
                return;
            }
        }
    }

    fn hand_over(&mut self, slot: usize) {
        self.metrics.http_handovers += 1;
        let client = &mut self.connections[slot];
        let bytes = std::mem::take(&mut client.unread);
        self.effects.sockets.push(SocketEffect::HandOver(client.id, bytes));
        self.forget(slot);
    }

    /// Why a proper upgrade cannot be had now, if so.
    pub(super) fn unavailable(&self, slot: usize) -> Option<Refusal> {
        match self.connections[slot].rare().turn_away {
            Some(TurnAway { status, retry_after_s }) => {
                let message = if status == 429 {
                    "too many connections from this address"
                } else {
                    "the gateway is full"
                };
                Some(Refusal::new(status, message).retry_after(retry_after_s))
            }
            None if self.draining => {
                Some(Refusal::new(503, "the gateway is draining").retry_after(RETRY_AFTER_S))
            }
            None if self.overload() >= Overload::RefuseNew => {
                Some(Refusal::new(503, "the gateway is overloaded").retry_after(RETRY_AFTER_S))
            }
            None => None,
        }
    }

    fn upgrade(&mut self, slot: usize, upgrade: &Upgrade, now: Now) {
        if let Some(refusal) = self.unavailable(slot) {
            return self.refuse(slot, &refusal, now);
        }
        let verified = match (&upgrade.token, &self.config.verifier) {
            (Some((origin, token)), Some(verifier)) => Some((*origin, self.verify(verifier, token, now))),
            _ => None,
        };
        if let Some((TokenOrigin::Header, Err(error))) = &verified {
            self.metrics.count_auth_failure(*error);
            self.admission_failed(slot);
            return self.refuse(slot, &handshake::unauthorized(), now);
        }
        let client = &mut self.connections[slot];
        let rest = client.unread.split_off(upgrade.head_len);
        client.unread = Vec::new();
        client.opened_ms = now.ms;
        if let Some(session) = &upgrade.session {
            client.rare_mut().session_token = Some(session.as_str().into());
        }
        client.phase = if upgrade.endpoint == Endpoint::Echo { Phase::Echo } else { Phase::Pending };
        let dialect = upgrade.dialect.unwrap_or(upgrade.profile.dialect);
        client.variant = Variant::new(dialect, upgrade.profile);
        client.may_switch = upgrade.dialect.is_none();
        client.held = client.may_switch.then(|| Box::new(Held { for_dialect: true, ..Held::default() }));
        let rest = client.socket.receive(&rest).to_vec();
        let agent = self.intern_agent(upgrade.agent.as_deref());
        self.connections[slot].agent = agent;
        self.note_event(slot, Happened::Connected, now);
        self.send(slot, upgrade.response().into(), FrameClass::Control);
        match verified {
            _ if upgrade.endpoint == Endpoint::Echo => self.note_authenticated(slot),
            None if self.config.verifier.is_none() => {
                let session = self.connections[slot].session.to_string();
                let identity = Identity::anonymous(&session, &self.config.access, self.config.tenancy, "");
                self.attach(slot, identity, None, now);
            }
            None => {}
            Some((_, Ok(claims))) => {
                let identity = Identity::from_claims(claims, &self.config.access, self.config.tenancy, "");
                self.attach(slot, identity, None, now);
            }
            Some((_, Err(error))) => self.refuse_token(slot, error, now),
        }
        self.schedule_client(slot, now);
        // An attaching connection is answered by the items in `local` first; what it sent meanwhile waits.
        self.settle(now);
        self.read_frames(slot, &rest, now);
    }

    /// Reads frames until more bytes are needed or something must come first.
    pub(super) fn read_frames(&mut self, slot: usize, fresh: &[u8], now: Now) {
        let id = self.connections[slot].id;
        let joined;
        let input = if self.connections[slot].unread.is_empty() {
            fresh
        } else {
            let mut bytes = std::mem::take(&mut self.connections[slot].unread);
            bytes.extend_from_slice(fresh);
            joined = bytes;
            &joined[..]
        };
        // Taken out while it is read, so that what it says can be acted on; both are a few words.
        let mut socket = std::mem::take(&mut self.connections[slot].socket);
        let mut pool = std::mem::take(&mut self.pool);
        let mut rest: &[u8] = input;
        while !self.draining && self.reads(id) {
            let bytes_max = self.message_bytes_max(slot);
            let mut reading = socket.read(&mut pool, rest, bytes_max);
            let incoming = reading.next_message();
            let replies = reading.take_replies();
            rest = &rest[rest.len() - reading.rest().len()..];
            if !replies.is_empty() {
                self.send(slot, replies.into(), FrameClass::Reply);
            }
            match incoming {
                Ok(Some(incoming)) => self.on_incoming(slot, incoming, now),
                Ok(None) => break,
                Err(failure) => self.close(slot, failure.code, failure.reason, now),
            }
            self.settle_items(now);
        }
        self.pool = pool;
        if let Some(client) = self.client_mut(id).filter(|client| client.is_active()) {
            client.socket = socket;
            client.unread = rest.to_vec();
            self.adopt_if_due(id, now);
        }
    }

    /// Whether what a connection sent may be read now.
    pub(super) fn reads(&self, id: ConnectionId) -> bool {
        self.client(id).is_some_and(|client| {
            reads(client.phase, client.awaiting, client.paused) && !self.is_engine_busy(client)
        })
    }

    pub(super) fn message_bytes_max(&self, slot: usize) -> usize {
        let bytes_max = self.config.limits.message_bytes_max;
        let client = &self.connections[slot];
        let speaks_elsewhere = client.engine().is_some_and(|session| !session.children.is_empty());
        match client.phase {
            Phase::Pending if !speaks_elsewhere => bytes_max.min(PENDING_MESSAGE_BYTES_MAX),
            _ => bytes_max,
        }
    }

    fn on_incoming(&mut self, slot: usize, incoming: Incoming, now: Now) {
        if self.connections[slot].role.is_some() {
            return self.on_engine_message(slot, incoming, now);
        }
        let echo = self.connections[slot].phase == Phase::Echo;
        match incoming {
            Incoming::Text(text) if echo => self.send(slot, frame::text(text.as_bytes()), FrameClass::Reply),
            Incoming::Binary(data) if echo => self.send(slot, frame::binary(&data), FrameClass::Reply),
            // What comes now is the session's business elsewhere.
            Incoming::Text(_) if self.connections[slot].evicted.is_some() => {}
            Incoming::Text(text) => self.on_text(slot, text.as_bytes(), now),
            Incoming::Binary(_) => {
                self.close(slot, CloseCode::Unsupported, "binary messages are not spoken here", now)
            }
            Incoming::Pong(payload) => self.on_pong(slot, &payload, now),
            Incoming::Close => self.closed_by_client(slot, now),
        }
    }

    /// A text message: parsed once, then refused or executed.
    fn on_text(&mut self, slot: usize, text: &[u8], now: Now) {
        self.metrics.messages_received += 1;
        let client = &mut self.connections[slot];
        let dialect = client.variant.dialect;
        let may_switch = client.may_switch;
        let profile = client.variant.profile;
        let routes = &self.config.routes;
        let parsed = self.parser.parse(text, |value| {
            let dialect = if may_switch { first_frame_dialect(value, dialect) } else { dialect };
            (dialect, decode(value, dialect, profile, routes))
        });
        if may_switch {
            self.connections[slot].may_switch = false;
            if let Ok((dialect, _)) = &parsed {
                self.connections[slot].variant.dialect = *dialect;
            }
            self.settle_dialect(slot, now);
            // What had waited for the dialect may be more than the queue takes.
            if !self.connections[slot].is_active() {
                return;
            }
        }
        let request = match parsed {
            Ok((_, decoded)) => decoded,
            Err(JsonError::Depth) => Err(Rejection::illegible("nested too deep")),
            Err(JsonError::Syntax) => Err(Rejection::illegible("not valid JSON")),
        };
        self.on_request(slot, request, now);
    }

    pub(super) fn on_request(&mut self, slot: usize, request: Result<Request, Rejection>, now: Now) {
        let limited = self.take_event(slot, now);
        let pending = self.connections[slot].phase == Phase::Pending;
        match (request, limited) {
            (Ok(Request { event, id, .. }), Some(error)) => {
                self.send_error(slot, Some(event), id.as_deref(), &error, now);
            }
            (Err(Rejection { id, .. }), Some(error)) => {
                self.send_error(slot, None, id.as_deref(), &error, now)
            }
            (Ok(request), None) if pending => self.execute_pending(slot, request, now),
            (Ok(request), None) => self.execute(slot, request, now),
            (Err(rejection), None) if pending && rejection.legible => {
                self.reject_pending(slot, rejection, now)
            }
            (Err(Rejection { event, id, error, .. }), None) => {
                self.send_error(slot, event, id.as_deref(), &error, now);
            }
        }
    }

    /// Takes one event from the connection's bucket; the error when it is empty.
    pub(super) fn take_event(&mut self, slot: usize, now: Now) -> Option<CommandError> {
        let client = &mut self.connections[slot];
        let guest = client.identity.as_ref().is_some_and(|identity| identity.user_type == UserType::Guest);
        let rate = scaled(self.config.limits.events?, guest);
        client.events.take(rate, now.ms, 1).err().map(rate_limited)
    }

    /// Who a connection is; who it was, if it was closed by what it is doing.
    pub(super) fn identity(&self, slot: usize) -> &Arc<Identity> {
        let client = &self.connections[slot];
        let identity = client.identity.as_ref().or(client.departed.as_ref());
        identity.expect("only authenticated connections get here")
    }
}

/// Whether the next frame may be read.
fn reads(phase: Phase, awaiting: u32, paused: bool) -> bool {
    let ready = matches!(phase, Phase::Pending | Phase::Open | Phase::Echo | Phase::Probing);
    ready && awaiting == 0 && !paused
}

fn first_frame_dialect(value: Value<'_>, default: Dialect) -> Dialect {
    if value.get("event").is_some() {
        Dialect::Event
    } else if value.get("type").is_some() {
        Dialect::Topic
    } else {
        default
    }
}

fn decode(
    value: Value<'_>,
    dialect: Dialect,
    profile: &Profile,
    routes: &Routes,
) -> Result<Request, Rejection> {
    match dialect {
        Dialect::Topic => topic::decode(value),
        // Packets of Socket.IO are read elsewhere.
        Dialect::Event | Dialect::SocketIo => event::decode(value, profile, routes),
    }
}
