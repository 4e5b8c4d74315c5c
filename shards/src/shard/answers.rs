//! What owners answered, on its way to the client that asked.

use std::sync::Arc;

use super::Shard;
use super::gather::{Kind, Part};
use super::subscriptions::follows;
use crate::clock::Now;
use crate::config::RoomClass;
use crate::connection::Connection;
use crate::connection::outbound_queue::FrameClass;
use crate::id::Offset;
use crate::mesh::item::{Answer, Caller, ReplyTo};
use crate::mesh::outcome::{Entry, Outcome};
use crate::protocol::catalog::Event;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::frame;
use crate::protocol::message::Publication;
use crate::protocol::profile::{Dialect, PROFILES, Variant};
use crate::protocol::push::Push;
use crate::protocol::reply::{self, Joined, Reply, Standing};
use crate::protocol::socketio::write as socketio;
use crate::protocol::write;
use crate::room::name::local;

impl Shard {
    /// An owner's answer arrived.
    pub(super) fn on_answer(&mut self, answer: Answer, now: Now) {
        let Answer { caller, outcome } = answer;
        if let ReplyTo::Api(token) = caller.reply {
            return self.effects.api_answers.push((token, outcome));
        }
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(&caller, &error, now),
        };
        match outcome {
            Outcome::Joined(entry) => self.on_joined(caller, *entry, now),
            Outcome::Refused { room, sequence, error } => {
                self.drop_subscription(&caller, &room, sequence);
                match caller.reply {
                    _ if self.is_recovery(&caller) => self.lose_room(&caller, &room, &error, now),
                    ReplyTo::Part { gather, index } => {
                        let subject = ("roomId", local(&room));
                        self.fail_one(&caller, (gather, index), Some(subject), &error, now);
                    }
                    _ => self.fail(&caller, &error, now),
                }
            }
            Outcome::Resumed { session, user, progress } => {
                self.on_resumed(caller, (session, &user), progress, now)
            }
            Outcome::SessionOpened(session) => self.on_session_opened(&caller, session, now),
            outcome => self.on_outcome(caller, outcome, now),
        }
    }

    fn on_outcome(&mut self, caller: Caller, outcome: Outcome, now: Now) {
        match (caller.reply.clone(), outcome) {
            (ReplyTo::Sight, Outcome::Appeared(change)) => self.on_appeared(caller.connection, change, now),
            (
                ReplyTo::Nobody
                | ReplyTo::Session
                | ReplyTo::Sight
                | ReplyTo::Leave
                | ReplyTo::Placed
                | ReplyTo::Api(_),
                _,
            ) => {}
            (ReplyTo::Check(room), _) => self.on_checked(caller.connection, room, false, now),
            (ReplyTo::Attach, _) => self.on_attached(caller.connection, now),
            (ReplyTo::Part { gather, index }, Outcome::Standing(standing)) => {
                let details = self.standing_details(gather);
                let part = Part::Written(self.write_standing(&caller, *standing, details));
                self.on_part(gather, index, part, now);
            }
            (ReplyTo::Part { gather, index }, outcome) => self.on_part(gather, index, part(outcome), now),
            (ReplyTo::Client { .. }, Outcome::Unacquainted { draft, confirm }) => {
                self.seek_acquaintance(caller, draft, confirm, now);
            }
            (ReplyTo::Client { .. }, outcome) => {
                if let Some(reply) = outcome.into_reply() {
                    self.answer_client(&caller, &reply, now);
                }
            }
        }
    }

    /// An owner let a connection in: first whoever asked is answered, then comes what was kept for the user.
    fn on_joined(&mut self, caller: Caller, entry: Entry, now: Now) {
        let Entry { joined, kept, resync, base, sequence, bucket } = entry;
        let room = Arc::clone(&joined.room);
        let offset = joined.offset;
        let base = if self.counts_reply(&caller, &joined) { offset } else { base };
        let fresh = self.complete_join(&caller, &room, (sequence, base, resync), &joined);
        self.tell_entered(caller.connection, fresh, now);
        if let (Some(bucket), Some(client)) = (bucket, self.client_mut(caller.connection)) {
            client.messages = Some(bucket);
        }
        if let Some(client) = self.client(caller.connection) {
            let topic = client.variant.dialect == Dialect::Topic;
            if topic && matches!(caller.reply, ReplyTo::Part { .. }) {
                self.send_missed(caller.connection.slot as usize, &joined);
            }
        }
        match caller.reply.clone() {
            ReplyTo::Nobody
            | ReplyTo::Session
            | ReplyTo::Check(_)
            | ReplyTo::Sight
            | ReplyTo::Leave
            | ReplyTo::Api(_) => {}
            ReplyTo::Attach => {
                self.give_kept(&caller, &room, &kept, resync, now);
                self.note_entry(&caller, &room, (base, offset), fresh, now);
                return self.on_attached(caller.connection, now);
            }
            ReplyTo::Part { gather, index } if self.is_missed(gather) => {
                return self.on_part(gather, index, Part::Missed(Self::missed_of(&joined, resync)), now);
            }
            ReplyTo::Part { gather, index } => {
                let mut out = Vec::new();
                let part = if self.is_recovery(&caller) {
                    joined.write_recovery(&mut out);
                    let mut recovered = joined.recovered == Some(true);
                    let carries = joined.messages.as_ref().is_some_and(|messages| !messages.is_empty());
                    if carries && !self.fits_recovery(gather, out.len()) {
                        recovered = false;
                        out.clear();
                        let joined = Joined { recovered: Some(false), messages: None, ..joined };
                        joined.write_recovery(&mut out);
                    }
                    Part::Recovered(out, recovered)
                } else {
                    reply::write_success(&mut out, "roomId", &joined.room);
                    Part::Written(out)
                };
                self.give_kept(&caller, &room, &kept, resync, now);
                self.on_part(gather, index, part, now);
                return self.note_entry(&caller, &room, (base, offset), fresh, now);
            }
            ReplyTo::Client { .. } => self.answer_client(&caller, &Reply::Joined(joined), now),
            ReplyTo::Placed => {
                let reply = ReplyTo::Client { event: Event::RoomJoin, id: None };
                let caller = Caller { connection: caller.connection, reply };
                self.answer_client(&caller, &Reply::Joined(joined), now);
            }
        }
        self.give_kept(&caller, &room, &kept, resync, now);
        self.note_entry(&caller, &room, (base, offset), fresh, now);
    }

    /// Whether what a reply gives counts as given: a Socket.IO client that comes back names events that it saw, and whoever
    /// did not get the reply asks again.
    fn counts_reply(&self, caller: &Caller, joined: &Joined) -> bool {
        if !matches!(caller.reply, ReplyTo::Client { .. }) || joined.recovered != Some(true) {
            return false;
        }
        let log = self.client(caller.connection).and_then(|client| client.log.as_ref());
        let key = self.directory.find(&joined.room);
        let is_queued = key.is_some_and(|key| self.directory.get(key).class == RoomClass::Queued);
        !is_queued && log.is_some_and(|log| log.has_trail())
    }

    /// What was kept for an absent member of a queued room, to the connection with which it is back.
    fn give_kept(
        &mut self,
        caller: &Caller,
        room: &Arc<str>,
        kept: &[Arc<Publication>],
        resync: bool,
        now: Now,
    ) {
        let id = caller.connection;
        let slot = id.slot as usize;
        if resync && self.client(id).is_some() {
            let (room, code, reason) = (Arc::clone(room), ErrorCode::ChannelError, "resync");
            let unix_ms = now.unix_ms;
            self.push(slot, &Push::RoomError { room, code, reason, unix_ms }, FrameClass::Reliable, now);
        }
        for message in kept {
            if self.client(id).is_none_or(|client| !client.is_active()) {
                return;
            }
            self.note_given(slot, message);
            self.push(slot, &Push::Kept(Arc::clone(message)), FrameClass::Reliable, now);
        }
    }

    /// What an answer brought is on its way, and not there yet.
    fn note_entry(
        &mut self,
        caller: &Caller,
        room: &str,
        (base, offset): (Offset, Offset),
        fresh: bool,
        now: Now,
    ) {
        if !fresh {
            return;
        }
        if self.client(caller.connection).is_some() {
            self.checkpoint_for_nodes(caller.connection.slot as usize);
        }
        let Some(key) = self.directory.find(room) else { return };
        let (name, epoch) = (Arc::clone(&self.directory.get(key).name), self.directory.get(key).epoch);
        let class = self.directory.get(key).class;
        let Some(client) = self.client_mut(caller.connection) else { return };
        let Some(number) = client.subscription(key).map(|subscription| subscription.number) else { return };
        let is_session = client.log.as_ref().is_some_and(|log| log.is_session);
        let untold = client.log.as_ref().is_some_and(|log| log.is_untold(number));
        if base >= offset && !untold {
            return;
        }
        if client.held.is_some() || !follows(is_session, class) {
            return;
        }
        let end = client.queue.end();
        let log = client.log.get_or_insert_default();
        if !log.follows(number) {
            log.enter(number, &name, epoch, base);
        }
        log.note_answer(number, offset, end);
        self.ask_progress(caller.connection.slot as usize, now);
    }

    fn standing_details(&self, gather: u32) -> bool {
        let gather = self.gathers.get(gather as usize);
        gather.is_some_and(|gather| matches!(gather.kind, Kind::Standing { details: true, .. }))
    }

    /// How a subscription stands, with what only the home shard knows of it.
    fn write_standing(&self, caller: &Caller, mut standing: Standing, details: bool) -> Vec<u8> {
        let key = self.directory.find(&standing.info.room);
        let client = self.client(caller.connection);
        let subscription = key.zip(client).and_then(|(key, client)| client.subscription(key));
        standing.joined = subscription.is_some();
        standing.forced = subscription.is_some_and(|subscription| subscription.forced);
        let mut out = vec![b'{'];
        standing.write(&mut out, details);
        out.push(b'}');
        out
    }

    /// Writes a reply to whoever asked, unless it is gone or did not want one.
    pub(super) fn answer_client(&mut self, caller: &Caller, reply: &Reply, now: Now) {
        let ReplyTo::Client { event, id } = &caller.reply else { return };
        let spec = event.spec();
        if id.is_none() && !spec.answered {
            return;
        }
        self.answer_as(caller, spec.reply, reply, now);
    }

    /// The same under a name that is not the catalogue's.
    pub(super) fn answer_as(&mut self, caller: &Caller, name: &str, reply: &Reply, now: Now) {
        let ReplyTo::Client { id, .. } = &caller.reply else { return };
        let Some(client) = self.client(caller.connection).filter(|client| client.is_heard()) else { return };
        let variant = client.variant;
        let slot = caller.connection.slot as usize;
        if let (Dialect::Topic, Reply::Joined(joined)) = (variant.dialect, reply) {
            self.send_missed(slot, joined);
        }
        self.scratch.clear();
        reply.write(&mut self.scratch, variant, name, id.as_deref(), now.unix_ms);
        if !self.scratch.is_empty() {
            self.close_event(slot, id.is_none());
            let frame = frame::text(&self.scratch);
            self.send(slot, frame, FrameClass::Reply);
        }
    }

    /// Ends what is written for a client, if it is an event of Socket.IO.
    fn close_event(&mut self, slot: usize, is_event: bool) {
        let client = &self.connections[slot];
        if is_event && client.variant.dialect == Dialect::SocketIo {
            socketio::close(&mut self.scratch, client.place());
        }
    }

    /// A topic client gets what it missed as messages, ahead of the reply.
    fn send_missed(&mut self, slot: usize, joined: &Joined) {
        for publication in joined.messages.iter().flatten() {
            self.scratch.clear();
            write::topic_message(&mut self.scratch, publication);
            let frame = frame::text(&self.scratch);
            self.send(slot, frame, FrameClass::Reply);
        }
    }

    /// Tells whoever asked that it failed.
    pub(super) fn fail(&mut self, caller: &Caller, error: &CommandError, now: Now) {
        match &caller.reply {
            ReplyTo::Nobody | ReplyTo::Session | ReplyTo::Sight | ReplyTo::Leave | ReplyTo::Placed => {}
            ReplyTo::Api(token) => self.effects.api_answers.push((*token, Err(error.clone()))),
            ReplyTo::Check(room) => {
                let denied = error.code == ErrorCode::RoomAccessDenied;
                self.on_checked(caller.connection, Arc::clone(room), denied, now);
            }
            ReplyTo::Attach => self.on_attached(caller.connection, now),
            ReplyTo::Client { event, id } => {
                if self.client(caller.connection).is_some_and(Connection::is_heard) {
                    self.send_error(caller.connection.slot as usize, Some(*event), id.as_deref(), error, now);
                }
            }
            ReplyTo::Part { gather, index } => {
                self.fail_one(caller, (*gather, *index), None, error, now);
            }
        }
    }

    /// One part of a command failed: the whole of it, when it has no other.
    pub(super) fn fail_one(
        &mut self,
        caller: &Caller,
        (gather, index): (u32, u32),
        subject: Option<(&str, &str)>,
        error: &CommandError,
        now: Now,
    ) {
        if let Some(whole) = self.take_single(gather) {
            return self.fail(&whole, error, now);
        }
        let mut out = Vec::new();
        let variant = Variant::new(Dialect::Event, &PROFILES[0]);
        let variant = self.client(caller.connection).map_or(variant, |client| client.variant);
        reply::write_failure(&mut out, variant, subject, error);
        self.on_part(gather, index, Part::Written(out), now);
    }

    /// Writes an error to one connection.
    pub(super) fn send_error(
        &mut self,
        slot: usize,
        event: Option<Event>,
        id: Option<&str>,
        error: &CommandError,
        now: Now,
    ) {
        self.metrics.count_error(error.code);
        if error.code == ErrorCode::RateLimited {
            self.note_rate_limited(slot, event);
        }
        let variant = self.connections[slot].variant;
        self.scratch.clear();
        match variant.dialect {
            Dialect::Event => write::error(&mut self.scratch, variant.profile, error, id),
            Dialect::Topic if event == Some(Event::Auth) && error.code == ErrorCode::AuthFailed => {
                reply::write_topic_auth_error(&mut self.scratch, error, now.unix_ms);
            }
            Dialect::Topic => write::topic_error(&mut self.scratch, error, now.unix_ms),
            Dialect::SocketIo => {
                let data = |out: &mut Vec<u8>| write::error_data(out, variant.profile, error);
                match id {
                    Some(id) => socketio::ack(&mut self.scratch, variant.namespace, id, data),
                    None => {
                        let event = write::error_event(variant.profile);
                        socketio::open_event(&mut self.scratch, variant.namespace, event, data);
                        self.close_event(slot, true);
                    }
                }
            }
        }
        let frame = frame::text(&self.scratch);
        self.send(slot, frame, FrameClass::Reply);
        self.count_refusal(slot, now);
    }
}

/// What an outcome contributes to a gathering.
fn part(outcome: Outcome) -> Part {
    let mut out = Vec::new();
    match outcome {
        Outcome::Left { room } => reply::write_success(&mut out, "roomId", &room),
        Outcome::Sent(sent) => sent.write_result(&mut out),
        Outcome::Entry(entry) => entry.write_entry(&mut out),
        Outcome::Contains(contains) => return Part::Contains(contains),
        Outcome::Interested => return Part::Confirmed,
        outcome => return Part::Shard(outcome),
    }
    Part::Written(out)
}
