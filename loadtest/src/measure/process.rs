//! What a run costs: the server's CPU time and memory from `/proc`, the generator's own from its clock.

use std::fs;

use serde::Serialize;

use crate::clock;

/// A process that is watched from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerProcess {
    pid: u32,
}

/// What a process has used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct ServerUsage {
    /// User and system time since its start, in nanoseconds; counted by the kernel in ticks of some 10 ms.
    pub(crate) cpu_ns: u64,
    /// Resident memory in bytes.
    pub(crate) resident_bytes: u64,
}

impl ServerProcess {
    /// Watches the process with this id.
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// What it has used until now; `None` when it is gone.
    pub(crate) fn usage(self) -> Option<ServerUsage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Some(ServerUsage { cpu_ns: cpu_ticks(&stat)? * tick_ns, resident_bytes: resident_bytes(&status)? })
    }
}

/// `utime` and `stime` of a `/proc/PID/stat`. The second field, the name, may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// CPU time of this process from a moment on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GeneratorCpu {
    cpu_ns: u64,
    wall_ns: u64,
}

impl GeneratorCpu {
    /// Begins to count.
    pub(crate) fn start() -> Self {
        Self { cpu_ns: clock::process_cpu_ns(), wall_ns: clock::now_ns() }
    }

    /// Share of one core used since the start, 0 to 1.
    pub(crate) fn share(self) -> f64 {
        let wall = clock::now_ns().saturating_sub(self.wall_ns).max(1);
        clock::process_cpu_ns().saturating_sub(self.cpu_ns) as f64 / wall as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_name() {
        let stat = "42 (a) name (x) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(cpu_ticks("42 (short) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn own_usage_is_plausible() {
        let usage = ServerProcess::new(std::process::id()).usage().expect("we run");
        assert!(usage.resident_bytes > 100_000);
        assert_eq!(ServerProcess::new(u32::MAX).usage(), None);
        assert_eq!(resident_bytes("VmPeak:\t1 kB\nVmRSS:\t    2048 kB\n"), Some(2048 * 1024));
    }
}
