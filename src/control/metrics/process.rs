//! The families that every Prometheus exporter shows of its process, read from `/proc`.

use std::fs;

use prometheus_client::metrics::MetricType::{self, Counter, Gauge};
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::family::{Family, Value};

/// What the process uses of what may run out; `None` where `/proc` is hidden or there is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::control) struct Usage {
    pub(in crate::control) resident_bytes: Option<u64>,
    pub(in crate::control) open_fds: Option<u64>,
    pub(in crate::control) fds_max: Option<u64>,
}

impl Usage {
    /// As of now.
    pub(in crate::control) fn read() -> Self {
        Self {
            resident_bytes: Stat::read().map(|stat| stat.resident_bytes()),
            open_fds: open_fds(),
            fds_max: getrlimit(Resource::Nofile).current,
        }
    }
}

/// Those that can be read; where `/proc` is hidden the others are missing, as exporters do.
pub(super) fn families() -> Vec<Family> {
    let stat = Stat::read();
    let family = |kind: MetricType, name, unit, help, value: Option<Value>| {
        value.map(|value| Family::single(kind, name, unit, help, value))
    };
    let cpu = stat.as_ref().map(|stat| Value::Real(seconds(stat.cpu_ticks)));
    let start =
        stat.as_ref().zip(boot_time_s()).map(|(stat, boot_s)| boot_s as f64 + seconds(stat.start_ticks));
    let resident = stat.as_ref().map(Stat::resident_bytes);
    [
        family(
            Gauge,
            "resident_memory",
            Some(Unit::Bytes),
            "Resident memory size.",
            resident.map(Value::Whole),
        ),
        family(Counter, "cpu", Some(Unit::Seconds), "User and system CPU time spent.", cpu),
        family(
            Gauge,
            "start_time",
            Some(Unit::Seconds),
            "Start of the process since the Unix epoch.",
            start.map(Value::Real),
        ),
        family(Gauge, "open_fds", None, "Open file descriptors.", open_fds().map(Value::Whole)),
        family(
            Gauge,
            "max_fds",
            None,
            "File descriptors that the process may open.",
            getrlimit(Resource::Nofile).current.map(Value::Whole),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What we need of `/proc/self/stat`, see proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn resident_bytes(&self) -> u64 {
        self.resident_pages * rustix::param::page_size() as u64
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the command in parentheses and may hold anything, even parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // `rest` begins with the third field of the manual's numbering.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)?, resident_pages: field(24)? })
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn boot_time_s() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Since Linux 6.2 the folder's size is the number of its entries. Before, they must be counted, which takes tens of
/// milliseconds with a hundred thousand connections.
fn open_fds() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let numbers: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let text = format!("7 (a) b) S {}", numbers.join(" "));
        let expected = Stat { cpu_ticks: 14 + 15, start_ticks: 22, resident_pages: 24 };
        assert_eq!(Stat::parse(&text), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1 2"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert_eq!(families().len(), 5);
        let usage = Usage::read();
        assert!(usage.resident_bytes > Some(100_000) && usage.open_fds >= Some(3), "{usage:?}");
    }
}
