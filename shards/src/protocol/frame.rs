//! WebSocket frames as the server sends them: unmasked, so the same bytes serve every recipient.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close_code::CloseCode;

/// Bytes that a close frame's reason may have (RFC 6455 §5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

fn frame(opcode: OpCode, parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let mut out = Vec::with_capacity(header.len(len as u64) + len);
    header.format(len as u64, &mut out).expect("a vector takes every write");
    for part in parts {
        out.extend_from_slice(part);
    }
    out.into()
}

/// A text message in one frame.
#[must_use]
pub fn text(payload: &[u8]) -> Bytes {
    frame(OpCode::Data(Data::Text), &[payload])
}

/// A text message of several parts in one frame.
#[must_use]
pub fn text_of(parts: &[&[u8]]) -> Bytes {
    frame(OpCode::Data(Data::Text), parts)
}

/// A binary message in one frame.
#[must_use]
pub fn binary(payload: &[u8]) -> Bytes {
    frame(OpCode::Data(Data::Binary), &[payload])
}

/// A ping; the answer to it repeats the payload.
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    frame(OpCode::Control(Control::Ping), &[payload])
}

/// A close frame; the reason is ASCII and cut to what fits.
#[must_use]
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    let reason = &reason.as_bytes()[..reason.len().min(CLOSE_REASON_BYTES_MAX)];
    frame(OpCode::Control(Control::Close), &[&code.number().to_be_bytes(), reason])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(&text(b"hi")[..], b"\x81\x02hi");
        assert_eq!(text(&[b'a'; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(text(&vec![b'a'; 1 << 16])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(&close(CloseCode::Restart, "x")[..], b"\x88\x03\x03\xf4x");
        assert_eq!(&ping(b"")[..], b"\x89\x00");
    }
}
