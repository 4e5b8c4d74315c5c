//! The client's side of the wire, written apart from the server's code so that they cannot err alike.

use std::fmt::Write;

/// Opcodes of RFC 6455 §5.2.
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// What answers the key that every client here sends (RFC 6455 §1.3).
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// The head of an upgrade request for `target`, with further header lines.
#[must_use]
pub fn upgrade_head(target: &str, headers: &[String]) -> Vec<u8> {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for line in headers {
        let _ = write!(head, "{line}\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A client's frame: masked, final or not.
#[must_use]
pub fn client_frame(opcode: u8, last: bool, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![opcode | if last { 0x80 } else { 0 }];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..126), _) => frame.push(0x80 | len),
        (_, Ok(len)) => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What a client read.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The answer to the upgrade request.
    Head {
        /// 101 when it was accepted.
        status: u16,
        /// Whether it bears the accept key that answers the key of [`upgrade_head`].
        accepts: bool,
    },
    /// A text message.
    Text(String),
    /// A binary message; only the echo sends one.
    Binary(Vec<u8>),
    /// A ping, with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame; its code, if it had one.
    Close(Option<u16>),
}

/// Cuts the server's bytes into the answer to the upgrade and into frames.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    head_read: bool,
    /// Whether the upgrade was refused, so that what follows is a body.
    refused: bool,
    closed: bool,
}

impl Reader {
    /// Whether a frame, or the head, has come in part only.
    pub(super) fn is_amid_frame(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes that came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing that is complete.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn next_frame(&mut self) -> Result<Option<Received>, String> {
        if self.closed && !self.bytes.is_empty() {
            return Err(format!("{} bytes behind the close frame", self.bytes.len()));
        }
        if self.refused {
            self.bytes.clear();
        }
        if !self.head_read {
            return self.next_head();
        }
        let Some((opcode, start, end)) = self.frame_bounds()? else { return Ok(None) };
        let payload = self.bytes[start..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some(match opcode {
            TEXT => Received::Text(String::from_utf8(payload).map_err(|_| "text that is no UTF-8")?),
            BINARY => Received::Binary(payload),
            PING => Received::Ping(payload),
            PONG => Received::Pong,
            CLOSE => {
                self.closed = true;
                Received::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))
            }
            opcode => return Err(format!("a frame with opcode {opcode}")),
        }))
    }

    fn next_head(&mut self) -> Result<Option<Received>, String> {
        let Some(end) = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.bytes[..end + 2]).into_owned();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("no status line: {head:?}"))?;
        self.head_read = true;
        self.refused = status != 101;
        self.bytes.drain(..end + 4);
        Ok(Some(Received::Head { status, accepts: head.contains(ACCEPT) }))
    }

    /// Opcode, start and end of the payload of a complete frame at the front.
    fn frame_bounds(&self) -> Result<Option<(u8, usize, usize)>, String> {
        let [first, second, ..] = self.bytes[..] else { return Ok(None) };
        if first & 0xf0 != 0x80 || second & 0x80 != 0 {
            return Err(format!("a frame that is not whole and unmasked: {first:#x} {second:#x}"));
        }
        let (start, len) = match second {
            126 => (4, self.bytes.get(2..4).map(|len| usize::from(u16::from_be_bytes([len[0], len[1]])))),
            127 => (10, self.bytes[2..].first_chunk().map(|len| as_size(u64::from_be_bytes(*len)))),
            len => (2, Some(usize::from(len))),
        };
        let end = len.map(|len| start + len).filter(|end| self.bytes.len() >= *end);
        Ok(end.map(|end| (first & 0x0f, start, end)))
    }
}

fn as_size(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_a_close_frame_are_noticed() {
        let mut reader = Reader { head_read: true, ..Reader::default() };
        reader.feed(b"\x81\x02hi\x88\x02\x03\xe8");
        assert_eq!(reader.next_frame(), Ok(Some(Received::Text("hi".to_owned()))));
        assert_eq!(reader.next_frame(), Ok(Some(Received::Close(Some(1000)))));
        assert_eq!(reader.next_frame(), Ok(None));
        reader.feed(b"x");
        assert!(reader.next_frame().is_err());
    }
}
