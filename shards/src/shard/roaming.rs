//! Sessions that move from node to node, on their user's owner shard.
//!
//! Every node tells the engine what sessions it has and how far their clients have got: when one is opened, while it goes
//! on (`checkpoints`), and when its connection is lost. Whoever resumes a session by another node takes it there. One that is still with
//! a connection is left behind first by the node that has it; if that node is gone, what it told last counts, which may
//! be less than the client has, and is never more.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::sequencing::Pending;
use crate::clock::Now;
use crate::engine::codec::{self, SharedSession, Word};
use crate::engine::{NodeId, Request, Table, Unavailable};
use crate::id::{SessionId, ShardId};
use crate::mesh::item::{Caller, Evict, Item};
use crate::mesh::outcome::Outcome;
use crate::protocol::reply::SessionError;
use crate::room::name::{user_of, user_room};
use crate::user::progress::Progress;
use crate::user::session::Holder;

/// How long a node is given to leave a session behind.
const EVICTION_MS: u64 = 3_000;

impl Shard {
    /// What is known of a session is told to the engine; `until_ms` once it is without a connection.
    pub(super) fn share_session(
        &mut self,
        user: &Arc<str>,
        id: SessionId,
        (until_ms, progress): (Option<u64>, &Progress),
        now: Now,
    ) {
        let Some(links) = self.links.as_ref().filter(|links| links.up) else { return };
        let until_unix_ms = until_ms.map(|ms| now.unix_ms + ms.saturating_sub(now.ms));
        let value = codec::session(links.node, user, id, until_unix_ms, progress);
        let word = until_ms.map(|_| Word::Parked { session: id.0 });
        let room = user_room(user).into();
        self.share(&room, Some((Table::Sessions, id.to_string(), Some(value))), word.as_ref());
    }

    /// A session is over.
    pub(super) fn forget_shared_session(&mut self, user: &str, id: SessionId) {
        if self.links.as_ref().is_some_and(|links| links.up) {
            let room = user_room(user).into();
            self.share(&room, Some((Table::Sessions, id.to_string(), None)), None);
        }
    }

    /// A session that this node does not know is asked for; whether it must be waited for.
    pub(super) fn take_session(
        &mut self,
        (from, caller): (ShardId, &Caller),
        user: &Arc<str>,
        session: SessionId,
        patient: bool,
    ) -> bool {
        let Some(links) = self.links.as_mut().filter(|links| links.up) else { return false };
        let node = links.node;
        let caller = caller.clone();
        let pending = Pending::Session { from, caller, user: Arc::clone(user), session, patient };
        let ticket = links.wait_for(pending);
        let value = codec::session(node, user, session, None, &Progress::of([].into()));
        self.request(Request::Take {
            room: user_room(user).into(),
            ticket,
            table: Table::Sessions,
            name: session.to_string(),
            value,
            only_new: false,
            word: Some(codec::json(&Word::Taken { session: session.0 })),
        });
        true
    }

    pub(super) fn on_session_taken(
        &mut self,
        pending: Pending,
        held: Result<Option<Bytes>, Unavailable>,
        now: Now,
    ) {
        let Pending::Session { from, caller, user, session, patient } = pending else { return };
        let held = held.ok().flatten().and_then(|held| codec::read_session(&held));
        let expired = || Err(SessionError::Expired);
        let progress = match held {
            None => {
                self.forget_shared_session(&user, session);
                expired()
            }
            Some(SharedSession { until_unix_ms: Some(until), .. }) if until <= now.unix_ms => {
                self.forget_shared_session(&user, session);
                expired()
            }
            Some(SharedSession { node, until_unix_ms: None, progress }) if patient && self.may_live(node) => {
                // Somebody may still have it: it is given back, asked for, and waited for.
                let room: Arc<str> = user_room(&user).into();
                let value = codec::session(node, &user, session, None, &progress);
                let word = Word::Evict { session: session.0 };
                self.share(&room, Some((Table::Sessions, session.to_string(), Some(value))), Some(&word));
                let claim = Pending::Session { from, caller, user, session, patient: false };
                if let Some(links) = &mut self.links {
                    links.claims.push((now.ms + EVICTION_MS, claim));
                }
                return;
            }
            Some(SharedSession { progress, until_unix_ms, .. }) => {
                // A node that did not leave it behind could not say how far it was.
                let progress = if until_unix_ms.is_none() { progress.cut() } else { progress };
                self.users.entry(&user).hold(session, Holder::Live(from, caller.connection));
                Ok(progress)
            }
        };
        self.answer(from, caller, Ok(Outcome::Resumed { session, user, progress }));
    }

    /// Whether another node may still be there to say how far a client is.
    fn may_live(&self, node: NodeId) -> bool {
        self.links.as_ref().is_some_and(|links| links.node != node && !links.gone.contains(&node))
    }

    /// Another node left a session behind.
    pub(super) fn on_parked_elsewhere(&mut self, session: SessionId) {
        self.retry_claims(|_, id| id == session);
    }

    /// Sessions that were not left behind in time are taken as they were told last.
    pub(super) fn retry_due_claims(&mut self, now: Now) {
        if self.links.as_ref().is_some_and(|links| !links.claims.is_empty()) {
            self.retry_claims(|due_ms, _| due_ms <= now.ms);
        }
    }

    fn retry_claims(&mut self, is_due: impl Fn(u64, SessionId) -> bool) {
        let Some(links) = &mut self.links else { return };
        let claims = std::mem::take(&mut links.claims);
        let due = |claim: &(u64, Pending)| {
            let Pending::Session { session, .. } = &claim.1 else { return true };
            is_due(claim.0, *session)
        };
        let (due, waiting): (Vec<_>, Vec<_>) = claims.into_iter().partition(due);
        links.claims = waiting;
        for (_, claim) in due {
            let Pending::Session { from, caller, user, session, .. } = claim else { continue };
            if !self.take_session((from, &caller), &user, session, false) {
                let progress = Err(SessionError::Expired);
                self.answer(from, caller, Ok(Outcome::Resumed { session, user, progress }));
            }
        }
    }

    /// Another node wants a session that may be here.
    pub(super) fn evict_for_node(&mut self, room: &str, id: SessionId) {
        let Some(name) = user_of(room).map(Arc::<str>::from) else { return };
        let Some(session) = self.users.get_mut(&name).and_then(|user| user.session(id)) else { return };
        if let Holder::Live(shard, connection) = session.holder {
            self.dispatch(shard, Item::Evict(Box::new(Evict { connection, user: name, session: id })));
        }
    }

    /// Another node has taken a session: nothing of it is left here.
    pub(super) fn on_taken_elsewhere(&mut self, room: &str, id: SessionId, now: Now) {
        let Some(name) = user_of(room).map(Arc::<str>::from) else { return };
        let Some(user) = self.users.get_mut(&name) else { return };
        let is_parked =
            |session: &mut crate::user::session::Session| matches!(session.holder, Holder::Parked { .. });
        if user.session(id).is_some_and(is_parked) {
            user.close_session(id);
            self.settle_user(&name, now);
        }
    }
}
