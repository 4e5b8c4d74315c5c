//! Authentication, and what follows from it: forced rooms, refreshed tokens, their end (protocol §3).

use std::sync::Arc;

use super::Shard;
use super::events::Happened;
use super::hooks::Wants;
use super::subscriptions::Wish;
use crate::access::permission::Identity;
use crate::access::token::TokenError;
use crate::clock::Now;
use crate::connection::Phase;
use crate::connection::engine::Role;
use crate::connection::outbound_queue::FrameClass;
use crate::effect::{Admission, AdmissionEvent, SocketEffect};
use crate::id::ConnectionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, Question, Reader};
use crate::protocol::catalog::Event;
use crate::protocol::close_code::CloseCode;
use crate::protocol::command::{Command, Rejection, Request, RequestId};
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::profile::Dialect;
use crate::protocol::push::Push;
use crate::protocol::reply::Reply;
use crate::room::name::{account_room, is_forced, is_room_of, user_room};
use crate::user::watch::Target;

impl Shard {
    /// A command of a client that has not authenticated: it may do that, and ping.
    pub(super) fn execute_pending(&mut self, slot: usize, request: Request, now: Now) {
        let connection = self.connections[slot].id;
        let Request { event, id, command } = request;
        match command {
            Command::Auth { token } => self.authenticate(slot, (event, id), &token, now),
            Command::Ping => {
                let caller = Caller { connection, reply: ReplyTo::Client { event, id } };
                self.answer_client(&caller, &Reply::Pong, now);
            }
            _ => self.send_error(slot, Some(event), id.as_deref(), &not_authenticated(), now),
        }
    }

    /// A frame of such a client that is no command: all that it can be told is to authenticate.
    pub(super) fn reject_pending(&mut self, slot: usize, rejection: Rejection, now: Now) {
        let Rejection { event, id, error, .. } = rejection;
        match event {
            Some(Event::Auth | Event::AuthRefresh) => {
                let error = CommandError { code: ErrorCode::AuthFailed, ..error };
                self.fail_auth(slot, id.as_deref(), &error, now);
            }
            _ => self.send_error(slot, event, id.as_deref(), &not_authenticated(), now),
        }
    }

    fn authenticate(&mut self, slot: usize, (event, id): (Event, RequestId), token: &str, now: Now) {
        let Some(verifier) = &self.config.verifier else { return };
        match self.verify(verifier, token, now) {
            Ok(claims) => {
                let identity = Identity::from_claims(claims, &self.config.access, self.config.tenancy, "");
                self.attach(slot, identity, Some((event, id)), now);
            }
            Err(error) => {
                self.metrics.count_auth_failure(error);
                self.fail_auth(slot, id.as_deref(), &auth_failed(error), now);
            }
        }
    }

    /// An unusable first message: forgiven as often as the profile says.
    pub(super) fn fail_auth(&mut self, slot: usize, id: Option<&str>, error: &CommandError, now: Now) {
        self.send_error(slot, Some(Event::Auth), id, error, now);
        self.note_event(slot, Happened::AuthFailed, now);
        let client = &mut self.connections[slot];
        let tries = client.variant.profile.auth_tries;
        let failures = &mut client.rare_mut().auth_failures;
        *failures += 1;
        if *failures >= tries {
            self.admission_failed(slot);
            self.close(slot, CloseCode::AuthFailed, "authentication failed", now);
        }
    }

    /// A token of the URL is refused after the upgrade, because a browser cannot read a 401.
    pub(super) fn refuse_token(&mut self, slot: usize, error: TokenError, now: Now) {
        self.metrics.count_auth_failure(error);
        self.send_error(slot, Some(Event::Auth), None, &auth_failed(error), now);
        self.note_event(slot, Happened::AuthFailed, now);
        self.admission_failed(slot);
        self.close(slot, CloseCode::AuthFailed, "authentication failed", now);
    }

    /// The connection is that user's, if whoever must be asked lets it in.
    pub(super) fn attach(
        &mut self,
        slot: usize,
        identity: Identity,
        reply: Option<(Event, RequestId)>,
        now: Now,
    ) {
        if self.connect_needs_leave() {
            return self.hold(slot, ReplyTo::Nobody, Wants::Connect(Arc::new(identity), reply));
        }
        self.let_in(slot, identity, reply, now);
    }

    /// The connection is that user's: it enters its forced rooms before its next frame is read.
    pub(super) fn let_in(
        &mut self,
        slot: usize,
        identity: Identity,
        reply: Option<(Event, RequestId)>,
        now: Now,
    ) {
        let identity = Arc::new(identity);
        tracing::debug!(event = "authenticated", user_id = &*identity.user);
        self.note_authenticated(slot);
        self.metrics.connections_authenticated += 1;
        let client = &mut self.connections[slot];
        client.identity = Some(identity);
        client.phase = Phase::Attaching;
        client.attach = reply.map(Box::new);
        let session = client.rare_if_any().and_then(|rare| rare.session_token.take());
        self.note_event(slot, Happened::Authenticated, now);
        self.note_connected(slot);
        self.watch_by_profile(slot);
        if self.connections[slot].variant.dialect == Dialect::SocketIo {
            return self.begin_conversation(slot, session.as_deref(), now);
        }
        let resumes = session.is_some_and(|token| self.begin_resume(slot, &token, now));
        if !resumes && self.connections[slot].is_active() {
            self.enter_rooms(slot);
        }
        self.schedule_client(slot, now);
    }

    /// Enters the rooms that the user is in without asking.
    pub(super) fn enter_rooms(&mut self, slot: usize) {
        self.enter_rooms_beside(slot, &[]);
    }

    /// The same, less those that it has entered already.
    pub(super) fn enter_rooms_beside(&mut self, slot: usize, entered: &[Arc<str>]) {
        let identity = Arc::clone(self.identity(slot));
        let mut rooms = rooms_on_connect(&identity);
        if !entered.is_empty() {
            rooms.retain(|room| !entered.contains(room));
        }
        let client = &mut self.connections[slot];
        client.awaiting += u32::try_from(rooms.len()).expect("a token names few rooms");
        let connection = client.id;
        for room in rooms {
            let caller = Caller { connection, reply: ReplyTo::Attach };
            self.subscribe(slot, caller, &room, is_forced(&room), Wish::default());
        }
    }

    /// One forced room is entered; with the last the connection is open.
    pub(super) fn on_attached(&mut self, id: ConnectionId, now: Now) {
        let Some(client) = self.client_mut(id) else { return };
        client.awaiting = client.awaiting.saturating_sub(1);
        if client.awaiting > 0 || client.phase != Phase::Attaching {
            return;
        }
        client.phase = Phase::Open;
        let slot = id.slot as usize;
        if client.variant.dialect == Dialect::SocketIo {
            self.end_conversation_start(id, now);
            return self.resume_engine(slot, now);
        }
        if let Some(reply) = client.attach.take() {
            let (event, id) = *reply;
            self.answer_auth(slot, event, id, now);
        }
        self.resume(slot, now);
    }

    fn answer_auth(&mut self, slot: usize, event: Event, id: RequestId, now: Now) {
        let client = &self.connections[slot];
        let caller = Caller { connection: client.id, reply: ReplyTo::Client { event, id } };
        let reply = Reply::AuthOk { identity: Arc::clone(self.identity(slot)), session: client.session };
        self.answer_client(&caller, &reply, now);
    }

    /// A later token of the same user: rooms are checked again, and the old token counts no more.
    pub(super) fn refresh(
        &mut self,
        slot: usize,
        caller: &Caller,
        token: &str,
        now: Now,
    ) -> Result<(), CommandError> {
        let ReplyTo::Client { event, id } = caller.reply.clone() else { return Ok(()) };
        let Some(verifier) = &self.config.verifier else {
            self.answer_auth(slot, event, id, now);
            return Ok(());
        };
        let claims = self.verify(verifier, token, now).map_err(|error| {
            self.metrics.count_auth_failure(error);
            auth_failed(error)
        })?;
        let realm = self.connections[slot].variant.namespace.realm();
        let identity = Identity::from_claims(claims, &self.config.access, self.config.tenancy, realm);
        let identity = match &self.connections[slot].rare().additions {
            Some(additions) => identity.with(additions),
            None => identity,
        };
        if identity.user != self.identity(slot).user {
            return Err(CommandError::new(ErrorCode::ClientError, "the token is another user's"));
        }
        let former = self.identity(slot).account.clone();
        let client = &mut self.connections[slot];
        client.warned = false;
        client.identity = Some(Arc::new(identity));
        if let Some(account) = former.filter(|former| self.identity(slot).account.as_ref() != Some(former)) {
            self.unwatch(slot, &Target::Account(account));
            self.watch_by_profile(slot);
        }
        self.check_rooms(slot, now);
        // To be told of so many rooms may have been too much for it.
        if !self.connections[slot].is_active() {
            return Ok(());
        }
        self.answer_auth(slot, event, id, now);
        self.schedule_client(slot, now);
        Ok(())
    }

    /// Leaves what the present token does not allow, and enters what it forces.
    fn check_rooms(&mut self, slot: usize, now: Now) {
        let identity = Arc::clone(self.identity(slot));
        let joined = rooms_on_connect(&identity);
        let client = &mut self.connections[slot];
        let granted = client.rare().granted.clone();
        let connection = client.id;
        let (mut lost, mut kept) = (Vec::new(), Vec::new());
        for subscription in &mut client.subscriptions {
            let name = &self.directory.get(subscription.room).name;
            if granted.contains(name) {
                continue;
            }
            subscription.forced &= joined.iter().any(|room| **room == **name);
            let is_lost = subscription.joined && !identity.may_enter(name);
            let rooms = if is_lost { &mut lost } else { &mut kept };
            rooms.push(Arc::clone(name));
        }
        for room in lost {
            self.lose(connection, &room, now);
        }
        for room in kept.into_iter().filter(|room| !is_forced(room) || !identity.may_enter(room)) {
            self.ask_entry(connection, room);
        }
        for room in joined {
            // The user's own room is entered anew: its owner is to know of another account.
            if self.subscribed(slot, &room).is_none() || is_room_of(&room, &identity.user) {
                let caller = Caller { connection, reply: ReplyTo::Nobody };
                self.subscribe(slot, caller, &room, is_forced(&room), Wish::default());
            }
        }
    }

    /// Of a private room only its owner knows whether the user is named for it.
    fn ask_entry(&mut self, connection: ConnectionId, room: Arc<str>) {
        let identity = self.identity(connection.slot as usize);
        let reader = Reader { user: Arc::clone(&identity.user), entitled: identity.is_entitled(&room) };
        let caller = Caller { connection, reply: ReplyTo::Check(Arc::clone(&room)) };
        self.ask(caller, room, Operation::Tell { reader, question: Question::Entry });
    }

    /// A room's owner has judged by the present token.
    pub(super) fn on_checked(&mut self, connection: ConnectionId, room: Arc<str>, denied: bool, now: Now) {
        let slot = connection.slot as usize;
        let Some(client) = self.client(connection).filter(|client| client.is_active()) else { return };
        let key = self.directory.find(&room);
        let Some(subscription) = key.and_then(|key| client.subscription(key)) else { return };
        if (!denied && self.identity(slot).may_enter(&room)) || self.is_granted(slot, &room) {
            return;
        }
        if subscription.joined {
            self.lose(connection, &room, now);
        } else {
            // It is being entered: the owner's answer to that comes before the one to this.
            self.ask_entry(connection, room);
        }
    }

    /// A room is no longer allowed to a connection.
    fn lose(&mut self, connection: ConnectionId, room: &Arc<str>, now: Now) {
        let slot = connection.slot as usize;
        let Some(key) = self.client(connection).and_then(|_| self.subscribed(slot, room)) else { return };
        self.unsubscribe(slot, Caller { connection, reply: ReplyTo::Nobody }, key, false);
        let push = Push::Lost { room: Arc::clone(room), reason: "no longer allowed" };
        self.push(slot, &push, FrameClass::Reliable, now);
    }

    /// Lets a connection be read again, beginning with what it sent while it waited.
    pub(super) fn resume(&mut self, slot: usize, now: Now) {
        if self.connections[slot].role.is_some() {
            return self.resume_engine(slot, now);
        }
        let id = self.connections[slot].id;
        self.read_frames(slot, &[], now);
        self.effects.sockets.push(SocketEffect::Resume(id));
    }

    /// The same for a Socket.IO client: it is the session that is read, whichever namespace had to come to rest.
    fn resume_engine(&mut self, slot: usize, now: Now) {
        let client = &self.connections[slot];
        let id = match client.role.as_deref() {
            Some(Role::Child(parent)) => *parent,
            _ => client.id,
        };
        let Some(client) = self.client(id) else { return };
        if client.is_virtual() {
            return self.read_packets(id.slot as usize, now);
        }
        self.read_frames(id.slot as usize, &[], now);
        self.effects.sockets.push(SocketEffect::Resume(id));
    }

    /// The acceptor no longer counts the connection as pending.
    pub(super) fn note_authenticated(&mut self, slot: usize) {
        let client = &mut self.connections[slot];
        if client.counted_pending {
            client.counted_pending = false;
            self.effects
                .admissions
                .push(Admission { peer: client.peer, event: AdmissionEvent::Authenticated });
        }
    }

    /// The acceptor counts a failed attempt of the address.
    pub(super) fn admission_failed(&mut self, slot: usize) {
        let peer = self.connections[slot].peer;
        self.effects.admissions.push(Admission { peer, event: AdmissionEvent::Failed });
    }
}

fn not_authenticated() -> CommandError {
    CommandError::new(ErrorCode::AuthFailed, "not authenticated")
}

fn auth_failed(error: TokenError) -> CommandError {
    CommandError::new(ErrorCode::AuthFailed, error.to_string())
}

/// The rooms that a user is in without asking: its own, its account's, those of its token.
pub(super) fn rooms_on_connect(identity: &Identity) -> Vec<Arc<str>> {
    let mut rooms: Vec<Arc<str>> = vec![user_room(&identity.user).into()];
    rooms.extend(identity.account.iter().map(|account| account_room(&identity.user, account).into()));
    for room in identity.rooms() {
        if identity.may_enter(room) && !rooms.contains(room) {
            rooms.push(Arc::clone(room));
        }
    }
    rooms
}
