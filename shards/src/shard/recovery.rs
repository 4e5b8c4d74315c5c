//! A connection takes up an earlier session: its rooms are entered again, each with what was missed (protocol §4, §5).
//!
//! By command, or with `?session=` before anything else is entered. Identity and rooms are judged anew; a room that may
//! not be entered any more is said to be lost, and nothing of it is sent. Live messages wait until all that was missed
//! has been told, because they come behind it.

use std::sync::Arc;

use super::Shard;
use super::attach::rooms_on_connect;
use super::gather::{Kind, Part};
use super::subscriptions::Wish;
use crate::clock::Now;
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Phase, Resume};
use crate::id::SessionId;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::protocol::catalog::Event;
use crate::protocol::command::Position;
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::push::Push;
use crate::protocol::reply::{self, Reply, SessionError};
use crate::room::directory::RoomKey;
use crate::room::name::{is_forced, user_room};
use crate::user::progress::Progress;
use crate::user::session::read_token;

impl Shard {
    /// A client with an open connection wants to take up a session.
    pub(super) fn recover_session(
        &mut self,
        slot: usize,
        caller: Caller,
        token: &str,
        positions: Vec<(String, Position)>,
        now: Now,
    ) -> Result<(), CommandError> {
        self.metrics.session_recoveries += 1;
        let (session, user) = self.judge_token(slot, token).map_err(|error| self.refuse_session(error))?;
        if session == self.connections[slot].session {
            self.metrics.session_recoveries_full += 1;
            self.answer_present(slot, &caller, now);
            return Ok(());
        }
        let client = &mut self.connections[slot];
        client.awaiting += 1;
        let resume =
            Resume { caller: Some(caller.clone()), user: user.as_str().into(), positions, place: None };
        client.rare_mut().resume = Some(Box::new(resume));
        self.ask_for_session(caller, &user, session);
        Ok(())
    }

    /// A client that came with a session's token, before its rooms are entered; whether it must be waited for.
    pub(super) fn begin_resume(&mut self, slot: usize, token: &str, now: Now) -> bool {
        self.metrics.session_recoveries += 1;
        match self.judge_token(slot, token) {
            Ok((session, user)) => {
                // What was missed comes in the dialect as it is now.
                self.connections[slot].may_switch = false;
                self.settle_dialect(slot, now);
                let client = &mut self.connections[slot];
                client.awaiting += 1;
                // Nothing is pushed before it.
                client.held.get_or_insert_default().for_recovery = true;
                let connection = client.id;
                client.rare_mut().resume = Some(Box::new(Resume {
                    caller: None,
                    user: user.as_str().into(),
                    positions: Vec::new(),
                    place: None,
                }));
                let caller = Caller { connection, reply: ReplyTo::Session };
                self.ask_for_session(caller, &user, session);
                true
            }
            Err(error) => {
                let error = self.refuse_session(error);
                self.send_error(slot, Some(Event::ConnectionRecover), None, &error, now);
                false
            }
        }
    }

    pub(super) fn ask_for_session(&mut self, caller: Caller, user: &str, session: SessionId) {
        let resume = Operation::User(UserOperation::Resume { session });
        self.ask(caller, user_room(user).into(), resume);
    }

    /// The session that a token names, if it may be this client's.
    pub(super) fn judge_token(&self, slot: usize, token: &str) -> Result<(SessionId, String), SessionError> {
        let (session, user) = read_token(&self.config.session_key.0, token).ok_or(SessionError::Invalid)?;
        let identity = self.identity(slot);
        // Who has no name of its own is known by the token alone.
        if *user != *identity.user && !(identity.is_anonymous() && self.config.verifier.is_none()) {
            return Err(SessionError::Foreign);
        }
        Ok((session, user))
    }

    fn refuse_session(&mut self, error: SessionError) -> CommandError {
        self.metrics.session_refusals[error as usize] += 1;
        CommandError::new(ErrorCode::ConnectionLost, "the session cannot be resumed")
            .with("reason", Detail::Text(error.name().into()))
    }

    /// The session is this connection's already: it is where it is.
    fn answer_present(&mut self, slot: usize, caller: &Caller, now: Now) {
        let subscriptions = self.connections[slot].subscriptions.iter();
        let present = subscriptions.filter(|subscription| subscription.joined).map(|subscription| {
            let room = self.directory.get(subscription.room);
            let mut out = Vec::new();
            let joined = reply::Joined {
                room: Arc::clone(&room.name),
                epoch: room.epoch,
                offset: room.offset,
                members: 0,
                recovered: Some(true),
                messages: None,
            };
            joined.write_recovery(&mut out);
            out
        });
        let rooms = present.collect();
        self.answer_client(caller, &Reply::Parts("rooms", rooms), now);
    }

    /// The session's owner has decided.
    pub(super) fn on_resumed(
        &mut self,
        caller: Caller,
        (session, user): (SessionId, &str),
        progress: Result<Progress, SessionError>,
        now: Now,
    ) {
        let Some(client) = self
            .client_mut(caller.connection)
            .filter(|client| client.is_active() && client.evicted.is_none())
        else {
            // Whoever wanted it is gone: another may.
            if let Ok(progress) = progress {
                self.park(user, session, caller.connection, progress);
            }
            return;
        };
        let Some(resume) = client.rare_if_any().and_then(|rare| rare.resume.take()) else { return };
        client.awaiting = client.awaiting.saturating_sub(1);
        let slot = caller.connection.slot as usize;
        if resume.place.is_some() {
            return self.on_conversation_resumed(slot, *resume, session, progress, now);
        }
        match progress {
            Ok(progress) => self.take_up(slot, *resume, session, &progress, now),
            Err(error) => {
                let error = self.refuse_session(error);
                if resume.caller.is_some() {
                    self.fail(&caller, &error, now);
                    self.resume(slot, now);
                } else {
                    self.send_error(slot, Some(Event::ConnectionRecover), None, &error, now);
                    if self.connections[slot].is_active() {
                        self.release_held(slot, now);
                    }
                    if self.connections[slot].is_active() {
                        self.enter_rooms(slot);
                    }
                }
            }
        }
    }

    /// The connection is that session from now on.
    fn take_up(&mut self, slot: usize, resume: Resume, session: SessionId, progress: &Progress, now: Now) {
        let client = &mut self.connections[slot];
        let connection = client.id;
        if client.log.as_ref().is_some_and(|log| log.has_trail()) {
            // A Socket.IO client will name the session that it was given on connecting, which is not what it is now.
            self.forget_session(slot);
        }
        let client = &mut self.connections[slot];
        // It may have had a session of its own, which it leaves behind.
        let granted = client.rare().granted.clone();
        if let (Some(user), Some(log)) = (client.take_session_user(), &mut client.log) {
            let (left, progress) = (client.session, log.progress(&granted));
            self.park(&user, left, connection, progress);
        }
        let client = &mut self.connections[slot];
        client.session = session;
        let rare = client.rare_mut();
        rare.granted.extend(progress.granted.iter().filter(|room| !granted.contains(room)).cloned());
        rare.session_user = Some(Arc::clone(&resume.user));
        rare.recovered = true;
        client.held.get_or_insert_default().for_recovery = true;
        super::sessions::follow_session(client, &self.directory);
        let positions: Vec<(Arc<str>, Position)> = progress
            .rooms
            .iter()
            .map(|room| {
                let known = resume.positions.iter().find(|(name, _)| **name == *room.room);
                let own = Position { epoch: Some(room.epoch), offset: room.offset };
                (Arc::clone(&room.room), known.map_or(own, |(_, position)| *position))
            })
            .collect();
        let attaching = client.phase == Phase::Attaching;
        client.awaiting += 1;
        let by = resume.caller.unwrap_or(Caller { connection, reply: ReplyTo::Session });
        let kind = Kind::Recovery { rooms: vec![Vec::new(); positions.len()], lost: 0 };
        let gather = self.gather(by, positions.len(), kind);
        if attaching {
            self.enter_other_rooms(slot, &positions);
        }
        for (index, (room, position)) in (0u32..).zip(&positions) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            if let Err(error) = self.check_entry(slot, room) {
                self.lose_room(&caller, room, &error, now);
                continue;
            }
            let wish = Wish { history: 0, recover: Some(*position), only_missed: true };
            self.subscribe(slot, caller, room, is_forced(room), wish);
            self.follow_from(slot, room, *position);
        }
        if positions.is_empty() {
            self.finish_gather(gather, now);
        }
    }

    /// A connection that is lost before a room's owner has answered is still where its session was.
    pub(super) fn follow_from(&mut self, slot: usize, room: &str, position: Position) {
        let Some(key) = self.directory.find(room) else { return };
        let name = Arc::clone(&self.directory.get(key).name);
        let client = &mut self.connections[slot];
        let number = client.subscription(key).map(|subscription| subscription.number);
        if let (Some(number), Some(log), Some(epoch)) = (number, &mut client.log, position.epoch) {
            log.enter(number, &name, epoch, position.offset);
            log.owe(number);
        }
    }

    /// Rooms that every connection of the user enters and that the session did not have.
    fn enter_other_rooms(&mut self, slot: usize, positions: &[(Arc<str>, Position)]) {
        let connection = self.connections[slot].id;
        let identity = Arc::clone(self.identity(slot));
        for room in rooms_on_connect(&identity) {
            if positions.iter().all(|(known, _)| **known != *room) {
                self.connections[slot].awaiting += 1;
                let caller = Caller { connection, reply: ReplyTo::Attach };
                self.subscribe(slot, caller, &room, is_forced(&room), Wish::default());
            }
        }
    }

    /// A room of the session cannot be entered any more.
    pub(super) fn lose_room(&mut self, caller: &Caller, room: &str, error: &CommandError, now: Now) {
        let ReplyTo::Part { gather, index } = caller.reply else { return };
        let mut out = Vec::new();
        reply::write_unrecovered(&mut out, room, error);
        self.on_part(gather, index, Part::Recovered(out, false), now);
    }

    /// All rooms of the session have answered.
    pub(super) fn finish_recovery(&mut self, caller: Caller, rooms: Vec<Vec<u8>>, lost: usize, now: Now) {
        match lost {
            0 => self.metrics.session_recoveries_full += 1,
            _ => self.metrics.session_recoveries_partial += 1,
        }
        let id = caller.connection;
        let Some(client) = self.client_mut(id) else { return };
        let slot = id.slot as usize;
        let held = client.held.take();
        match caller.reply {
            ReplyTo::Client { .. } => self.answer_client(&caller, &Reply::Parts("rooms", rooms), now),
            _ => {
                // What was missed stands in front of what came meanwhile, be it held for the dialect still.
                if let Some(mut held) = held {
                    held.pushes.insert(0, Push::Recovered(rooms.into()));
                    self.connections[slot].held = Some(held);
                } else {
                    self.push(slot, &Push::Recovered(rooms.into()), FrameClass::Reliable, now);
                }
                return self.end_recovery(id, now);
            }
        }
        self.connections[slot].held = held;
        self.end_recovery(id, now);
    }

    fn end_recovery(&mut self, id: crate::id::ConnectionId, now: Now) {
        let slot = id.slot as usize;
        let Some(client) = self.client_mut(id) else { return };
        if let Some(held) = &mut client.held {
            held.for_recovery = false;
            if !held.for_dialect {
                self.release_held(slot, now);
            }
        }
        let Some(client) = self.client_mut(id).filter(|client| client.is_active()) else { return };
        let attaching = client.phase == Phase::Attaching;
        if !attaching {
            client.awaiting = client.awaiting.saturating_sub(1);
        }
        self.note_all(slot, true);
        self.ask_progress(slot, now);
        if attaching { self.on_attached(id, now) } else { self.resume(slot, now) }
    }

    /// What is on its way to a client counts as not there yet.
    pub(super) fn note_all(&mut self, slot: usize, are_answers: bool) {
        let Self { connections, directory, .. } = self;
        let client = &mut connections[slot];
        let (end, Some(log)) = (client.queue.end(), &mut client.log) else { return };
        for subscription in client.subscriptions.iter().filter(|subscription| subscription.joined) {
            let key: RoomKey = subscription.room;
            let (number, offset) = (subscription.number, directory.get(key).offset);
            match (log.follows(number), are_answers) {
                (false, _) => {}
                (true, true) => log.note_answer(number, offset, end),
                (true, false) => log.note_position(number, offset, end),
            }
        }
    }
}
