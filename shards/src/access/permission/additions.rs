//! What a hook adds to what a token says.

use std::sync::Arc;

use super::{Grant, Identity};
use crate::access::token::UserType;

/// What a hook adds to what a token says, for as long as the connection lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Permissions, as a token would name them.
    pub permissions: Vec<String>,
    /// Rooms to join, as a token would name them; each is a valid name.
    pub rooms: Vec<String>,
    /// The role in place of the token's.
    pub user_type: Option<UserType>,
    /// The application's own: the text of an object, which backends are told.
    pub claims: Option<Arc<str>>,
}

impl Additions {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Identity {
    /// The same user with what a hook adds.
    #[must_use]
    pub fn with(self, additions: &Additions) -> Self {
        if additions.is_empty() {
            return self;
        }
        let rooms: Vec<Arc<str>> = additions.rooms.iter().map(|room| self.qualify(room).into()).collect();
        let mut lists = self.lists.unwrap_or_default();
        lists.grants.extend(additions.permissions.iter().filter_map(|text| Grant::parse(text)));
        lists.permissions.extend(additions.permissions.iter().cloned());
        lists.rooms.extend(rooms);
        lists.claims = additions.claims.clone();
        Self { lists: Some(lists), user_type: additions.user_type.unwrap_or(self.user_type), ..self }
    }

    /// What a hook said of the user besides, as the text of an object.
    #[must_use]
    pub fn added_claims(&self) -> Option<&str> {
        self.lists.as_ref().and_then(|lists| lists.claims.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::Event;

    #[test]
    fn what_a_hook_adds_is_as_if_the_token_said_it() {
        let identity = Identity::anonymous("1", &Arc::default(), true, "");
        assert!(!identity.may(Event::MonitoringStats));
        let additions = Additions {
            permissions: vec!["monitoring:read".to_owned()],
            rooms: vec!["vip".to_owned()],
            user_type: Some(UserType::Guest),
            claims: Some("{\"plan\":1}".into()),
        };
        let identity = identity.with(&additions);
        assert!(identity.may(Event::MonitoringStats) && !identity.may(Event::RoomCreate));
        assert!(
            identity.may_enter(&identity.qualify("vip")) && !identity.may_enter(&identity.qualify("bar"))
        );
        assert_eq!(identity.added_claims(), Some("{\"plan\":1}"));
        assert_eq!(identity.permissions(), ["monitoring:read"]);
    }
}
