//! Mints the JWTs that the connections authenticate with: HS256, one for each user.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// How long a token outlives the moment it was minted; longer than any run.
const LIFETIME: Duration = Duration::from_hours(24);

/// Signs tokens with the secret that the server checks them with.
pub(crate) struct Minter {
    key: EncodingKey,
    header: Header,
    expires_at_s: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    #[serde(rename = "userType")]
    user_type: &'static str,
}

impl Minter {
    /// Takes the shared secret as its raw bytes.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            key: EncodingKey::from_secret(secret),
            header: Header::new(Algorithm::HS256),
            expires_at_s: (now + LIFETIME).as_secs(),
        }
    }

    /// A token for `user`, who may do what an employee may.
    ///
    /// # Errors
    /// When the cryptographic library refuses to sign.
    pub(crate) fn mint(&self, user: &str) -> Result<String> {
        let claims = Claims { sub: user, exp: self.expires_at_s, user_type: "employee" };
        encode(&self.header, &claims, &self.key).context("signing a token")
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn tokens_verify_with_the_same_secret_only() {
        let token = Minter::new(b"secret").mint("bench-7").expect("HS256 signs");
        let check = |secret: &[u8]| {
            decode::<Value>(&token, &DecodingKey::from_secret(secret), &Validation::new(Algorithm::HS256))
        };
        let claims = check(b"secret").expect("the right secret verifies").claims;
        assert_eq!((&claims["sub"], &claims["userType"]), (&"bench-7".into(), &"employee".into()));
        assert!(check(b"other").is_err());
    }
}
