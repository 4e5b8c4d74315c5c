//! The one system call that no library offers safely, and so the one place with `unsafe`.

use std::os::fd::AsFd;

use rustix::ioctl::{Getter, ioctl};

/// `SIOCOUTQ`, which Linux gives the number of `TIOCOUTQ` (tcp(7)).
const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;

/// Bytes that were written to a TCP socket and that the other side has not acknowledged; `None` when the kernel does
/// not say.
#[expect(unsafe_code, reason = "rustix and the standard library have no safe call for this")]
pub(super) fn unacknowledged(socket: impl AsFd) -> Option<u64> {
    // SAFETY: SIOCOUTQ writes one C int to the address that it is given and reads nothing from it (tcp(7)), which is
    // what `Getter<_, i32>` provides; on a descriptor that is no TCP socket it fails without writing.
    let getter = unsafe { Getter::<SIOCOUTQ, i32>::new() };
    // SAFETY: as above, the opcode does what the getter says, and the descriptor is borrowed for the call.
    let bytes = unsafe { ioctl(socket, getter) };
    u64::try_from(bytes.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_other_side_has_acknowledged_does_not_count() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&server), Some(0));
        server.set_nonblocking(true).unwrap();
        let mut written = 0;
        // Until neither kernel buffer takes any more: then much of it is not acknowledged.
        while let Ok(bytes) = server.write(&[0; 65_536]) {
            written += bytes as u64;
        }
        let waiting = unacknowledged(&server).unwrap();
        assert!(waiting > 0 && waiting < written, "{waiting} of {written}");
        let mut left = written;
        let mut buffer = vec![0; 65_536];
        while left > 0 {
            left -= client.read(&mut buffer).unwrap() as u64;
        }
        while unacknowledged(&server) != Some(0) {
            std::thread::yield_now();
        }
    }
}
