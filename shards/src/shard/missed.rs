//! Connection state recovery: a Socket.IO client comes back to its session and gets all that it missed, or begins anew.
//!
//! It names the session and the last place that it saw. Every room of the session is asked for what came since; when all
//! have answered, the events go out in the order of the messages, and only then the client is let in. One room of which
//! something is missing, or that may not be entered any more, and it begins anew: with another session, in no room that
//! it had chosen.

use std::sync::Arc;

use super::Shard;
use super::gather::{Kind, Part};
use super::sessions::follow_session;
use super::subscriptions::Wish;
use crate::access::permission::Identity;
use crate::clock::Now;
use crate::connection::{Phase, Resume};
use crate::id::{ConnectionId, SessionId};
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::protocol::command::Position;
use crate::protocol::message::Publication;
use crate::protocol::push::Push;
use crate::protocol::reply::{Joined, SessionError};
use crate::room::name::{is_forced, user_room};
use crate::user::progress::Progress;
use crate::user::session::SessionRoom;

use rand::Rng;

impl Shard {
    /// A client has entered a namespace: it comes back to its session, or gets one.
    pub(super) fn begin_conversation(&mut self, slot: usize, token: Option<&str>, now: Now) {
        // Nothing comes before what it missed, and nothing before it is let in.
        self.connections[slot].held.get_or_insert_default().for_recovery = true;
        let Some(token) = token else { return self.begin_anew(slot, now) };
        self.metrics.session_recoveries += 1;
        match self.judge_token(slot, token) {
            Ok((session, user)) => {
                let client = &mut self.connections[slot];
                client.awaiting += 1;
                let connection = client.id;
                if let Some(resume) = &mut client.rare_mut().resume {
                    resume.user = user.as_str().into();
                }
                let caller = Caller { connection, reply: ReplyTo::Session };
                self.ask_for_session(caller, &user, session);
            }
            Err(error) => {
                self.metrics.session_refusals[error as usize] += 1;
                self.begin_anew(slot, now);
            }
        }
    }

    /// A session of its own, and the rooms that it is in without asking.
    fn begin_anew(&mut self, slot: usize, now: Now) {
        let user = Arc::clone(&self.identity(slot).user);
        let client = &mut self.connections[slot];
        let rare = client.rare_mut();
        rare.resume = None;
        rare.session_user = Some(Arc::clone(&user));
        let (connection, session) = (client.id, client.session);
        self.follow_conversation(slot);
        let nobody = Caller { connection, reply: ReplyTo::Nobody };
        let progress = self.progress_to_store(slot);
        let open = Operation::User(UserOperation::OpenSession { session, progress });
        self.ask(nobody, user_room(&user).into(), open);
        self.enter_rooms(slot);
        self.schedule_client(slot, now);
    }

    fn follow_conversation(&mut self, slot: usize) {
        let Self { connections, directory, .. } = self;
        let client = &mut connections[slot];
        follow_session(client, directory);
        if let Some(log) = &mut client.log {
            log.follow_trail(None);
        }
    }

    /// The session's owner has decided.
    pub(super) fn on_conversation_resumed(
        &mut self,
        slot: usize,
        resume: Resume,
        session: SessionId,
        progress: Result<Progress, SessionError>,
        now: Now,
    ) {
        let progress = match progress {
            Ok(progress) => progress,
            Err(error) => {
                self.metrics.session_refusals[error as usize] += 1;
                return self.begin_anew(slot, now);
            }
        };
        let rooms = resume.place.and_then(|place| progress.at(place));
        let rare = self.connections[slot].rare_mut();
        rare.session_user = Some(resume.user);
        rare.granted = progress.granted;
        let own = std::mem::replace(&mut self.connections[slot].session, session);
        self.rename_anonymous(slot);
        match rooms {
            Some(rooms) => self.ask_for_missed(slot, &rooms, now),
            None => self.give_session_up(slot, own, now),
        }
    }

    /// A client without a name is called after its session, which is another one now.
    fn rename_anonymous(&mut self, slot: usize) {
        if !self.identity(slot).is_anonymous() {
            return;
        }
        let (access, tenancy) = (Arc::clone(&self.config.access), self.config.tenancy);
        let client = &mut self.connections[slot];
        let realm = client.variant.namespace.realm();
        let identity = Identity::anonymous(&client.session.to_string(), &access, tenancy, realm);
        client.identity = Some(Arc::new(identity));
    }

    /// Asks every room of the session for what came since.
    fn ask_for_missed(&mut self, slot: usize, rooms: &[SessionRoom], now: Now) {
        self.follow_conversation(slot);
        let client = &mut self.connections[slot];
        client.awaiting += 1;
        let connection = client.id;
        let by = Caller { connection, reply: ReplyTo::Session };
        let kind = Kind::Missed { messages: Vec::new(), lost: 0 };
        let gather = self.gather(by, rooms.len(), kind);
        for (index, SessionRoom { room, epoch, offset }) in (0u32..).zip(rooms) {
            if self.check_entry(slot, room).is_err() {
                self.on_part(gather, index, Part::Missed(None), now);
                continue;
            }
            let position = Position { epoch: Some(*epoch), offset: *offset };
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            let wish = Wish { history: 0, recover: Some(position), only_missed: true };
            self.subscribe(slot, caller, room, is_forced(room), wish);
            self.follow_from(slot, room, position);
        }
        if rooms.is_empty() {
            self.finish_gather(gather, now);
        }
    }

    /// What one room of the session answered; `None` when something of it is gone.
    pub(super) fn missed_of(joined: &Joined, resync: bool) -> Option<Vec<Arc<Publication>>> {
        (joined.recovered == Some(true) && !resync).then(|| joined.messages.clone().unwrap_or_default())
    }

    /// All rooms have answered.
    pub(super) fn finish_missed(
        &mut self,
        caller: &Caller,
        mut messages: Vec<Arc<Publication>>,
        lost: usize,
        now: Now,
    ) {
        let id = caller.connection;
        let Some(client) = self.client_mut(id).filter(|client| client.phase == Phase::Attaching) else {
            return;
        };
        client.awaiting = client.awaiting.saturating_sub(1);
        let slot = id.slot as usize;
        let bytes: usize = messages.iter().map(|message| message.cost()).sum();
        if lost > 0 || bytes > self.config.history.replay_bytes_max {
            self.metrics.session_recoveries_partial += 1;
            let own = SessionId(self.random.next_u64());
            return self.give_session_up(slot, own, now);
        }
        self.metrics.session_recoveries_full += 1;
        self.connections[slot].rare_mut().recovered = true;
        sort_by_time(&mut messages);
        self.give_missed(slot, &messages);
        if !self.connections[slot].is_active() {
            return;
        }
        let rooms: Vec<_> = self.rooms_of(slot);
        self.connections[slot].awaiting += 1;
        self.enter_rooms_beside(slot, &rooms);
        self.on_attached(id, now);
    }

    /// Each of the messages as an event, as if it came now: an answer, which is bounded as a whole and fits any queue.
    fn give_missed(&mut self, slot: usize, messages: &[Arc<Publication>]) {
        for message in messages {
            self.note_given(slot, message);
            self.give(slot, &Push::Message(Arc::clone(message)));
        }
    }

    /// The session cannot be taken up whole: it is over, and the client begins anew, as `own`.
    fn give_session_up(&mut self, slot: usize, own: SessionId, now: Now) {
        self.close_session(slot);
        self.leave_rooms(slot);
        let client = &mut self.connections[slot];
        client.session = own;
        client.log = client.log.take().map(|log| Box::new(log.anew()));
        let rare = client.rare_mut();
        (rare.recovered, rare.goodbye) = (false, None);
        rare.granted.clear();
        if let Some(held) = &mut client.held {
            held.pushes.clear();
            held.bytes = 0;
        }
        self.rename_anonymous(slot);
        self.begin_anew(slot, now);
    }

    /// Lets the client in, when nothing is missing any more.
    pub(super) fn end_conversation_start(&mut self, id: ConnectionId, now: Now) {
        self.confirm_connected(id, now);
        self.note_all(id.slot as usize, true);
    }
}

/// Puts messages of several rooms, each room's together and in its order, into the order of their times. A clock that
/// went back changes nothing of the order within a room.
fn sort_by_time(messages: &mut Vec<Arc<Publication>>) {
    let mut before: Option<(Arc<str>, u64)> = None;
    let mut timed: Vec<(u64, Arc<Publication>)> = Vec::with_capacity(messages.len());
    for message in messages.drain(..) {
        let own = message.change().map_or(message.unix_ms, |change| change.unix_ms);
        let least = before.filter(|(room, _)| *room == message.room).map_or(0, |(_, time)| time);
        let time = own.max(least);
        before = Some((Arc::clone(&message.room), time));
        timed.push((time, message));
    }
    timed.sort_by_key(|(time, _)| *time);
    messages.extend(timed.into_iter().map(|(_, message)| message));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(room: &str, offset: u64, unix_ms: u64) -> Arc<Publication> {
        Arc::new(Publication::sample(room, offset, unix_ms))
    }

    #[test]
    fn rooms_are_mixed_by_time_and_keep_their_order() {
        let mut messages = vec![
            message("a", 1, 10),
            message("a", 2, 40),
            message("a", 3, 20),
            message("b", 7, 15),
            message("b", 8, 50),
        ];
        sort_by_time(&mut messages);
        let order: Vec<_> = messages.iter().map(|message| (&*message.room, message.offset)).collect();
        assert_eq!(order, [("a", 1), ("b", 7), ("a", 2), ("a", 3), ("b", 8)]);
    }
}
