//! The body of a polling request or its answer: packets with a separator between them, binary ones in base64.
//!
//! What waits for a client waits as WebSocket frames, whatever its transport, so that a message is encoded once for
//! all. A polling client's answer is made of them here, and a client that upgrades gets the rest as it is.
//! Source: Engine.IO protocol 4, "Packet encoding".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Between two packets of a body.
pub const SEPARATOR: u8 = 0x1e;

/// How many packets an answer holds at most: python-engineio's client takes one of more for an error of the transport.
pub const PACKETS_MAX: usize = 16;

/// One packet of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A packet of text, its type in front.
    Text(&'a str),
    /// The bytes of a binary message.
    Binary(Vec<u8>),
}

/// Takes the packet at the front of a body, and says how many bytes it took, its separator included.
///
/// # Errors
/// When it is not UTF-8, not base64, or nothing.
pub fn split_first(body: &[u8]) -> Result<(Part<'_>, usize), Malformed> {
    let end = memchr::memchr(SEPARATOR, body).unwrap_or(body.len());
    let taken = (end + 1).min(body.len());
    match &body[..end] {
        [] => Err(Malformed),
        // Behind a separator comes another packet.
        _ if end + 1 == body.len() => Err(Malformed),
        [b'b', base64 @ ..] => {
            STANDARD.decode(base64).map(|data| (Part::Binary(data), taken)).map_err(|_| Malformed)
        }
        text => std::str::from_utf8(text).map(|text| (Part::Text(text), taken)).map_err(|_| Malformed),
    }
}

/// A body that is none; it ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Adds the packets that a run of the server's own WebSocket frames carries. A close frame becomes a close packet, and
/// pings of the WebSocket, which polling does not have, are left out.
pub fn append(out: &mut Vec<u8>, mut frames: &[u8]) {
    while let Some((opcode, payload, rest)) = first_frame(frames) {
        frames = rest;
        let before = out.len();
        if before > 0 {
            out.push(SEPARATOR);
        }
        match opcode {
            OpCode::Data(Data::Binary) => {
                out.push(b'b');
                out.extend_from_slice(STANDARD.encode(payload).as_bytes());
            }
            OpCode::Control(Control::Close) => out.push(b'1'),
            OpCode::Data(_) => out.extend_from_slice(payload),
            OpCode::Control(_) => out.truncate(before),
        }
    }
}

/// How many packets [`append`] would add at most.
pub fn count(mut frames: &[u8]) -> usize {
    let mut count = 0;
    while let Some((_, _, rest)) = first_frame(frames) {
        frames = rest;
        count += 1;
    }
    count
}

/// The frame at the front of what the server itself has encoded.
fn first_frame(bytes: &[u8]) -> Option<(OpCode, &[u8], &[u8])> {
    let mut cursor = std::io::Cursor::new(bytes);
    let (header, len) = FrameHeader::parse(&mut cursor).ok().flatten()?;
    let start = usize::try_from(cursor.position()).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    Some((header.opcode, bytes.get(start..end)?, &bytes[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::close_code::CloseCode;
    use crate::protocol::frame;

    fn split(mut body: &[u8]) -> Result<Vec<Part<'_>>, Malformed> {
        let mut parts = Vec::new();
        while !body.is_empty() {
            let (part, taken) = split_first(body)?;
            parts.push(part);
            body = &body[taken..];
        }
        Ok(parts)
    }

    #[test]
    fn bodies_are_split_at_separators() {
        assert_eq!(
            split(b"4hello\x1ebAQIDBA==\x1e2"),
            Ok(vec![Part::Text("4hello"), Part::Binary(vec![1, 2, 3, 4]), Part::Text("2")])
        );
        for bad in [&b"\x1e4a"[..], b"4a\x1e", b"4a\x1e\x1e4b", b"b!", b"4\xff"] {
            assert_eq!(split(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn frames_become_packets() {
        let mut out = Vec::new();
        append(&mut out, &[frame::text(b"4a"), frame::binary(&[1, 2, 3, 4])].concat());
        append(&mut out, &frame::ping(b"x"));
        append(&mut out, &frame::close(CloseCode::Restart, "reconnect=1"));
        assert_eq!(out, b"4a\x1ebAQIDBA==\x1e1");
    }

    proptest! {
        #[test]
        fn what_goes_out_is_what_waited(texts in proptest::collection::vec("4[a-z]{0,300}", 1..9)) {
            let frames: Vec<u8> = texts.iter().flat_map(|text| frame::text(text.as_bytes())).collect();
            let mut out = Vec::new();
            append(&mut out, &frames);
            prop_assert_eq!(count(&frames), texts.len());
            let parts: Vec<_> = texts.iter().map(|text| Part::Text(text)).collect();
            prop_assert_eq!(split(&out), Ok(parts));
        }

        #[test]
        fn no_body_is_too_strange(body in any::<Vec<u8>>()) {
            let _ = split(&body);
            append(&mut Vec::new(), &body);
        }
    }
}
