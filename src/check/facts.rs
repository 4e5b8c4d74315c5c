//! What the kernel says of this host, for `check` to judge.

use roomcast_shards::rim::runtime;
use rustix::system::uname;
use rustix::thread::{CapabilitySet, capabilities};

use crate::host::Host;

/// What the kernel says. `None` is what it does not tell.
pub(super) struct Facts {
    pub(super) kernel: String,
    /// `/proc/sys/kernel/io_uring_disabled`: 0 for all, 1 for the privileged only, 2 for nobody.
    pub(super) io_uring_disabled: Option<u64>,
    /// Why an executor cannot start here, if it cannot.
    pub(super) io_uring_error: Option<String>,
    pub(super) privileged: bool,
    pub(super) somaxconn: Option<u64>,
    pub(super) ports: Option<(u64, u64)>,
    pub(super) memory_available: Option<u64>,
    pub(super) host: Host,
}

impl Facts {
    /// Asks the kernel.
    pub(super) fn read() -> Self {
        Self {
            kernel: uname().release().to_string_lossy().into_owned(),
            io_uring_error: runtime::probe().err().map(|error| error.to_string()),
            io_uring_disabled: numbers("/proc/sys/kernel/io_uring_disabled").first().copied(),
            privileged: capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)),
            somaxconn: numbers("/proc/sys/net/core/somaxconn").first().copied(),
            ports: match numbers("/proc/sys/net/ipv4/ip_local_port_range")[..] {
                [first, last] => Some((first, last)),
                _ => None,
            },
            memory_available: memory_available(),
            host: Host::read(),
        }
    }
}

/// The smaller of what the host has left and what the control group may still take.
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    let of_group = |name: &str| numbers(&format!("/sys/fs/cgroup/{name}")).first().copied();
    let left = of_group("memory.max").map(|max| max.saturating_sub(of_group("memory.current").unwrap_or(0)));
    Some(left.unwrap_or(u64::MAX).min(kib * 1024))
}

/// The numbers in a file of the kernel; none when it is not there or says something else.
fn numbers(path: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map_while(|word| word.parse().ok()).collect()
}
