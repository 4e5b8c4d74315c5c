//! What a lost connection can be resumed from, and the token that names it.
//!
//! A session is opened by its connection and lives at its user's owner. While the connection is there the owner knows
//! where; when it is lost, its home shard leaves behind up to where the client has certainly got each room. The token
//! says nothing that has to be believed: it is signed, and names a session that the owner looks up.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::progress::Progress;
use crate::id::{ConnectionId, Epoch, Offset, SessionId, ShardId};
use crate::mesh::item::Caller;

/// Sessions that one user may have; the one that was lost first goes first.
pub const SESSIONS_MAX: usize = 64;
const PREFIX: &str = "rs1";

/// One room of a session, and up to where its client has got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRoom {
    /// The room.
    pub room: Arc<str>,
    /// The stream.
    pub epoch: Epoch,
    /// Up to where.
    pub offset: Offset,
}

/// Where a session is.
#[derive(Debug)]
pub enum Holder {
    /// With a connection.
    Live(ShardId, ConnectionId),
    /// Nowhere, until this time.
    Parked {
        /// Milliseconds on the process's clock.
        until_ms: u64,
        /// What it had.
        progress: Progress,
    },
}

/// A connection that wants a session which another one still has.
#[derive(Debug)]
pub struct Claim {
    /// Its home shard.
    pub shard: ShardId,
    /// It, and where the answer goes.
    pub caller: Caller,
}

/// One session of a user.
#[derive(Debug)]
pub struct Session {
    /// What the rooms know it as.
    pub id: SessionId,
    /// Where it is.
    pub holder: Holder,
    /// Who waits for it.
    pub claims: Vec<Claim>,
    /// How far its client had got when that was last told, for a process that ends without notice.
    pub checkpoint: Option<Box<Progress>>,
    /// Whether it was handed to a connection that has not told how far its client is.
    pub is_moving: bool,
}

impl Session {
    /// A session that nobody waits for.
    #[must_use]
    pub fn new(id: SessionId, holder: Holder) -> Self {
        Self { id, holder, claims: Vec::new(), checkpoint: None, is_moving: false }
    }
}

/// The token of a user's session: text that needs no escape in a URL.
#[must_use]
pub fn token(key: &[u8], session: SessionId, user: &str) -> String {
    let body = format!("{PREFIX}.{session}.{}", hex(user));
    let signature = sign(key, &body);
    format!("{body}.{signature}")
}

/// The session and the user that a token names, if it is one of ours.
#[must_use]
pub fn read_token(key: &[u8], token: &str) -> Option<(SessionId, String)> {
    let (body, signature) = token.rsplit_once('.')?;
    let verified = crypto::verify(
        signature,
        body.as_bytes(),
        &jsonwebtoken::DecodingKey::from_secret(key),
        Algorithm::HS256,
    );
    if !verified.unwrap_or(false) {
        return None;
    }
    let mut parts = body.split('.');
    let (Some(PREFIX), Some(session), Some(user), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    Some((SessionId(u64::from_str_radix(session, 16).ok()?), unhex(user)?))
}

fn sign(key: &[u8], body: &str) -> String {
    crypto::sign(body.as_bytes(), &EncodingKey::from_secret(key), Algorithm::HS256)
        .expect("HS256 signs any bytes with any secret")
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_what_was_signed_and_nothing_else() {
        let key = [7; 32];
        let token = token(&key, SessionId(0xabc), "7 al|ice");
        assert_eq!(read_token(&key, &token), Some((SessionId(0xabc), "7 al|ice".to_owned())));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)), "{token}");
        assert_eq!(read_token(&[8; 32], &token), None, "another key");
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(read_token(&key, &String::from_utf8(forged).expect("ASCII")), None, "byte {at}");
        }
        for text in ["", ".", "rs1", "rs1.0.61", "rs1.0.6.x", "é.é.é.é"] {
            assert_eq!(read_token(&key, text), None, "{text}");
        }
    }
}
