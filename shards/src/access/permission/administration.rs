//! Whether an identity is the one that the control plane means, and whether it may use the server API.

use super::Identity;
use crate::access::revocations::{Revocations, Subject};
use crate::room::name::{local, namespace, qualify};

impl Identity {
    /// Whether its rooms and users are those of an account, in whichever realm.
    #[must_use]
    pub fn is_in_account(&self, account: &str) -> bool {
        self.own_account() == Some(account)
    }

    /// Whether it is a user, in whichever realm; with tenancy, the name is within its account.
    #[must_use]
    pub fn is_called(&self, user: &str) -> bool {
        local(&self.user) == local(user) && namespace(user).is_none_or(|account| self.is_in_account(account))
    }

    /// Whether it is refused: the user in whichever realm, or the token that it came with.
    #[must_use]
    pub fn is_refused(&self, revocations: &Revocations, unix_ms: u64) -> bool {
        if revocations.is_empty() {
            return false;
        }
        let user = qualify(self.own_account(), local(&self.user)).into();
        let token = self.lists.as_ref().and_then(|lists| lists.token.as_deref());
        revocations.has(&Subject::User(user), unix_ms)
            || token.is_some_and(|id| revocations.has(&Subject::Token(id.into()), unix_ms))
    }

    /// The account whose namespace it is in, if there is tenancy.
    fn own_account(&self) -> Option<&str> {
        let namespace = self.namespace().filter(|_| self.tenancy);
        namespace.map(|namespace| namespace.split('\\').next().unwrap_or_default())
    }

    /// Whether the token names a right itself, whatever the role and `*` may give.
    #[must_use]
    pub fn names_right(&self, right: &str) -> bool {
        self.grants().iter().any(|grant| grant.names(right))
    }
}
