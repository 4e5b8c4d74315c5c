//! What a run costs: the server's CPU time and memory from `/proc`, the generator's own from its clock.

use std::collections::BTreeMap;
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

/// CPU time of each thread of a process at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThreadTimes(BTreeMap<u32, (String, u64)>);

impl ThreadTimes {
    /// The thread that used most CPU time since `earlier`, and how much in nanoseconds.
    pub(crate) fn busiest_since(&self, earlier: &Self) -> Option<(&str, u64)> {
        let used = self.0.iter().map(|(id, (name, cpu_ns))| {
            let before = earlier.0.get(id).map_or(0, |(_, cpu_ns)| *cpu_ns);
            (name.as_str(), cpu_ns.saturating_sub(before))
        });
        used.max_by_key(|(_, cpu_ns)| *cpu_ns)
    }
}

impl FromIterator<Self> for ThreadTimes {
    /// Those of several processes: no two threads of a machine have the same id.
    fn from_iter<T: IntoIterator<Item = Self>>(all: T) -> Self {
        Self(all.into_iter().flat_map(|times| times.0).collect())
    }
}

impl ServerProcess {
    /// What each of its threads has used until now; of none when it is gone.
    pub(crate) fn thread_times(self) -> ThreadTimes {
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let times = tasks.filter_map(|task| {
            let id = task.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            let (head, _) = stat.rsplit_once(')')?;
            let (_, name) = head.split_once('(')?;
            Some((id, (name.to_owned(), cpu_ticks(&stat)? * tick_ns)))
        });
        ThreadTimes(times.collect())
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
    fn the_busiest_thread_is_the_one_that_used_most_since() {
        let times = |a, b| ThreadTimes([(1, ("a".to_owned(), a)), (2, ("b".to_owned(), b))].into());
        assert_eq!(times(500, 90).busiest_since(&times(490, 10)), Some(("b", 80)));
        assert_eq!(times(500, 90).busiest_since(&ThreadTimes::default()), Some(("a", 500)));
        assert!(ServerProcess::new(u32::MAX).thread_times().busiest_since(&ThreadTimes::default()).is_none());
        let own = ServerProcess::new(std::process::id()).thread_times();
        assert!(own.busiest_since(&ThreadTimes::default()).is_some());
    }

    #[test]
    fn own_usage_is_plausible() {
        let usage = ServerProcess::new(std::process::id()).usage().expect("we run");
        assert!(usage.resident_bytes > 100_000);
        assert_eq!(ServerProcess::new(u32::MAX).usage(), None);
        assert_eq!(resident_bytes("VmPeak:\t1 kB\nVmRSS:\t    2048 kB\n"), Some(2048 * 1024));
    }
}
