//! WebSocket frames (RFC 6455 §5): masked ones in, unmasked ones out. Pure.

/// Opcodes that the floor knows.
pub(crate) mod opcode {
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xA;
}

/// Bytes of the largest payload that is read.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of the largest header of a client: two, a long length and the mask.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTROL_PAYLOAD_BYTES_MAX: u64 = 125;

/// One whole frame of a client, already unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the frame on the wire.
    pub(crate) bytes: usize,
}

/// Something that the floor does not read; the connection is closed with this code (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) u16);

impl Refusal {
    /// Against the framing of RFC 6455.
    pub(crate) const PROTOCOL: Self = Self(1002);
    /// Correct, but not for the floor: binary, fragments, unknown messages.
    pub(crate) const UNSUPPORTED: Self = Self(1003);
    /// A payload above [`PAYLOAD_BYTES_MAX`].
    pub(crate) const TOO_LARGE: Self = Self(1009);
}

/// Reads the frame that `bytes` begin with and unmasks it in place; `None` if it is not complete yet, and then
/// `bytes` are as they were.
pub(crate) fn read(bytes: &mut [u8]) -> Result<Option<Frame<'_>>, Refusal> {
    let &mut [first, second, ..] = bytes else {
        return Ok(None);
    };
    let opcode = check_head(first, second)?;
    let Some((length, mask_at)) = payload_length(second, bytes) else {
        return Ok(None);
    };
    if opcode >= opcode::CLOSE && length > CONTROL_PAYLOAD_BYTES_MAX {
        return Err(Refusal::PROTOCOL);
    }
    let length = usize::try_from(length).map_err(|_| Refusal::TOO_LARGE)?;
    if length > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TOO_LARGE);
    }
    let payload_at = mask_at + 4;
    let Some((head, payload)) =
        bytes.get_mut(..payload_at + length).map(|frame| frame.split_at_mut(payload_at))
    else {
        return Ok(None);
    };
    let mask = head.last_chunk().expect("a masked header ends with its mask");
    unmask(payload, *mask);
    Ok(Some(Frame { opcode, payload, bytes: payload_at + length }))
}

/// The opcode, if the first two bytes begin a frame that the floor reads.
fn check_head(first: u8, second: u8) -> Result<u8, Refusal> {
    let opcode = first & 0x0F;
    match opcode {
        _ if first & 0x70 != 0 || second & MASKED == 0 => Err(Refusal::PROTOCOL),
        opcode::TEXT if first & FIN != 0 => Ok(opcode),
        opcode::CLOSE | opcode::PING | opcode::PONG if first & FIN != 0 => Ok(opcode),
        0x0..=0x2 => Err(Refusal::UNSUPPORTED),
        _ => Err(Refusal::PROTOCOL),
    }
}

/// Length of the payload, and where the mask begins.
fn payload_length(second: u8, bytes: &[u8]) -> Option<(u64, usize)> {
    match second & !MASKED {
        126 => Some((u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(), 4)),
        127 => Some((u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10)),
        short => Some((short.into(), 2)),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Four bytes at a time: the compiler makes vector instructions of it.
    let (chunks, rest) = payload.as_chunks_mut::<4>();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Appends a whole frame of a server.
pub(crate) fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FIN | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(short.to_le_bytes()[0]),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Turns a server's frame into a client's.
    fn masked(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, opcode, payload);
        let header = bytes.len() - payload.len();
        bytes[1] |= MASKED;
        unmask(&mut bytes[header..], mask);
        bytes.splice(header..header, mask);
        bytes
    }

    #[test]
    fn the_example_of_the_rfc_reads_hello() {
        let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let expected = Frame { opcode: opcode::TEXT, payload: b"Hello", bytes: 11 };
        assert_eq!(read(&mut bytes), Ok(Some(expected)));
    }

    #[test]
    fn what_the_floor_does_not_read_is_refused() {
        let check = |mut bytes: Vec<u8>, expected| assert_eq!(read(&mut bytes), Err(expected));
        check(vec![0x81, 0x00], Refusal::PROTOCOL);
        check(vec![0xC1, 0x80], Refusal::PROTOCOL);
        check(vec![0x83, 0x80], Refusal::PROTOCOL);
        check(vec![0x09, 0x80], Refusal::PROTOCOL);
        check(vec![0x82, 0x80], Refusal::UNSUPPORTED);
        check(vec![0x01, 0x80], Refusal::UNSUPPORTED);
        check(vec![0x80, 0x80], Refusal::UNSUPPORTED);
        check(masked(opcode::PING, &[0; 126], [0; 4]), Refusal::PROTOCOL);
        check(masked(opcode::TEXT, &[0; PAYLOAD_BYTES_MAX + 1], [0; 4]), Refusal::TOO_LARGE);
        check([&[0x81, 0xFF][..], &[0xFF; 8]].concat(), Refusal::TOO_LARGE);
    }

    proptest! {
        #[test]
        fn frames_read_as_they_were_written_however_they_are_cut(
            length in prop_oneof![0..300_usize, 65_500..65_600_usize], mask: [u8; 4], cut: prop::sample::Index,
        ) {
            let payload: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let mut bytes = masked(opcode::TEXT, &payload, mask);
            let whole = bytes.clone();
            prop_assert!(bytes.len() - length <= HEADER_BYTES_MAX);
            prop_assert_eq!(read(&mut bytes[..cut.index(whole.len())]), Ok(None));
            prop_assert_eq!(&bytes, &whole);
            let expected = Frame { opcode: opcode::TEXT, payload: &payload, bytes: whole.len() };
            prop_assert_eq!(read(&mut bytes), Ok(Some(expected)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&mut bytes);
        }
    }
}
