//! Names of rooms and users inside the gateway: what clients call them, and the namespace that they are in.
//!
//! With `--tenancy account` two accounts may use one name for different things. So every name carries its account in
//! front inside the gateway, with a space between, which no client's name has: `7 lobby`, `7 user:alice`, and the user
//! `7 alice`. What leaves the gateway is written without it (`protocol::write::name`). Without tenancy names are as
//! clients know them.

use std::borrow::Cow;

/// Between the namespace and the name.
const SEPARATOR: char = ' ';
const USER: &str = "user:";
const ACCOUNT: &str = "account:";

/// The name that `local` has inside a namespace.
#[must_use]
pub fn qualify<'a>(namespace: Option<&str>, local: &'a str) -> Cow<'a, str> {
    match namespace {
        None => Cow::Borrowed(local),
        Some(namespace) => Cow::Owned(format!("{namespace}{SEPARATOR}{local}")),
    }
}

/// The name as clients know it.
#[must_use]
pub fn local(name: &str) -> &str {
    split(name).1
}

/// The namespace, if there are any.
#[must_use]
pub fn namespace(name: &str) -> Option<&str> {
    split(name).0
}

fn split(name: &str) -> (Option<&str>, &str) {
    match memchr::memchr(b' ', name.as_bytes()) {
        Some(at) => (Some(&name[..at]), &name[at + 1..]),
        None => (None, name),
    }
}

/// The own room of a user.
#[must_use]
pub fn user_room(user: &str) -> String {
    let (namespace, local) = split(user);
    qualify(namespace, &format!("{USER}{local}")).into_owned()
}

/// The user whose own room it is, if it is one.
#[must_use]
pub fn user_of(room: &str) -> Option<Cow<'_, str>> {
    let (namespace, local) = split(room);
    Some(qualify(namespace, local.strip_prefix(USER)?))
}

/// The room of an account, in the namespace of `beside`.
#[must_use]
pub fn account_room(beside: &str, account: &str) -> String {
    qualify(namespace(beside), &format!("{ACCOUNT}{account}")).into_owned()
}

/// Whether the room is that user's own.
#[must_use]
pub fn is_room_of(room: &str, user: &str) -> bool {
    let ((of_room, room), (of_user, user)) = (split(room), split(user));
    of_room == of_user && room.strip_prefix(USER) == Some(user)
}

/// Whether it is any user's own room.
#[must_use]
pub fn is_user_room(room: &str) -> bool {
    local(room).starts_with(USER)
}

/// Whether the server alone decides who is in a room: the user's own and its account's. Nobody is told of its edges.
#[must_use]
pub fn is_forced(room: &str) -> bool {
    let local = local(room);
    local.starts_with(USER) || local.starts_with(ACCOUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_in_front_and_never_shown() {
        let room = qualify(Some("7"), "user:alice");
        assert_eq!((local(&room), namespace(&room)), ("user:alice", Some("7")));
        assert_eq!(user_of(&room).as_deref(), Some("7 alice"));
        assert_eq!(user_room("7 alice"), room);
        assert!(is_room_of(&room, "7 alice") && !is_room_of(&room, "8 alice") && !is_room_of(&room, "alice"));
        assert!(is_forced(&room) && is_user_room(&room));
        assert_eq!(account_room("7 alice", "7"), "7 account:7");
    }

    #[test]
    fn without_tenancy_names_are_what_they_are() {
        assert_eq!(qualify(None, "a"), "a");
        assert_eq!((local("a"), namespace("a"), user_of("a")), ("a", None, None));
        assert_eq!(user_room("alice"), "user:alice");
        assert!(is_forced("account:7") && !is_forced("team:7"));
    }
}
