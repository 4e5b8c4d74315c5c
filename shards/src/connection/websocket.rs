//! A WebSocket over memory: tungstenite's state machine between the receive buffer and the outbound queue.
//!
//! An idle connection needs no parser. `Boundary` follows the frames on the wire, so that a socket that stands
//! between two messages gives its parser (and the read arena inside) back to the shard's [`Pool`]; only one that
//! stopped within a message keeps it. Ten thousand idle sockets then cost no parser at all.

use std::io::{self, Cursor, Read, Write};

use bytes::Bytes;
use tungstenite::error::{CapacityError, Error as WsError};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

use crate::protocol::close_code::CloseCode;

/// Bytes that a parser moves at a time.
const READ_CHUNK: usize = 4096;
/// A parser that saw a frame of this size is not kept: its arena would stay as large.
const POOLED_FRAME_MAX: u32 = 16 << 10;
/// Parsers that a shard keeps.
const POOL_MAX: usize = 64;

/// Why a WebSocket that breaks the framing is closed.
const PROTOCOL_ERROR: &str = "protocol error";

/// What the client sent.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// The answer to a ping.
    Pong(Bytes),
    /// A close frame; the answer to it has been written.
    Close,
}

/// Why a WebSocket cannot go on: what to close it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The code of the close frame.
    pub code: CloseCode,
    /// Its reason.
    pub reason: &'static str,
}

/// The inbound side of one connection.
#[derive(Debug, Default)]
pub struct WebSocket {
    boundary: Boundary,
    parser: Option<Box<WebSocketContext>>,
}

/// Parsers that stand between two messages, ready for any connection of the shard.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "a parser moves between pool and connection; boxed, that is a pointer")]
pub struct Pool(Vec<Box<WebSocketContext>>);

impl Pool {
    fn take(&mut self) -> Box<WebSocketContext> {
        self.0.pop().unwrap_or_else(|| {
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_CHUNK)
                .write_buffer_size(0)
                .max_write_buffer_size(READ_CHUNK);
            Box::new(WebSocketContext::new(Role::Server, Some(config)))
        })
    }

    fn give(&mut self, parser: Box<WebSocketContext>) {
        if self.0.len() < POOL_MAX {
            self.0.push(parser);
        }
    }
}

/// One reading of a connection: received bytes, consumed message by message.
#[derive(Debug)]
pub struct Reading<'a> {
    socket: &'a mut WebSocket,
    pool: &'a mut Pool,
    input: &'a [u8],
    /// What the parser answers by itself: pongs, the reply to a close.
    replies: Vec<u8>,
    message_bytes_max: usize,
}

impl WebSocket {
    /// Notes bytes that arrived; each once, however often the reading of them is interrupted. Gives back those that
    /// are to be read: nothing behind a frame that breaks the framing.
    pub fn receive<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.boundary.feed(bytes)]
    }

    /// Begins to read `input`, received before and not read yet.
    pub fn read<'a>(
        &'a mut self,
        pool: &'a mut Pool,
        input: &'a [u8],
        message_bytes_max: usize,
    ) -> Reading<'a> {
        Reading { socket: self, pool, input, replies: Vec::new(), message_bytes_max }
    }
}

impl Reading<'_> {
    /// The next message, `None` when more bytes are needed, or why the connection must close.
    ///
    /// # Errors
    /// [`Failure`] once; nothing may be read after it.
    pub fn next_message(&mut self) -> Result<Option<Incoming>, Failure> {
        if self.input.is_empty() && self.socket.parser.is_none() {
            return self.end();
        }
        let pool = &mut *self.pool;
        let parser = self.socket.parser.get_or_insert_with(|| pool.take());
        let max = self.message_bytes_max;
        parser.set_config(|config| {
            config.max_message_size = Some(max);
            config.max_frame_size = Some(max);
        });
        let mut memory = Memory { input: &mut self.input, output: &mut self.replies };
        loop {
            return match parser.read(&mut memory) {
                Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text))),
                Ok(Message::Binary(data)) => Ok(Some(Incoming::Binary(data))),
                Ok(Message::Close(_)) => {
                    // Drives out the answer; the error says no more than that it is done.
                    let _ = parser.flush(&mut memory);
                    Ok(Some(Incoming::Close))
                }
                Ok(Message::Pong(payload)) if !payload.is_empty() => Ok(Some(Incoming::Pong(payload))),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.release();
                    self.end()
                }
                Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => Ok(Some(Incoming::Close)),
                Err(error) => Err(failure(&error)),
            };
        }
    }

    /// All is read that may be.
    fn end(&self) -> Result<Option<Incoming>, Failure> {
        if self.socket.boundary.overlong {
            return Err(Failure { code: CloseCode::Protocol, reason: PROTOCOL_ERROR });
        }
        Ok(None)
    }

    /// Pongs and close replies that the parser wrote, in order.
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    /// The bytes that were not read yet, when the caller stops before the end.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.input
    }

    /// Gives the parser back when the connection stands between two messages.
    fn release(&mut self) {
        if self.socket.boundary.is_clean() {
            let parser = self.socket.parser.take();
            if let Some(parser) = parser.filter(|_| self.socket.boundary.largest <= POOLED_FRAME_MAX) {
                self.pool.give(parser);
            }
            self.socket.boundary.largest = 0;
        }
    }
}

fn failure(error: &WsError) -> Failure {
    let (code, reason) = match error {
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => (CloseCode::TooLarge, "message too large"),
        WsError::Utf8(_) => (CloseCode::InvalidData, "invalid UTF-8"),
        _ => (CloseCode::Protocol, PROTOCOL_ERROR),
    };
    Failure { code, reason }
}

/// The stream that the parser believes in: reads drain what was received, writes are kept.
struct Memory<'a, 'b> {
    input: &'a mut &'b [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Memory<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Memory<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
const HEADER_BYTES_MAX: usize = 14;

/// Follows frame headers on the wire, and nothing else of the protocol.
#[derive(Debug, Default)]
struct Boundary {
    /// Payload bytes still to come of the current frame.
    payload_left: u64,
    /// Bytes of a header that is not complete.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// Whether a message's first fragments were seen and its last was not.
    in_message: bool,
    /// Whether the headers stopped making sense; the parser then reports it.
    lost: bool,
    /// Whether a length came in more bytes than it needs, which RFC 6455 §5.2 forbids and the parser lets through.
    overlong: bool,
    /// Largest payload since the parser was taken.
    largest: u32,
}

impl Boundary {
    /// Whether the next byte begins a message.
    fn is_clean(&self) -> bool {
        self.payload_left == 0 && self.header_len == 0 && !self.in_message && !self.lost && !self.overlong
    }

    /// Follows `bytes`; how many of them come before a header that breaks the framing.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && !self.lost && !self.overlong {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(rest.len());
                self.payload_left -= skipped as u64;
                rest = &rest[skipped..];
            } else {
                let before = rest;
                rest = self.feed_header(rest);
                if self.overlong {
                    return bytes.len() - before.len();
                }
            }
        }
        if self.overlong { 0 } else { bytes.len() }
    }

    /// Takes a header off the front, completing one that began in an earlier reading.
    fn feed_header<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let kept = usize::from(self.header_len);
        if kept == 0 {
            // The usual case: the header lies in one piece, nothing is copied.
            let mut cursor = Cursor::new(bytes);
            match FrameHeader::parse(&mut cursor) {
                Ok(Some((header, len))) => {
                    let used = usize::try_from(cursor.position()).unwrap_or(bytes.len());
                    self.enter(&header, len, used);
                    return &bytes[used..];
                }
                Ok(None) => {}
                Err(_) => self.lost = true,
            }
        }
        let taken = bytes.len().min(HEADER_BYTES_MAX - kept);
        self.header[kept..kept + taken].copy_from_slice(&bytes[..taken]);
        let mut cursor = Cursor::new(&self.header[..kept + taken]);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((header, len))) => {
                let used = usize::try_from(cursor.position()).unwrap_or(kept);
                self.header_len = 0;
                self.enter(&header, len, used);
                &bytes[used - kept..]
            }
            Ok(None) => {
                self.header_len = u8::try_from(kept + taken).unwrap_or(u8::MAX);
                &bytes[taken..]
            }
            Err(_) => {
                self.lost = true;
                &[]
            }
        }
    }

    fn enter(&mut self, header: &FrameHeader, len: u64, header_bytes: usize) {
        self.overlong |= header_bytes > header.len(len);
        self.payload_left = len;
        self.largest = self.largest.max(u32::try_from(len).unwrap_or(u32::MAX));
        if let OpCode::Data(Data::Text | Data::Binary | Data::Continue) = header.opcode {
            self.in_message = !header.is_final;
        }
    }
}

#[cfg(test)]
mod tests;
