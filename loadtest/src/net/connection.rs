//! One connection's socket, how far it has come, and the few bytes that wait on either side of it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

/// Bytes that may wait to be sent; beyond it a message is refused, and counted as not sent.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No socket.
    Absent,
    /// TCP is connecting.
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// The upgrade succeeded; the server is to speak first.
    Greeting,
    /// The first message was sent; its answer is awaited.
    Joining,
    /// In use.
    Ready,
    /// Our close frame was sent; the server's is awaited.
    Closing,
}

impl Stage {
    /// Whether the connection is on its way to [`Stage::Ready`].
    pub(crate) fn is_in_flight(self) -> bool {
        matches!(self, Self::Connecting | Self::Upgrading | Self::Greeting | Self::Joining)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Absent => "absent",
            Self::Connecting => "connecting",
            Self::Upgrading => "upgrading",
            Self::Greeting => "greeting",
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Closing => "closing",
        })
    }
}

/// A socket and its state. Small, since there are many; buffers exist only while they hold something.
pub(super) struct Connection {
    socket: Option<OwnedFd>,
    pub(super) stage: Stage,
    /// A slow consumer that has stopped reading.
    pub(super) paused: bool,
    /// Which of the servers it is connected to.
    pub(super) address: u8,
    /// When the present attempt began.
    pub(super) since_ns: u64,
    /// The beginning of a frame whose rest has not arrived.
    partial: Vec<u8>,
    /// What the kernel did not take yet.
    pending: Vec<u8>,
}

impl Connection {
    /// Without a socket.
    pub(super) fn absent() -> Self {
        Self {
            socket: None,
            stage: Stage::Absent,
            paused: false,
            address: 0,
            since_ns: 0,
            partial: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// On its way to a server over this socket since `now_ns`.
    pub(super) fn connecting(socket: OwnedFd, address: u8, now_ns: u64) -> Self {
        Self { socket: Some(socket), stage: Stage::Connecting, address, since_ns: now_ns, ..Self::absent() }
    }

    /// The socket, while there is one.
    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Receives behind the part that was kept, both into `buffer`. Returns the bytes that are now in it, and whether
    /// the socket may have more; 0 bytes is the end of the stream.
    ///
    /// # Errors
    /// The socket's; [`Errno::AGAIN`] when nothing has arrived.
    #[inline]
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
        let Some(socket) = &self.socket else {
            return Err(Errno::AGAIN);
        };
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        let (received, _) = recv(socket, &mut buffer[kept..], RecvFlags::empty())?;
        let filled = kept + received;
        Ok((if received == 0 { 0 } else { filled }, filled == buffer.len()))
    }

    /// Keeps what was received and could not be used yet.
    #[inline]
    pub(super) fn keep(&mut self, rest: &[u8]) {
        if !(rest.is_empty() && self.partial.is_empty()) {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
    }

    /// Sends `bytes`, or what the kernel does not take of them later. `false` when they are refused as a whole.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(socket) = &self.socket else { return false };
        if !self.pending.is_empty() {
            let fits = self.pending.len() + bytes.len() <= PENDING_BYTES_MAX;
            if fits {
                self.pending.extend_from_slice(bytes);
            }
            return fits;
        }
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.pending.extend_from_slice(&bytes[sent..]);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.pending.extend_from_slice(bytes);
                true
            }
            // The end of the connection comes as an event of its own.
            Err(_) => false,
        }
    }

    /// Ends the connection as a failing network would: with a reset, and without a word.
    pub(super) fn reset(self) {
        if let Some(socket) = &self.socket {
            // Without the option it is an ordinary end, and the server none the wiser.
            let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    /// Bytes that are kept of a frame whose rest has not arrived.
    pub(super) fn kept(&self) -> usize {
        self.partial.len()
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self) {
        let Some(socket) = &self.socket else { return };
        while !self.pending.is_empty() {
            match send(socket, &self.pending, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.pending.drain(..sent)),
                Err(_) => return,
            }
        }
        self.pending = Vec::new();
    }
}
