//! Sessions on the home shard: opened, given up to another connection, left behind when theirs is lost.

use std::sync::Arc;

use super::Shard;
use super::flushing::mark_dirty;
use super::subscriptions::follows;
use crate::access::permission::Identity;
use crate::clock::{Now, Soon};
use crate::connection::delivery_log::{DeliveryLog, Goodbye, PONG_PATIENCE_MS};
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Connection, Phase};
use crate::id::{ConnectionId, SessionId};
use crate::mesh::item::{Caller, Evict, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;
use crate::protocol::reply::{Reply, SessionInfo};
use crate::room::directory::Directory;
use crate::room::name::user_room;
use crate::user::progress::Progress;
use crate::user::session::{SessionRoom, token};

/// A connection whose socket is being let go, until it is known how much of what was sent has arrived.
#[derive(Debug)]
pub(super) struct Departed {
    log: Box<DeliveryLog>,
    session: SessionId,
    session_user: Option<Arc<str>>,
    granted: Vec<Arc<str>>,
    identity: Arc<Identity>,
    goodbye: Option<Goodbye>,
    written: u64,
}

impl Shard {
    pub(super) fn create_session(&mut self, slot: usize, caller: Caller) {
        let user = Arc::clone(&self.identity(slot).user);
        let Self { connections, directory, .. } = self;
        let client = &mut connections[slot];
        let user = Arc::clone(client.rare_mut().session_user.get_or_insert(user));
        let session = client.session;
        follow_session(client, directory);
        let progress = self.progress_to_store(slot);
        let open = Operation::User(UserOperation::OpenSession { session, progress });
        self.ask(caller, user_room(&user).into(), open);
    }

    /// The user's owner keeps the session from now on.
    pub(super) fn on_session_opened(&mut self, caller: &Caller, session: SessionId, now: Now) {
        let Some(client) = self.client(caller.connection) else { return };
        let Some(user) = &client.rare().session_user else { return };
        let token = token(&self.config.session_key.0, session, user);
        let expires_unix_ms = now.unix_ms + self.config.session_ttl_ms;
        self.checkpoint_for_nodes(caller.connection.slot as usize);
        self.answer_client(caller, &Reply::Session { token, expires_unix_ms }, now);
    }

    pub(super) fn session_info(&mut self, slot: usize, caller: &Caller, now: Now) {
        let client = &self.connections[slot];
        let unix_ms = |ms: u64| now.unix_ms.saturating_sub(now.ms.saturating_sub(ms));
        let info = SessionInfo {
            identity: Arc::clone(self.identity(slot)),
            session: client.session,
            connected_unix_ms: unix_ms(client.opened_ms),
            active_unix_ms: unix_ms(client.heard_ms.saturating_sub(u64::from(client.silent_ms))),
            rooms: self.rooms_of(slot),
            recovered: client.rare().recovered,
        };
        self.answer_client(caller, &Reply::SessionInfo(info), now);
    }

    /// Another connection wants a session that one here has: nothing more is given to it, and the session is given up
    /// as soon as the client has said how far it has got, or has not said so for a while.
    pub(super) fn on_evict(&mut self, evict: &Evict, now: Now) {
        let Evict { connection, session, .. } = evict;
        let Some(client) = self.client_mut(*connection).filter(|client| client.session == *session) else {
            // Its end is known here and on its way to the owner.
            return;
        };
        let slot = connection.slot as usize;
        if !client.is_active() {
            return self.hurry_close(slot, now.ms + PONG_PATIENCE_MS, now);
        }
        if client.evicted.is_some() {
            return;
        }
        client.evicted = Some(Soon::at(now.ms + PONG_PATIENCE_MS));
        self.leave_rooms(slot);
        let client = &mut self.connections[slot];
        if client.log.as_ref().is_some_and(|log| log.has_trail()) {
            // Whoever comes back will say how far it has got.
            return self.give_up_session(slot, now);
        }
        let end = client.queue.end();
        let probe = client.log.as_mut().and_then(|log| log.start_probe(end, now.ms));
        let Some(payload) = probe else { return self.give_up_session(slot, now) };
        self.send(slot, frame::ping(&payload), FrameClass::Control);
        self.schedule_client(slot, now);
    }

    /// A client answered a ping that carried something.
    pub(super) fn on_pong(&mut self, slot: usize, payload: &[u8], now: Now) {
        let client = &mut self.connections[slot];
        let answers = client.log.as_mut().is_some_and(|log| log.pong(payload));
        if answers && client.evicted.is_some() {
            self.give_up_session(slot, now);
        } else if answers {
            // What was sent behind the ping is to be asked about too.
            self.ask_progress(slot, now);
        }
    }

    /// Asks a client how far it has got, behind all that is on its way to it; later, if that was asked too often.
    pub(super) fn ask_progress(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        let end = client.queue.end();
        if let Some(payload) = client.log.as_mut().and_then(|log| log.probe(end, now.ms)) {
            self.metrics.progress_probes += 1;
            client.queue.push_always(frame::ping(&payload), FrameClass::Control);
            mark_dirty(client, &mut self.effects, true);
        }
        self.schedule_client(slot, now);
    }

    /// Leaves the session to whoever asked for it, and ends the connection.
    pub(super) fn give_up_session(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        client.evicted = None;
        let (id, session) = (client.id, client.session);
        if let (Some(mut log), Some(user)) = (client.log.take(), client.take_session_user()) {
            let progress = log.progress(&self.connections[slot].rare().granted);
            self.park(&user, session, id, progress);
        }
        self.metrics.sessions_replaced += 1;
        self.close(slot, CloseCode::Replaced, "replaced by a resumed session", now);
    }

    pub(super) fn park(
        &mut self,
        user: &str,
        session: SessionId,
        connection: ConnectionId,
        progress: Progress,
    ) {
        let nobody = Caller { connection, reply: ReplyTo::Nobody };
        self.ask(nobody, user_room(user).into(), Operation::Park { session, connection, progress });
    }

    /// Remembers of a connection that goes what its end will be judged by.
    pub(super) fn depart(&mut self, client: &mut Connection) {
        let Some(mut log) = client.log.take() else { return };
        log.settle();
        let Some(identity) = client.departed.take() else { return };
        let departed = Departed {
            log,
            session: client.session,
            session_user: client.take_session_user(),
            granted: client.rare().granted.clone(),
            identity,
            goodbye: client.rare().goodbye,
            written: client.queue.written(),
        };
        self.departed.insert(client.id, departed);
    }

    /// The socket of a connection that is gone was let go; so many bytes of what was written have not been
    /// acknowledged by the other side.
    pub fn on_released(&mut self, id: ConnectionId, unacknowledged: u64, now: Now) {
        let Some(mut departed) = self.departed.remove(&id) else { return };
        // Who says by itself how far it has got is asked, and not judged.
        let progress = departed.log.has_trail().then(|| departed.log.progress(&departed.granted));
        let waited: Vec<_> = departed.log.unconfirmed().map(|waiting| waiting.room).collect();
        if let Some(goodbye) = departed.goodbye {
            let all = unacknowledged == 0;
            let goodbye = Goodbye { finished: goodbye.finished && all, ..goodbye };
            departed.log.confirm(goodbye.upto().min(departed.written.saturating_sub(unacknowledged)));
        }
        if !departed.identity.is_anonymous() {
            let settled: Vec<_> =
                departed.log.rooms().filter(|position| waited.contains(&position.room)).collect();
            for SessionRoom { room, epoch, offset } in settled {
                let user = Arc::clone(&departed.identity.user);
                let nobody = Caller { connection: id, reply: ReplyTo::Nobody };
                self.ask(nobody, room, Operation::Settle { user, epoch, offset });
            }
        }
        if let Some(user) = &departed.session_user {
            let progress = progress.unwrap_or_else(|| departed.log.progress(&departed.granted));
            self.park(user, departed.session, id, progress);
        }
        self.settle(now);
    }

    /// Whether the core will believe that a connection got everything, with so many of its bytes not acknowledged.
    #[must_use]
    pub fn trusts_release(&self, id: ConnectionId, unacknowledged: u64) -> bool {
        let Some(departed) = self.departed.get(&id) else { return false };
        let acknowledged = departed.written.saturating_sub(unacknowledged);
        let upto = departed.goodbye.map_or(0, |goodbye| goodbye.upto()).min(acknowledged);
        upto > 0 && !departed.log.waits_behind(upto)
    }

    /// Whether a connection is being closed.
    #[must_use]
    pub fn is_closing(&self, id: ConnectionId) -> bool {
        self.client(id).is_some_and(|client| matches!(client.phase, Phase::Closing { .. }))
    }

    /// Whether the core waits to hear how much of a connection's bytes arrived.
    #[must_use]
    pub fn awaits_release(&self, id: ConnectionId) -> bool {
        self.departed.contains_key(&id)
    }
}

/// Follows how far a client has got in all of its rooms from now on: what is on its way counts as not there yet.
pub(super) fn follow_session(client: &mut Connection, directory: &Directory) {
    let end = client.queue.end();
    let log = client.log.get_or_insert_default();
    if std::mem::replace(&mut log.is_session, true) {
        return;
    }
    for subscription in client.subscriptions.iter().filter(|subscription| subscription.joined) {
        let room = directory.get(subscription.room);
        if follows(true, room.class) && !log.follows(subscription.number) {
            log.enter(subscription.number, &room.name, room.epoch, subscription.since);
            if room.offset > subscription.since {
                log.note(subscription.number, room.offset, end);
            }
        }
    }
}
