//! What coordinator and agents say to each other: JSON, each text behind its length in four bytes.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::measure::RoomDigest;
use crate::report::Report;

/// The longest text that an agent accepts before the coordinator has proved itself.
pub(super) const PROOF_BYTES_MAX: usize = 16 << 10;
/// The longest text otherwise: a count for each of a million rooms, or a report of a long run.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 20;
/// Rooms of a run that is shared, so that their counts fit.
pub(super) const ROOMS_MAX: usize = 1_000_000;
/// Both must be of one version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(super) enum ToAgent {
    /// That it knows the secret.
    Prove { proof: String },
    /// Connect, as these flags say.
    Prepare {
        flags: Vec<String>,
        /// What to sign the server's tokens with.
        secret: Option<Vec<u8>>,
        /// Which part of the connections is this agent's.
        number: usize,
        of: usize,
        /// Tells this run's messages from those of others.
        run: u32,
    },
    /// All are connected: send.
    Go,
    /// All have sent; so many messages to each room.
    AllSent { rooms: Vec<u64> },
    /// End early, and report.
    Stop,
}

/// From an agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(super) enum FromAgent {
    /// Who knows the secret can sign this; an agent without one asks for nothing.
    Challenge { version: String, nonce: Option<String> },
    /// The proof is right.
    Welcome,
    /// Nothing new.
    Alive,
    /// Everybody is connected, or has failed to.
    Connected,
    /// Where the run stands.
    Progress { connections: u64, sent: u64, deliveries: u64, p99_ms: Option<f64> },
    /// Nothing more will be sent; so many messages were to each room.
    Sent { rooms: Vec<u64> },
    /// What was found.
    Done { report: Box<Report>, digests: Vec<RoomDigest> },
    /// It cannot be done; the text says why.
    Failed { text: String },
}

/// Sends a text.
///
/// # Errors
/// The line's.
pub(super) fn write(line: &mut (impl Write + ?Sized), message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(|_| io::Error::other("a message of more than 4 GiB"))?;
    line.write_all(&length.to_be_bytes())?;
    line.write_all(&json)?;
    line.flush()
}

/// Receives a text of at most `bytes_max`.
///
/// # Errors
/// The line's; [`io::ErrorKind::InvalidData`] for what is too long or makes no sense.
pub(super) fn read<T: DeserializeOwned>(line: &mut (impl Read + ?Sized), bytes_max: usize) -> io::Result<T> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut length = [0; 4];
    line.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if usize::try_from(length).map_or(true, |length| length > bytes_max) {
        return Err(invalid(format!("a message of {length} bytes, at most {bytes_max} are accepted")));
    }
    // What was announced need not come: memory grows with what does.
    let mut json = Vec::new();
    line.take(u64::from(length)).read_to_end(&mut json)?;
    if json.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&json).map_err(|error| invalid(format!("no message: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_they_were_sent() {
        let mut line = Vec::new();
        write(&mut line, &ToAgent::AllSent { rooms: vec![1, u64::MAX] }).expect("memory takes it");
        write(&mut line, &ToAgent::Go).expect("memory takes it");
        let mut line = &line[..];
        let first: ToAgent = read(&mut line, 100).expect("it is whole");
        assert!(matches!(first, ToAgent::AllSent { rooms } if rooms == [1, u64::MAX]));
        assert!(matches!(read(&mut line, 100), Ok(ToAgent::Go)));
        assert!(read::<ToAgent>(&mut line, 100).is_err());
    }

    #[test]
    fn what_is_too_long_cut_off_or_senseless_is_refused() {
        let kind = |bytes: &[u8]| read::<ToAgent>(&mut { bytes }, 100).expect_err("refused").kind();
        assert_eq!(kind(&[0, 0, 0, 101]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0xFF; 8]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0, 0, 0, 5, b'{']), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(&[0, 0, 0, 2, b'{', b'}']), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"GET / HTTP/1.1\r\n"), io::ErrorKind::InvalidData);
    }
}
