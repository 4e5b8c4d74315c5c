//! Moves frames: sockets, handshakes, and one epoll loop over all connections. Knows nothing of rooms or checks.
//!
//! `fleet` is the loop; it calls a [`Handler`], which decides what to say and judges what is heard.

mod connection;
mod dialect;
mod fleet;
mod frame;
mod handshake;
mod packing;
mod poller;
mod socket;

pub(crate) use connection::Stage;
pub(crate) use dialect::{Push, Reply, Wire};
pub(crate) use fleet::Fleet;
pub(crate) use handshake::Upgrade;
pub(crate) use packing::Packing;
pub(crate) use socket::raise_descriptor_limit;

use std::fmt;

use rustix::io::Errno;

/// Largest frame that is accepted from the server in the gateway's dialects.
pub(crate) const FRAME_BYTES_MAX: usize = 128 << 10;

/// What the loop asks, and tells. Calls name a connection by its index in the fleet.
pub(crate) trait Handler {
    /// The upgrade succeeded. What is put into `first` goes out as the connection's first text message, and its
    /// [`Handler::on_answer`] decides when the connection is ready; when nothing is put there it is ready now.
    fn on_open(&mut self, index: usize, first: &mut Vec<u8>);
    /// A text message came before the connection was ready.
    fn on_answer(&mut self, index: usize, text: &[u8]) -> Answer;
    /// The connection is ready, so long after it began to connect.
    fn on_ready(&mut self, index: usize, took_ns: u64);
    /// A text message came at `now_ns`. The hot path.
    fn on_text(&mut self, index: usize, text: &[u8], now_ns: u64);
    /// The connection is gone; `stage` is how far it had come.
    fn on_end(&mut self, index: usize, stage: Stage, end: End);
    /// When [`Handler::next_send`] has something next; `u64::MAX` for never.
    fn next_due_ns(&self) -> u64;
    /// Writes the text message that is due into `out` (empty when called) and names its sender; `None` when nothing
    /// is due at `now_ns`.
    fn next_send(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Option<usize>;
    /// The loop, asleep until a point in time, was woken so many nanoseconds after it.
    fn on_wake(&mut self, _late_ns: u64) {}
    /// The last message of [`Handler::next_send`] was not sent: too much was waiting, or the connection is gone.
    fn on_unsent(&mut self, index: usize);
}

/// What an early message means for a connection that wants to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing; keep waiting.
    Unrelated,
    /// So far so good; this is the next text message to send, whose answer is awaited likewise.
    Next(Vec<u8>),
    /// The connection is ready.
    Accepted,
    /// It never will be; the text says why.
    Refused(String),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// A close frame with this code; 1005 when it bore none.
    Code(u16),
    /// A close frame with this code, and the wish to be left alone for so many milliseconds.
    Reconnect(u16, u32),
    /// End of stream without a close frame.
    Eof,
    /// A system call failed.
    Os(Errno),
    /// The server broke the WebSocket protocol.
    Frame(frame::FrameError),
    /// A frame ended within a message.
    Packing,
    /// The upgrade was answered with this HTTP status.
    Status(u16),
    /// The upgrade's answer is not one.
    Upgrade(&'static str),
    /// The first message was refused.
    Refused(String),
    /// Connecting took too long; how far it came.
    TimedOut(Stage),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) | Self::Reconnect(code, _) => write!(out, "{code}"),
            Self::Eof => out.write_str("eof"),
            Self::Os(Errno::CONNRESET) => out.write_str("reset"),
            Self::Os(Errno::CONNREFUSED) => out.write_str("connection refused"),
            Self::Os(errno) => write!(out, "{errno}"),
            Self::Frame(error) => write!(out, "bad frame: {error}"),
            Self::Packing => out.write_str("bad frame: part of a message"),
            Self::Status(status) => write!(out, "HTTP {status}"),
            Self::Upgrade(reason) => write!(out, "bad upgrade: {reason}"),
            Self::Refused(reason) => write!(out, "refused: {reason}"),
            Self::TimedOut(stage) => write!(out, "timed out {stage}"),
        }
    }
}
