//! The machine that a run was made on, as far as its kernel tells.

use std::fs;

use serde::{Deserialize, Serialize};

/// What figures depend on beside the software.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// Kernel and its release.
    pub(crate) kernel: String,
    /// Model of the first CPU.
    pub(crate) cpu: String,
    /// CPUs that this process may use.
    pub(crate) cpus: usize,
    pub(crate) memory_bytes: u64,
}

impl Host {
    /// This machine.
    pub(crate) fn here() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
        Self {
            kernel: kernel.map(|part| part.trim().to_owned()).join(" "),
            cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count(),
            memory_bytes: memory_bytes(&read("/proc/meminfo")).unwrap_or(0),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    value("model name").or_else(|| value("Model")).filter(|model| !model.is_empty())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_where_the_kernel_writes_them() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast CPU @ 3.00GHz\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("Fast CPU @ 3.00GHz"));
        assert_eq!(cpu_model("processor: 0\n"), None);
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2048 * 1024));
        let here = Host::here();
        assert!(
            here.cpus > 0 && here.memory_bytes > 1 << 20 && here.kernel.starts_with("Linux "),
            "{here:?}"
        );
    }
}
