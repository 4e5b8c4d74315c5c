//! The sockets of a shard, by the slots of their connections.

use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};

use crate::id::ConnectionId;

/// One socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: ConnectionId,
    stream: TcpStream,
    peer: IpAddr,
    /// Whether there may be something to read: set by the poller, cleared by a read that finds the end of it.
    pub(super) readable: bool,
    /// Whether the client closed its side, so that reading must go on to the end.
    pub(super) hang_up: bool,
    /// Whether it stands in the list of sockets to read.
    pub(super) listed: bool,
}

/// What a read or write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// So many bytes; at least one.
    Bytes(usize),
    /// None now.
    Blocked,
    /// None ever again: the other side has closed.
    Finished,
    /// None ever again: the socket failed.
    Ended,
}

impl Socket {
    pub(super) fn new(id: ConnectionId, stream: TcpStream, peer: IpAddr) -> Self {
        Self { id, stream, peer, readable: false, hang_up: false, listed: false }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> Transfer {
        match recv(&self.stream, buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Transfer::Finished,
            Ok((bytes, _)) => Transfer::Bytes(bytes),
            Err(Errno::AGAIN | Errno::INTR) => Transfer::Blocked,
            Err(_) => Transfer::Ended,
        }
    }

    /// Writes; with `last`, [`Socket::shutdown_write`] follows at once, and both leave in one segment.
    pub(super) fn write(&self, bytes: &[u8], last: bool) -> Transfer {
        let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, last);
        match send(&self.stream, bytes, flags) {
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => Transfer::Blocked,
            Ok(bytes) => Transfer::Bytes(bytes),
            Err(_) => Transfer::Ended,
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) fn shutdown_write(&self) {
        let _ = shutdown(&self.stream, Shutdown::Write);
    }

    /// Makes the close a reset, which also drops what the kernel still holds.
    pub(super) fn reset(&self) {
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(super) fn into_stream_of_peer(self) -> (TcpStream, IpAddr) {
        (self.stream, self.peer)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// All sockets of a shard.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<Option<Socket>>);

impl Sockets {
    pub(super) fn insert(&mut self, socket: Socket) {
        let slot = socket.id.slot as usize;
        if slot >= self.0.len() {
            self.0.resize_with(slot + 1, || None);
        }
        self.0[slot] = Some(socket);
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.0.get_mut(id.slot as usize)?.as_mut().filter(|socket| socket.id == id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Socket> {
        self.get_mut(id)?;
        self.0[id.slot as usize].take()
    }
}
