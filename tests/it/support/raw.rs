//! WebSocket frames by hand, so that a test can send what no library would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::http::{self, Response};

/// An upgraded connection whose every byte the test chooses.
pub(crate) struct RawSocket {
    pub(crate) stream: TcpStream,
    inbound: Vec<u8>,
}

/// Sets the FIN bit of a frame's first byte.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl RawSocket {
    /// Upgrades `path` and fails unless the answer is 101.
    pub(crate) fn upgrade(address: SocketAddr, path: &str) -> Self {
        Self::upgrade_with(http::connect(address), http::upgrade_head(path, &[]).as_bytes())
    }

    /// Sends `request` (a head and whatever follows it) and expects 101.
    pub(crate) fn upgrade_with(stream: TcpStream, request: &[u8]) -> Self {
        Self::try_upgrade_with(stream, request).unwrap_or_else(|response| panic!("no upgrade: {response:?}"))
    }

    /// As [`RawSocket::upgrade_with`], or what was answered instead of 101.
    pub(crate) fn try_upgrade_with(mut stream: TcpStream, request: &[u8]) -> Result<Self, Box<Response>> {
        stream.write_all(request).expect("the server takes the head");
        let response = http::read_response(&mut stream);
        match response.status {
            101 => Ok(Self { stream, inbound: response.tail }),
            _ => Err(Box::new(response)),
        }
    }

    /// A masked frame; `first` is FIN, reserved bits and opcode.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&masked(first, payload));
    }

    /// Bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Writes `bytes` again and again; whether the server stops reading, so that for `patience` none are taken.
    pub(crate) fn blocks_after(&mut self, bytes: &[u8], patience: Duration) -> bool {
        self.stream.set_write_timeout(Some(patience)).expect("settable");
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if self.stream.write_all(bytes).is_err() {
                return true;
            }
        }
        false
    }

    /// The next frame: first byte and payload. `None` when the server has closed the connection.
    pub(crate) fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        if !self.fill(2) {
            assert!(self.inbound.is_empty(), "the connection ended within a frame");
            return None;
        }
        let (first, length) = (self.inbound[0], self.inbound[1]);
        assert_eq!(length & 0x80, 0, "a server must not mask");
        let (header, length) = match length {
            126 => {
                assert!(self.fill(4));
                (4, usize::from(u16::from_be_bytes([self.inbound[2], self.inbound[3]])))
            }
            127 => {
                assert!(self.fill(10));
                let bytes = self.inbound[2..10].try_into().expect("eight bytes");
                (10, usize::try_from(u64::from_be_bytes(bytes)).expect("fits"))
            }
            short => (2, usize::from(short)),
        };
        assert!(self.fill(header + length), "the connection ended within a frame");
        let payload = self.inbound[header..header + length].to_vec();
        self.inbound.drain(..header + length);
        Some((first, payload))
    }

    /// Whether anything, the end included, arrives within that time.
    pub(crate) fn stirs_within(&self, time: Duration) -> bool {
        !self.inbound.is_empty() || http::stirs_within(&self.stream, time)
    }

    /// Expects a whole frame of that opcode and returns its payload.
    pub(crate) fn expect(&mut self, opcode: u8) -> Vec<u8> {
        let (first, payload) = self.read().expect("a frame, not the end");
        assert_eq!(first, FIN | opcode, "payload {:?}", String::from_utf8_lossy(&payload));
        payload
    }

    /// Expects a close frame and then the end; returns its code. Frames before it are skipped.
    pub(crate) fn expect_close(&mut self) -> u16 {
        loop {
            let (first, payload) = self.read().expect("a close frame before the end");
            if first == FIN | CLOSE {
                assert!(payload.len() >= 2 && payload.len() <= 125, "close payload {payload:?}");
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                assert!(std::str::from_utf8(&payload[2..]).is_ok(), "the reason is UTF-8");
                // The peer's part of the close handshake, unless the server is gone already.
                let _ = self.stream.write_all(&masked(FIN | CLOSE, &payload[..2]));
                assert!(self.read().is_none(), "nothing follows a close frame");
                return code;
            }
        }
    }

    /// Reads until `count` bytes are there; false at the end of the stream, resets included.
    fn fill(&mut self, count: usize) -> bool {
        let mut buffer = [0; 16 * 1024];
        while self.inbound.len() < count {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => self.inbound.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("nothing to read: {error}"),
            }
        }
        true
    }
}

/// A frame as a client must send it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => bytes.push(0x80 | u8::try_from(length).expect("at most 125")),
        Ok(length) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
