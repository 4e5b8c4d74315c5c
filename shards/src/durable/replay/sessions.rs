//! What is known of a session whose records come from several shards: its user's owner knows how far it had got at times,
//! the owners of its rooms know at once when it enters and leaves them.

use std::sync::Arc;

use super::SavedUser;
use crate::clock::Now;
use crate::config::Config;
use crate::durable::record::SessionRecord;
use crate::id::SessionId;
use crate::user::progress::{Progress, Step, Steps};
use crate::user::session::{Holder, SESSIONS_MAX, Session, SessionRoom};

/// Sessions of a user of which rooms may be known before they are.
const SESSIONS_TOLD_MAX: usize = 4 * SESSIONS_MAX;

/// A session as it was.
#[derive(Debug)]
pub struct SavedSession {
    /// Which.
    pub id: SessionId,
    /// Whether its owner has told of it, and not only its rooms'.
    pub is_open: bool,
    /// Until when it can be resumed; `None` if it had a connection.
    pub until_unix_ms: Option<u64>,
    /// Its rooms, and up to where its client has certainly got each.
    pub rooms: Vec<SessionRoom>,
    /// What its client was given since.
    pub steps: Option<Steps>,
    /// Rooms into which the application let it.
    pub granted: Vec<Arc<str>>,
    /// Rooms that it has left. What was told of it may be older than that, as it comes from elsewhere.
    left: Vec<Arc<str>>,
}

impl SavedUser {
    fn session(&mut self, id: SessionId) -> &mut SavedSession {
        if let Some(at) = self.sessions.iter().position(|session| session.id == id) {
            return &mut self.sessions[at];
        }
        if self.sessions.len() >= SESSIONS_TOLD_MAX {
            self.sessions.remove(0);
        }
        let (rooms, steps, granted, left) = (Vec::new(), None, Vec::new(), Vec::new());
        let session = SavedSession { id, is_open: false, until_unix_ms: None, rooms, steps, granted, left };
        self.sessions.push(session);
        self.sessions.last_mut().expect("one was added just now")
    }

    /// The session's owner tells of it.
    pub(super) fn hold(&mut self, record: SessionRecord) {
        let session = self.session(record.session);
        let Progress { rooms, steps, granted } = record.progress;
        // A session that has a connection may have entered rooms that its owner has not heard of.
        let more = std::mem::take(&mut session.rooms);
        session.rooms = rooms.to_vec();
        if record.until_unix_ms.is_none() {
            let more = more.into_iter().filter(|more| rooms.iter().all(|room| room.room != more.room));
            session.rooms.extend(more);
        }
        session.steps = steps.map(Arc::unwrap_or_clone);
        session.granted = granted;
        for left in std::mem::take(&mut session.left) {
            session.leave(&left);
        }
        (session.is_open, session.until_unix_ms) = (true, record.until_unix_ms);
    }

    /// The session has entered a room, and needs nothing of it up to an offset.
    pub(super) fn enter(&mut self, session: SessionId, entered: SessionRoom) {
        let session = self.session(session);
        session.until_unix_ms = None;
        session.left.retain(|room| *room != entered.room);
        match session.rooms.iter_mut().find(|room| room.room == entered.room) {
            Some(room) => *room = entered,
            None => session.rooms.push(entered),
        }
    }

    /// The session has left a room.
    pub(super) fn leave(&mut self, session: SessionId, left: &Arc<str>) {
        self.session(session).leave(left);
    }
}

impl SavedSession {
    fn leave(&mut self, left: &Arc<str>) {
        self.left.push(Arc::clone(left));
        self.granted.retain(|room| room != left);
        let Some(at) = self.rooms.iter().position(|room| room.room == *left) else { return };
        self.rooms.remove(at);
        let steps = self.steps.iter_mut().flat_map(|steps| &mut steps.steps);
        steps.for_each(|step: &mut Step| {
            step.room = match step.room.map(|room| room as usize) {
                Some(room) if room > at => step.room.map(|room| room - 1),
                Some(room) if room < at => step.room,
                _ => None,
            }
        });
    }

    /// The session, if it can still be resumed.
    pub(crate) fn restore(self, now: Now, config: &Config) -> Option<Session> {
        let left_ms = match self.until_unix_ms {
            Some(until) => until.saturating_sub(now.unix_ms).min(config.session_ttl_ms),
            None => config.session_ttl_ms,
        };
        let (rooms, steps) = (self.rooms.into(), self.steps.map(Arc::new));
        let progress = Progress { rooms, steps, granted: self.granted };
        let progress = if self.until_unix_ms.is_none() { progress.cut() } else { progress };
        let holder = Holder::Parked { until_ms: now.ms + left_ms, progress };
        (self.is_open && left_ms > 0).then(|| Session::new(self.id, holder))
    }
}
