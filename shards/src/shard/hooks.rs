//! What needs a backend's leave, when hooks are configured: to connect, to enter a room, to publish.
//!
//! A connection's requests of that kind wait in one line, the first of them being asked about, and the connection is not
//! read until the line is empty: so what it sent takes effect in the order sent, and a line is never longer than what one
//! frame holds. Lines stand beside the connections, because what waits in one may be a part of a reply that others
//! contribute to, and is told its end even when the connection is gone.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::events::Happened;
use super::socketio::Credentials;
use super::subscriptions::Wish;
use crate::access::permission::Identity;
use crate::backend::{Asks, HookCall, Sender, Verdict};
use crate::clock::Now;
use crate::effect::Question;
use crate::id::{ConnectionId, MessageId};
use crate::mesh::item::{Caller, ReplyTo};
use crate::protocol::catalog::Event;
use crate::protocol::close_code::CloseCode;
use crate::protocol::command::{Creation, Draft, RequestId};
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::Metadata;
use crate::protocol::socketio::Namespace;
use crate::room::name::local;
use crate::room::pattern::Pattern;

/// The requests of a connection that need leave; the first is being asked about.
pub(super) type Line = VecDeque<Held>;

/// A request that needs leave.
#[derive(Debug)]
pub(super) struct Held {
    /// Who hears what became of it.
    caller: Caller,
    wants: Wants,
}

/// What is wanted.
#[derive(Debug)]
pub(super) enum Wants {
    /// To be let in.
    Connect(Arc<Identity>, Option<(Event, RequestId)>),
    /// To be let into a namespace of Socket.IO.
    Enter(&'static Namespace, Arc<Identity>, Box<Credentials>),
    /// To enter a room.
    Join(String, Wish),
    /// To create a room, and so to enter it.
    Create(Box<Creation>),
    /// To subscribe to a pattern.
    Subscribe(Pattern),
    /// To send a message.
    Send(Box<Draft>),
    /// To send a message to a user, whatever room that is; the user comes first.
    UserSend(String, Box<Draft>),
    /// To change a message.
    Edit { room: String, message: MessageId, content: Bytes, binary: bool },
}

impl Wants {
    /// The same as the backend is told.
    fn asks(&self) -> Asks {
        let message = |event: Event, draft: &Draft| Asks::Publish {
            event: event.spec().name,
            room: draft.room.as_str().into(),
            kind: Some(draft.kind),
            content: draft.content.clone(),
            metadata: draft.metadata.as_ref().map(|metadata| metadata.raw.clone()),
            message: None,
        };
        match self {
            Self::Connect(..) => Asks::Connect { namespace: "/" },
            Self::Enter(namespace, ..) => Asks::Connect { namespace: namespace.wire_name() },
            Self::Join(room, _) => Asks::Join { room: room.as_str().into() },
            Self::Create(creation) => Asks::Join { room: creation.room.as_str().into() },
            Self::Subscribe(pattern) => Asks::Subscribe { pattern: pattern.as_str().into() },
            Self::Send(draft) => message(Event::MessageSend, draft),
            Self::UserSend(_, draft) => message(Event::UserSend, draft),
            Self::Edit { room, message, content, .. } => Asks::Publish {
                event: Event::MessageEdit.spec().name,
                room: room.as_str().into(),
                kind: None,
                content: content.clone(),
                metadata: None,
                message: Some(*message),
            },
        }
    }
}

impl Shard {
    /// Whether somebody must be asked before a connection is let in.
    pub(super) fn connect_needs_leave(&self) -> bool {
        self.config.hooks.connect.is_some()
    }

    /// The same before it enters a room.
    pub(super) fn join_needs_leave(&self, room: &str) -> bool {
        let hook = self.config.hooks.join.as_ref();
        hook.is_some_and(|hook| hook.concerns(Event::RoomJoin.spec().name, Some(local(room))))
    }

    /// The same before it subscribes to a pattern, whichever rooms that stands for.
    pub(super) fn pattern_needs_leave(&self) -> bool {
        let hook = self.config.hooks.join.as_ref();
        hook.is_some_and(|hook| hook.concerns(Event::RoomJoin.spec().name, None))
    }

    /// The same before something is said in a room.
    pub(super) fn publish_needs_leave(&self, event: Event, room: &str) -> bool {
        let hook = self.config.hooks.publish.as_ref();
        hook.is_some_and(|hook| hook.concerns(event.spec().name, Some(local(room))))
    }

    /// Puts a request into its connection's line.
    pub(super) fn hold(&mut self, slot: usize, reply: ReplyTo, wants: Wants) {
        let client = &mut self.connections[slot];
        client.awaiting += 1;
        let id = client.id;
        let line = self.lines.entry(id).or_default();
        line.push_back(Held { caller: Caller { connection: id, reply }, wants });
        if line.len() == 1 {
            self.ask_leave(id);
        }
    }

    /// Asks about the first in a connection's line.
    fn ask_leave(&mut self, id: ConnectionId) {
        let Some(held) = self.lines.get(&id).and_then(VecDeque::front) else { return };
        let slot = id.slot as usize;
        let identity = match &held.wants {
            Wants::Connect(identity, _) | Wants::Enter(_, identity, _) => identity,
            _ => self.identity(slot),
        };
        let sender = Sender { identity: Arc::clone(identity), session: self.connections[slot].session };
        let call = HookCall { sender, asks: held.wants.asks() };
        self.inquire(Caller { connection: id, reply: ReplyTo::Leave }, Question::Hook(Box::new(call)));
    }

    /// The first in a connection's line has leave, or has not.
    pub(super) fn on_verdict(&mut self, id: ConnectionId, verdict: Result<Verdict, CommandError>, now: Now) {
        let slot = id.slot as usize;
        if !self.is_served(id) {
            return self.abandon_line(id, now);
        }
        let Some(Held { caller, wants }) = self.lines.get_mut(&id).and_then(VecDeque::pop_front) else {
            return;
        };
        let is_last = self.lines.get(&id).is_none_or(VecDeque::is_empty);
        self.connections[slot].awaiting = self.connections[slot].awaiting.saturating_sub(1);
        match verdict {
            Ok(verdict) => self.let_pass(slot, caller, wants, verdict, now),
            Err(error) => self.turn_away(slot, &caller, &wants, &error, now),
        }
        if !self.is_served(id) {
            return self.abandon_line(id, now);
        }
        if is_last {
            self.lines.remove(&id);
            self.resume(slot, now);
        } else {
            self.ask_leave(id);
        }
    }

    /// Whether what a connection has sent is still its business.
    fn is_served(&self, id: ConnectionId) -> bool {
        self.client(id).is_some_and(|client| client.is_active() && client.evicted.is_none())
    }

    /// Nobody waits in a connection's line any more; what is a part of a reply is told.
    fn abandon_line(&mut self, id: ConnectionId, now: Now) {
        let error = CommandError::new(ErrorCode::ClientError, "the connection is gone");
        for Held { caller, .. } in self.lines.remove(&id).into_iter().flatten() {
            if matches!(caller.reply, ReplyTo::Part { .. }) {
                self.fail(&caller, &error, now);
            }
        }
    }

    fn let_pass(&mut self, slot: usize, caller: Caller, wants: Wants, verdict: Verdict, now: Now) {
        let own = caller.clone();
        let done = match wants {
            Wants::Connect(identity, reply) => {
                let identity = self.with_additions(slot, Arc::unwrap_or_clone(identity), verdict);
                self.let_in(slot, identity, reply, now);
                return self.schedule_client(slot, now);
            }
            Wants::Enter(namespace, identity, credentials) => {
                let identity = Arc::unwrap_or_clone(identity);
                return self.enter_namespace(slot, namespace, identity, (*credentials, verdict), now);
            }
            Wants::Join(ref room, wish) => {
                let history = verdict.history_max.map_or(wish.history, |max| wish.history.min(max));
                self.enter_room(slot, own, room, Wish { history, ..wish })
            }
            Wants::Create(ref creation) => self.create_with_leave(slot, own, (**creation).clone()),
            Wants::Subscribe(ref pattern) => self.add_pattern(slot, own, pattern.clone()),
            Wants::Send(ref draft) => {
                let draft = self.rewritten((**draft).clone(), verdict);
                draft.and_then(|draft| self.send_with_leave(slot, own, draft))
            }
            Wants::UserSend(ref user, ref draft) => {
                let draft = self.rewritten((**draft).clone(), verdict);
                draft.map(|draft| self.publish_to_user(slot, own, user, draft))
            }
            Wants::Edit { ref room, message, ref content, binary } => {
                let content = verdict.content.unwrap_or_else(|| content.clone());
                let fits = self.check_rewritten(&content);
                fits.map(|()| self.change(slot, own, room.clone(), message, (Some(content), binary)))
            }
        };
        if let Err(error) = done {
            self.turn_away(slot, &caller, &wants, &error, now);
        }
    }

    /// A message as a hook has changed it.
    fn rewritten(&mut self, mut draft: Draft, verdict: Verdict) -> Result<Draft, CommandError> {
        if let Some(content) = verdict.content {
            self.check_rewritten(&content)?;
            draft.content = content;
        }
        if let Some(metadata) = verdict.metadata {
            let metadata = self.parser.parse(&metadata, Metadata::read);
            draft.metadata = Some(metadata.map_err(|_| unusable())?);
        }
        Ok(draft)
    }

    /// Whether what a hook put in place of a content is one that a client could have sent.
    fn check_rewritten(&mut self, content: &[u8]) -> Result<(), CommandError> {
        let fits = content.len() <= self.config.limits.message_bytes_max;
        let parsed = self.parser.parse(content, |_| ());
        if fits && parsed.is_ok() { Ok(()) } else { Err(unusable()) }
    }

    fn turn_away(&mut self, slot: usize, caller: &Caller, wants: &Wants, error: &CommandError, now: Now) {
        match (wants, &caller.reply) {
            (Wants::Connect(_, reply), _) => {
                let id = reply.as_ref().and_then(|(_, id)| id.as_deref());
                self.send_error(slot, Some(Event::Auth), id, error, now);
                self.note_event(slot, Happened::AuthFailed, now);
                self.admission_failed(slot);
                self.close(slot, close_code(error.code), "not let in", now);
            }
            (Wants::Enter(namespace, ..), _) => self.refuse_namespace(slot, namespace, error, now),
            (Wants::Join(room, _), ReplyTo::Part { gather, index }) => {
                let subject = Some(("roomId", local(room)));
                self.fail_one(caller, (*gather, *index), subject, error, now);
            }
            (Wants::Subscribe(pattern), ReplyTo::Part { gather, index }) => {
                let subject = Some(("pattern", pattern.as_str()));
                self.fail_one(caller, (*gather, *index), subject, error, now);
            }
            _ => self.fail(caller, error, now),
        }
    }

    /// Who a connection is, with what a hook adds, which stays when the token is refreshed.
    pub(super) fn with_additions(&mut self, slot: usize, identity: Identity, verdict: Verdict) -> Identity {
        if verdict.additions.is_empty() {
            return identity;
        }
        let identity = identity.with(&verdict.additions);
        self.connections[slot].rare_mut().additions = Some(Box::new(verdict.additions));
        identity
    }
}

/// How a connection ends that is not let in.
fn close_code(error: ErrorCode) -> CloseCode {
    match error {
        ErrorCode::ServerError => CloseCode::Overloaded,
        ErrorCode::AuthFailed | ErrorCode::PermissionDenied => CloseCode::AuthFailed,
        _ => CloseCode::Policy,
    }
}

/// A hook wants something published that no client could have sent.
fn unusable() -> CommandError {
    super::unavailable("hooks.publish")
}
