//! Listening sockets.

use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_socket, listen, socket_with, sockopt,
};

use crate::exit::Failure;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on an address.
///
/// # Errors
/// [`Failure`] naming the address, with the exit code for one that is in use or not this host's.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    open(address).map_err(|error| match error {
        Errno::ADDRINUSE => Failure::unavailable(format!("--listen {address}: the address is in use")),
        Errno::ADDRNOTAVAIL => {
            Failure::unavailable(format!("--listen {address}: no interface has this address"))
        }
        Errno::ACCESS => Failure::unavailable(format!("--listen {address}: not permitted to use this port")),
        error => Failure::other(format!("--listen {address}: {error}")),
    })
}

fn open(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    // A restart must not wait for the connections of the process before it.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Each address family is asked for by itself, so that `0.0.0.0` and `[::]` can stand side by side.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Frames are small and leave when they are due, not when a segment is full. Accepted sockets inherit it.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind_socket(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
