//! Reads facts of the machine, the kernel and a process from `/proc`. What cannot be read is unknown, never an error.

use std::collections::BTreeSet;
use std::fs;

use super::facts::{Kernel, Machine, ServerFacts};

/// The machine.
pub(super) fn machine() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let model = ["model name", "Model", "CPU part"].into_iter().find_map(|key| cpu_field(&cpuinfo, key));
    Machine {
        cpu_model: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: meminfo(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}

/// The kernel's limits.
pub(super) fn kernel() -> Kernel {
    let number = |path: &str, place: usize| numbers(&read(path)).get(place).copied();
    let ports = numbers(&read("/proc/sys/net/ipv4/ip_local_port_range"));
    Kernel {
        nr_open: number("/proc/sys/fs/nr_open", 0),
        file_max: number("/proc/sys/fs/file-max", 0),
        files_open: number("/proc/sys/fs/file-nr", 0),
        local_ports: matches!(ports[..], [low, high] if high >= low).then(|| ports[1] - ports[0] + 1),
        somaxconn: number("/proc/sys/net/core/somaxconn", 0),
        tcp_max_syn_backlog: number("/proc/sys/net/ipv4/tcp_max_syn_backlog", 0),
        conntrack_max: number("/proc/sys/net/netfilter/nf_conntrack_max", 0),
        conntrack_count: number("/proc/sys/net/netfilter/nf_conntrack_count", 0),
        tcp_memory_bytes: number("/proc/sys/net/ipv4/tcp_mem", 2)
            .map(|pages| pages.saturating_mul(rustix::param::page_size() as u64)),
    }
}

/// A process.
pub(super) fn server(pid: u32) -> ServerFacts {
    let limits = read(&format!("/proc/{pid}/limits"));
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    ServerFacts {
        pid,
        name: read(&format!("/proc/{pid}/comm")).trim().to_owned(),
        shards: names.filter_map(|name| shard_number(name.trim())).collect::<BTreeSet<_>>().len(),
        descriptors_max: limit(&limits, "Max open files"),
        locked_bytes_max: limit(&limits, "Max locked memory"),
    }
}

/// Descriptors that a process has open; unknown for other users' processes.
pub(crate) fn descriptors(pid: u32) -> Option<u64> {
    fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|entries| entries.count() as u64)
}

/// Memory that the machine has left.
pub(crate) fn available_bytes() -> Option<u64> {
    meminfo(&read("/proc/meminfo"), "MemAvailable:")
}

/// Connects dropped since boot because a listener's backlog was full.
pub(crate) fn listen_overflows() -> Option<u64> {
    netstat(&read("/proc/net/netstat"), "TcpExt:", "ListenOverflows")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn cpu_field(cpuinfo: &str, key: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The soft limit of a line of `/proc/PID/limits`.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A counter of `/proc/net/netstat`: a line of names, and a line of values.
fn netstat(text: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(table));
    let place = lines.next()?.split_whitespace().position(|found| found == name)?;
    lines.next()?.split_whitespace().nth(place)?.parse().ok()
}

/// The number of a shard's thread: `shard-N`, and whatever the runtime adds.
fn shard_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("shard-")?;
    number.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n\
                      Max locked memory         unlimited            unlimited            bytes\n";
        assert_eq!(limit(limits, "Max open files"), Some(1024));
        assert_eq!(limit(limits, "Max locked memory"), None);
        assert_eq!(limit("", "Max open files"), None);
        assert_eq!(meminfo("MemTotal:  24 kB\nMemAvailable: 12 kB\n", "MemAvailable:"), Some(12 * 1024));
        let text = "TcpExt: A ListenOverflows B\nTcpExt: 1 27 3\nIpExt: X\nIpExt: 9\n";
        assert_eq!(netstat(text, "TcpExt:", "ListenOverflows"), Some(27));
        assert_eq!(netstat(text, "TcpExt:", "C"), None);
        assert_eq!(
            cpu_field("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "model name"),
            Some("Some CPU @ 2 GHz".to_owned())
        );
        let names = ["shard-0", "shard-12-1", "shard-", "shard-x", "acceptor"];
        assert_eq!(names.map(shard_number), [Some(0), Some(12), None, None, None]);
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = machine();
        assert!(machine.cores > 0 && machine.memory_bytes > 0 && !machine.kernel.is_empty(), "{machine:?}");
        let own = server(std::process::id());
        assert!(!own.name.is_empty() && descriptors(own.pid) > Some(2), "{own:?}");
        assert!(kernel().somaxconn.is_some());
        assert!(available_bytes().is_some() && listen_overflows().is_some());
        assert_eq!(descriptors(u32::MAX), None);
    }
}
