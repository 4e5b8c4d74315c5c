//! The users in a room, as its owner knows them: which connections each has there, and who is within the grace
//! of a lost connection.
//!
//! Sorted by user, so that pages are stable and a room of one costs one entry.

use std::sync::Arc;

use thin_vec::ThinVec;

use crate::id::Offset;
use crate::protocol::command::Status;

pub use super::seats::Seat;
use super::seats::Seats;

/// One user in a room.
#[derive(Debug)]
struct Member {
    user: Arc<str>,
    /// Connections in the room, over all shards.
    seats: Seats,
    /// Whether the others were told that the user came, so that they must be told that it left.
    announced: bool,
    /// With no connection left: until when the user is still a member.
    gone_at_ms: u64,
    /// Whether the last connection that went was one of another node.
    gone_elsewhere: bool,
    /// When the user came.
    since_unix_ms: u64,
    /// Where the stream stood then.
    since_offset: Offset,
    /// What the user says of itself.
    status: Status,
}

/// What a change means to the other members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Nothing.
    None,
    /// The user came, or left.
    Tell,
}

/// The users in a room.
#[derive(Debug)]
pub struct Roster {
    members: ThinVec<Member>,
    /// No grace ends before; `u64::MAX` when none runs. With every message somebody asks, so that it is not looked for.
    next_gone_ms: u64,
}

impl Default for Roster {
    fn default() -> Self {
        Self { members: ThinVec::new(), next_gone_ms: u64::MAX }
    }
}

impl Roster {
    fn position(&self, user: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|member| (*member.user).cmp(user))
    }

    /// One more connection of a user. A forced membership is never announced.
    pub fn join(
        &mut self,
        user: &Arc<str>,
        seat: Seat,
        forced: bool,
        (since_unix_ms, since_offset): (u64, Offset),
    ) -> Edge {
        match self.position(user) {
            Ok(at) => {
                self.members[at].seats.push(seat);
                Edge::None
            }
            Err(at) => {
                let member = Member {
                    user: Arc::clone(user),
                    seats: Seats::of(seat),
                    announced: !forced,
                    gone_at_ms: 0,
                    gone_elsewhere: false,
                    since_unix_ms,
                    since_offset,
                    status: Status::Online,
                };
                if self.members.len() == self.members.capacity() {
                    // Most rooms are a user's own: a vector would make room for four. Larger ones grow by a quarter.
                    self.members.reserve_exact(self.members.len() / 4 + 1);
                }
                self.members.insert(at, member);
                if forced { Edge::None } else { Edge::Tell }
            }
        }
    }

    /// One connection less of a user, if it was here. With `gone_at_ms` it was lost and the user stays until then.
    pub fn leave(&mut self, user: &str, seat: Seat, gone_at_ms: Option<u64>) -> Option<Edge> {
        let at = self.position(user).ok()?;
        let member = &mut self.members[at];
        if !member.seats.remove(seat) {
            return None;
        }
        if !member.seats.is_empty() {
            return Some(Edge::None);
        }
        if let Some(gone_at_ms) = gone_at_ms.filter(|_| member.announced) {
            member.gone_at_ms = gone_at_ms;
            member.gone_elsewhere = !seat.is_here();
            self.next_gone_ms = self.next_gone_ms.min(gone_at_ms);
            return Some(Edge::None);
        }
        Some(if self.members.remove(at).announced { Edge::Tell } else { Edge::None })
    }

    /// A user says something else of itself.
    pub fn set_status(&mut self, user: &str, status: Status) {
        if let Ok(at) = self.position(user) {
            self.members[at].status = status;
        }
    }

    /// Whether the connection is in the room.
    #[must_use]
    pub fn has_seat(&self, user: &str, seat: Seat) -> bool {
        self.position(user).is_ok_and(|at| self.members[at].seats.contains(seat))
    }

    /// Whether the user has a connection in the room.
    #[must_use]
    pub fn is_present(&self, user: &str) -> bool {
        self.position(user).is_ok_and(|at| !self.members[at].seats.is_empty())
    }

    /// Connections that a user has in the room, of those that are wanted.
    #[must_use]
    pub fn seats(&self, user: &str, wanted: impl Fn(&Seat) -> bool) -> usize {
        self.position(user).map_or(0, |at| self.members[at].seats.iter().filter(|seat| wanted(seat)).count())
    }

    /// The users who have a connection that is wanted.
    #[must_use]
    pub fn users_where(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<Arc<str>> {
        let has = |member: &&Member| member.seats.iter().any(&wanted);
        self.members.iter().filter(has).map(|member| Arc::clone(&member.user)).collect()
    }

    /// All connections in the room, each with its user.
    pub fn seated(&self) -> impl Iterator<Item = (&Arc<str>, Seat)> {
        self.members.iter().flat_map(|member| member.seats.iter().map(|seat| (&member.user, *seat)))
    }

    /// What a user says of itself.
    #[must_use]
    pub fn status(&self, user: &str) -> Option<Status> {
        Some(self.members[self.position(user).ok()?].status)
    }

    /// Since when the user is in the room, and where the stream stood then.
    #[must_use]
    pub fn since(&self, user: &str) -> Option<(u64, Offset)> {
        let member = &self.members[self.position(user).ok()?];
        Some((member.since_unix_ms, member.since_offset))
    }

    /// Removes those who are only within the grace of a lost connection.
    pub fn end_graces(&mut self) {
        self.members.retain(|member| !member.seats.is_empty());
        self.next_gone_ms = u64::MAX;
    }

    /// Removes the users whose grace has passed, and gives each to `left`, with whether another node had it last.
    pub fn expire(&mut self, now_ms: u64, mut left: impl FnMut(Arc<str>, bool)) {
        if self.next_gone_ms <= now_ms {
            self.members.retain(|member| {
                let gone = member.seats.is_empty() && member.gone_at_ms <= now_ms;
                if gone {
                    left(Arc::clone(&member.user), member.gone_elsewhere);
                }
                !gone
            });
            let running = self.members.iter().filter(|member| member.seats.is_empty());
            self.next_gone_ms = running.map(|member| member.gone_at_ms).min().unwrap_or(u64::MAX);
        }
        if self.members.is_empty() {
            self.members = ThinVec::new();
        }
    }

    /// When the next grace ends, if not before: that of a user who came back meanwhile counts until it would have.
    #[must_use]
    pub fn next_gone_ms(&self) -> Option<u64> {
        (self.next_gone_ms < u64::MAX).then_some(self.next_gone_ms)
    }

    /// Whether the user is in the room.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.position(user).is_ok()
    }

    /// Users in the room, those within their grace included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in the room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Users with a connection in the room.
    #[must_use]
    pub fn online(&self) -> usize {
        self.members.iter().filter(|member| !member.seats.is_empty()).count()
    }

    /// At most `limit` users behind `cursor` who are to be seen in the room, in order, and whether there are more.
    #[must_use]
    pub fn page(&self, cursor: Option<&str>, limit: usize) -> (Vec<(Arc<str>, Status)>, bool) {
        let start = cursor.map_or(0, |cursor| self.position(cursor).map_or_else(|at| at, |at| at + 1));
        let mut seen = self.members[start..].iter().filter(|member| member.is_seen());
        let page =
            seen.by_ref().take(limit).map(|member| (Arc::clone(&member.user), member.status)).collect();
        (page, seen.next().is_some())
    }

    /// Users who are to be seen in the room.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.members.iter().filter(|member| member.is_seen()).count()
    }
}

impl Member {
    /// Whether it has a connection in the room and does not say to be offline.
    fn is_seen(&self) -> bool {
        !self.seats.is_empty() && self.status != Status::Offline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ShardId;

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    const ONE: Seat = Seat { shard: ShardId(0), number: 1 };
    const TWO: Seat = Seat { shard: ShardId(1), number: 1 };

    fn join(roster: &mut Roster, name: &str, seat: Seat, forced: bool) -> Edge {
        roster.join(&user(name), seat, forced, (0, 0))
    }

    #[test]
    fn edges_are_first_and_last_connection() {
        let mut roster = Roster::default();
        assert_eq!(join(&mut roster, "a", ONE, false), Edge::Tell);
        assert_eq!(join(&mut roster, "a", TWO, false), Edge::None);
        assert_eq!(roster.leave("a", ONE, None), Some(Edge::None));
        assert_eq!(roster.leave("a", ONE, None), None, "it had left already");
        assert_eq!(roster.leave("a", TWO, None), Some(Edge::Tell));
        assert_eq!(roster.leave("a", TWO, None), None);
        assert!(roster.is_empty());
    }

    #[test]
    fn a_forced_membership_is_silent() {
        let mut roster = Roster::default();
        assert_eq!(join(&mut roster, "a", ONE, true), Edge::None);
        assert_eq!(roster.leave("a", ONE, Some(10)), Some(Edge::None));
        assert!(roster.is_empty());
    }

    #[test]
    fn a_lost_connection_that_returns_was_never_gone() {
        let mut roster = Roster::default();
        join(&mut roster, "a", ONE, false);
        join(&mut roster, "b", ONE, false);
        assert_eq!(roster.leave("a", ONE, Some(10)), Some(Edge::None));
        assert_eq!((roster.len(), roster.online(), roster.next_gone_ms()), (2, 1, Some(10)));
        assert_eq!(join(&mut roster, "a", TWO, false), Edge::None);
        roster.leave("b", ONE, Some(20));
        let mut left = Vec::new();
        roster.expire(19, |user, _| left.push(user));
        assert!(left.is_empty());
        roster.expire(20, |user, _| left.push(user));
        assert_eq!(left, [user("b")]);
    }

    #[test]
    fn the_next_grace_is_known_without_looking_for_it() {
        let mut roster = Roster::default();
        for (name, gone_at_ms) in [("a", 10), ("b", 30), ("c", 20)] {
            join(&mut roster, name, ONE, false);
            roster.leave(name, ONE, Some(gone_at_ms));
        }
        join(&mut roster, "a", ONE, false);
        roster.expire(10, |user, _| panic!("{user} is not gone"));
        assert_eq!(roster.next_gone_ms(), Some(20));
        let mut left = Vec::new();
        roster.expire(20, |user, _| left.push(user));
        assert_eq!((left, roster.next_gone_ms()), (vec![user("c")], Some(30)));
        roster.end_graces();
        assert_eq!((roster.len(), roster.next_gone_ms()), (1, None));
    }

    #[test]
    fn pages_follow_the_cursor() {
        let mut roster = Roster::default();
        for name in ["c", "a", "d", "b"] {
            join(&mut roster, name, ONE, false);
        }
        let page = |roster: &Roster, cursor, limit| {
            let (users, more) = roster.page(cursor, limit);
            (users.iter().map(|(user, _)| user.to_string()).collect::<Vec<_>>(), more)
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(page(&roster, None, 2), (names(&["a", "b"]), true));
        assert_eq!(page(&roster, Some("b"), 2), (names(&["c", "d"]), false));
        assert_eq!(page(&roster, Some("bb"), 9), (names(&["c", "d"]), false));
        roster.set_status("c", Status::Offline);
        roster.set_status("d", Status::Away);
        assert_eq!(roster.page(Some("b"), 9), (vec![(user("d"), Status::Away)], false));
        assert_eq!((roster.seen(), roster.online()), (3, 4));
    }
}
