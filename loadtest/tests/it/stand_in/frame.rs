//! WebSocket frames as a server has them: unmasked out, masked in.

use std::io::Write as _;
use std::net::TcpStream;

pub(super) const TEXT: u8 = 0x1;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;

pub(super) fn close(socket: &TcpStream, code: u16) {
    write_frame(socket, CLOSE, &code.to_be_bytes());
}

pub(super) fn write_frame(mut socket: &TcpStream, opcode: u8, payload: &[u8]) {
    let mut bytes = Vec::new();
    encode(&mut bytes, opcode, payload);
    let _ = socket.write_all(&bytes);
}

pub(super) fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => out.push(short),
        _ => {
            out.push(126);
            out.extend_from_slice(&u16::try_from(payload.len()).expect("short messages").to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Takes one whole masked frame from the front.
pub(super) fn decode(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [first, second, ..] = *received.as_slice() else {
        return None;
    };
    assert!(first & 0x80 != 0 && second & 0x80 != 0, "client frames are whole and masked");
    let (mask_at, length) = match second & 0x7F {
        126 => (4, usize::from(u16::from_be_bytes([*received.get(2)?, *received.get(3)?]))),
        127 => panic!("no test sends as much"),
        length => (2, usize::from(length)),
    };
    let end = mask_at + 4 + length;
    if received.len() < end {
        return None;
    }
    let mask: Vec<u8> = received[mask_at..mask_at + 4].to_vec();
    let payload =
        received[mask_at + 4..end].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    received.drain(..end);
    Some((first & 0x0F, payload))
}
