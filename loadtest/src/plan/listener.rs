//! Finds the process that listens where we connect to, when that is this machine: by the socket's inode, which the
//! kernel names in its table of sockets and among the process's descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The process that listens at `address`.
///
/// # Errors
/// Why it cannot be known, as part of a sentence.
pub(super) fn find(address: SocketAddr) -> Result<u32, String> {
    // Only an address of this machine can be bound.
    if UdpSocket::bind((address.ip(), 0)).is_err() {
        return Err(format!("{} is another machine", address.ip()));
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    let inodes: BTreeSet<_> = tables.iter().flat_map(|table| listeners(table, address)).collect();
    if inodes.is_empty() {
        return Err(format!("nothing listens at {address}"));
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    ids.into_iter().find(|pid| holds(*pid, &inodes)).ok_or_else(|| {
        format!("whoever listens at {address} is another user's process, or in another container")
    })
}

fn holds(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).any(|link| {
        let inode =
            link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

/// Inodes of the sockets in a table of the kernel that listen at an address, or at all addresses of its port.
fn listeners(table: &str, address: SocketAddr) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let (ip, port) = local.split_once(':')?;
        let is_it =
            u16::from_str_radix(port, 16).ok()? == address.port() && matches(parse_ip(ip)?, address.ip());
        is_it.then(|| inode.parse().ok())?
    });
    rows.collect()
}

fn matches(bound: IpAddr, wanted: IpAddr) -> bool {
    bound.is_unspecified() || bound.to_canonical() == wanted.to_canonical()
}

/// An address as the kernel prints it: words in the machine's order, in hexadecimal.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let words: Option<Vec<u32>> = text
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read() {
        let row = |local: &str, state: &str, inode: u64| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 x 100\n"
            )
        };
        let table = [
            HEAD,
            &row("0100007F:0BB8", "0A", 11),
            &row("00000000:0BB8", "0A", 12),
            &row("0100007F:0BB8", "01", 13),
            &row("0100007F:0BB9", "0A", 14),
            &row("0200007F:0BB8", "0A", 15),
            "garbage\n",
            &row("xyz", "0A", 16),
        ]
        .concat();
        let address: SocketAddr = "127.0.0.1:3000".parse().expect("an address");
        assert_eq!(listeners(&table, address), [11, 12]);
        let v6 = [
            HEAD,
            &row("00000000000000000000000001000000:0BB8", "0A", 21),
            &row("0000000000000000FFFF00000100007F:0BB8", "0A", 22),
        ];
        assert_eq!(listeners(&v6.concat(), "[::1]:3000".parse().expect("an address")), [21]);
        assert_eq!(listeners(&v6.concat(), address), [22], "an IPv4 address in IPv6 clothes");
    }

    #[test]
    fn who_listens_here_is_found_and_elsewhere_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(find(address), Ok(std::process::id()));
        drop(listener);
        assert!(find(address).expect_err("nobody").contains("nothing listens"));
        let elsewhere = find("192.0.2.1:80".parse().expect("an address"));
        assert!(elsewhere.expect_err("not here").contains("another machine"));
    }
}
