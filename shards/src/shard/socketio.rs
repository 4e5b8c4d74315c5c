//! Socket.IO on the home shard: namespaces entered and left, events in, acks both ways (protocol §7).
//!
//! An event is the native envelope, so that from here on it is a request like any other. What makes no sense ends the
//! session's transport, as the protocol wants it; what makes sense and cannot be had is an error.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::engine::MALFORMED;
use super::events::Happened;
use super::hooks::Wants;
use crate::access::permission::Identity;
use crate::backend::Verdict;
use crate::clock::Now;
use crate::connection::engine::{App, Assembly, Own, Role};
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Phase, Resume};
use crate::id::ConnectionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::protocol::close_code::CloseCode;
use crate::protocol::command::{Rejection, UpTo};
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::json::JsonError;
use crate::protocol::socketio::event::{self, Refused};
use crate::protocol::socketio::packet::{Kind, Packet};
use crate::protocol::socketio::{Namespace, binary, write};
use crate::user::progress::Place;

/// Attempts to connect to a namespace that may fail before the transport is closed.
const FAILURES_MAX: u8 = 3;
/// Bytes of a namespace's name that is repeated to who asks for it.
const NAMESPACE_BYTES_MAX: usize = 256;

/// What a client says to enter a namespace.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    token: Option<String>,
    /// The session that it wants to resume.
    pid: Option<String>,
    /// Where it has been, as it was told; what is no place is one that nobody knows.
    offset: Option<String>,
}

impl Shard {
    /// A Socket.IO packet.
    pub(super) fn on_socketio_text(&mut self, slot: usize, text: &str, now: Now) {
        let Some(session) = self.connections[slot].engine() else { return };
        let (app, between) = (session.app, session.assembly.is_some());
        let Some(packet) = Packet::parse(text).filter(|_| !between) else { return self.malformed(slot, now) };
        match packet.attachments {
            Some(count) if count > self.config.socketio.attachments_max => {
                self.close(slot, CloseCode::TooLarge, "too many attachments", now);
            }
            Some(0) => self.malformed(slot, now),
            Some(count) => self.begin_assembly(slot, text, &packet, count, now),
            _ if app == App::SocketIoEcho => self.echo_packet(slot, &packet, &[], now),
            _ => self.on_packet(slot, &packet, &[], now),
        }
    }

    pub(super) fn malformed(&mut self, slot: usize, now: Now) {
        self.close(slot, CloseCode::Protocol, MALFORMED, now);
    }

    fn begin_assembly(&mut self, slot: usize, text: &str, packet: &Packet<'_>, wanted: usize, now: Now) {
        if !matches!(packet.kind, Kind::Event | Kind::Ack) || !self.is_connected(slot, packet.namespace) {
            return self.malformed(slot, now);
        }
        let assembly = Assembly { packet: text.into(), attachments: Vec::new(), wanted, bytes: text.len() };
        if let Some(session) = self.connections[slot].engine_mut() {
            session.assembly = Some(Box::new(assembly));
        }
    }

    /// A binary message: the next attachment of the event that waits for it.
    pub(super) fn on_attachment(&mut self, slot: usize, data: &[u8], now: Now) {
        let bytes_max = self.config.limits.message_bytes_max;
        let Some(session) = self.connections[slot].engine_mut() else { return };
        let app = session.app;
        let Some(assembly) = &mut session.assembly else { return self.malformed(slot, now) };
        assembly.bytes += data.len();
        if assembly.bytes > bytes_max {
            return self.close(slot, CloseCode::TooLarge, "attachments too large", now);
        }
        assembly.attachments.push(Bytes::copy_from_slice(data));
        if assembly.attachments.len() < assembly.wanted {
            return;
        }
        let Some(assembly) = session.assembly.take() else { return };
        let Some(packet) = Packet::parse(&assembly.packet) else { return };
        match app {
            App::SocketIoEcho => self.echo_packet(slot, &packet, &assembly.attachments, now),
            _ => self.on_packet(slot, &packet, &assembly.attachments, now),
        }
    }

    fn on_packet(&mut self, slot: usize, packet: &Packet<'_>, attachments: &[Bytes], now: Now) {
        if packet.kind == Kind::Connect {
            return self.connect(slot, packet, now);
        }
        let Some(at) = self.conversation(slot, packet.namespace) else { return self.malformed(slot, now) };
        if self.connections[at].evicted.is_some() {
            return;
        }
        match packet.kind {
            Kind::Connect => {}
            Kind::Disconnect => self.disconnect(slot, at, now),
            Kind::Ack if !self.is_array(packet.payload) => self.malformed(slot, now),
            Kind::Ack => self.on_ack(at, packet, now),
            Kind::Event => self.on_event(slot, at, packet, attachments, now),
        }
    }

    pub(super) fn is_array(&mut self, payload: &str) -> bool {
        self.parser.parse(payload.as_bytes(), |value| value.elements().is_some()) == Ok(true)
    }

    /// The slot of a session's conversation in a namespace.
    fn conversation(&self, slot: usize, namespace: &str) -> Option<usize> {
        let client = &self.connections[slot];
        let session = client.engine()?;
        if session.own == Own::Connected && client.variant.namespace.wire_name() == namespace {
            return Some(slot);
        }
        let child = session.children.iter().find(|(known, _)| known.wire_name() == namespace);
        child.map(|(_, id)| id.slot as usize)
    }

    fn is_connected(&self, slot: usize, namespace: &str) -> bool {
        let echo = self.connections[slot].engine().is_some_and(|session| session.app == App::SocketIoEcho);
        echo || self.conversation(slot, namespace).is_some()
    }

    /// A client wants to enter a namespace.
    fn connect(&mut self, slot: usize, packet: &Packet<'_>, now: Now) {
        if packet.namespace.len() > NAMESPACE_BYTES_MAX || self.conversation(slot, packet.namespace).is_some()
        {
            return self.malformed(slot, now);
        }
        let Some(credentials) = self.credentials(packet.payload) else { return self.malformed(slot, now) };
        if let Some(error) = self.take_event(slot, now) {
            let profile = self.connections[slot].variant.profile;
            self.metrics.count_error(error.code);
            self.send(slot, write::refused(packet.namespace, profile, &error), FrameClass::Reply);
            return self.count_refusal(slot, now);
        }
        let Some(namespace) = self.config.socketio.namespaces.find(packet.namespace) else {
            self.send(slot, write::invalid_namespace(packet.namespace), FrameClass::Reply);
            return self.count_refusal(slot, now);
        };
        let client = &self.connections[slot];
        let token = client.engine().and_then(|session| session.token.as_deref().map(str::to_owned));
        match self.judge(slot, namespace, token.or(credentials.token.clone()).as_deref(), now) {
            Ok(identity) if self.connect_needs_leave() => {
                let wants = Wants::Enter(namespace, Arc::new(identity), Box::new(credentials));
                self.hold(slot, ReplyTo::Nobody, wants);
            }
            Ok(identity) => {
                self.enter_namespace(slot, namespace, identity, (credentials, Verdict::default()), now);
            }
            Err(error) => self.refuse_namespace(slot, namespace, &error, now),
        }
    }

    fn credentials(&mut self, payload: &str) -> Option<Credentials> {
        if payload.is_empty() {
            return Some(Credentials::default());
        }
        let parsed = self.parser.parse(payload.as_bytes(), |value| {
            let text = |name: &str| value.get(name).and_then(|value| value.as_str()).map(str::to_owned);
            value.is_object().then(|| Credentials {
                token: text("token"),
                pid: text("pid"),
                offset: text("offset"),
            })
        });
        parsed.ok().flatten()
    }

    fn judge(
        &mut self,
        slot: usize,
        namespace: &Namespace,
        token: Option<&str>,
        now: Now,
    ) -> Result<Identity, CommandError> {
        let (access, tenancy, realm) = (&self.config.access, self.config.tenancy, namespace.realm());
        let Some(verifier) = &self.config.verifier else {
            let session = self.connections[slot].session;
            return Ok(Identity::anonymous(&session.to_string(), access, tenancy, realm));
        };
        let Some(token) = token else { return Err(CommandError::new(ErrorCode::AuthFailed, "no token")) };
        match self.verify(verifier, token, now) {
            Ok(claims) => Ok(Identity::from_claims(claims, access, tenancy, realm)),
            Err(error) => {
                self.metrics.count_auth_failure(error);
                Err(CommandError::new(ErrorCode::AuthFailed, error.to_string()))
            }
        }
    }

    pub(super) fn refuse_namespace(
        &mut self,
        slot: usize,
        namespace: &Namespace,
        error: &CommandError,
        now: Now,
    ) {
        self.metrics.count_error(error.code);
        let profile = self.connections[slot].variant.profile;
        self.send(slot, write::refused(namespace.wire_name(), profile, error), FrameClass::Reply);
        self.note_event(slot, Happened::AuthFailed, now);
        self.admission_failed(slot);
        let Some(session) = self.connections[slot].engine_mut() else { return };
        if session.own == Own::Connected || !session.children.is_empty() {
            // It is somebody, whose other conversations have nothing to do with this.
            return self.count_refusal(slot, now);
        }
        session.failures += 1;
        if session.failures >= FAILURES_MAX {
            self.close(slot, CloseCode::AuthFailed, "authentication failed", now);
        }
    }

    /// The client is let in: as this connection, or as a child of it when that is in a namespace already.
    pub(super) fn enter_namespace(
        &mut self,
        slot: usize,
        namespace: &'static Namespace,
        identity: Identity,
        (credentials, verdict): (Credentials, Verdict),
        now: Now,
    ) {
        let (id, profile) = (self.connections[slot].id, self.connections[slot].variant.profile);
        let Some(session) = self.connections[slot].engine_mut() else { return };
        (session.connect_due_ms, session.failures) = (u64::MAX, 0);
        let own = session.own == Own::None;
        let at = if own { slot } else { self.open_virtual(slot, Role::Child(id), now) };
        let child = self.connections[at].id;
        let agent = self.connections[slot].agent;
        let Some(session) = self.connections[slot].engine_mut() else { return };
        if own {
            session.own = Own::Connected;
        } else {
            session.children.push((namespace, child));
        }
        let identity = self.own_name(at, namespace, identity);
        let identity = self.with_additions(at, identity, verdict);
        let client = &mut self.connections[at];
        client.agent = agent;
        client.variant.dialect = crate::protocol::profile::Dialect::SocketIo;
        client.variant.profile = profile;
        client.variant.namespace = namespace;
        if let Some(pid) = credentials.pid {
            // Who names a session and no place of it has seen nothing yet.
            let place = credentials.offset.and_then(|text| Place::parse(&text)).or(Some(Place::Start));
            client.log.get_or_insert_default().follow_trail(place);
            let rare = client.rare_mut();
            rare.session_token = Some(pid.into());
            let resume = Resume { caller: None, user: "".into(), positions: Vec::new(), place };
            rare.resume = Some(Box::new(resume));
        }
        self.let_in(at, identity, None, now);
    }

    /// Who has no name is called after its session, so that it is the same user when it comes back to that.
    pub(super) fn own_name(&self, at: usize, namespace: &Namespace, identity: Identity) -> Identity {
        if !identity.is_anonymous() {
            return identity;
        }
        let session = self.connections[at].session.to_string();
        Identity::anonymous(&session, &self.config.access, self.config.tenancy, namespace.realm())
    }

    /// The client leaves a namespace, and will not come back to what it missed.
    fn disconnect(&mut self, slot: usize, at: usize, now: Now) {
        self.close_session(at);
        if at != slot {
            self.drop_child(at, now);
            return;
        }
        let connect_due_ms = now.ms + self.config.socketio.connect_timeout_ms;
        if let Some(session) = self.connections[slot].engine_mut() {
            session.own = Own::Left;
            if session.children.is_empty() {
                session.connect_due_ms = connect_due_ms;
            }
        }
        // What is on its way stays on its way, and how much of it arrives is seen when the transport ends.
        self.leave_everything(slot, now);
        let client = &mut self.connections[slot];
        (client.phase, client.held) = (Phase::Pending, None);
        self.schedule_client(slot, now);
    }

    /// The client has answered a message: it has it.
    fn on_ack(&mut self, at: usize, packet: &Packet<'_>, now: Now) {
        let number = packet.id.and_then(|id| id.parse().ok());
        let Some(request) = number.and_then(|number| self.ack_requests.find(number)) else { return };
        if self.connections[at].phase != Phase::Open || !self.is_in(at, &request.room) {
            return;
        }
        let log = self.connections[at].log.as_mut();
        if !log.is_some_and(|log| log.acknowledge(request.epoch, request.offset)) {
            return;
        }
        let caller = Caller { connection: self.connections[at].id, reply: ReplyTo::Nobody };
        let upto = UpTo::Message(request.message);
        if let Err(error) = self.receipt(at, caller.clone(), request.room.to_string(), upto, false) {
            self.fail(&caller, &error, now);
        }
    }

    fn on_event(&mut self, slot: usize, at: usize, packet: &Packet<'_>, attachments: &[Bytes], now: Now) {
        self.metrics.messages_received += 1;
        let profile = self.connections[at].variant.profile;
        let mut text = packet.payload.as_bytes();
        let joined;
        if !attachments.is_empty() {
            let inlined = self.parser.parse(text, |value| binary::inline(text, value, attachments));
            match inlined {
                Ok(Ok(bytes)) => joined = bytes,
                _ => return self.malformed(slot, now),
            }
            text = &joined;
        }
        let routes = &self.config.routes;
        let decoded = self.parser.parse(text, |value| event::decode(value, packet.id, profile, routes));
        match decoded {
            Ok(Ok(mut request)) => {
                if !attachments.is_empty() {
                    request.command.mark_binary();
                }
                self.on_request(at, Ok(request), now);
            }
            Ok(Err(Refused::Rejected(rejection))) => self.on_request(at, Err(rejection), now),
            Err(JsonError::Depth) => {
                let id = packet.id.map(Into::into);
                self.on_request(at, Err(Rejection { id, ..Rejection::illegible("nested too deep") }), now);
            }
            Ok(Err(Refused::Malformed)) | Err(JsonError::Syntax) => self.malformed(slot, now),
        }
    }

    /// Everything that the client waits for in a namespace before its first event has come.
    pub(super) fn confirm_connected(&mut self, id: ConnectionId, now: Now) {
        let slot = id.slot as usize;
        let client = &self.connections[slot];
        let user = client.rare().session_user.as_deref().unwrap_or_default();
        let pid = crate::user::session::token(&self.config.session_key.0, client.session, user);
        let packet = write::connected(client.variant.namespace, client.session, Some(&pid));
        self.send(slot, packet, FrameClass::Reply);
        if let Some(held) = &mut self.connections[slot].held {
            held.for_recovery = false;
        }
        self.release_held(slot, now);
    }
}
