//! `roomcast token`: mints tokens from the secret, for trying things out and for the tokens of `dev`.

use std::io::Write;

use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header};
use roomcast_shards::access::token::{Algorithm, KeySource, Verifier, VerifierSettings};
use roomcast_shards::config::parse_duration_ms;
use serde::Serialize;

use crate::args::{Role, TokenArgs};
use crate::exit::Failure;
use crate::settings::{algorithm, read_key, without_line_end};

/// The claims of a token to be, in the names that tokens use.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MintClaims {
    pub(crate) sub: String,
    pub(crate) user_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) permissions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rooms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) aud: Vec<String>,
    /// Seconds since 1970, as `exp`.
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

impl MintClaims {
    /// An employee without anything else, for `ttl_s` seconds from `now_s`.
    pub(crate) fn new(sub: &str, now_s: u64, ttl_s: u64) -> Self {
        Self {
            sub: sub.to_owned(),
            user_type: "employee",
            account_id: None,
            permissions: Vec::new(),
            rooms: Vec::new(),
            iss: None,
            aud: Vec::new(),
            iat: now_s,
            exp: now_s.saturating_add(ttl_s),
        }
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MintError {
    /// Only the algorithms of secrets can sign here.
    #[error("a secret signs with HS256, HS384 or HS512, not {0:?}")]
    Algorithm(Algorithm),
    /// The library refused; its reason.
    #[error("cannot sign: {0}")]
    Sign(String),
}

/// Signs claims with a secret.
///
/// # Errors
/// [`MintError`], above all for an algorithm that needs a private key.
pub(crate) fn mint(secret: &[u8], algorithm: Algorithm, claims: &MintClaims) -> Result<String, MintError> {
    if algorithm.family() != AlgorithmFamily::Hmac {
        return Err(MintError::Algorithm(algorithm));
    }
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret))
        .map_err(|error| MintError::Sign(error.to_string()))
}

/// The time of day in seconds since 1970.
pub(crate) fn now_unix_s() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// Runs `roomcast token`: prints the token, and nothing else, on standard output.
///
/// # Errors
/// [`Failure`] that names the flag which the token cannot be made with.
pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let token = from_args(args, now_unix_s())?;
    writeln!(std::io::stdout(), "{token}").map_err(Failure::other)
}

fn from_args(args: &TokenArgs, now_s: u64) -> Result<String, Failure> {
    let secret = secret(args)?;
    // Deployment tools pass on what they have not got as an empty variable.
    let given = |text: &String| !text.is_empty();
    let algorithm = match args.algorithm.as_ref().filter(|text| given(text)) {
        Some(text) => algorithm(text).map_err(|error| Failure::settings(format!("--algorithm: {error}")))?,
        None => Algorithm::HS256,
    };
    let ttl_ms =
        parse_duration_ms(&args.ttl).map_err(|error| Failure::settings(format!("--ttl: {error}")))?;
    let claims = MintClaims {
        user_type: match args.user_type {
            Role::Employee => "employee",
            Role::Guest => "guest",
            Role::Supervisor => "supervisor",
        },
        account_id: args.account.clone(),
        permissions: args.permissions.clone(),
        rooms: args.rooms.clone(),
        iss: args.issuer.clone().filter(given),
        aud: args.audience.iter().filter(|text| given(text)).cloned().collect(),
        ..MintClaims::new(&args.sub, now_s, ttl_ms / 1000)
    };
    let token = mint(&secret, algorithm, &claims)
        .map_err(|error| Failure::settings(format!("--algorithm: {error}")))?;
    check(secret, algorithm, &token, now_s)?;
    Ok(token)
}

fn secret(args: &TokenArgs) -> Result<Vec<u8>, Failure> {
    let given = |text: &&String| !text.is_empty();
    match (args.jwt_secret.as_ref().filter(given), args.jwt_secret_file.as_ref().filter(given)) {
        (Some(_), Some(_)) => {
            Err(Failure::settings("--jwt-secret cannot be set together with --jwt-secret-file"))
        }
        (Some(secret), None) => Ok(secret.clone().into_bytes()),
        (None, Some(path)) => read_key(path)
            .map(without_line_end)
            .map_err(|error| Failure::settings(format!("--jwt-secret-file: {error}"))),
        (None, None) => Err(Failure::settings(
            "a token needs --jwt-secret or --jwt-secret-file (ROOMCAST_JWT_SECRET, ROOMCAST_JWT_SECRET_FILE)",
        )),
    }
}

/// Refuses to hand out a token that every gateway would refuse.
fn check(secret: Vec<u8>, algorithm: Algorithm, token: &str, now_s: u64) -> Result<(), Failure> {
    let settings = VerifierSettings {
        keys: vec![KeySource::Secret(secret)],
        algorithm: Some(algorithm),
        issuer: None,
        audience: Vec::new(),
        leeway_s: 0,
    };
    let verifier =
        Verifier::new(settings).map_err(|error| Failure::settings(format!("--jwt-secret: {error}")))?;
    match verifier.verify(token, now_s.saturating_mul(1000)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::settings(format!(
            "the token would be refused: {error} (see --sub, --account, --room and --ttl)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Subcommands};
    use crate::exit::Code;

    const NOW_S: u64 = 1_700_000_000;

    fn token(args: &[&str]) -> Result<String, Failure> {
        let line = ["roomcast", "token", "--jwt-secret", "a secret of at least thirty-two bytes"];
        let Subcommands::Token(args) = Cli::parse_from(line.iter().chain(args)).command else {
            panic!("the token command");
        };
        from_args(&args, NOW_S)
    }

    #[test]
    fn a_token_says_what_was_asked_for() {
        let token = token(&[
            "--sub=alice",
            "--user-type=guest",
            "--account=7",
            "--permission=message:send",
            "--permission=*",
            "--room=lobby",
            "--ttl=5m",
            "--algorithm=HS512",
        ])
        .expect("a token");
        let verifier = Verifier::new(VerifierSettings {
            keys: vec![KeySource::Secret(b"a secret of at least thirty-two bytes".to_vec())],
            algorithm: Some(Algorithm::HS512),
            issuer: None,
            audience: Vec::new(),
            leeway_s: 0,
        })
        .expect("a key");
        let claims = verifier.verify(&token, NOW_S * 1000).expect("a good token");
        assert_eq!((claims.sub.as_str(), claims.account_id.as_deref()), ("alice", Some("7")));
        assert_eq!(claims.permissions, ["message:send", "*"]);
        assert_eq!(claims.rooms, ["lobby"]);
        assert_eq!(claims.expires_unix_ms, (NOW_S + 300) * 1000);
    }

    #[test]
    fn a_token_that_no_gateway_takes_is_not_minted() {
        for (args, named) in [
            (vec!["--sub=a b"], "--sub"),
            (vec!["--sub=a", "--room=*"], "--room"),
            (vec!["--sub=a", "--ttl=soon"], "--ttl"),
            (vec!["--sub=a", "--ttl=0s"], "--ttl"),
            (vec!["--sub=a", "--algorithm=RS256"], "--algorithm"),
            (vec!["--sub=a", "--jwt-secret-file=x"], "--jwt-secret-file"),
        ] {
            let failure = token(&args).expect_err("a bad token");
            assert_eq!(failure.code(), Code::Settings);
            assert!(failure.to_string().contains(named), "{args:?}: {failure}");
        }
    }
}
