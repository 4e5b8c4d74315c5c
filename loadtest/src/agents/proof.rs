//! The proof that a coordinator knows an agent's secret, without saying it: a JWT over a number that was never used.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

/// Shorter ones are guessed.
const SECRET_BYTES_MIN: usize = 16;

#[derive(Serialize, Deserialize)]
struct Claims {
    nonce: String,
}

/// Reads a secret.
///
/// # Errors
/// Names the flag.
pub(super) fn read_secret(flag: &str, file: &Path) -> Result<Vec<u8>> {
    let name = || format!("{flag} {}", file.display());
    let secret = fs::read(file).with_context(name)?.trim_ascii_end().to_vec();
    ensure!(secret.len() >= SECRET_BYTES_MIN, "{}: at least {SECRET_BYTES_MIN} bytes are needed", name());
    Ok(secret)
}

/// A number that was never used.
///
/// # Errors
/// When the system has none.
pub(super) fn nonce() -> Result<String> {
    let number = || SysRng.try_next_u64().context("choosing a random number");
    Ok(format!("{:016x}{:016x}", number()?, number()?))
}

/// Proves that we know the secret.
///
/// # Errors
/// When the cryptographic library refuses to sign.
pub(super) fn prove(secret: &[u8], nonce: &str) -> Result<String> {
    let claims = Claims { nonce: nonce.to_owned() };
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .context("signing a proof")
}

/// Whether somebody has proved it.
pub(super) fn is_proof(secret: &[u8], nonce: &str, proof: &str) -> bool {
    let mut validation = Validation::new(Algorithm::HS256);
    // The nonce is what keeps a proof from being used again.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let claims = decode::<Claims>(proof, &DecodingKey::from_secret(secret), &validation);
    claims.is_ok_and(|token| token.claims.nonce == nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_and_number_prove_anything() {
        let nonce = nonce().expect("the system has random numbers");
        let proof = prove(b"0123456789abcdef", &nonce).expect("HS256 signs");
        assert!(is_proof(b"0123456789abcdef", &nonce, &proof));
        assert!(!is_proof(b"0123456789abcdeF", &nonce, &proof));
        assert!(!is_proof(b"0123456789abcdef", &super::nonce().expect("another"), &proof));
        assert!(!is_proof(b"0123456789abcdef", &nonce, "nonsense"));
    }
}
