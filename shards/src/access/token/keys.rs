//! From a secret, a PEM file or a JWKS to prepared keys, each with exactly one algorithm.
//!
//! What would only show when the first client cannot log in is refused here, at start: a private key or a
//! certificate in place of a public key, an RSA key that is too short, a curve that is not supported.

use std::fmt;

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse, RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

/// The algorithms of protocol §3.
pub const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Base64 characters of the shortest RSA modulus: 2048 bits (RFC 7518 §3.3).
const RSA_MODULUS_CHARS_MIN: usize = 342;

/// Where a key comes from. Its contents, not a path: this crate reads no files.
pub enum KeySource {
    /// A secret that issuer and gateway share.
    Secret(Vec<u8>),
    /// A public key as PEM (`BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`).
    PublicKeyPem(Vec<u8>),
    /// A JSON Web Key Set (RFC 7517).
    Jwks(String),
}

/// Why a key cannot be used. No part of the key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key, or a JWKS holds none that could verify a token.
    #[error("there is no key that could verify a token")]
    NoKey,
    /// A secret without a byte.
    #[error("the secret is empty")]
    EmptySecret,
    /// A PEM file that holds something else than a public key.
    #[error("the file is no public key in PEM: {0}")]
    NotAPublicKey(&'static str),
    /// A public key that no supported algorithm uses.
    #[error("the public key is not supported: {0}")]
    UnsupportedKey(&'static str),
    /// The JWKS is no JSON of that form.
    #[error("the JWKS cannot be read: {0}")]
    Jwks(String),
    /// The algorithm is none of [`ALGORITHMS`].
    #[error("the algorithm {0:?} is not supported")]
    UnsupportedAlgorithm(Algorithm),
    /// The algorithm that was asked for is not one of that key.
    #[error("the algorithm {asked:?} does not suit the key, which is for {suits}")]
    AlgorithmMismatch {
        /// What was asked for.
        asked: Algorithm,
        /// The algorithms that the key could have.
        suits: &'static str,
    },
}

/// A key and the one algorithm that it is used with.
pub(super) struct Key {
    /// The id in the JWKS; keys from elsewhere have none.
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

impl Key {
    /// The algorithm as a header's `alg` writes it.
    pub(super) fn algorithm_name(&self) -> &'static str {
        algorithm_name(self.algorithm)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The algorithm's registered name (RFC 7518 §3.1); empty for one that is not in [`ALGORITHMS`].
fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::HS384 => "HS384",
        Algorithm::HS512 => "HS512",
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}

/// The algorithms that a key may have, its default first, and how to say so.
struct Suitable(&'static [Algorithm], &'static str);

const HMAC: Suitable =
    Suitable(&[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512], "HS256, HS384 or HS512");
const RSA: Suitable = Suitable(
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256],
    "RS256, RS384, RS512 or PS256",
);
const P256: Suitable = Suitable(&[Algorithm::ES256], "ES256");
const P384: Suitable = Suitable(&[Algorithm::ES384], "ES384");
const ED25519: Suitable = Suitable(&[Algorithm::EdDSA], "EdDSA");

impl Suitable {
    fn choose(&self, asked: Option<Algorithm>) -> Result<Algorithm, KeyError> {
        match asked {
            None => Ok(self.0[0]),
            Some(asked) if self.0.contains(&asked) => Ok(asked),
            Some(asked) => Err(KeyError::AlgorithmMismatch { asked, suits: self.1 }),
        }
    }
}

/// Prepares every key of every source.
pub(super) fn load(sources: &[KeySource], asked: Option<Algorithm>) -> Result<Vec<Key>, KeyError> {
    if let Some(asked) = asked.filter(|asked| !ALGORITHMS.contains(asked)) {
        return Err(KeyError::UnsupportedAlgorithm(asked));
    }
    let mut keys = Vec::new();
    for source in sources {
        match source {
            KeySource::Secret(secret) => keys.push(from_secret(secret, asked)?),
            KeySource::PublicKeyPem(pem) => keys.push(from_pem(pem, asked)?),
            KeySource::Jwks(text) => keys.extend(from_jwks(text, asked)?),
        }
    }
    if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(keys) }
}

fn from_secret(secret: &[u8], asked: Option<Algorithm>) -> Result<Key, KeyError> {
    if secret.is_empty() {
        return Err(KeyError::EmptySecret);
    }
    Ok(Key { kid: None, algorithm: HMAC.choose(asked)?, decoding: DecodingKey::from_secret(secret) })
}

fn from_pem(pem: &[u8], asked: Option<Algorithm>) -> Result<Key, KeyError> {
    // The library would take the key out of these too, or something else that is in them.
    let text = String::from_utf8_lossy(pem);
    if text.contains("PRIVATE KEY") {
        return Err(KeyError::NotAPublicKey(
            "it holds a private key, which the gateway must not have (openssl pkey -in FILE -pubout)",
        ));
    }
    if text.contains("BEGIN CERTIFICATE") {
        return Err(KeyError::NotAPublicKey("it holds a certificate (openssl x509 -in FILE -noout -pubkey)"));
    }
    let (decoding, suitable) = if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        check_rsa(&key)?;
        (key, RSA)
    } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        let suitable = curve(&key)?;
        (key, suitable)
    } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        (key, ED25519)
    } else {
        return Err(KeyError::NotAPublicKey("expected BEGIN PUBLIC KEY with an RSA, EC or Ed25519 key"));
    };
    Ok(Key { kid: None, algorithm: suitable.choose(asked)?, decoding })
}

/// The keys of a JWKS that can verify a token. Those that are for something else are left out, and with an
/// algorithm asked for also those that cannot have it: a set often serves more than one purpose.
fn from_jwks(text: &str, asked: Option<Algorithm>) -> Result<Vec<Key>, KeyError> {
    let set: JwkSet = serde_json::from_str(text).map_err(|error| {
        // The position only: serde's own words may quote what they found.
        KeyError::Jwks(format!("line {}, column {}", error.line(), error.column()))
    })?;
    Ok(set.keys.iter().filter_map(|jwk| from_jwk(jwk, asked)).collect())
}

fn from_jwk(jwk: &Jwk, asked: Option<Algorithm>) -> Option<Key> {
    let common = &jwk.common;
    let other_use = common.public_key_use.as_ref().is_some_and(|it| *it != PublicKeyUse::Signature);
    let operations = common.key_operations.as_ref();
    if other_use || operations.is_some_and(|list| !list.contains(&KeyOperations::Verify)) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    let suitable = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(key) if !key.value.is_empty() => HMAC,
        AlgorithmParameters::RSA(_) => check_rsa(&decoding).ok().map(|()| RSA)?,
        AlgorithmParameters::EllipticCurve(_) => curve(&decoding).ok()?,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => ED25519,
        _ => return None,
    };
    let declared = match common.key_algorithm {
        Some(algorithm) => Some(Algorithm::try_from(algorithm).ok()?),
        None => None,
    };
    if declared.is_some() && asked.is_some() && declared != asked {
        return None;
    }
    let algorithm = suitable.choose(declared.or(asked)).ok()?;
    Some(Key { kid: common.key_id.clone(), algorithm, decoding })
}

fn check_rsa(key: &DecodingKey) -> Result<(), KeyError> {
    match Jwk::from_decoding_key(key, None).map(|jwk| jwk.algorithm) {
        Ok(AlgorithmParameters::RSA(RSAKeyParameters { n, .. })) if n.len() >= RSA_MODULUS_CHARS_MIN => {
            Ok(())
        }
        Ok(_) => Err(KeyError::UnsupportedKey("an RSA key needs at least 2048 bits")),
        Err(_) => Err(KeyError::UnsupportedKey("the RSA key cannot be read")),
    }
}

/// By the length of the uncompressed point, which is the form that PEM files and JWKs come in.
fn curve(key: &DecodingKey) -> Result<Suitable, KeyError> {
    debug_assert!(key.family() == AlgorithmFamily::Ec, "callers ask for EC keys only");
    match key.try_get_as_bytes().map(|point| (point.first().copied(), point.len())) {
        Ok((Some(4), 65)) => Ok(P256),
        Ok((Some(4), 97)) => Ok(P384),
        _ => Err(KeyError::UnsupportedKey("of the EC curves only P-256 and P-384 are")),
    }
}
