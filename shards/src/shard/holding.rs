//! The owner's side of sessions: who has one, who waits for it, and what is left of it when its connection is lost.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::id::{ConnectionId, SessionId, ShardId};
use crate::mesh::item::{Caller, Evict, Item};
use crate::mesh::outcome::Outcome;
use crate::protocol::error_code::CommandError;
use crate::protocol::reply::SessionError;
use crate::room::name::user_of;
use crate::user::progress::Progress;
use crate::user::session::{Claim, Holder, Session};

impl Shard {
    /// A connection opens a session. Whoever waited for the one that had to go for it hears that there is none.
    pub(super) fn on_open_session(
        &mut self,
        from: ShardId,
        caller: &Caller,
        name: &Arc<str>,
        (session, progress): (SessionId, Option<Box<Progress>>),
        now: Now,
    ) -> Outcome {
        let holder = Holder::Live(from, caller.connection);
        let user = self.users.entry(name);
        let dropped = user.hold(session, holder);
        if let Some(session) = user.session(session) {
            session.checkpoint = progress;
        }
        self.store_session(name, session, true, now);
        if let Some(dropped) = dropped {
            self.metrics.sessions_dropped += 1;
            self.store_session(name, dropped.id, true, now);
            for Claim { shard, caller } in dropped.claims {
                self.answer(shard, caller, Ok(expired(dropped.id, name)));
            }
        }
        Outcome::SessionOpened(session)
    }

    /// A client has left for good: nobody can resume its session. Whoever waits for it hears that there is none.
    pub(super) fn on_close_session(
        &mut self,
        from: ShardId,
        caller: &Caller,
        name: &Arc<str>,
        id: SessionId,
        now: Now,
    ) {
        let Some(user) = self.users.get_mut(name) else { return };
        let held = |session: &mut Session| matches!(session.holder, Holder::Live(shard, held) if (shard, held) == (from, caller.connection));
        if !user.session(id).is_some_and(held) {
            return;
        }
        let claims = user.close_session(id);
        self.store_session(name, id, true, now);
        self.forget_shared_session(name, id);
        for Claim { shard, caller } in claims {
            self.answer(shard, caller, Ok(expired(id, name)));
        }
        self.settle_user(name, now);
    }

    /// A connection wants a session: it gets it now, or when the one that has it has given it up.
    pub(super) fn on_resume(
        &mut self,
        from: ShardId,
        caller: &Caller,
        name: &Arc<str>,
        id: SessionId,
        now: Now,
    ) -> Option<Result<Outcome, CommandError>> {
        let user = self.users.get_mut(name);
        let session = user.and_then(|user| {
            user.expire_sessions(now);
            user.session(id)
        });
        let Some(session) = session else {
            if self.take_session((from, caller), name, id, true) {
                return None;
            }
            return Some(Ok(expired(id, name)));
        };
        match &session.holder {
            Holder::Parked { progress, .. } => {
                session.checkpoint = self.storing.is_on.then(|| Box::new(progress.clone()));
                let progress = Ok(progress.clone());
                session.holder = Holder::Live(from, caller.connection);
                session.is_moving = true;
                self.store_session(name, id, true, now);
                if let Ok(progress) = &progress {
                    self.share_session(name, id, (None, progress), now);
                }
                Some(Ok(Outcome::Resumed { session: id, user: Arc::clone(name), progress }))
            }
            Holder::Live(shard, connection) => {
                let (shard, connection) = (*shard, *connection);
                session.claims.push(Claim { shard: from, caller: caller.clone() });
                if session.claims.len() == 1 {
                    let evict = Evict { connection, user: Arc::clone(name), session: id };
                    self.dispatch(shard, Item::Evict(Box::new(evict)));
                }
                None
            }
        }
    }

    /// How far the client of a session has got, which its connection still has.
    pub(super) fn on_checkpoint(
        &mut self,
        holder: (ShardId, ConnectionId),
        name: &Arc<str>,
        id: SessionId,
        progress: Box<Progress>,
        now: Now,
    ) {
        let Some(session) = self.users.get_mut(name).and_then(|user| user.session(id)) else { return };
        if !matches!(session.holder, Holder::Live(shard, held) if (shard, held) == holder) {
            return;
        }
        if self.storing.is_on {
            session.checkpoint = Some(progress);
            session.is_moving = false;
            self.store_session(name, id, false, now);
        } else {
            self.share_session(name, id, (None, &progress), now);
        }
    }

    /// The application takes a user out of a room: no session that waits for its client brings it back there.
    pub(super) fn withdraw_grant(&mut self, name: &Arc<str>, room: &Arc<str>, now: Now) {
        let Some(user) = self.users.get_mut(name) else { return };
        let mut changed = Vec::new();
        for session in &mut user.sessions {
            let Holder::Parked { until_ms, progress } = &mut session.holder else { continue };
            if progress.granted.contains(room) {
                progress.granted.retain(|granted| granted != room);
                changed.push((session.id, *until_ms, progress.clone()));
            }
        }
        for (id, until_ms, progress) in changed {
            self.store_session(name, id, false, now);
            self.share_session(name, id, (Some(until_ms), &progress), now);
        }
    }

    /// A connection has given up its session: it waits, or goes to whoever asked for it.
    pub(super) fn on_park(
        &mut self,
        from: ShardId,
        room: &str,
        (id, connection): (SessionId, ConnectionId),
        progress: Progress,
        now: Now,
    ) {
        let Some(name) = user_of(room).map(Arc::<str>::from) else { return };
        let until_ms = now.ms + self.config.session_ttl_ms;
        let Some(session) = self.users.get_mut(&name).and_then(|user| user.session(id)) else { return };
        if !matches!(session.holder, Holder::Live(shard, held) if (shard, held) == (from, connection)) {
            return;
        }
        if session.claims.is_empty() {
            session.holder = Holder::Parked { until_ms, progress: progress.clone() };
            session.checkpoint = None;
            self.store_session(&name, id, false, now);
            self.share_session(&name, id, (Some(until_ms), &progress), now);
            return self.settle_user(&name, now);
        }
        let Claim { shard, caller } = session.claims.remove(0);
        let connection = caller.connection;
        session.holder = Holder::Live(shard, connection);
        session.is_moving = true;
        session.checkpoint = self.storing.is_on.then(|| Box::new(progress.clone()));
        let more = !session.claims.is_empty();
        self.store_session(&name, id, true, now);
        let resumed = Outcome::Resumed { session: id, user: Arc::clone(&name), progress: Ok(progress) };
        self.answer(shard, caller, Ok(resumed));
        if more {
            let evict = Evict { connection, user: name, session: id };
            self.dispatch(shard, Item::Evict(Box::new(evict)));
        }
    }
}

fn expired(session: SessionId, user: &Arc<str>) -> Outcome {
    Outcome::Resumed { session, user: Arc::clone(user), progress: Err(SessionError::Expired) }
}
