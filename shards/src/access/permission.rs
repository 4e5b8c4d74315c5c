//! May they? Roles grant actions, room rules grant rooms; both must allow (protocol §3).
//!
//! Pure: decided from the claims alone, before the room's owner is asked, so that a refusal never tells whether
//! a room exists.

use std::sync::Arc;

use super::token::{Claims, UserType};
use crate::protocol::catalog::{EVENTS, Event, RIGHTS};
use crate::room::pattern::Pattern;

/// Who is at the other end of a connection, and what they may do.
#[derive(Debug)]
pub struct Identity {
    /// The user's id.
    pub user: Arc<str>,
    /// The role.
    pub user_type: UserType,
    /// The account, if any.
    pub account: Option<Arc<str>>,
    /// The permissions as the token names them.
    pub permissions: Vec<String>,
    /// Rooms of the token, joined on connecting.
    pub rooms: Vec<Arc<str>>,
    /// When the token ends; `None` for an anonymous connection.
    pub expires_unix_ms: Option<u64>,
    grants: Vec<Grant>,
}

/// One permission: an action and the rooms for which it is granted.
#[derive(Debug)]
struct Grant {
    action: Action,
    rooms: Rooms,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// `*`.
    Any,
    Named(&'static str),
}

#[derive(Debug)]
enum Rooms {
    All,
    Matching(Pattern),
}

impl Grant {
    /// Reads `event[:pattern]`: the longest known name first; what is no grant grants nothing.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { action: Action::Any, rooms: Rooms::All });
        }
        let names = EVENTS.iter().map(|spec| spec.name).chain(RIGHTS);
        let is_prefix = |name: &&str| {
            text.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let name = names.filter(is_prefix).max_by_key(|name| name.len())?;
        let rooms = match text[name.len()..].strip_prefix(':') {
            None => Rooms::All,
            Some(pattern) => Rooms::Matching(Pattern::parse(pattern).ok()?),
        };
        Some(Self { action: Action::Named(name), rooms })
    }

    fn covers(&self, action: &str) -> bool {
        match self.action {
            Action::Any => true,
            Action::Named(name) => name == action,
        }
    }
}

impl Identity {
    /// The identity that a token's claims describe.
    #[must_use]
    pub fn from_claims(claims: Claims) -> Self {
        let grants = claims.permissions.iter().filter_map(|text| Grant::parse(text)).collect();
        Self {
            user: claims.sub.into(),
            user_type: claims.user_type,
            account: claims.account_id.map(Into::into),
            rooms: claims.rooms.into_iter().map(Into::into).collect(),
            permissions: claims.permissions,
            expires_unix_ms: Some(claims.expires_unix_ms),
            grants,
        }
    }

    /// The anonymous employee of `--auth off`.
    #[must_use]
    pub fn anonymous(id: &str) -> Self {
        Self {
            user: format!("anon-{id}").into(),
            user_type: UserType::Employee,
            account: None,
            permissions: Vec::new(),
            rooms: Vec::new(),
            expires_unix_ms: None,
            grants: Vec::new(),
        }
    }

    /// Whether the role or a permission grants the event at all, for some room.
    #[must_use]
    pub fn may(&self, event: Event) -> bool {
        let spec = event.spec();
        let by_role = match self.user_type {
            UserType::Supervisor | UserType::Employee => true,
            UserType::Guest => spec.guest,
        };
        by_role || self.grants.iter().any(|grant| grant.covers(spec.name))
    }

    /// Whether a right that is no event is granted for a room.
    #[must_use]
    pub fn has_right(&self, right: &str, room: &str) -> bool {
        let grants = |grant: &Grant| match &grant.rooms {
            Rooms::All => true,
            Rooms::Matching(pattern) => pattern.matches(room),
        };
        let mut covering = self.grants.iter().filter(|grant| grant.covers(right));
        self.user_type == UserType::Supervisor || covering.any(grants)
    }

    /// Whether the user may enter, and so read, a room.
    #[must_use]
    pub fn may_enter(&self, room: &str) -> bool {
        if let Some(owner) = room.strip_prefix("user:") {
            return *owner == *self.user;
        }
        if self.rooms.iter().any(|allowed| **allowed == *room) {
            return true;
        }
        let guest = self.user_type == UserType::Guest;
        if let Some(account) = room.strip_prefix("account:") {
            let own = self.account.as_deref() == Some(account);
            return own
                || self.user_type == UserType::Supervisor
                || self.granted(Event::RoomJoin, room, guest);
        }
        !guest || self.granted(Event::RoomJoin, room, false)
    }

    /// Whether the user may send to a room that it is not in: the dialect or a permission says so.
    #[must_use]
    pub fn may_send_from_outside(&self, room: &str, dialect_allows: bool) -> bool {
        (dialect_allows && self.may_enter(room)) || self.granted(Event::MessageSend, room, true)
    }

    /// Whether a permission alone lets the user send to another user.
    #[must_use]
    pub fn may_send_to_any(&self, user: &str) -> bool {
        let room = format!("user:{user}");
        let allowed = |grant: &Grant| {
            grant.covers("user:send")
                && match &grant.rooms {
                    Rooms::All => true,
                    Rooms::Matching(pattern) => pattern.matches(&room) || pattern.matches(user),
                }
        };
        self.user_type == UserType::Supervisor || self.grants.iter().any(allowed)
    }

    /// Whether a permission grants the event for the room; `explicit` asks for one that names rooms.
    fn granted(&self, event: Event, room: &str, explicit: bool) -> bool {
        self.grants.iter().filter(|grant| grant.covers(event.spec().name)).any(|grant| match &grant.rooms {
            Rooms::All => !explicit,
            Rooms::Matching(pattern) => pattern.matches(room) && self.opens(pattern, room),
        })
    }

    /// Whether a pattern that matches means the room: nobody opens a user's room, and no guest an account's, by a
    /// wildcard that stands for any room.
    fn opens(&self, pattern: &Pattern, room: &str) -> bool {
        let guest = self.user_type == UserType::Guest;
        let closed = ["user:", "account:"].into_iter().find(|kind| room.starts_with(kind));
        closed.is_none_or(|kind| (!guest && kind == "account:") || pattern.as_str().starts_with(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user_type: UserType, permissions: &[&str]) -> Identity {
        Identity::from_claims(Claims {
            sub: "alice".to_owned(),
            expires_unix_ms: 0,
            user_type,
            account_id: Some("7".to_owned()),
            permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
            rooms: vec!["team.a".to_owned(), "user:bob".to_owned()],
            jti: None,
        })
    }

    #[test]
    fn nobody_enters_the_room_of_another_user() {
        for role in [UserType::Guest, UserType::Employee, UserType::Supervisor] {
            let identity = identity(role, &["*", "room:join:user:*"]);
            assert!(identity.may_enter("user:alice"));
            assert!(!identity.may_enter("user:bob"));
        }
    }

    #[test]
    fn a_guest_enters_what_its_token_names() {
        let guest = identity(UserType::Guest, &["room:join:lobby.*"]);
        assert!(guest.may_enter("team.a") && guest.may_enter("lobby.1") && guest.may_enter("account:7"));
        assert!(!guest.may_enter("lobby:1") && !guest.may_enter("other") && !guest.may_enter("account:8"));
        assert!(!guest.may_enter("presence:global"));
        let guest = identity(UserType::Guest, &["*"]);
        assert!(guest.may_enter("other") && !guest.may_enter("account:8"));
    }

    #[test]
    fn a_supervisor_enters_any_account() {
        assert!(identity(UserType::Supervisor, &[]).may_enter("account:8"));
        assert!(!identity(UserType::Employee, &[]).may_enter("account:8"));
        assert!(identity(UserType::Employee, &["room:join:account:*"]).may_enter("account:8"));
    }

    #[test]
    fn the_longest_event_name_of_a_permission_counts() {
        let guest = identity(UserType::Guest, &["message:send-as"]);
        assert!(guest.has_right("message:send-as", "any"));
        let scoped = identity(UserType::Employee, &["message:send-as:bots.*"]);
        assert!(
            scoped.has_right("message:send-as", "bots.a") && !scoped.has_right("message:send-as", "team.a")
        );
        assert!(!guest.may(Event::RoomHistory));
        assert!(identity(UserType::Guest, &["room:history:team.*"]).may(Event::RoomHistory));
    }

    #[test]
    fn sending_from_outside_needs_a_pattern_or_the_dialect() {
        let employee = identity(UserType::Employee, &["message:send", "*"]);
        assert!(!employee.may_send_from_outside("lobby", false));
        assert!(employee.may_send_from_outside("lobby", true));
        assert!(!employee.may_send_from_outside("user:bob", true));
        let employee = identity(UserType::Employee, &["message:send:lobby"]);
        assert!(employee.may_send_from_outside("lobby", false));
        for role in [UserType::Guest, UserType::Employee] {
            assert!(!identity(role, &["message:send:**"]).may_send_from_outside("user:bob", false));
            assert!(identity(role, &["message:send:user:*"]).may_send_from_outside("user:bob", false));
        }
    }
}
