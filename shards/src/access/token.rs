//! Who is it? Verifies JSON Web Tokens with keys that were prepared at start (protocol §3).
//!
//! Pure: the time is an argument, so the library's own validation, which reads a clock, is never used; the
//! library checks signatures and nothing else. A token chooses neither its algorithm nor its key: each key has
//! one algorithm (`keys`), and `kid` only selects among the keys that we hold. What the header offers in
//! `jwk`, `jku` and `x5u` is never looked at.

mod claims;
mod keys;

use std::fmt;

pub use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto;

use claims::Members;
pub use claims::{Claims, UserType};
use keys::Key;
pub use keys::{ALGORITHMS, KeyError, KeySource};

/// Bytes of the longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What tokens are checked against.
pub struct VerifierSettings {
    /// Where the keys come from; at least one usable key is needed.
    pub keys: Vec<KeySource>,
    /// Fixes the algorithm within the family of each key; `None` takes the family's default.
    pub algorithm: Option<Algorithm>,
    /// The `iss` that a token must bear; `None` accepts any.
    pub issuer: Option<String>,
    /// A token's `aud` must name one of these; empty accepts any.
    pub audience: Vec<String>,
    /// Seconds by which the clocks of issuer and gateway may differ; added to `exp`, taken from `nbf`.
    pub leeway_s: u64,
}

/// Why a token was refused: one variant for each decision. No text of a token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no compact JWS with JSON objects in it, or is too long.
    #[error("token is malformed: {0}")]
    Malformed(&'static str),
    /// The signature is not that of the key.
    #[error("token has a wrong signature")]
    Signature,
    /// `alg` is not the algorithm of the key.
    #[error("token has another algorithm than the key")]
    Algorithm,
    /// `exp` has passed.
    #[error("token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("token is not yet valid")]
    NotYetValid,
    /// `iss` is not the configured one.
    #[error("token has another issuer")]
    Issuer,
    /// `aud` names none of the configured ones.
    #[error("token is for another audience")]
    Audience,
    /// `sub` is absent, or is no usable name of a user.
    #[error("token has no usable sub")]
    Subject,
    /// Another claim is absent or of the wrong type.
    #[error("token has an unusable claim: {0}")]
    Claims(&'static str),
    /// No key has that `kid`; or, without `kid`, not exactly one key fits.
    #[error("token names no key of this gateway")]
    UnknownKey,
    /// It was revoked, or its user blocked.
    #[error("token is revoked")]
    Revoked,
}

impl TokenError {
    /// Every label that [`TokenError::label`] can give.
    pub const LABELS: [&'static str; 11] = [
        "malformed",
        "signature",
        "algorithm",
        "expired",
        "not_yet_valid",
        "issuer",
        "audience",
        "subject",
        "claims",
        "unknown_key",
        "revoked",
    ];

    /// The decision's stable name in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Signature => "signature",
            Self::Algorithm => "algorithm",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Claims(_) => "claims",
            Self::UnknownKey => "unknown_key",
            Self::Revoked => "revoked",
        }
    }
}

/// Checks tokens. Holds only prepared keys and settings, so that any number of shards may share it.
pub struct Verifier {
    keys: Vec<Key>,
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_ms: u64,
}

impl Verifier {
    /// Prepares the keys.
    ///
    /// # Errors
    /// [`KeyError`] when a key cannot be read, does not suit the algorithm, or none is left.
    pub fn new(settings: VerifierSettings) -> Result<Self, KeyError> {
        Ok(Self {
            keys: keys::load(&settings.keys, settings.algorithm)?,
            issuer: settings.issuer,
            audience: settings.audience,
            leeway_ms: settings.leeway_s.saturating_mul(1000),
        })
    }

    /// Checks `token` as of `unix_ms` (milliseconds since 1970) and reads its claims.
    ///
    /// # Errors
    /// [`TokenError`], the first rule that the token breaks; nothing in its claims is looked at before its
    /// signature has been found good.
    pub fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed("too long"));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("not three parts"))?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed("not three parts"))?;
        if payload.contains('.') {
            return Err(TokenError::Malformed("not three parts"));
        }
        let header = Members::decode(header).map_err(TokenError::Malformed)?;
        let key = self.select_key(&header)?;
        // An error of the library here is a signature that is no base64 or a key that its curve does not have.
        match crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(TokenError::Signature),
        }
        let members = Members::decode(payload).map_err(TokenError::Malformed)?;
        self.check(&members, unix_ms)?;
        claims::read(&members, self.leeway_ms)
    }

    /// The one key that may have signed a token with this header.
    fn select_key(&self, header: &Members) -> Result<&Key, TokenError> {
        // RFC 7515 §4.1.11: whoever does not understand what `crit` lists must refuse, and we understand none.
        // Present is present, even as null.
        if header.contains("crit") {
            return Err(TokenError::Malformed("crit is not supported"));
        }
        let algorithm = header
            .text("alg")
            .map_err(|_| TokenError::Malformed("alg is no string"))?
            .ok_or(TokenError::Malformed("alg is missing"))?;
        let kid = header.text("kid").map_err(|_| TokenError::Malformed("kid is no string"))?;
        // A key without an id (a secret, a PEM file) was configured alone or as a fallback: it also serves the
        // tokens of an issuer that always writes a `kid`.
        let known = kid.is_some_and(|kid| self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)));
        let candidate = |key: &&Key| match kid {
            Some(kid) if known => key.kid.as_deref() == Some(kid),
            Some(_) => key.kid.is_none(),
            None => true,
        };
        if !self.keys.iter().any(|key| candidate(&key)) {
            return Err(TokenError::UnknownKey);
        }
        let mut fitting = self.keys.iter().filter(candidate).filter(|key| key.algorithm_name() == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenError::UnknownKey),
            (None, _) => Err(TokenError::Algorithm),
        }
    }

    /// Time, issuer and audience.
    fn check(&self, members: &Members, unix_ms: u64) -> Result<(), TokenError> {
        let expires_ms = claims::expires_unix_ms(members)?;
        if unix_ms >= expires_ms.saturating_add(self.leeway_ms) {
            return Err(TokenError::Expired);
        }
        if claims::not_before_unix_ms(members)?
            .is_some_and(|start| unix_ms.saturating_add(self.leeway_ms) < start)
        {
            return Err(TokenError::NotYetValid);
        }
        if let Some(issuer) = &self.issuer
            && members.text("iss") != Ok(Some(issuer.as_str()))
        {
            return Err(TokenError::Issuer);
        }
        if !self.audience.is_empty() && !claims::audience_names(members, &self.audience) {
            return Err(TokenError::Audience);
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    /// Shows what is checked; of a key only its id and algorithm.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Verifier")
            .field("keys", &self.keys)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway_ms", &self.leeway_ms)
            .finish()
    }
}

#[cfg(test)]
mod tests;
