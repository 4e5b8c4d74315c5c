//! What ends first, and what would move it. Pure: facts in, limits out.

use serde::Serialize;

use super::facts::{Facts, Ladder};
use crate::capacity::{Cause, RampReport, Step};

/// Share of a core above which a thread has no time for more.
const BUSY_THREAD: f64 = 0.85;
/// The same for all cores of the machine.
const BUSY_MACHINE: f64 = 0.9;
/// Locked memory that each shard's io_uring instances may need.
const LOCKED_BYTES_PER_SHARD: u64 = 512 * 1024;

/// What there is a finite amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Resource {
    /// One thread of the server has its core to itself, and uses it up.
    ServerCpu,
    /// Server and generator together use up the machine.
    MachineCpu,
    /// The generator.
    Generator,
    /// What the server allows by its settings.
    ServerSettings,
    /// The server did not take connections, or let them go.
    Connections,
    Memory,
    Descriptors,
    /// Files of the whole machine.
    Files,
    LocalPorts,
    /// Connections that the firewall follows.
    Conntrack,
    /// The listener's queue.
    Backlog,
    /// Deliveries were late, or lost, while everything had time.
    Latency,
    /// Nothing was reached.
    None,
}

/// How something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Basis {
    /// It was seen.
    Measured,
    /// It follows from what was seen, if that goes on as it began.
    Extrapolated,
    /// It was read from a setting.
    Configured,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Limit {
    pub(crate) resource: Resource,
    /// Connections at which it is reached, for limits of connections.
    pub(crate) at: Option<u64>,
    pub(crate) basis: Basis,
    /// What it is known from.
    pub(crate) evidence: String,
    /// What would move it.
    pub(crate) lever: String,
}

/// All limits of the number of connections that are known, the lowest first.
pub(crate) fn of_connections(facts: &Facts) -> Vec<Limit> {
    let mut limits: Vec<Limit> =
        [refusals(&facts.ladder), descriptors(facts), memory(facts), files(facts), conntrack(facts)]
            .into_iter()
            .flatten()
            .collect();
    limits.sort_by_key(|limit| limit.at);
    limits
}

/// The limit that ended a search, or nothing when none did.
pub(crate) fn of_rate(facts: &Facts, ramp: &RampReport) -> Limit {
    let failing: Vec<&Step> =
        ramp.steps.iter().filter(|step| Some(ramp.value_of(step)) == ramp.lowest_failing).collect();
    let measured = |resource, evidence: String, lever: String| Limit {
        resource,
        at: None,
        basis: Basis::Measured,
        evidence,
        lever,
    };
    if failing.is_empty() {
        let evidence = "no rate that was tried failed".to_owned();
        return measured(Resource::None, evidence, "search further: --deliveries-max".to_owned());
    }
    let refused: u64 =
        facts.errors.iter().filter(|(code, _)| code.contains("RATE_LIMIT")).map(|(_, count)| count).sum();
    if refused > 0 {
        let evidence = format!("the server refused {refused} messages as RATE_LIMITED");
        return measured(
            Resource::ServerSettings,
            evidence,
            "the server's --limits (off), or its --limit-… flags".to_owned(),
        );
    }
    let has = |cause| ramp.causes.contains(&cause);
    if let Some(step) = failing.iter().find(|step| is_saturated(step)) {
        let server =
            step.server.as_ref().map(|server| (&server.busiest_thread, server.busiest_thread_cpu_share));
        let (thread, share) = server.expect("a saturated step knows its server");
        let mut evidence = format!("the server's thread {thread} used {:.0} % of a core", share * 100.0);
        if has(Cause::Generator) {
            evidence.push_str(", and the generator was at its limit too");
        }
        return measured(Resource::ServerCpu, evidence, cpu_lever(facts));
    }
    if has(Cause::Generator) {
        let share = failing.iter().map(|step| step.generator_cpu_share).fold(0.0, f64::max);
        let evidence =
            format!("the generator used {:.0} % of its core; the server may hold more", share * 100.0);
        return measured(
            Resource::Generator,
            evidence,
            "more generators: --agents, on other cores or machines".to_owned(),
        );
    }
    if has(Cause::Connections) {
        let evidence = "connections could not be opened, or were closed".to_owned();
        return measured(
            Resource::Connections,
            evidence,
            "the server's limits of connections, or its --max-outbound-queue for those that fell behind"
                .to_owned(),
        );
    }
    let together = |step: &&&Step| {
        let server = step.server.as_ref().map_or(0.0, |server| server.cpu_share);
        server + step.generator_cpu_share >= BUSY_MACHINE * facts.machine.cores as f64
    };
    if failing.iter().any(|step| together(&step)) {
        let evidence =
            format!("server and generator together used the machine's {} cores", facts.machine.cores);
        return measured(Resource::MachineCpu, evidence, "a generator on another machine".to_owned());
    }
    let evidence = "deliveries came late, or not at all, while no thread that is known was busy".to_owned();
    let lever = match facts.server {
        Some(_) => "look at the network, and at what else runs on the machine",
        None => "--server-pid tells whether it is the server's CPU",
    };
    measured(Resource::Latency, evidence, lever.to_owned())
}

/// A limit of connecting, if one was seen.
pub(crate) fn of_connects(facts: &Facts) -> Option<Limit> {
    let dropped = facts.ladder.listen_overflows.filter(|dropped| *dropped > 0)?;
    let unknown = "unknown".to_owned();
    let number = |number: Option<u64>| number.map_or(unknown.clone(), |number| number.to_string());
    Some(Limit {
        resource: Resource::Backlog,
        at: None,
        basis: Basis::Measured,
        evidence: format!("the kernel dropped {dropped} connects since a listener's queue was full"),
        lever: format!(
            "net.core.somaxconn (now {}) and net.ipv4.tcp_max_syn_backlog (now {})",
            number(facts.kernel.somaxconn),
            number(facts.kernel.tcp_max_syn_backlog)
        ),
    })
}

fn is_saturated(step: &Step) -> bool {
    step.server.as_ref().is_some_and(|server| server.busiest_thread_cpu_share >= BUSY_THREAD)
}

/// What gives the server more CPU.
fn cpu_lever(facts: &Facts) -> String {
    let cores = facts.machine.cores;
    let Some(server) = facts.server.as_ref().filter(|server| server.shards > 0) else {
        return "more threads, or a faster core".to_owned();
    };
    let shards = server.shards;
    if shards >= cores {
        return format!("more cores (all {cores} have a shard); then --shards");
    }
    let locked = server
        .locked_bytes_max
        .map(|bytes| bytes / LOCKED_BYTES_PER_SHARD)
        .filter(|allowed| *allowed < cores as u64);
    let locked = locked.map(|allowed| format!("; locked memory (ulimit -l) may allow only {allowed}"));
    format!("--shards {cores} (now {shards}){}", locked.unwrap_or_default())
}

fn refusals(ladder: &Ladder) -> Option<Limit> {
    const KNOWN: [(&str, Resource, &str); 5] = [
        (
            "HTTP 429",
            Resource::ServerSettings,
            "the server's --max-connections-per-ip, --max-pending-per-ip and --limit-connects",
        ),
        ("HTTP 503", Resource::ServerSettings, "the server's --max-connections and --max-memory"),
        (
            "Cannot assign requested address",
            Resource::LocalPorts,
            "net.ipv4.ip_local_port_range, or more source addresses",
        ),
        ("Too many open files", Resource::Descriptors, "ulimit -n of the generator"),
        (
            "refused: RATE_LIMITED",
            Resource::ServerSettings,
            "the server's --limits (off), or its --limit-… flags",
        ),
    ];
    let (reason, count) = ladder.failures.iter().max_by_key(|(_, count)| **count)?;
    let known = KNOWN.iter().find(|(text, ..)| reason.contains(text));
    let (resource, lever) = known
        .map_or((Resource::ServerSettings, "what the server's log says"), |(_, resource, lever)| {
            (*resource, lever)
        });
    Some(Limit {
        resource,
        at: Some(ladder.connections()),
        basis: Basis::Measured,
        evidence: format!("{count} connects failed: {reason}"),
        lever: lever.to_owned(),
    })
}

fn descriptors(facts: &Facts) -> Option<Limit> {
    let max = facts.server.as_ref()?.descriptors_max?;
    let own = facts.ladder.rungs.first()?.server_descriptors?;
    let per_connection =
        facts.ladder.slope(|rung| rung.server_descriptors).map_or(1.0, |slope| slope.max(1.0));
    #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
    let at = (max.saturating_sub(own) as f64 / per_connection) as u64;
    let nr_open = facts.kernel.nr_open.map(|max| format!(", at most fs.nr_open ({max})")).unwrap_or_default();
    Some(Limit {
        resource: Resource::Descriptors,
        at: Some(at),
        basis: Basis::Configured,
        evidence: format!(
            "the server may open {max} files, has {own} without connections, and needs {per_connection:.0} for each"
        ),
        lever: format!("ulimit -n of the server{nr_open}"),
    })
}

fn memory(facts: &Facts) -> Option<Limit> {
    let bytes = facts.ladder.slope(|rung| rung.server_resident_bytes).filter(|bytes| *bytes > 0.0)?;
    let left = facts.ladder.rungs.last()?.available_bytes?;
    #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
    let more = (left as f64 / bytes) as u64;
    Some(Limit {
        resource: Resource::Memory,
        at: Some(facts.ladder.connections().saturating_add(more)),
        basis: Basis::Extrapolated,
        evidence: format!(
            "{:.2} KiB a connection, the kernel's buffers not counted, of {:.1} GiB left",
            bytes / 1024.0,
            left as f64 / 1024f64.powi(3)
        ),
        lever: "more memory; the server's --max-memory".to_owned(),
    })
}

fn files(facts: &Facts) -> Option<Limit> {
    let left = facts.kernel.file_max?.saturating_sub(facts.kernel.files_open.unwrap_or(0));
    Some(Limit {
        resource: Resource::Files,
        at: Some(left),
        basis: Basis::Configured,
        evidence: format!("the machine may have {left} more files open"),
        lever: "fs.file-max".to_owned(),
    })
}

fn conntrack(facts: &Facts) -> Option<Limit> {
    let left = facts.kernel.conntrack_max?.saturating_sub(facts.kernel.conntrack_count.unwrap_or(0));
    Some(Limit {
        resource: Resource::Conntrack,
        at: Some(left),
        basis: Basis::Configured,
        evidence: format!("the firewall may follow {left} more connections"),
        lever: "net.netfilter.nf_conntrack_max".to_owned(),
    })
}
