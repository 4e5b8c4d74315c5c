//! `roomcast check`: can this host serve with these settings, what limits it, and what would change that.
//!
//! `facts` asks the kernel; judging what it says is pure. One line an item: verdict, name, value, and for what
//! falls short by how much it limits and the command that changes it.

mod facts;

use std::fmt;
use std::io::Write;

use facts::Facts;

use crate::exit::Failure;
use crate::host::{Host, LOCKED_BYTES_PER_SHARD};
use crate::settings::{Settings, format_cpus, format_size};

/// The oldest kernel with what the runtime uses of io_uring.
const KERNEL_MIN: (u32, u32) = (5, 8);

/// The listener's queue of connections that wait to be accepted.
const BACKLOG: u64 = 4096;

/// Memory to set aside for a connection that is idle, and for one shard and the process itself.
const BYTES_PER_CONNECTION: u64 = 4 * 1024;
const BYTES_PER_SHARD: u64 = 32 << 20;

/// What the settings want of the host.
struct Wanted {
    shards: usize,
    cpus: Vec<usize>,
    connections: u32,
}

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    verdict: Verdict,
    name: &'static str,
    finding: String,
}

impl fmt::Display for Item {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(out, "{verdict:<5} {:<15} {}", self.name, self.finding)
    }
}

/// Prints the report.
///
/// # Errors
/// A [`Failure`] with the exit code for an unavailable host when it cannot serve at all.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let wanted = Wanted {
        shards: settings.data_plane.shards,
        cpus: settings.data_plane.cpus.clone(),
        connections: settings.data_plane.limits.connections_max,
    };
    let items = judge(&Facts::read(), &wanted);
    let mut out = std::io::stdout().lock();
    for item in &items {
        writeln!(out, "{item}").map_err(Failure::other)?;
    }
    for warning in &settings.warnings {
        writeln!(out, "warn  {:<15} {warning}", "settings").map_err(Failure::other)?;
    }
    let failed: Vec<&str> =
        items.iter().filter(|item| item.verdict == Verdict::Fail).map(|item| item.name).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::unavailable(format!("cannot serve: {}", failed.join(", "))))
    }
}

fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Item> {
    vec![
        kernel(facts),
        io_uring(facts),
        descriptors(&facts.host, wanted),
        locked_memory(&facts.host, wanted),
        backlog(facts),
        ports(facts),
        cores(&facts.host, wanted),
        memory(facts, wanted),
    ]
}

fn item(verdict: Verdict, name: &'static str, finding: String) -> Item {
    Item { verdict, name, finding }
}

fn kernel(facts: &Facts) -> Item {
    let (major, minor) = KERNEL_MIN;
    let text = &facts.kernel;
    match version(text) {
        Some(version) if version >= KERNEL_MIN => item(Verdict::Ok, "kernel", text.clone()),
        Some(_) => item(Verdict::Fail, "kernel", format!("{text}; at least {major}.{minor} is needed")),
        None => item(
            Verdict::Warn,
            "kernel",
            format!("{text:?}; cannot tell whether it is at least {major}.{minor}"),
        ),
    }
}

/// `6.18.44-generic` as `(6, 18)`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn io_uring(facts: &Facts) -> Item {
    let name = "io_uring";
    let fix = "sysctl -w kernel.io_uring_disabled=0";
    match facts.io_uring_disabled {
        Some(0) | None if facts.io_uring_error.is_some() => {
            let error = facts.io_uring_error.as_deref().unwrap_or_default();
            item(Verdict::Fail, name, format!("{error}: see the container's seccomp profile and `ulimit -l`"))
        }
        // Kernels before 6.6 have no such switch.
        None | Some(0) => item(Verdict::Ok, name, "works".to_owned()),
        Some(1) if facts.privileged => {
            item(Verdict::Ok, name, "for privileged processes, such as this".to_owned())
        }
        Some(1) => item(Verdict::Fail, name, format!("for privileged processes only: {fix}")),
        Some(_) => item(Verdict::Fail, name, format!("disabled: {fix}")),
    }
}

fn descriptors(host: &Host, wanted: &Wanted) -> Item {
    let show = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    let (soft, hard) = (show(host.descriptors_soft), show(host.descriptors_hard));
    let connections = host.connections_max(wanted.shards);
    let finding =
        format!("{soft} soft, {hard} hard (soft is raised to hard): enough for {connections} connections");
    if connections < wanted.connections {
        let fix = format!("{} are configured: ulimit -Hn, or LimitNOFILE= of systemd", wanted.connections);
        return item(Verdict::Warn, "descriptors", format!("{finding}; {fix}"));
    }
    if connections < 1000 {
        let fix = "raise it with ulimit -Hn, or LimitNOFILE= of systemd";
        return item(Verdict::Warn, "descriptors", format!("{finding}; {fix}"));
    }
    item(Verdict::Ok, "descriptors", finding)
}

fn locked_memory(host: &Host, wanted: &Wanted) -> Item {
    let name = "locked memory";
    let Some(bytes) = host.locked_bytes else {
        return item(Verdict::Ok, name, "unlimited".to_owned());
    };
    let shards = host.shards_by_locked_memory();
    let finding = format!("{}: enough for {shards} shards", format_size(bytes));
    if shards >= wanted.shards.max(host.cpus.len()) && bytes >= LOCKED_BYTES_PER_SHARD {
        return item(Verdict::Ok, name, finding);
    }
    let needed = wanted.shards.max(host.cpus.len()) as u64 * LOCKED_BYTES_PER_SHARD;
    let fix = format!(
        "for every core {}: ulimit -l {}, or LimitMEMLOCK= of systemd",
        format_size(needed),
        needed / 1024
    );
    item(Verdict::Warn, name, format!("{finding}; {fix}"))
}

fn backlog(facts: &Facts) -> Item {
    let name = "somaxconn";
    match facts.somaxconn {
        None => item(Verdict::Warn, name, "cannot be read".to_owned()),
        Some(limit) if limit >= BACKLOG => item(Verdict::Ok, name, limit.to_string()),
        Some(limit) => item(
            Verdict::Warn,
            name,
            format!(
                "{limit}: no more than that may wait to be accepted when all clients reconnect at once, of \
                 {BACKLOG} intended: sysctl -w net.core.somaxconn={BACKLOG}"
            ),
        ),
    }
}

fn ports(facts: &Facts) -> Item {
    let name = "port range";
    match facts.ports {
        None => item(Verdict::Warn, name, "cannot be read".to_owned()),
        Some((first, last)) => {
            let count = (last + 1).saturating_sub(first);
            let finding = format!(
                "{first}-{last}: a proxy or load generator on this host opens at most {count} connections from one \
                 address"
            );
            if count >= 50_000 {
                return item(Verdict::Ok, name, finding);
            }
            let fix =
                "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", or use several source addresses";
            item(Verdict::Ok, name, format!("{finding} ({fix})"))
        }
    }
}

fn cores(host: &Host, wanted: &Wanted) -> Item {
    let name = "cores";
    let pinned = if wanted.cpus.is_empty() {
        "not pinned".to_owned()
    } else {
        format!("on {}", format_cpus(&wanted.cpus))
    };
    let finding = format!("{} usable, {} shards {pinned}", host.cpus.len(), wanted.shards);
    if wanted.shards > host.cpus.len() {
        return item(
            Verdict::Warn,
            name,
            format!("{finding}; more shards than cores only share them: --shards"),
        );
    }
    item(Verdict::Ok, name, finding)
}

fn memory(facts: &Facts, wanted: &Wanted) -> Item {
    let name = "memory";
    let Some(available) = facts.memory_available else {
        return item(Verdict::Warn, name, "cannot be read".to_owned());
    };
    let idle = available.saturating_sub(wanted.shards as u64 * BYTES_PER_SHARD) / BYTES_PER_CONNECTION;
    let finding = format!("{} MiB available: enough for {idle} idle connections", available >> 20);
    if idle < u64::from(wanted.connections) {
        return item(
            Verdict::Warn,
            name,
            format!(
                "{finding} of {} configured; history and slow clients come on top: --max-connections",
                wanted.connections
            ),
        );
    }
    item(Verdict::Ok, name, finding)
}

#[cfg(test)]
mod tests;
