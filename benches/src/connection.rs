//! One socket of the floor: what was read but is no whole frame, and what waits to be sent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::frame::{self, HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX, opcode};

/// Bytes of one receive.
const RECV_BYTES: usize = 64 << 10;
/// Bytes of the scratch buffer: the beginning of the largest frame, and one more receive.
pub(crate) const SCRATCH_BYTES: usize = HEADER_BYTES_MAX + PAYLOAD_BYTES_MAX + RECV_BYTES;
/// Bytes that may wait to be sent; whoever lets more come together is dropped.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Bytes for which an empty queue keeps its memory.
const QUEUE_BYTES_KEPT: usize = 16 << 10;

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request head is not complete.
    Handshake,
    /// Frames go both ways.
    Open,
    /// Nothing more is read; what is queued goes out, and then the socket is closed.
    Closing,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// The queue is empty.
    All,
    /// The socket is full; the rest waits.
    Part,
    /// The peer is gone, or the connection ends here.
    End,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    pub(crate) phase: Phase,
    /// Indices of the rooms that it is in.
    pub(crate) rooms: Vec<usize>,
    /// Whether it is in the list of those to flush at the end of the turn.
    pub(crate) dirty: bool,
    /// Whether the epoll set waits for the socket to become writable.
    pub(crate) awaits_writable: bool,
    unread: Vec<u8>,
    queue: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            phase: Phase::Handshake,
            rooms: Vec::new(),
            dirty: false,
            awaits_writable: false,
            unread: Vec::new(),
            queue: Vec::new(),
        }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives once, behind what the last receive left over, and says how many bytes of `scratch` are to be read.
    ///
    /// # Errors
    /// The error of the socket, `EAGAIN` included, or `ECONNRESET` at its end.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize, Errno> {
        let carried = self.unread.len();
        scratch[..carried].copy_from_slice(&self.unread);
        let (received, _) =
            recv(&self.socket, &mut scratch[carried..carried + RECV_BYTES], RecvFlags::empty())?;
        if received == 0 {
            return Err(Errno::CONNRESET);
        }
        self.unread.clear();
        Ok(carried + received)
    }

    /// Keeps the beginning of a frame (or of the request head) until more of it comes.
    pub(crate) fn keep_unread(&mut self, rest: &[u8]) {
        self.unread.extend_from_slice(rest);
    }

    /// Queues bytes that are ready for the wire. Nothing follows a close frame.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closing {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// Queues a close frame as the last one.
    pub(crate) fn close(&mut self, code: &[u8]) {
        let mut close = Vec::with_capacity(4);
        frame::append(&mut close, opcode::CLOSE, code);
        self.queue(&close);
        self.phase = Phase::Closing;
    }

    /// Sends what is queued with one call.
    pub(crate) fn flush(&mut self) -> Flushed {
        if self.queue.len() > QUEUE_BYTES_MAX {
            return Flushed::End;
        }
        if !self.queue.is_empty() {
            match send(&self.socket, &self.queue, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.queue.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return Flushed::End,
            }
        }
        if !self.queue.is_empty() {
            return Flushed::Part;
        }
        self.queue.shrink_to(QUEUE_BYTES_KEPT);
        if self.phase == Phase::Closing { Flushed::End } else { Flushed::All }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn connected() -> (Connection, UnixStream) {
        let (socket, peer) = UnixStream::pair().expect("a pair of sockets");
        socket.set_nonblocking(true).expect("a live socket");
        let mut connection = Connection::new(socket.into());
        connection.phase = Phase::Open;
        (connection, peer)
    }

    #[test]
    fn what_the_socket_does_not_take_waits_in_order() {
        let (mut connection, mut peer) = connected();
        let bytes: Vec<u8> = (0..2_u32 << 20).map(|at| at.to_le_bytes()[at as usize % 4]).collect();
        connection.queue(&bytes);
        assert_eq!(connection.flush(), Flushed::Part);
        let mut received = Vec::new();
        while connection.flush() != Flushed::All {
            let mut part = [0; 64 << 10];
            let length = peer.read(&mut part).expect("something was sent");
            received.extend_from_slice(&part[..length]);
        }
        drop(connection);
        peer.read_to_end(&mut received).expect("the rest");
        assert!(received == bytes);
    }

    #[test]
    fn a_closing_connection_ends_when_its_close_frame_is_out() {
        let (mut connection, mut peer) = connected();
        connection.queue(b"before");
        connection.close(&1000_u16.to_be_bytes());
        connection.queue(b"after");
        assert_eq!(connection.flush(), Flushed::End);
        drop(connection);
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("the end");
        assert_eq!(received, b"before\x88\x02\x03\xE8");
    }

    #[test]
    fn a_queue_beyond_its_bound_or_a_lost_peer_ends_the_connection() {
        let (mut connection, _peer) = connected();
        connection.queue(&vec![0; QUEUE_BYTES_MAX + 1]);
        assert_eq!(connection.flush(), Flushed::End);
        let (mut connection, peer) = connected();
        drop(peer);
        connection.queue(b"x");
        assert_eq!(connection.flush(), Flushed::End);
    }

    #[test]
    fn a_receive_continues_what_the_last_one_left() {
        let (mut connection, mut peer) = connected();
        let mut scratch = vec![0; SCRATCH_BYTES];
        assert_eq!(connection.receive(&mut scratch), Err(Errno::AGAIN));
        connection.keep_unread(b"be");
        assert_eq!(connection.receive(&mut scratch), Err(Errno::AGAIN), "and keeps it");
        peer.write_all(b"gun").expect("room for it");
        let length = connection.receive(&mut scratch).expect("it has come");
        assert_eq!(&scratch[..length], b"begun");
        drop(peer);
        assert_eq!(connection.receive(&mut scratch), Err(Errno::CONNRESET));
    }
}
