//! Who is refused although the token is good: the one list that counts, from which shards and other nodes are told.
//!
//! Of each user or token it has the latest change. With several nodes the Redis has the same ([`revoked`]), and whichever
//! of the two knows of a later one tells the other, whenever they come together again.
//!
//! [`revoked`]: crate::engine::redis::revoked

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roomcast_shards::access::revocations::{Full, REVOCATIONS_MAX, Revocation, Subject, subjects};
use roomcast_shards::access::token::Claims;
use roomcast_shards::mesh::administration::Administration;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use tokio::time::sleep;

use super::super::cluster::{Cluster, Gathered, Said};
use super::gateway::{Asked, DataPlane};
use crate::engine::redis::revoked::{Change, Kept, Origin};
use crate::engine::redis::unix_ms;

/// How long to wait for shards that have too many requests.
const SHARDS_PAUSE: Duration = Duration::from_millis(1);

/// Who is refused.
pub(super) struct Refused {
    latest: Mutex<Latest>,
    data_plane: Arc<DataPlane>,
    cluster: Option<Arc<Cluster>>,
}

impl Refused {
    pub(super) fn new(known: Vec<Change>, data_plane: Arc<DataPlane>, cluster: Option<Arc<Cluster>>) -> Self {
        let mut latest = Latest::default();
        let now = unix_ms();
        for change in known {
            // There were no more of them than there may be.
            let _ = latest.take(change, now);
        }
        Self { latest: Mutex::new(latest), data_plane, cluster }
    }

    /// Whether a token is refused.
    pub(super) fn has(&self, claims: &Claims, tenancy: bool, now: u64) -> bool {
        let latest = self.latest();
        !latest.by_subject.is_empty() && subjects(claims, tenancy).any(|subject| latest.has(&subject, now))
    }

    /// Refuses somebody until a time, or no longer, everywhere: how many connections that has closed here, and what the
    /// other nodes say.
    pub(super) async fn decide(
        &self,
        subject: Subject,
        until: Option<u64>,
    ) -> Result<(usize, Gathered), CommandError> {
        let now = unix_ms();
        let change = self.latest().decide(subject, until, now).map_err(|full| too_many(&full))?;
        let revocation = Revocation { subject: change.subject.clone(), until_unix_ms: until };
        let revoke = Administration::Revoke([revocation].into());
        let connections = self.data_plane.administer(&revoke).await?;
        let Some(cluster) = &self.cluster else { return Ok((connections, Gathered::default())) };
        match cluster.revoke(change).await {
            (Kept::Yes, gathered) => Ok((connections, gathered)),
            (Kept::Full, _) => Err(too_many(&Full)),
        }
    }

    /// A node has decided something, which perhaps was this one.
    pub(super) async fn hear(self: &Arc<Self>, origin: Origin, change: Change) {
        let asked = match self.latest().take(change, unix_ms()) {
            Ok(news) => news,
            Err(Full) => {
                tracing::error!(event = "revocations_full", "another node's revocation does not hold here");
                None
            }
        };
        let asked = match asked {
            Some(revocation) => Some(self.put([revocation].into()).await),
            None => None,
        };
        let Some(cluster) = self.cluster.clone().filter(|cluster| cluster.node != origin.node) else {
            return;
        };
        let data_plane = Arc::clone(&self.data_plane);
        tokio::spawn(async move {
            let connections = match asked {
                Some(asked) => data_plane.administered(asked).await.unwrap_or_default(),
                None => 0,
            };
            let json = format!("{{\"connections\":{connections}}}").into_bytes();
            cluster.answer(origin.node, origin.ticket, &Said { status: 200, json });
        });
    }

    /// The Redis is in reach again, and says all that it knows: it is told what it does not.
    pub(super) async fn compare(&self, known: Vec<Change>) {
        let (news, missed) = self.latest().compare(known, unix_ms());
        if !news.is_empty() {
            self.put(news.into()).await;
        }
        if let Some(cluster) = self.cluster.as_ref().filter(|_| !missed.is_empty()) {
            cluster.restate(missed).await;
        }
    }

    /// Tells all shards, in the order of calls; waits for room as long as there is none.
    async fn put(&self, revocations: Arc<[Revocation]>) -> Asked {
        let revoke = Administration::Revoke(revocations);
        loop {
            match self.data_plane.begin(&revoke) {
                Ok(asked) => return asked,
                Err(_) => sleep(SHARDS_PAUSE).await,
            }
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest change of each user and token, as long as it matters.
#[derive(Debug, Default)]
struct Latest {
    by_subject: HashMap<Subject, Change>,
}

impl Latest {
    fn has(&self, subject: &Subject, now: u64) -> bool {
        self.by_subject.get(subject).is_some_and(|change| change.is_refused && change.until_unix_ms > now)
    }

    /// Decides something now. The end of a revocation matters for as long as that would have.
    fn decide(&mut self, subject: Subject, until: Option<u64>, now: u64) -> Result<Change, Full> {
        let held = self.by_subject.get(&subject);
        let at_unix_ms = held.map_or(now, |held| now.max(held.at_unix_ms + 1));
        let until_unix_ms = until.unwrap_or_else(|| held.map_or(0, |held| held.until_unix_ms));
        let change = Change { subject, at_unix_ms, until_unix_ms, is_refused: until.is_some() };
        self.take(change.clone(), now)?;
        Ok(change)
    }

    /// Takes a change that is not older than what is known; what that changes for shards.
    fn take(&mut self, change: Change, now: u64) -> Result<Option<Revocation>, Full> {
        let held = self.by_subject.get(&change.subject);
        if held.is_some_and(|held| held.at_unix_ms > change.at_unix_ms) {
            return Ok(None);
        }
        let until =
            |change: &Change| Some(change.until_unix_ms).filter(|until| change.is_refused && *until > now);
        let (before, after) = (held.and_then(until), until(&change));
        let news =
            (before != after).then(|| Revocation { subject: change.subject.clone(), until_unix_ms: after });
        if change.until_unix_ms <= now {
            self.by_subject.remove(&change.subject);
        } else {
            if held.is_none() {
                self.make_room(now)?;
            }
            self.by_subject.insert(change.subject.clone(), change);
        }
        Ok(news)
    }

    /// Those that are over go; if that is not enough, those that refuse nobody any more.
    fn make_room(&mut self, now: u64) -> Result<(), Full> {
        if self.by_subject.len() >= REVOCATIONS_MAX {
            self.by_subject.retain(|_, change| change.until_unix_ms > now);
        }
        if self.by_subject.len() >= REVOCATIONS_MAX {
            self.by_subject.retain(|_, change| change.is_refused);
        }
        if self.by_subject.len() < REVOCATIONS_MAX { Ok(()) } else { Err(Full) }
    }

    /// Takes what the Redis knows; what that changes for shards, and what the Redis does not know.
    fn compare(&mut self, known: Vec<Change>, now: u64) -> (Vec<Revocation>, Vec<Change>) {
        let theirs: HashMap<Subject, u64> =
            known.iter().map(|change| (change.subject.clone(), change.at_unix_ms)).collect();
        let is_missed = |change: &&Change| {
            change.until_unix_ms > now && theirs.get(&change.subject).is_none_or(|at| *at < change.at_unix_ms)
        };
        let missed = self.by_subject.values().filter(is_missed).cloned().collect();
        let news = known.into_iter().filter_map(|change| self.take(change, now).ok().flatten()).collect();
        (news, missed)
    }
}

fn too_many(full: &Full) -> CommandError {
    CommandError::new(ErrorCode::ClientError, full.to_string())
        .with("limit", Detail::Number(REVOCATIONS_MAX as u64))
}

impl fmt::Debug for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Refused").field("latest", &self.latest().by_subject.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Subject {
        Subject::User("ana".into())
    }

    fn change(at: u64, until: u64, is_refused: bool) -> Change {
        Change { subject: user(), at_unix_ms: at, until_unix_ms: until, is_refused }
    }

    fn told(until: Option<u64>) -> Option<Revocation> {
        Some(Revocation { subject: user(), until_unix_ms: until })
    }

    #[test]
    fn the_later_change_counts_in_whichever_order_they_are_heard() {
        let mut latest = Latest::default();
        assert_eq!(latest.take(change(5, 100, true), 10), Ok(told(Some(100))));
        assert_eq!(latest.take(change(4, 200, true), 10), Ok(None), "it is older");
        assert_eq!(latest.take(change(6, 100, true), 10), Ok(None), "nothing else follows from it");
        assert_eq!(latest.take(change(7, 100, false), 10), Ok(told(None)));
        assert_eq!(latest.take(change(6, 300, true), 10), Ok(None), "it was ended later");
        assert!(!latest.has(&user(), 11));
        assert_eq!(latest.take(change(8, 50, true), 50), Ok(None), "it is over");
    }

    #[test]
    fn an_end_matters_as_long_as_what_it_ends() {
        let mut latest = Latest::default();
        let refused = latest.decide(user(), Some(100), 10).unwrap();
        let ended = latest.decide(user(), None, 10).unwrap();
        assert!(ended.at_unix_ms > refused.at_unix_ms && ended.until_unix_ms == 100, "{ended:?}");
        assert_eq!(latest.take(refused, 10), Ok(None));
        let unknown = latest.decide(Subject::Token("t".into()), None, 10).unwrap();
        assert_eq!((unknown.until_unix_ms, latest.by_subject.len()), (0, 1));
    }

    #[test]
    fn who_was_apart_tells_what_is_later_and_hears_the_rest() {
        let mut here = Latest::default();
        for (name, at) in [("both", 1), ("later here", 9), ("only here", 1), ("later there", 1)] {
            let subject = Subject::User(name.into());
            here.take(Change { subject, ..change(at, 100, true) }, 0).unwrap();
        }
        let there =
            [("both", 1), ("later here", 1), ("later there", 9), ("only there", 1)].map(|(name, at)| {
                let is_refused = name != "later there";
                Change { subject: Subject::User(name.into()), ..change(at, 100, is_refused) }
            });
        let (news, missed) = here.compare(there.into(), 10);
        let name = |subject: &Subject| match subject {
            Subject::User(name) | Subject::Token(name) => name.to_string(),
        };
        let news: Vec<_> = news.iter().map(|it| (name(&it.subject), it.until_unix_ms)).collect();
        assert_eq!(news, [("later there".to_owned(), None), ("only there".to_owned(), Some(100))]);
        let mut missed: Vec<_> = missed.iter().map(|change| name(&change.subject)).collect();
        missed.sort();
        assert_eq!(missed, ["later here", "only here"]);
        assert!(here.has(&Subject::User("later here".into()), 10));
    }

    #[test]
    fn what_refuses_nobody_makes_room_for_what_does() {
        let mut latest = Latest::default();
        for number in 0..REVOCATIONS_MAX {
            let subject = Subject::Token(number.to_string().into());
            latest.take(Change { subject, ..change(1, 100, number > 0) }, 10).unwrap();
        }
        latest.take(change(1, 100, true), 10).unwrap();
        let one_more = Change { subject: Subject::User("ben".into()), ..change(1, 100, true) };
        assert_eq!(latest.take(one_more.clone(), 10), Err(Full));
        assert!(latest.take(one_more, 100).is_ok(), "the others are over");
    }
}
