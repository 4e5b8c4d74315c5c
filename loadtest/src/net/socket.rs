//! Non-blocking TCP sockets: options, source addresses, the descriptor limit.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Receive buffer of a slow consumer in bytes. The kernel would otherwise take megabytes on its behalf, and it would
/// look attentive for long.
const SLOW_RECEIVE_BUFFER_BYTES: usize = 16 << 10;
/// Descriptors that are needed besides the connections.
const DESCRIPTORS_SPARE: u64 = 64;

/// Begins to connect to `target` from the `source`-th loopback address (0: the kernel's choice).
///
/// # Errors
/// The failed call's. A connection that is merely on its way is no error.
pub(super) fn open(target: SocketAddr, source: u8, slow: bool) -> Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // Messages are small and must leave at their time.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if slow {
        sockopt::set_socket_recv_buffer_size(&socket, SLOW_RECEIVE_BUFFER_BYTES)?;
    }
    if source > 0 {
        // Otherwise the kernel reserves the port at once, as if for all targets, and runs out of them early.
        setsockopt(&socket, IpBindAddressNoPort, &true)
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, source), 0))?;
    }
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Lets the process have `connections` sockets; the hard limit is raised too where we may.
///
/// # Errors
/// The number of connections that are possible, when it is lower.
pub(crate) fn raise_descriptor_limit(connections: usize) -> std::result::Result<(), u64> {
    let wanted = connections as u64 + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(limit.current) {
        return Ok(());
    }
    let hard = if enough(limit.maximum) { limit.maximum } else { Some(wanted) };
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: hard }) {
        Ok(()) => Ok(()),
        Err(_) => Err(limit.maximum.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS_SPARE)),
    }
}
