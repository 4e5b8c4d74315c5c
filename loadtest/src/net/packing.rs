//! How a dialect's messages lie in WebSocket frames, and the heartbeats that are answered before anybody sees them.
//!
//! The gateway's own dialects have one message to a text frame. Engine.IO has too, but greets first and sends heartbeats
//! of its own; NATS puts any number of its protocol messages into a binary frame.

use memchr::memchr;

use super::frame;

/// What a frame of the server is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// One message, and nothing else.
    Plain,
    /// One Engine.IO packet, protocol 4.
    EngineIo,
    /// Lines of the NATS protocol, messages with their payload behind them.
    Nats,
}

/// A piece of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// For whoever understands the dialect.
    Message(&'a [u8]),
    /// A heartbeat that wants this answer.
    Ping(&'static [u8]),
}

/// A frame that is not made of whole parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Packing {
    /// The opcode that messages have, both ways.
    pub(super) fn opcode(self) -> u8 {
        match self {
            Self::Plain | Self::EngineIo => frame::TEXT,
            Self::Nats => frame::BINARY,
        }
    }

    /// Largest frame that is accepted from the server. NATS writes all that waits for a client as one frame.
    pub(super) fn frame_bytes_max(self) -> usize {
        match self {
            Self::Plain | Self::EngineIo => super::FRAME_BYTES_MAX,
            Self::Nats => 16 << 20,
        }
    }

    /// Whether the server speaks first, and the client only when it has heard that.
    pub(super) fn has_greeting(self) -> bool {
        self != Self::Plain
    }

    /// Whether this message is how the server greets.
    pub(super) fn is_greeting(self, message: &[u8]) -> bool {
        match self {
            Self::Plain => false,
            Self::EngineIo => message.starts_with(b"0{"),
            Self::Nats => message.starts_with(b"INFO "),
        }
    }

    /// Takes the first part off `rest`; `None` at the end.
    ///
    /// # Errors
    /// When what is left is the beginning of a part only. The NATS server ends a frame where a message ends.
    #[inline]
    pub(super) fn next_part<'a>(self, rest: &mut &'a [u8]) -> Result<Option<Part<'a>>, Broken> {
        if rest.is_empty() {
            return Ok(None);
        }
        let (part, after) = match self {
            Self::Plain => (Part::Message(rest), &[][..]),
            Self::EngineIo if **rest == *b"2" => (Part::Ping(b"3"), &[][..]),
            Self::EngineIo => (Part::Message(rest), &[][..]),
            Self::Nats => nats_part(rest).ok_or(Broken)?,
        };
        *rest = after;
        Ok(Some(part))
    }
}

/// The first part of NATS's bytes, and what follows it. Of a `MSG` the payload is the message, of all else the line.
#[inline]
fn nats_part(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    let after = &bytes[end + 1..];
    if line == b"PING" {
        return Some((Part::Ping(b"PONG\r\n"), after));
    }
    if !line.starts_with(b"MSG ") {
        return Some((Part::Message(line), after));
    }
    let digits = line.rsplit(|byte| *byte == b' ').next()?;
    let size: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let payload = after.get(..size)?;
    Some((Part::Message(payload), after[size..].strip_prefix(b"\r\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All parts of a frame, or that it is broken.
    fn parts(packing: Packing, mut frame: &[u8]) -> Result<Vec<Part<'_>>, Broken> {
        std::iter::from_fn(|| packing.next_part(&mut frame).transpose()).collect()
    }

    fn messages<'a>(messages: &[&'a str]) -> Result<Vec<Part<'a>>, Broken> {
        Ok(messages.iter().map(|message| Part::Message(message.as_bytes())).collect())
    }

    #[test]
    fn a_plain_frame_is_one_message_whatever_it_holds() {
        assert_eq!(parts(Packing::Plain, b"2"), messages(&["2"]));
        assert_eq!(parts(Packing::Plain, b""), messages(&[]));
        assert_eq!(Packing::Plain.opcode(), 1);
    }

    #[test]
    fn engine_io_pings_are_answered_and_all_else_is_passed_on() {
        assert_eq!(parts(Packing::EngineIo, b"2"), Ok(vec![Part::Ping(b"3")]));
        for packet in ["42[\"x\"]", "2probe", "40{\"sid\":\"a\"}", "6"] {
            assert_eq!(parts(Packing::EngineIo, packet.as_bytes()), messages(&[packet]));
        }
        assert!(Packing::EngineIo.is_greeting(br#"0{"sid":"a","upgrades":[]}"#));
        assert!(!Packing::EngineIo.is_greeting(br#"44{"message":"no"}"#));
    }

    #[test]
    fn nats_frames_hold_many_messages() {
        let frame = b"MSG bench:0 1 5\r\nhello\r\nPING\r\nMSG bench:0 1 reply 4\r\na\r\nb\r\n+OK\r\nMSG bench:0 1 0\r\n\r\n";
        let expected = [
            Part::Message(b"hello"),
            Part::Ping(b"PONG\r\n"),
            Part::Message(b"a\r\nb"),
            Part::Message(b"+OK"),
            Part::Message(b""),
        ];
        assert_eq!(parts(Packing::Nats, frame), Ok(expected.to_vec()));
        assert!(Packing::Nats.is_greeting(b"INFO {\"server_id\":\"x\"}"));
        assert_eq!(Packing::Nats.opcode(), 2);
    }

    #[test]
    fn nats_frames_that_end_within_a_message_are_broken() {
        let frame = b"PONG\r\nMSG bench:0 1 5\r\nhello\r\n";
        assert_eq!(parts(Packing::Nats, frame), messages(&["PONG", "hello"]));
        for cut in (1..frame.len()).filter(|cut| *cut != 6) {
            assert_eq!(parts(Packing::Nats, &frame[..cut]), Err(Broken), "cut at {cut}");
        }
        for wrong in ["MSG a 1 x\r\n\r\n", "MSG a 1 -1\r\n\r\n", "MSG a 1 2\r\nabc\r\n", "\n", "MSG \r\n"] {
            assert_eq!(parts(Packing::Nats, wrong.as_bytes()), Err(Broken), "{wrong:?}");
        }
    }
}
