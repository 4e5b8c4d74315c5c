//! RFC 6455 frames, as far as a client of a well-behaved server needs them: whole unmasked frames in, masked frames out.
//!
//! The reader works on borrowed bytes and copies nothing. A fragmented message is an error, on purpose: the gateway
//! never fragments, and reassembly would cost the hot path a branch.

use std::fmt;

/// A continuation of a fragmented message; refused.
const CONTINUATION: u8 = 0x0;
/// Opcode of a text message.
pub(crate) const TEXT: u8 = 0x1;
/// Opcode of a binary message.
pub(crate) const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub(crate) const PING: u8 = 0x9;
/// Opcode of a pong.
pub(crate) const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Masking protects proxies from scripts in browsers. A mask of zero is valid, and leaves the payload as it is.
const MASK: [u8; 4] = [0; 4];

/// One frame, its payload still where it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// What it is; see the constants of this module.
    pub(crate) opcode: u8,
    /// What it bears.
    pub(crate) payload: &'a [u8],
    /// Bytes that the whole frame takes.
    pub(crate) len: usize,
}

/// How a server can break the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A reserved bit without an extension.
    Reserved,
    /// A server must not mask.
    Masked,
    /// Part of a message; not supported.
    Fragmented,
    /// Larger than the limit.
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Reserved => "reserved bits",
            Self::Masked => "masked",
            Self::Fragmented => "fragmented",
            Self::TooLarge => "too large",
        })
    }
}

/// Reads the frame that `bytes` begin with; `None` when it is not complete yet.
///
/// # Errors
/// [`FrameError`] when this can never become an acceptable frame of at most `bytes_max` bytes.
#[inline]
pub(crate) fn read(bytes: &[u8], bytes_max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let [first, second, ..] = *bytes else {
        return Ok(None);
    };
    if first & RESERVED != 0 {
        return Err(FrameError::Reserved);
    }
    if second & MASKED != 0 {
        return Err(FrameError::Masked);
    }
    let opcode = first & 0x0F;
    if first & FIN == 0 || opcode == CONTINUATION {
        return Err(FrameError::Fragmented);
    }
    let (header, payload) = match second {
        126 => match bytes.get(2..4) {
            Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|length| <[u8; 8]>::try_from(length).ok()) {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        length => (2, usize::from(length)),
    };
    if payload > bytes_max - header {
        return Err(FrameError::TooLarge);
    }
    let len = header + payload;
    Ok(bytes.get(header..len).map(|payload| Frame { opcode, payload, len }))
}

/// Appends one whole masked frame.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FIN | opcode);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

/// The code that a close frame's payload bears; 1005 is the protocol's word for none.
pub(crate) fn close_code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server writes it.
    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        write(&mut masked, opcode, payload);
        let header = masked.len() - payload.len() - MASK.len();
        masked[1] &= !MASKED;
        masked.drain(header..header + MASK.len());
        masked
    }

    #[test]
    fn frames_read_back_at_every_split() {
        for length in [0, 1, 125, 126, 127, 300, 65_535, 65_536] {
            let payload = vec![b'p'; length];
            let mut bytes = server_frame(TEXT, &payload);
            let len = bytes.len();
            bytes.extend_from_slice(b"next");
            for split in (0..len).filter(|split| *split < 400 || len - split < 20) {
                assert_eq!(read(&bytes[..split], 1 << 20), Ok(None), "{length} split at {split}");
            }
            assert_eq!(read(&bytes, 1 << 20), Ok(Some(Frame { opcode: TEXT, payload: &payload, len })));
        }
    }

    #[test]
    fn broken_frames_are_refused_by_their_header() {
        assert_eq!(read(&[0xC1, 0], 100), Err(FrameError::Reserved));
        assert_eq!(read(&[0x81, 0x80], 100), Err(FrameError::Masked));
        assert_eq!(read(&[0x01, 0], 100), Err(FrameError::Fragmented));
        assert_eq!(read(&[0x80, 0], 100), Err(FrameError::Fragmented));
        assert_eq!(read(&[0x81, 99], 100), Err(FrameError::TooLarge));
        assert_eq!(
            read(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255], 100),
            Err(FrameError::TooLarge)
        );
    }

    #[test]
    fn client_frames_are_masked_with_zero() {
        let mut out = Vec::new();
        write(&mut out, PONG, b"hi");
        assert_eq!(out, [0x8A, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn close_codes() {
        assert_eq!(close_code(&[0x11, 0x39, b'x']), 4409);
        assert_eq!(close_code(&[]), 1005);
    }
}
