//! Mints the JWTs that the connections authenticate with, one for each user: HS256 with a secret; ES256, EdDSA or RS256
//! with a private key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// How long a token outlives the moment it was minted; longer than any run.
const LIFETIME: Duration = Duration::from_hours(24);

/// How every key in PEM begins.
const PEM: &[u8] = b"-----BEGIN";

/// Signs tokens with the secret that the server checks them with, or the private half of the key that it does.
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
    /// Takes the shared secret as its raw bytes, or a private key as a PEM file has it.
    ///
    /// # Errors
    /// When a PEM file holds no key that tokens can be signed with.
    pub(crate) fn new(secret: &[u8]) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_at_s = (now + LIFETIME).as_secs();
        if !secret.starts_with(PEM) {
            let key = EncodingKey::from_secret(secret);
            return Ok(Self { key, header: Header::new(Algorithm::HS256), expires_at_s });
        }
        let kinds = [
            (Algorithm::ES256, EncodingKey::from_ec_pem(secret)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(secret)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(secret)),
        ];
        for (algorithm, key) in kinds {
            let Ok(key) = key else { continue };
            let minter = Self { key, header: Header::new(algorithm), expires_at_s };
            // A key of another curve is read as well as one that fits, and fails only here.
            if minter.mint("").is_ok() {
                return Ok(minter);
            }
        }
        bail!("is no private key for ES256 (P-256), EdDSA or RS256")
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

    /// Made for this test.
    const P256: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/dvA59DEdrI5H1wD\nFdVLvjRVVc4Llhq44fQRbyZzzfOhRANCAAThZ6/ovZtvjOe+q8NR+Dx+IF+uYrD8\nLMobLlqEE9UFJmRoLbI+ZMuAypa6tKn/h0aAKbAbj/qlw/pviI+EjlDl\n-----END PRIVATE KEY-----";

    #[test]
    fn tokens_verify_with_the_same_secret_only() {
        let token =
            Minter::new(b"secret").expect("any bytes are a secret").mint("bench-7").expect("HS256 signs");
        let check = |secret: &[u8]| {
            decode::<Value>(&token, &DecodingKey::from_secret(secret), &Validation::new(Algorithm::HS256))
        };
        let claims = check(b"secret").expect("the right secret verifies").claims;
        assert_eq!((&claims["sub"], &claims["userType"]), (&"bench-7".into(), &"employee".into()));
        assert!(check(b"other").is_err());
    }

    #[test]
    fn a_private_key_signs_with_its_own_algorithm() {
        let header = |pem: &[u8]| {
            let token = Minter::new(pem).expect("a key").mint("bench-7").expect("it signs");
            jsonwebtoken::decode_header(&token).expect("a token").alg
        };
        assert_eq!(header(P256), Algorithm::ES256);
        let broken = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert!(Minter::new(broken).is_err());
    }
}
