//! Who is it, and are they too fast? Tokens and rate limits.

use std::hint::black_box;

use roomcast_shards::access::limits::{Bucket, SharedBucket};
use roomcast_shards::access::token::{KeySource, Verifier, VerifierSettings};
use roomcast_shards::config::Rate;

use super::{Case, warm};
use crate::gateway::START_UNIX_MS;

/// Alice's tokens. They were signed once, because a signature of ES256 holds a random number that the cost of verifying
/// it depends on.
pub const HS256_TOKEN: &str = include_str!("../../fixtures/hs256.jwt");
const ES256_TOKEN: &str = include_str!("../../fixtures/es256.jwt");
const SECRET: &[u8] = b"a secret of the benchmarks, and of nobody else";
const PUBLIC_KEY: &[u8] = include_bytes!("../../../shards/tests/fixtures/keys/p256_public.pem");

/// Checks tokens that were signed with the secret.
///
/// # Panics
/// Never: it is a good secret.
#[must_use]
pub fn secret_verifier() -> Verifier {
    verifier(KeySource::Secret(SECRET.to_vec()))
}

fn verifier(key: KeySource) -> Verifier {
    let settings = VerifierSettings {
        keys: vec![key],
        algorithm: None,
        issuer: Some("https://id.example.org".to_owned()),
        audience: vec!["roomcast".to_owned()],
        leeway_s: 0,
    };
    Verifier::new(settings).expect("a good key")
}

/// Verifying a token and reading its claims.
pub struct Verify {
    verifier: Verifier,
    token: &'static str,
}

impl Verify {
    /// With a secret.
    #[must_use]
    pub fn hs256() -> Self {
        warm(Self { verifier: secret_verifier(), token: HS256_TOKEN }, 3)
    }

    /// With a key on a curve.
    #[must_use]
    pub fn es256() -> Self {
        let verifier = verifier(KeySource::PublicKeyPem(PUBLIC_KEY.to_vec()));
        warm(Self { verifier, token: ES256_TOKEN }, 3)
    }
}

impl Case for Verify {
    fn run(&mut self) {
        black_box(self.verifier.verify(black_box(self.token), START_UNIX_MS).expect("a good token"));
    }
}

const TAKES: u32 = 1000;

/// Taking events from a connection's bucket and from the one of its user: one in two is refused.
pub struct TakeFromBuckets {
    own: Bucket,
    shared: SharedBucket,
    rate: Rate,
    now_ms: u64,
}

impl TakeFromBuckets {
    /// The case.
    #[must_use]
    pub fn new() -> Self {
        let rate = Rate { count: 100, interval_ms: 1_000, burst: 50 };
        warm(Self { own: Bucket::default(), shared: SharedBucket::default(), rate, now_ms: 1_000 }, 3)
    }
}

impl Default for TakeFromBuckets {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for TakeFromBuckets {
    fn run(&mut self) {
        for _ in 0..TAKES {
            self.now_ms += 5;
            let _ = black_box(self.own.take(self.rate, self.now_ms, 1));
            let _ = black_box(self.shared.take(self.rate, self.now_ms, 1));
        }
    }

    fn times(&self) -> u32 {
        TAKES
    }
}
