//! Everything that a statement is made from: what was read of the machine and the server, and what was measured.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::capacity::RampReport;

/// All facts of one `plan`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Facts {
    pub(crate) machine: Machine,
    pub(crate) kernel: Kernel,
    /// The server's process, when it is known.
    pub(crate) server: Option<ServerFacts>,
    /// How the server's process became known, or why it did not.
    pub(crate) server_found: String,
    pub(crate) ladder: Ladder,
    /// The search with rooms of this many members.
    pub(crate) room_size: usize,
    pub(crate) rooms: Option<RampReport>,
    /// The search with one room of this many members.
    pub(crate) broadcast_size: usize,
    pub(crate) broadcast: Option<RampReport>,
    /// Errors that the server sent during the searches, by code.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// The machine that this ran on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu_model: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

/// What the kernel allows; `None` is unknown, or not there.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Kernel {
    /// `fs.nr_open`: the most descriptors that a process can be allowed.
    pub(crate) nr_open: Option<u64>,
    /// `fs.file-max`, and how many files are open in all.
    pub(crate) file_max: Option<u64>,
    pub(crate) files_open: Option<u64>,
    /// Ports of `net.ipv4.ip_local_port_range`.
    pub(crate) local_ports: Option<u64>,
    pub(crate) somaxconn: Option<u64>,
    pub(crate) tcp_max_syn_backlog: Option<u64>,
    /// `net.netfilter.nf_conntrack_max`, and how many are tracked; absent without connection tracking.
    pub(crate) conntrack_max: Option<u64>,
    pub(crate) conntrack_count: Option<u64>,
    /// The third number of `net.ipv4.tcp_mem`, in bytes: all buffers of all sockets.
    pub(crate) tcp_memory_bytes: Option<u64>,
}

/// The server's process.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ServerFacts {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// Threads named `shard-N`; 0 for a server that has none.
    pub(crate) shards: usize,
    /// `Max open files`, the soft limit; `None` is no limit, or unknown.
    pub(crate) descriptors_max: Option<u64>,
    /// `Max locked memory` in bytes, the soft limit; `None` is no limit, or unknown.
    pub(crate) locked_bytes_max: Option<u64>,
}

/// Idle connections, from few to many.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Ladder {
    pub(crate) rungs: Vec<Rung>,
    /// Why connections failed.
    pub(crate) failures: BTreeMap<String, u64>,
    /// The server's CPU time over wall time with all connections open and idle.
    pub(crate) idle_cpu_share: Option<f64>,
    /// Connects that the kernel dropped since a listener's backlog was full.
    pub(crate) listen_overflows: Option<u64>,
}

/// So many connections open and idle.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Rung {
    pub(crate) connections: u64,
    /// How long it took to connect those beyond the rung before, and what that used.
    pub(crate) connect_seconds: f64,
    pub(crate) server_connect_cpu_ns: Option<u64>,
    pub(crate) generator_cpu_share: f64,
    pub(crate) server_resident_bytes: Option<u64>,
    pub(crate) server_descriptors: Option<u64>,
    /// `MemAvailable` of the machine.
    pub(crate) available_bytes: Option<u64>,
}

impl Ladder {
    /// Most connections that were open.
    pub(crate) fn connections(&self) -> u64 {
        self.rungs.last().map_or(0, |rung| rung.connections)
    }

    /// Growth of something for each connection, over the upper rungs: what the first connections cost in addition is
    /// the base's, not theirs.
    pub(crate) fn slope(&self, of: impl Fn(&Rung) -> Option<u64>) -> Option<f64> {
        let loaded: Vec<_> = self.rungs.iter().filter(|rung| rung.connections > 0).collect();
        let (low, high) = (loaded.first()?, loaded.last()?);
        let low = if low.connections < high.connections { low } else { self.rungs.first()? };
        let connections = high.connections.checked_sub(low.connections).filter(|more| *more > 0)?;
        Some((of(high)? as f64 - of(low)? as f64) / connections as f64)
    }

    /// Connects a second, over all rungs.
    pub(crate) fn connects_per_second(&self) -> f64 {
        let seconds: f64 = self.rungs.iter().map(|rung| rung.connect_seconds).sum();
        self.connections() as f64 / seconds.max(1e-9)
    }

    /// The server's CPU time for each connect, in microseconds.
    pub(crate) fn cpu_us_per_connect(&self) -> Option<f64> {
        let cpu_ns: u64 = self.rungs.iter().filter_map(|rung| rung.server_connect_cpu_ns).sum();
        (cpu_ns > 0 && self.connections() > 0).then(|| cpu_ns as f64 / 1e3 / self.connections() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(connections: u64, resident: u64) -> Rung {
        Rung {
            connections,
            server_resident_bytes: Some(resident),
            connect_seconds: 0.5,
            server_connect_cpu_ns: Some(1_000_000),
            ..Rung::default()
        }
    }

    #[test]
    fn the_first_connections_do_not_count_for_the_slope() {
        let rungs = vec![rung(0, 1_000_000), rung(100, 9_000_000), rung(200, 9_200_000)];
        let ladder = Ladder { rungs, ..Ladder::default() };
        assert_eq!(ladder.slope(|rung| rung.server_resident_bytes), Some(2000.0));
        assert_eq!(ladder.slope(|rung| rung.server_descriptors), None);
        assert_eq!(ladder.connects_per_second(), 200.0 / 1.5);
        assert_eq!(ladder.cpu_us_per_connect(), Some(15.0));
        let two = Ladder { rungs: vec![rung(0, 0), rung(100, 5000)], ..Ladder::default() };
        assert_eq!(two.slope(|rung| rung.server_resident_bytes), Some(50.0));
        let none = Ladder { rungs: vec![rung(0, 0), rung(0, 0)], ..Ladder::default() };
        assert_eq!((none.slope(|rung| rung.server_resident_bytes), none.cpu_us_per_connect()), (None, None));
        assert_eq!(Ladder::default().slope(|rung| rung.available_bytes), None);
    }
}
