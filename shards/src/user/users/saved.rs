//! Users for the next process, and as they were in the one before.

use std::ops::Bound;
use std::sync::Arc;

use super::{User, Users};
use crate::clock::Now;
use crate::config::Config;
use crate::durable::{Record, SavedUser, SessionRecord};
use crate::user::progress::Progress;
use crate::user::session::{Holder, Session};

impl Users {
    /// Takes up what was saved of a user; whoever was there was so at `latest_unix_ms`.
    pub fn restore(
        &mut self,
        name: &Arc<str>,
        saved: SavedUser,
        latest_unix_ms: u64,
        now: Now,
        config: &Config,
    ) {
        let seen =
            saved.seen.map(|(unix_ms, online)| if online { unix_ms.max(latest_unix_ms) } else { unix_ms });
        let sessions: Vec<Session> =
            saved.sessions.into_iter().filter_map(|session| session.restore(now, config)).collect();
        let idle_ms = now.unix_ms.saturating_sub(seen.unwrap_or_default());
        let left_ms = config.queue_ttl_ms.saturating_sub(idle_ms);
        let remembered = seen.is_some() && left_ms > 0;
        if sessions.is_empty() && !remembered {
            return;
        }
        let user = self.entry(name);
        user.account = saved.account;
        user.anonymous = seen.is_none();
        if let Some(unix_ms) = seen {
            user.presence.restore(unix_ms);
        }
        user.sessions.extend(sessions);
        user.forget_ms = now.ms + left_ms;
        if user.is_idle() {
            self.idle.push_back(Arc::clone(name));
        }
    }

    /// The user behind a name, in order, and what tells it anew.
    #[must_use]
    pub fn told_behind(&self, start: Bound<&str>, now: Now) -> Option<(Arc<str>, Vec<Record>)> {
        let (name, user) = self.by_name.range::<str, _>((start, Bound::Unbounded)).next()?;
        Some((Arc::clone(name), user.records(now)))
    }
}

impl User {
    /// When it was last seen; nobody asks for one that has no name of its own.
    #[must_use]
    pub fn seen_record(&self, now: Now) -> Option<Record> {
        (!self.anonymous).then(|| Record::Seen {
            user: Arc::clone(&self.name),
            account: self.account.clone(),
            unix_ms: self.presence.last_seen_unix_ms(now),
            online: self.presence.devices() > 0,
        })
    }

    fn records(&self, now: Now) -> Vec<Record> {
        // Those with a connection are told where that is, if it is certainly there.
        let is_elsewhere = |session: &&Session| {
            matches!(session.holder, Holder::Live(..)) && !session.is_moving && session.claims.is_empty()
        };
        let here = self.sessions.iter().filter(|session| !is_elsewhere(session));
        let sessions = here.map(|session| session.record(&self.name, now));
        self.seen_record(now).into_iter().chain(sessions).collect()
    }
}

impl Session {
    /// What is to be known of it.
    #[must_use]
    pub fn record(&self, user: &Arc<str>, now: Now) -> Record {
        let (until_unix_ms, progress) = match &self.holder {
            Holder::Live(..) => (None, self.checkpoint.as_deref().cloned()),
            Holder::Parked { until_ms, progress } => {
                (Some(now.unix_ms + until_ms.saturating_sub(now.ms)), Some(progress.clone()))
            }
        };
        let progress = progress.unwrap_or_else(|| Progress::of([].into()));
        let user = Arc::clone(user);
        Record::Session(Box::new(SessionRecord { user, session: self.id, until_unix_ms, progress }))
    }
}
