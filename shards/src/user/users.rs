//! The users that a shard owns: their sockets, rooms, statuses and sessions.

mod saved;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use thin_vec::ThinVec;

use super::presence::{Change, Presence};
use super::rooms::Rooms;
use super::session::{Claim, Holder, SESSIONS_MAX, Session};
use crate::access::limits::{Bucket, SharedBucket};
use crate::alarm::Alarm;
use crate::clock::Now;
use crate::id::SessionId;
use crate::protocol::command::Status;
use crate::protocol::push::{PresenceChange, Shared};
use crate::protocol::reply::{Presence as Shown, PresenceCounts};
use crate::room::name::namespace;

/// Users without a socket whose last seen time a process remembers.
pub const ABSENT_MAX: usize = 65_536;

/// One user.
#[derive(Debug)]
pub struct User {
    name: Arc<str>,
    /// The account, as its latest token says.
    pub account: Option<Arc<str>>,
    /// Whether it has no name of its own and so never comes back.
    pub anonymous: bool,
    /// Whether the last socket that went was another node's, which is the one to tell what becomes of the user.
    pub went_elsewhere: bool,
    /// Rate of messages, which all of its connections take from.
    pub messages: Arc<SharedBucket>,
    /// Rate of status updates.
    pub updates: Bucket,
    /// Whether it is there.
    pub presence: Presence,
    /// Rooms that its connections have chosen to be in.
    rooms: Rooms,
    /// What it can resume.
    pub sessions: ThinVec<Session>,
    /// When its timer fires.
    pub alarm: Alarm,
    /// When it is forgotten, once nothing of it is left but when it was last seen.
    forget_ms: u64,
}

/// Who looks at users: they are visible to those who share a room or an account with them.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Who.
    pub user: Arc<str>,
    /// Its account.
    pub account: Option<Arc<str>>,
    /// Its rooms, sorted.
    pub rooms: Arc<[Arc<str>]>,
}

/// All users of a shard, by name.
#[derive(Debug, Default)]
pub struct Users {
    /// Boxed, because a tree keeps room for many in each of its nodes.
    by_name: BTreeMap<Arc<str>, Box<User>>,
    /// Users of whom nothing is left but when they were last seen, in the order in which they went; stale entries of
    /// those who came back are among them.
    idle: VecDeque<Arc<str>>,
}

impl User {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            account: None,
            anonymous: false,
            went_elsewhere: false,
            messages: Arc::default(),
            updates: Bucket::default(),
            presence: Presence::default(),
            rooms: Rooms::default(),
            sessions: ThinVec::new(),
            alarm: Alarm::default(),
            forget_ms: 0,
        }
    }

    /// One of its connections entered a room; whether it was in none of it before.
    pub fn enter(&mut self, room: &Arc<str>) -> bool {
        self.rooms.enter(room)
    }

    /// One of its connections left a room. When it was lost, the user still counts as one of the room's for the grace:
    /// then it is seen to go, or not to have gone.
    pub fn leave(&mut self, room: &str, grace_ms: Option<u64>, now: Now) {
        let grace_ms = grace_ms.filter(|grace_ms| *grace_ms > 0 && self.presence.is_there());
        self.rooms.leave(room, grace_ms.map(|grace_ms| now.ms + grace_ms));
    }

    /// Forgets the rooms that it lost and did not come back to.
    pub fn expire_rooms(&mut self, now: Now) {
        self.rooms.expire(now.ms);
    }

    /// The rooms that its connections have chosen to be in.
    pub fn rooms(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rooms.iter()
    }

    /// Whether one of its connections has chosen to be in a room.
    #[must_use]
    pub fn is_in(&self, room: &str) -> bool {
        self.rooms().any(|known| **known == *room)
    }

    /// Whether somebody may see it.
    #[must_use]
    pub fn is_visible_to(&self, viewer: &Viewer) -> bool {
        let account = self.account.is_some() && self.account == viewer.account;
        (account && namespace(&self.name) == namespace(&viewer.user))
            || self.name == viewer.user
            || self.rooms().any(|room| viewer.rooms.binary_search(room).is_ok())
    }

    /// Its presence as others see it.
    #[must_use]
    pub fn shown(&self, now: Now) -> Shown {
        let status = self.presence.status();
        Shown {
            user: Arc::clone(&self.name),
            status,
            text: self.presence.text().map(Into::into),
            last_seen_unix_ms: Some(self.presence.last_seen_unix_ms(now)),
            devices: if status == Status::Offline { 0 } else { self.presence.devices() },
        }
    }

    /// What watchers are told of a change.
    #[must_use]
    pub fn change(&self, change: Change, now: Now) -> PresenceChange {
        PresenceChange {
            user: Arc::clone(&self.name),
            account: self.account.clone(),
            rooms: self.rooms().cloned().collect(),
            status: self.presence.status(),
            text: self.presence.text().map(Into::into),
            last_seen_unix_ms: self.presence.last_seen_unix_ms(now),
            edge: change == Change::Edge,
            told: None,
        }
    }

    /// What those are told who see the user only now that it is in a room; nobody, if it is not to be seen.
    #[must_use]
    pub fn appearance(&self, room: &Arc<str>, now: Now) -> Option<PresenceChange> {
        if self.presence.status() == Status::Offline {
            return None;
        }
        let others = self.rooms().filter(|known| *known != room);
        let told = Shared { account: self.account.clone(), rooms: others.cloned().collect() };
        Some(PresenceChange {
            account: None,
            rooms: [Arc::clone(room)].into(),
            told: Some(told),
            ..self.change(Change::Edge, now)
        })
    }

    /// A session of it.
    pub fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    /// Opens a session, or takes it over; the session that had to go for it, whose claims are yet to be answered.
    pub fn hold(&mut self, id: SessionId, holder: Holder) -> Option<Session> {
        if let Some(session) = self.session(id) {
            session.holder = holder;
            return None;
        }
        let dropped = if self.sessions.len() >= SESSIONS_MAX { self.drop_session() } else { None };
        self.sessions.push(Session::new(id, holder));
        dropped
    }

    /// Forgets a session; who waited for it.
    pub fn close_session(&mut self, id: SessionId) -> Vec<Claim> {
        let at = self.sessions.iter().position(|session| session.id == id);
        at.map(|at| self.sessions.remove(at).claims).unwrap_or_default()
    }

    /// Drops the first session without a connection; else the first that nobody waits for; else the first.
    fn drop_session(&mut self) -> Option<Session> {
        let worth = |session: &Session| match session.holder {
            Holder::Parked { .. } => 0,
            Holder::Live(..) if session.claims.is_empty() => 1,
            Holder::Live(..) => 2,
        };
        let (at, _) = self.sessions.iter().enumerate().min_by_key(|(_, session)| worth(session))?;
        Some(self.sessions.remove(at))
    }

    /// Drops the sessions whose time is over.
    pub fn expire_sessions(&mut self, now: Now) {
        self.sessions.retain(|session| match session.holder {
            Holder::Parked { until_ms, .. } => until_ms > now.ms,
            Holder::Live(..) => true,
        });
    }

    /// Whether nothing is left of it but when it was last seen.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.presence.is_there() && self.sessions.is_empty()
    }

    /// When something is due for it.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        let parked = |session: &Session| match session.holder {
            Holder::Parked { until_ms, .. } => Some(until_ms),
            Holder::Live(..) => None,
        };
        let forget_ms = self.is_idle().then_some(self.forget_ms);
        let sessions = self.sessions.iter().filter_map(parked);
        sessions.chain(self.presence.next_due_ms()).chain(self.rooms.next_due_ms()).chain(forget_ms).min()
    }
}

impl Users {
    /// A user who is known.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut User> {
        self.by_name.get_mut(name).map(|user| &mut **user)
    }

    /// A user who is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name).map(|user| &**user)
    }

    /// A user, new if it was not known.
    pub fn entry(&mut self, name: &Arc<str>) -> &mut User {
        self.by_name.entry(Arc::clone(name)).or_insert_with(|| Box::new(User::new(Arc::clone(name))))
    }

    /// Notes that perhaps nothing is left of a user but when it was last seen: forgets it after `ttl_ms`, and the
    /// first of too many at once.
    pub fn note_idle(&mut self, name: &Arc<str>, ttl_ms: u64, users_max: usize, now: Now) {
        let Some(user) = self.by_name.get_mut(name).filter(|user| user.is_idle()) else { return };
        user.forget_ms = now.ms + ttl_ms;
        if ttl_ms == 0 {
            self.by_name.remove(name);
            return;
        }
        self.idle.push_back(Arc::clone(name));
        while self.idle.len() > users_max {
            let Some(oldest) = self.idle.pop_front() else { break };
            if self.by_name.get(&oldest).is_some_and(|user| user.is_idle()) {
                self.by_name.remove(&oldest);
            }
        }
    }

    /// Forgets a user of whom nothing is left, if its time is over.
    pub fn forget(&mut self, name: &str, now: Now) {
        if self.by_name.get(name).is_some_and(|user| user.is_idle() && user.forget_ms <= now.ms) {
            self.by_name.remove(name);
        }
        // Those at the front are the oldest; what is gone or back again need not stand there.
        while self.idle.front().is_some_and(|name| self.by_name.get(name).is_none_or(|user| !user.is_idle()))
        {
            self.idle.pop_front();
        }
    }

    /// At most `limit` users behind `cursor` who are online and visible, in order; how many there are in all.
    #[must_use]
    pub fn page(&self, viewer: &Viewer, cursor: Option<&str>, limit: usize, now: Now) -> (Vec<Shown>, usize) {
        let online = |user: &&User| user.presence.status() != Status::Offline && user.is_visible_to(viewer);
        let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.by_name.range::<str, _>((start, Bound::Unbounded)).map(|(_, user)| &**user);
        let page = behind.filter(online).take(limit).map(|user| user.shown(now)).collect();
        (page, self.by_name.values().map(|user| &**user).filter(online).count())
    }

    /// The visible users who are online, by status.
    #[must_use]
    pub fn counts(&self, viewer: &Viewer) -> PresenceCounts {
        let mut counts = PresenceCounts::default();
        for user in self.by_name.values().filter(|user| user.is_visible_to(viewer)) {
            let status = user.presence.status();
            counts.by_status[status as usize] += 1;
            if status != Status::Offline {
                counts.devices += user.presence.devices();
            }
        }
        counts
    }

    /// Sessions that can be resumed, and those of them without a connection.
    #[must_use]
    pub fn sessions(&self) -> (u64, u64) {
        let sessions = || self.by_name.values().flat_map(|user| &user.sessions);
        let parked = sessions().filter(|session| matches!(session.holder, Holder::Parked { .. })).count();
        (sessions().count() as u64, parked as u64)
    }

    /// Users who are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.by_name.values().filter(|user| user.presence.is_there()).count()
    }

    /// Whether nothing is left of anybody but when they were last seen.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.by_name.values().all(|user| user.is_idle())
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::Claim;
    use super::*;
    use crate::id::{ConnectionId, ShardId};
    use crate::mesh::item::{Caller, ReplyTo};
    use crate::room::roster::Seat;
    use crate::user::progress::Progress;

    const NOW: Now = Now { ms: 0, unix_ms: 0 };

    fn viewer(account: Option<&str>, rooms: &[&str]) -> Viewer {
        let rooms = rooms.iter().map(|room| (*room).into()).collect();
        Viewer { user: "me".into(), account: account.map(Into::into), rooms }
    }

    fn online(users: &mut Users, name: &str, account: Option<&str>, room: &str) {
        let user = users.entry(&name.into());
        user.account = account.map(Into::into);
        user.enter(&room.into());
        user.presence.connect(Seat { shard: ShardId(0), number: 1 }, NOW);
    }

    fn names(users: &Users, viewer: &Viewer, cursor: Option<&str>, limit: usize) -> (Vec<String>, usize) {
        let (page, total) = users.page(viewer, cursor, limit, NOW);
        (page.iter().map(|user| user.user.to_string()).collect(), total)
    }

    #[test]
    fn only_those_who_share_something_are_seen() {
        let mut users = Users::default();
        online(&mut users, "a", Some("7"), "x");
        online(&mut users, "b", None, "y");
        online(&mut users, "c", Some("8"), "z");
        assert_eq!(names(&users, &viewer(Some("7"), &["y"]), None, 9), (vec!["a".into(), "b".into()], 2));
        assert_eq!(names(&users, &viewer(Some("7"), &["y"]), Some("a"), 9), (vec!["b".into()], 2));
        assert_eq!(names(&users, &viewer(None, &[]), None, 9), (vec![], 0), "no account is no common one");
        assert_eq!(users.counts(&viewer(None, &["x", "y", "z"])).by_status[0], 3);
        users.get_mut("b").expect("known").leave("y", None, NOW);
        assert_eq!(names(&users, &viewer(None, &["y"]), None, 9), (vec![], 0));
    }

    #[test]
    fn a_room_that_is_lost_goes_in_time_whatever_else_is_lost() {
        let mut users = Users::default();
        online(&mut users, "a", None, "first");
        let user = users.get_mut("a").expect("known");
        user.leave("first", Some(100), NOW);
        for ms in 1..=100 {
            user.enter(&"other".into());
            user.leave("other", Some(100), Now { ms, unix_ms: 0 });
        }
        user.expire_rooms(Now { ms: 100, unix_ms: 0 });
        assert_eq!(user.rooms().map(|room| &**room).collect::<Vec<_>>(), ["other"]);
        assert_eq!(user.next_due_ms(), Some(200));
    }

    #[test]
    fn who_is_idle_is_forgotten_in_time_and_in_number() {
        let mut users = Users::default();
        for name in ["a", "b", "c"] {
            let name: Arc<str> = name.into();
            users.entry(&name);
            users.note_idle(&name, 100, 2, NOW);
        }
        assert!(users.get("a").is_none() && users.get("b").is_some());
        users.forget("b", Now { ms: 99, unix_ms: 0 });
        assert!(users.get("b").is_some());
        users.forget("b", Now { ms: 100, unix_ms: 0 });
        assert!(users.get("b").is_none());
    }

    #[test]
    fn sessions_of_a_user_are_bounded() {
        let mut users = Users::default();
        let user = users.entry(&"a".into());
        for number in 0..SESSIONS_MAX as u64 {
            assert!(
                user.hold(
                    SessionId(number),
                    Holder::Parked { until_ms: 9, progress: Progress::of([].into()) }
                )
                .is_none()
            );
        }
        let dropped =
            user.hold(SessionId(99), Holder::Parked { until_ms: 5, progress: Progress::of([].into()) });
        assert_eq!(dropped.map(|session| session.id), Some(SessionId(0)));
        assert!(user.session(SessionId(0)).is_none() && user.session(SessionId(99)).is_some());
        assert_eq!(user.next_due_ms(), Some(5));
        user.expire_sessions(Now { ms: 5, unix_ms: 0 });
        assert_eq!(user.sessions.len(), SESSIONS_MAX - 1);
    }

    #[test]
    fn a_session_that_nobody_waits_for_goes_first() {
        let connection = ConnectionId { slot: 0, generation: 0 };
        let live = |number: u64, claimed: bool| {
            let caller = Caller { connection, reply: ReplyTo::Nobody };
            let claims = claimed.then_some(Claim { shard: ShardId(0), caller }).into_iter().collect();
            Session { claims, ..Session::new(SessionId(number), Holder::Live(ShardId(0), connection)) }
        };
        let mut users = Users::default();
        let user = users.entry(&"a".into());
        user.sessions = (0..SESSIONS_MAX as u64).map(|number| live(number, number != 3)).collect();
        let mut dropped = |number: u64, holder: Holder| {
            user.hold(SessionId(number), holder).map(|session| (session.id.0, session.claims.len()))
        };
        assert_eq!(
            dropped(99, Holder::Parked { until_ms: 9, progress: Progress::of([].into()) }),
            Some((3, 0))
        );
        assert_eq!(dropped(98, live(98, false).holder), Some((99, 0)), "a parked one");
        user.sessions.pop();
        user.sessions.push(live(97, true));
        let dropped = user.hold(SessionId(96), live(96, false).holder).expect("there were too many");
        assert_eq!((dropped.id.0, dropped.claims.len()), (0, 1));
    }
}
