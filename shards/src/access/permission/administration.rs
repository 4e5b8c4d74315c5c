//! Whether an identity is the one that the control plane means, and whether it may use the server API.

use super::Identity;
use crate::room::name::{local, namespace};

impl Identity {
    /// Whether its rooms and users are those of an account, in whichever realm.
    #[must_use]
    pub fn is_in_account(&self, account: &str) -> bool {
        let own = self.namespace().map(|namespace| namespace.split('\\').next().unwrap_or_default());
        self.tenancy && own == Some(account)
    }

    /// Whether it is a user, in whichever realm; with tenancy, the name is within its account.
    #[must_use]
    pub fn is_called(&self, user: &str) -> bool {
        local(&self.user) == local(user) && namespace(user).is_none_or(|account| self.is_in_account(account))
    }

    /// Whether its token has an id, which is within its account if there is tenancy.
    #[must_use]
    pub fn has_token(&self, id: &str) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.token.as_deref() == Some(id))
    }

    /// Whether the token names a right itself, whatever the role and `*` may give.
    #[must_use]
    pub fn names_right(&self, right: &str) -> bool {
        self.grants().iter().any(|grant| grant.names(right))
    }
}
