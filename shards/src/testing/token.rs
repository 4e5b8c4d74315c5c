//! Tokens of the simulation's users, signed as an issuer would.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::access::token::{KeySource, Verifier, VerifierSettings};

const SECRET: &[u8] = b"a secret of the simulation, and of nobody else";

/// What a token says.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) account: Option<String>,
    pub(super) rooms: Vec<String>,
    /// Which ledger is its namespace's.
    pub(super) tenant: usize,
}

impl Grant {
    /// The rooms that the user is in without asking.
    pub(super) fn forced_rooms(&self) -> Vec<String> {
        let account = self.account.iter().map(|account| format!("account:{account}"));
        [format!("user:{}", self.user)].into_iter().chain(account).chain(self.rooms.iter().cloned()).collect()
    }

    /// A token that ends at that second.
    pub(super) fn sign(&self, expires_unix_s: u64) -> String {
        let claims = json!({
            "sub": self.user, "exp": expires_unix_s, "userType": "employee",
            "accountId": self.account, "rooms": self.rooms,
        });
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET))
            .expect("a secret signs anything")
    }
}

/// Checks these tokens.
pub(super) fn verifier() -> Verifier {
    let settings = VerifierSettings {
        keys: vec![KeySource::Secret(SECRET.to_vec())],
        algorithm: None,
        issuer: None,
        audience: Vec::new(),
        leeway_s: 0,
    };
    Verifier::new(settings).expect("a secret is a key")
}
