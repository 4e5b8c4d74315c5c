//! What this host gives the process: cores, descriptors, locked memory.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// Locked memory that the io_uring instances of one shard need where the kernel counts it, in bytes.
pub(crate) const LOCKED_BYTES_PER_SHARD: u64 = 512 * 1024;

/// Descriptors that are not for clients: a base for listeners, logs and the control plane, and for each shard its
/// io_uring instances, epoll set, doorbell and timer. At a limit of 512 two shards leave 448 for clients.
const RESERVED_DESCRIPTORS_BASE: u64 = 32;
const RESERVED_DESCRIPTORS_PER_SHARD: u64 = 16;

/// More than any process holds, and within what a shard's slots can number.
const CONNECTIONS_CEILING: u64 = 1 << 22;

/// The resources that settings depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The cores that the process may run on, ascending.
    pub(crate) cpus: Vec<usize>,
    /// Descriptors that the process may have open now; `None` is no limit.
    pub(crate) descriptors_soft: Option<u64>,
    /// Descriptors that it may allow itself; `None` is no limit.
    pub(crate) descriptors_hard: Option<u64>,
    /// Bytes of memory of the host or, if that is less, of the control group; `None` when nobody says.
    pub(crate) memory_bytes: Option<u64>,
    /// Bytes that the process may lock in memory; `None` is no limit.
    pub(crate) locked_bytes: Option<u64>,
}

impl Host {
    /// Asks the kernel.
    pub(crate) fn read() -> Self {
        let descriptors = getrlimit(Resource::Nofile);
        Self {
            cpus: usable_cpus(),
            descriptors_soft: descriptors.current,
            descriptors_hard: descriptors.maximum,
            memory_bytes: memory_bytes(),
            // Whatever the process may do by its capabilities: the runtime itself looks at the limit.
            locked_bytes: getrlimit(Resource::Memlock).current,
        }
    }

    /// Connections that the hard descriptor limit leaves for clients; the soft one is raised to it at start.
    pub(crate) fn connections_max(&self, shards: usize) -> u32 {
        let reserve = RESERVED_DESCRIPTORS_BASE + RESERVED_DESCRIPTORS_PER_SHARD * shards as u64;
        let descriptors = self.descriptors_hard.unwrap_or(u64::MAX);
        let connections = descriptors.saturating_sub(reserve).clamp(1, CONNECTIONS_CEILING);
        u32::try_from(connections).expect("the ceiling fits")
    }

    /// Shards that the locked memory allows, at least 1.
    pub(crate) fn shards_by_locked_memory(&self) -> usize {
        let shards = self.locked_bytes.map_or(u64::MAX, |bytes| bytes / LOCKED_BYTES_PER_SHARD).max(1);
        usize::try_from(shards).unwrap_or(usize::MAX)
    }
}

/// Raises the soft descriptor limit to the hard one.
///
/// # Errors
/// What the kernel says; the limit is then as it was, and fewer clients fit.
pub(crate) fn raise_descriptor_limit() -> Result<(), Errno> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
}

fn memory_bytes() -> Option<u64> {
    let of_host = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    });
    let of_group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let of_group = of_group.and_then(|text| text.trim().parse::<u64>().ok());
    of_host.into_iter().chain(of_group).min()
}

fn usable_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        // Cannot fail for the calling thread on a kernel that we run on; one core is always there.
        Err(_) => vec![0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_descriptor_limit_still_serves_most_of_it() {
        let host = |hard| Host {
            cpus: vec![0],
            descriptors_soft: hard,
            descriptors_hard: hard,
            locked_bytes: Some(8 << 20),
            memory_bytes: Some(8 << 30),
        };
        assert_eq!(host(Some(512)).connections_max(2), 448);
        assert_eq!(host(Some(10)).connections_max(2), 1);
        assert_eq!(host(None).connections_max(1), 1 << 22);
        assert_eq!(host(None).shards_by_locked_memory(), 16);
    }

    #[test]
    fn this_host_has_a_core() {
        assert!(!Host::read().cpus.is_empty());
    }
}
