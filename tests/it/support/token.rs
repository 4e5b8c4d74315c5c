//! Tokens as an application would mint them: HS256 over the secret that the servers under test are given.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The secret of every server that a test starts.
pub(crate) const SECRET: &str = "a-secret-for-tests-of-at-least-32-bytes";

/// Claims in the making.
#[derive(Clone)]
pub(crate) struct Token {
    claims: Value,
}

impl Token {
    /// An employee named `sub`, for an hour.
    pub(crate) fn employee(sub: &str) -> Self {
        Self::of_type("employee", sub)
    }

    /// A guest named `sub`, for an hour.
    pub(crate) fn guest(sub: &str) -> Self {
        Self::of_type("guest", sub)
    }

    /// A supervisor named `sub`, for an hour.
    pub(crate) fn supervisor(sub: &str) -> Self {
        Self::of_type("supervisor", sub)
    }

    fn of_type(user_type: &str, sub: &str) -> Self {
        Self { claims: json!({"sub": sub, "userType": user_type, "exp": unix_seconds() + 3600}) }
    }

    /// Ends `seconds` from now, or did so in the past when negative.
    pub(crate) fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", json!(unix_seconds() + seconds))
    }

    /// Sets `accountId`.
    pub(crate) fn account(self, account: &str) -> Self {
        self.claim("accountId", json!(account))
    }

    /// Sets `permissions`.
    pub(crate) fn permissions(self, permissions: &[&str]) -> Self {
        self.claim("permissions", json!(permissions))
    }

    /// Sets `rooms`.
    pub(crate) fn rooms(self, rooms: &[&str]) -> Self {
        self.claim("rooms", json!(rooms))
    }

    /// Sets any claim; null removes it.
    pub(crate) fn claim(mut self, name: &str, value: Value) -> Self {
        let claims = self.claims.as_object_mut().expect("claims are an object");
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.to_owned(), value);
        }
        self
    }

    /// The compact form, signed with [`SECRET`].
    pub(crate) fn mint(&self) -> String {
        self.mint_with(SECRET)
    }

    /// The compact form, signed with a private key by that algorithm, naming `kid` in its header.
    pub(crate) fn mint_by(&self, algorithm: Algorithm, key: &EncodingKey, kid: Option<&str>) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &self.claims, key).expect("the key suits the algorithm")
    }

    /// The compact form, signed with another secret.
    pub(crate) fn mint_with(&self, secret: &str) -> String {
        jsonwebtoken::encode(&Header::default(), &self.claims, &EncodingKey::from_secret(secret.as_bytes()))
            .expect("HS256 signs any claims")
    }
}

/// Seconds since 1970.
fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("fits for a long time")
}
