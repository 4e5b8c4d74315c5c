//! Users and tokens that are refused although their tokens are good, each until a time.
//!
//! Bounded, and never by forgetting one before its time: a revocation that finds no room is an error to whoever wants
//! it. Pure; every shard has its own, and the control plane, which tells them, keeps the one that counts.

use std::sync::Arc;

use ahash::HashMap;

use super::token::Claims;
use crate::room::name::qualify;

/// Revocations at a time, of users and tokens together.
pub const REVOCATIONS_MAX: usize = 65_536;

/// A revocation, or the end of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who.
    pub subject: Subject,
    /// Until when; `None` ends it.
    pub until_unix_ms: Option<u64>,
}

/// Who is refused; with tenancy, names are within the account (see [`crate::room::name`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, whatever its token.
    User(Arc<str>),
    /// A token, by its `jti`.
    Token(Arc<str>),
}

/// There are as many revocations as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many revocations")]
pub struct Full;

/// Who is refused now.
#[derive(Debug, Default)]
pub struct Revocations {
    until: HashMap<Subject, u64>,
}

impl Revocations {
    /// Notes a revocation, or the end of one.
    ///
    /// # Errors
    /// [`Full`] when there is no room for it, even without those that are over.
    pub fn note(&mut self, revocation: &Revocation, unix_ms: u64) -> Result<(), Full> {
        let Revocation { subject, until_unix_ms } = revocation;
        let Some(until) = until_unix_ms.filter(|until| *until > unix_ms) else {
            self.until.remove(subject);
            return Ok(());
        };
        if self.until.len() >= REVOCATIONS_MAX && !self.until.contains_key(subject) {
            self.until.retain(|_, until| *until > unix_ms);
            if self.until.len() >= REVOCATIONS_MAX {
                return Err(Full);
            }
        }
        self.until.insert(subject.clone(), until);
        Ok(())
    }

    /// Whether a token is refused.
    #[must_use]
    pub fn refuse(&self, claims: &Claims, tenancy: bool, unix_ms: u64) -> bool {
        !self.is_empty() && subjects(claims, tenancy).any(|subject| self.has(&subject, unix_ms))
    }

    /// Whether somebody is refused.
    #[must_use]
    pub fn has(&self, subject: &Subject, unix_ms: u64) -> bool {
        self.until.get(subject).is_some_and(|until| *until > unix_ms)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let revocation = |(subject, until): (&Subject, &u64)| Revocation {
            subject: subject.clone(),
            until_unix_ms: Some(*until),
        };
        self.until.iter().map(revocation)
    }

    /// Number of revocations, some of which may be over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

/// By which names a token may be refused.
pub fn subjects(claims: &Claims, tenancy: bool) -> impl Iterator<Item = Subject> {
    let namespace = tenancy.then(|| claims.account_id.as_deref().unwrap_or_default());
    let user = Subject::User(qualify(namespace, &claims.sub).into());
    let token = claims.jti.as_deref().map(|jti| Subject::Token(qualify(namespace, jti).into()));
    std::iter::once(user).chain(token)
}

#[cfg(test)]
mod tests {
    use super::super::token::UserType;
    use super::*;

    fn claims(sub: &str, jti: Option<&str>) -> Claims {
        Claims {
            sub: sub.to_owned(),
            expires_unix_ms: u64::MAX,
            user_type: UserType::Guest,
            account_id: Some("7".to_owned()),
            permissions: Vec::new(),
            rooms: Vec::new(),
            jti: jti.map(str::to_owned),
        }
    }

    fn note(revocations: &mut Revocations, subject: Subject, until: Option<u64>) -> Result<(), Full> {
        revocations.note(&Revocation { subject, until_unix_ms: until }, 10)
    }

    #[test]
    fn users_and_tokens_are_refused_until_their_time_or_the_end() {
        let mut revocations = Revocations::default();
        note(&mut revocations, Subject::User("alice".into()), Some(20)).unwrap();
        note(&mut revocations, Subject::Token("t".into()), Some(30)).unwrap();
        assert!(revocations.refuse(&claims("alice", None), false, 19));
        assert!(!revocations.refuse(&claims("alice", None), false, 20), "it is over");
        assert!(revocations.refuse(&claims("bob", Some("t")), false, 29));
        assert!(!revocations.refuse(&claims("t", Some("alice")), false, 11), "a user is no token");
        assert!(!revocations.refuse(&claims("alice", Some("t")), true, 11), "another namespace");
        note(&mut revocations, Subject::Token("t".into()), None).unwrap();
        assert!(!revocations.refuse(&claims("bob", Some("t")), false, 11));
    }

    #[test]
    fn with_tenancy_names_are_those_of_the_account() {
        let mut revocations = Revocations::default();
        note(&mut revocations, Subject::User("7 alice".into()), Some(20)).unwrap();
        assert!(revocations.refuse(&claims("alice", None), true, 11));
        note(&mut revocations, Subject::User("8 bob".into()), Some(20)).unwrap();
        assert!(!revocations.refuse(&claims("bob", None), true, 11));
    }

    #[test]
    fn none_is_forgotten_before_its_time() {
        let mut revocations = Revocations::default();
        for number in 0..REVOCATIONS_MAX as u64 {
            note(&mut revocations, Subject::Token(number.to_string().into()), Some(20 + number)).unwrap();
        }
        assert_eq!(note(&mut revocations, Subject::User("x".into()), Some(99)), Err(Full));
        assert_eq!(
            note(&mut revocations, Subject::Token("0".into()), Some(99)),
            Ok(()),
            "it is there already"
        );
        let late = Revocation { subject: Subject::User("x".into()), until_unix_ms: Some(99_999) };
        assert_eq!(revocations.note(&late, 21), Ok(()), "others are over by then");
    }
}
