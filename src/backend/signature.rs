//! What proves to a backend that the gateway has sent a request: HMAC-SHA256 over its time and its body.
//!
//! `X-Roomcast-Timestamp` is the time in seconds since 1970, and `X-Roomcast-Signature` is `v1=HEX`, the HMAC of
//! `TIMESTAMP "." BODY`. With several secrets, as while they are exchanged, it is one such value for each, separated by
//! commas; whoever checks accepts a request when one of them is right, and its time is not far from its own. How to do that
//! in Node and Python is shown in `scripts/examples/backend`.

use std::fmt::{self, Write};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

/// The header with the time.
pub(crate) const TIMESTAMP: &str = "x-roomcast-timestamp";
/// The header with the signatures.
pub(crate) const SIGNATURE: &str = "x-roomcast-signature";

/// Secrets that a backend may take while they are exchanged.
pub(crate) const SECRETS_MAX: usize = 4;

/// What requests to a backend are signed with; none leaves them unsigned. Its `Debug` does not show it.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Key>);

impl Secrets {
    /// The secrets of a text, one a line; empty lines do not count.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let keys: Vec<Key> = lines.map(|line| Key::new(HMAC_SHA256, line)).collect();
        match keys.len() {
            0 => Err("holds no secret".to_owned()),
            count if count > SECRETS_MAX => {
                Err(format!("holds {count} secrets, one a line; {SECRETS_MAX} are possible"))
            }
            _ => Ok(Self(keys)),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether requests are not signed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of [`SIGNATURE`] for a body that is sent at that time.
    pub(crate) fn sign(&self, unix_s: u64, body: &[u8]) -> String {
        let mut signed = format!("{unix_s}.").into_bytes();
        signed.extend_from_slice(body);
        let mut out = String::new();
        for key in &self.0 {
            out.push_str(if out.is_empty() { "v1=" } else { ",v1=" });
            for byte in sign(key, &signed).as_ref() {
                write!(out, "{byte:02x}").expect("a string takes every write");
            }
        }
        out
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_time_and_body() {
        // openssl: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hush
        let known = "v1=7cfd1df542c33ab7251748ffdc6e7fed278c63b83d4ece95a4534b0ad465571b";
        let secrets = Secrets::read(b"hush\n").expect("a secret");
        assert_eq!(secrets.sign(1_700_000_000, br#"{"a":1}"#), known);
    }

    #[test]
    fn each_secret_signs() {
        let both = Secrets::read(b"new\n\n  hush \r\n").expect("two secrets");
        let (first, second) = (Secrets::read(b"new").expect("one"), Secrets::read(b"hush").expect("one"));
        assert_eq!(both.sign(7, b"{}"), format!("{},{}", first.sign(7, b"{}"), second.sign(7, b"{}")));
        assert_eq!(format!("{both:?}"), "Secrets(2)");
        assert!(Secrets::default().is_empty() && !both.is_empty());
    }

    #[test]
    fn a_file_without_secrets_or_with_too_many_is_refused() {
        assert!(Secrets::read(b"\n \n").expect_err("none").contains("no secret"));
        assert!(Secrets::read(b"a\nb\nc\nd\ne").expect_err("five").contains("holds 5"));
    }
}
