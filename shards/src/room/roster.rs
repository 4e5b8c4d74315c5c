//! The users in a room, as its owner knows them: how many sockets each has there, and who is within the grace
//! of a lost connection.
//!
//! Sorted by user, so that pages are stable and a room of one costs one entry.

use std::sync::Arc;

/// One user in a room.
#[derive(Debug)]
struct Member {
    user: Arc<str>,
    /// Connections in the room, over all shards.
    sockets: u32,
    /// Whether the others were told that the user came, so that they must be told that it left.
    announced: bool,
    /// With no socket left: until when the user is still a member.
    gone_at_ms: u64,
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
#[derive(Debug, Default)]
pub struct Roster {
    members: Vec<Member>,
}

impl Roster {
    fn position(&self, user: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|member| (*member.user).cmp(user))
    }

    /// One more socket of a user. A forced membership is never announced.
    pub fn join(&mut self, user: &Arc<str>, forced: bool) -> Edge {
        match self.position(user) {
            Ok(at) => {
                self.members[at].sockets += 1;
                Edge::None
            }
            Err(at) => {
                let member = Member { user: Arc::clone(user), sockets: 1, announced: !forced, gone_at_ms: 0 };
                self.members.insert(at, member);
                if forced { Edge::None } else { Edge::Tell }
            }
        }
    }

    /// One socket less of a user. With `gone_at_ms` the connection was lost and the user stays until then.
    pub fn leave(&mut self, user: &str, gone_at_ms: Option<u64>) -> Edge {
        let Ok(at) = self.position(user) else { return Edge::None };
        let member = &mut self.members[at];
        member.sockets = member.sockets.saturating_sub(1);
        if member.sockets > 0 {
            return Edge::None;
        }
        if let Some(gone_at_ms) = gone_at_ms.filter(|_| member.announced) {
            member.gone_at_ms = gone_at_ms;
            return Edge::None;
        }
        if self.members.remove(at).announced { Edge::Tell } else { Edge::None }
    }

    /// Removes the users whose grace has passed, and gives each to `left`.
    pub fn expire(&mut self, now_ms: u64, mut left: impl FnMut(Arc<str>)) {
        self.members.retain(|member| {
            let gone = member.sockets == 0 && member.gone_at_ms <= now_ms;
            if gone {
                left(Arc::clone(&member.user));
            }
            !gone
        });
        if self.members.is_empty() {
            self.members = Vec::new();
        }
    }

    /// When the next grace ends.
    #[must_use]
    pub fn next_gone_ms(&self) -> Option<u64> {
        self.members.iter().filter(|member| member.sockets == 0).map(|member| member.gone_at_ms).min()
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

    /// Users with a socket in the room.
    #[must_use]
    pub fn online(&self) -> usize {
        self.members.iter().filter(|member| member.sockets > 0).count()
    }

    /// At most `limit` users behind `cursor` who have a socket in the room, in order, and whether there are more.
    #[must_use]
    pub fn page(&self, cursor: Option<&str>, limit: usize) -> (Vec<Arc<str>>, bool) {
        let start = cursor.map_or(0, |cursor| self.position(cursor).map_or_else(|at| at, |at| at + 1));
        let mut online = self.members[start..].iter().filter(|member| member.sockets > 0);
        let page: Vec<_> = online.by_ref().take(limit).map(|member| Arc::clone(&member.user)).collect();
        (page, online.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn edges_are_first_and_last_socket() {
        let mut roster = Roster::default();
        assert_eq!(roster.join(&user("a"), false), Edge::Tell);
        assert_eq!(roster.join(&user("a"), false), Edge::None);
        assert_eq!(roster.leave("a", None), Edge::None);
        assert_eq!(roster.leave("a", None), Edge::Tell);
        assert_eq!(roster.leave("a", None), Edge::None);
        assert!(roster.is_empty());
    }

    #[test]
    fn a_forced_membership_is_silent() {
        let mut roster = Roster::default();
        assert_eq!(roster.join(&user("a"), true), Edge::None);
        assert_eq!(roster.leave("a", Some(10)), Edge::None);
        assert!(roster.is_empty());
    }

    #[test]
    fn a_lost_connection_that_returns_was_never_gone() {
        let mut roster = Roster::default();
        roster.join(&user("a"), false);
        roster.join(&user("b"), false);
        assert_eq!(roster.leave("a", Some(10)), Edge::None);
        assert_eq!((roster.len(), roster.online(), roster.next_gone_ms()), (2, 1, Some(10)));
        assert_eq!(roster.join(&user("a"), false), Edge::None);
        roster.leave("b", Some(20));
        let mut left = Vec::new();
        roster.expire(19, |user| left.push(user));
        assert!(left.is_empty());
        roster.expire(20, |user| left.push(user));
        assert_eq!(left, [user("b")]);
    }

    #[test]
    fn pages_follow_the_cursor() {
        let mut roster = Roster::default();
        for name in ["c", "a", "d", "b"] {
            roster.join(&user(name), false);
        }
        assert_eq!(roster.page(None, 2), (vec![user("a"), user("b")], true));
        assert_eq!(roster.page(Some("b"), 2), (vec![user("c"), user("d")], false));
        assert_eq!(roster.page(Some("bb"), 9), (vec![user("c"), user("d")], false));
    }
}
