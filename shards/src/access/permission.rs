//! May they? Roles grant actions, room rules grant rooms; both must allow (protocol §3).
//!
//! Pure: decided from the claims alone, before the room's owner is asked, so that a refusal never tells whether
//! a room exists.

mod additions;
mod administration;

use std::num::NonZeroU64;
use std::sync::Arc;

use super::table::AccessTable;
use super::token::{Claims, UserType};
use crate::clock::moment;
use crate::protocol::catalog::{EVENTS, Event, RIGHTS};
use crate::room::name::{is_room_of, local, namespace, qualify, user_room};
use crate::room::pattern::Pattern;

pub use additions::Additions;

/// Who is at the other end of a connection, and what they may do. Names of users and rooms are those inside the gateway
/// ([`crate::room::name`]).
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's id.
    pub user: Arc<str>,
    /// Whether its rooms and users are in the namespace of its account.
    tenancy: bool,
    /// The role.
    pub user_type: UserType,
    /// The account, if any.
    pub account: Option<Arc<str>>,
    /// When the token ends; `None` for an anonymous connection.
    expires_unix_ms: Option<NonZeroU64>,
    /// What the token lists; most list nothing.
    lists: Option<Box<Lists>>,
    table: Arc<AccessTable>,
}

/// What a token lists.
#[derive(Debug, Clone, Default)]
struct Lists {
    /// The permissions as the token names them.
    permissions: Vec<String>,
    grants: Vec<Grant>,
    rooms: Vec<Arc<str>>,
    /// What a hook says besides, as the text of an object.
    claims: Option<Arc<str>>,
    /// The token's own id, within the account if there is tenancy.
    token: Option<Box<str>>,
}

/// One permission: an action and the rooms for which it is granted.
#[derive(Debug, Clone)]
struct Grant {
    action: Action,
    rooms: Rooms,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// `*`.
    Any,
    Named(&'static str),
}

#[derive(Debug, Clone)]
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

    /// Whether the action is granted by its own name.
    fn names(&self, action: &str) -> bool {
        matches!(self.action, Action::Named(name) if name == action)
    }

    fn covers(&self, action: &str) -> bool {
        match self.action {
            Action::Any => true,
            Action::Named(name) => name == action,
        }
    }
}

impl Identity {
    /// The identity that a token's claims describe, in a realm: the name of the Socket.IO namespace that it is for,
    /// else nothing. With `tenancy` it is in the namespace of its account besides, which users without one share.
    #[must_use]
    pub fn from_claims(claims: Claims, table: &Arc<AccessTable>, tenancy: bool, realm: &str) -> Self {
        let account: Option<Arc<str>> = claims.account_id.map(Into::into);
        let namespace = namespace_of(tenancy.then(|| account.as_deref().unwrap_or_default()), realm);
        let inside = |name: &str| -> Arc<str> { qualify(namespace.as_deref(), name).into() };
        let says_more = !claims.permissions.is_empty() || !claims.rooms.is_empty() || claims.jti.is_some();
        let within = tenancy.then(|| account.as_deref().unwrap_or_default());
        let lists = says_more.then(|| {
            Box::new(Lists {
                grants: claims.permissions.iter().filter_map(|text| Grant::parse(text)).collect(),
                permissions: claims.permissions,
                rooms: claims.rooms.iter().map(|room| inside(room)).collect(),
                claims: None,
                token: claims.jti.map(|jti| qualify(within, &jti).into()),
            })
        });
        Self {
            user: inside(&claims.sub),
            user_type: claims.user_type,
            account,
            expires_unix_ms: moment(claims.expires_unix_ms),
            lists,
            table: Arc::clone(table),
            tenancy,
        }
    }

    /// The anonymous employee of `--auth off`.
    #[must_use]
    pub fn anonymous(id: &str, table: &Arc<AccessTable>, tenancy: bool, realm: &str) -> Self {
        let namespace = namespace_of(tenancy.then_some(""), realm);
        Self {
            user: qualify(namespace.as_deref(), &format!("anon-{id}")).into(),
            user_type: UserType::Employee,
            account: None,
            expires_unix_ms: None,
            lists: None,
            table: Arc::clone(table),
            tenancy,
        }
    }

    /// The namespace of its rooms and users, if there are any.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        namespace(&self.user)
    }

    /// When the token ends; `None` for an anonymous connection.
    #[must_use]
    pub fn expires_unix_ms(&self) -> Option<u64> {
        self.expires_unix_ms.map(NonZeroU64::get)
    }

    /// The permissions as the token names them.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        self.lists.as_ref().map_or(&[], |lists| &lists.permissions)
    }

    /// Rooms of the token, joined on connecting.
    #[must_use]
    pub fn rooms(&self) -> &[Arc<str>] {
        self.lists.as_ref().map_or(&[], |lists| &lists.rooms)
    }

    fn grants(&self) -> &[Grant] {
        self.lists.as_ref().map_or(&[], |lists| &lists.grants)
    }

    /// Whether it has no token, and so no name of its own.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.expires_unix_ms.is_none()
    }

    /// The name inside the gateway of what this user calls so.
    #[must_use]
    pub fn qualify(&self, local: &str) -> String {
        qualify(self.namespace(), local).into_owned()
    }

    /// Whether the role or a permission grants the event at all, for some room.
    #[must_use]
    pub fn may(&self, event: Event) -> bool {
        let spec = event.spec();
        let granted = |name: &str| self.grants().iter().any(|grant| grant.covers(name));
        if self.tenancy && (spec.right.is_some() || event == Event::ConnectionStats) {
            // What concerns all accounts is for whoever runs the gateway, and not for a role within one of them.
            return self.grants().iter().any(|grant| grant.names("monitoring:read"));
        }
        self.table.role_may(self.user_type, event) || granted(spec.name) || spec.right.is_some_and(granted)
    }

    /// Whether the role or a permission lets the user send an event of that name to a backend, for a room if it is about
    /// one. An event that only a route knows is granted by its own name too, and by what else it is `called`: the patterns
    /// and the name of its route.
    pub fn may_forward<'a>(
        &self,
        event: Event,
        mut called: impl Iterator<Item = &'a str>,
        room: Option<&str>,
    ) -> bool {
        let matching = |pattern: &Pattern| room.is_some_and(|room| pattern.matches(local(room)));
        let covers = |grant: &Grant| match &grant.rooms {
            Rooms::All => true,
            Rooms::Matching(pattern) => matching(pattern),
        };
        let mut grants = self.grants().iter().filter(|grant| grant.covers(event.spec().name));
        let names = |permission: &str, name: &str| match permission.strip_prefix(name) {
            Some("") => true,
            Some(rest) => {
                let pattern = rest.strip_prefix(':').and_then(|rest| Pattern::parse(rest).ok());
                pattern.is_some_and(|pattern| matching(&pattern))
            }
            None => false,
        };
        self.table.role_may(self.user_type, event)
            || grants.any(covers)
            || (event == Event::Custom
                && called.any(|name| self.permissions().iter().any(|permission| names(permission, name))))
    }

    /// Whether a right that is no event is granted for a room.
    #[must_use]
    pub fn has_right(&self, right: &str, room: &str) -> bool {
        let room = local(room);
        let grants = |grant: &Grant| match &grant.rooms {
            Rooms::All => true,
            Rooms::Matching(pattern) => pattern.matches(room),
        };
        let mut covering = self.grants().iter().filter(|grant| grant.covers(right));
        self.user_type == UserType::Supervisor || covering.any(grants)
    }

    /// Whether the user may enter, and so read, a room; of a room that is private its owner decides.
    #[must_use]
    pub fn may_enter(&self, room: &str) -> bool {
        if namespace(room) != self.namespace() {
            return false;
        }
        let name = local(room);
        if name.starts_with("user:") {
            return is_room_of(room, &self.user);
        }
        if self.rooms().iter().any(|allowed| **allowed == *room) {
            return true;
        }
        if let Some(account) = name.strip_prefix("account:") {
            let own = self.account.as_deref() == Some(account);
            if self.tenancy {
                return own;
            }
            let guest = self.user_type == UserType::Guest;
            return own
                || self.user_type == UserType::Supervisor
                || self.granted(Event::RoomJoin, name, guest);
        }
        self.table.role_may_enter(self.user_type, name) || self.granted(Event::RoomJoin, name, false)
    }

    /// Whether the user may enter a private room without being named for it.
    #[must_use]
    pub fn is_entitled(&self, room: &str) -> bool {
        namespace(room) == self.namespace()
            && (self.user_type == UserType::Supervisor
                || self.rooms().iter().any(|allowed| **allowed == *room)
                || self.granted(Event::RoomJoin, local(room), false))
    }

    /// Whether the user may send to a room that it is not in: the dialect or a permission says so.
    #[must_use]
    pub fn may_send_from_outside(&self, room: &str, dialect_allows: bool) -> bool {
        (dialect_allows && self.may_enter(room)) || self.is_granted_sending(room)
    }

    /// Whether a permission that names rooms lets the user send there.
    #[must_use]
    pub fn is_granted_sending(&self, room: &str) -> bool {
        namespace(room) == self.namespace() && self.granted(Event::MessageSend, local(room), true)
    }

    /// Whether a permission alone lets the user send to another user.
    #[must_use]
    pub fn may_send_to_any(&self, user: &str) -> bool {
        let (room, user) = (user_room(user), local(user));
        let allowed = |grant: &Grant| {
            grant.covers("user:send")
                && match &grant.rooms {
                    Rooms::All => true,
                    Rooms::Matching(pattern) => pattern.matches(local(&room)) || pattern.matches(user),
                }
        };
        self.user_type == UserType::Supervisor || self.grants().iter().any(allowed)
    }

    /// Whether a permission grants the event for the room, as clients know it; `explicit` asks for one that names rooms.
    fn granted(&self, event: Event, room: &str, explicit: bool) -> bool {
        self.grants().iter().filter(|grant| grant.covers(event.spec().name)).any(|grant| match &grant.rooms {
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

/// The namespace of an account and a realm together; no account's name has a backslash.
fn namespace_of(account: Option<&str>, realm: &str) -> Option<String> {
    match (account, realm) {
        (None, "") => None,
        (None, realm) => Some(realm.to_owned()),
        (Some(account), "") => Some(account.to_owned()),
        (Some(account), realm) => Some(format!("{account}\\{realm}")),
    }
}

#[cfg(test)]
mod tests;
