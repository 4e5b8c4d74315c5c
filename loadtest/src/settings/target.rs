//! Where the servers are: their addresses, taken apart.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, Result, ensure};

use crate::args::Args;

/// Addresses of one run; each connection remembers its own in a byte.
const TARGETS_MAX: usize = 255;

/// Where a server is, and how it wants to be addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What to connect to.
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// Path and query of the request.
    pub(crate) path: String,
}

/// All of them, at least one, in the order in which they were typed.
///
/// # Errors
/// Names the address that is wrong, and why.
pub(super) fn all(args: &Args) -> Result<Vec<Target>> {
    let urls = &args.url.0;
    ensure!(urls.len() <= TARGETS_MAX, "--url: at most {TARGETS_MAX} addresses");
    urls.iter().map(|url| parse(url).with_context(|| format!("--url {url}"))).collect()
}

fn parse(url: &str) -> Result<Target> {
    let rest = url.strip_prefix("ws://").context("expected ws://HOST:PORT/PATH (TLS is not supported)")?;
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    ensure!(rest.bytes().all(|c| c.is_ascii_graphic()), "only printable ASCII is allowed");
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = authority.to_socket_addrs().context("resolving the host")?.next().context("no address")?;
    Ok(Target { address, host: host.to_owned(), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_split_into_host_and_path() {
        let target = parse("ws://127.0.0.1:3000/ws?profile=native").expect("valid");
        assert_eq!((target.host.as_str(), target.path.as_str()), ("127.0.0.1:3000", "/ws?profile=native"));
        let target = parse("ws://[::1]").expect("valid");
        assert_eq!((target.address.port(), target.path.as_str()), (80, "/"));
    }
}
