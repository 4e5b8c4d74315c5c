//! Idle connections on one fleet, from few to many: what does each of them take?

use anyhow::Result;

use super::phases::Phases;
use super::{Interruption, prepare, seconds};
use crate::clock;
use crate::measure::{GeneratorCpu, ServerProcess};
use crate::net::Stage;
use crate::plan::{Ladder, Rung, available_bytes, descriptors, listen_overflows};
use crate::settings::Settings;

/// Rungs, by the part of all connections that are open on them.
const RUNGS: [usize; 3] = [4, 2, 1];
/// From the last connect of a rung until it is measured, so that what only connecting needed is given back.
const REST_NS: u64 = 1_000_000_000;
/// How long the server's CPU is watched while all are idle.
const IDLE_NS: u64 = 2_000_000_000;

/// Opens the settings' connections in three rungs, and measures on each.
///
/// # Errors
/// When the process may not have so many descriptors, or the epoll set fails.
pub(crate) fn climb(settings: &Settings, interruption: &Interruption) -> Result<Ladder> {
    prepare(settings)?;
    let server = settings.args.server_pid.as_ref().and_then(|pids| pids.0.first()).copied();
    let overflows = listen_overflows();
    let mut phases = Phases::new(settings, interruption)?;
    let mut ladder = Ladder { rungs: vec![Rung::default().with_state(server)], ..Ladder::default() };
    let mut opened = 0;
    for part in RUNGS {
        let count = (settings.args.connections / part).max(1);
        if count <= opened || interruption.is_wanted() {
            continue;
        }
        let process = server.map(ServerProcess::new);
        let cpu_ns = || process.and_then(ServerProcess::usage).map(|usage| usage.cpu_ns);
        let (before, generator) = (cpu_ns(), GeneratorCpu::start());
        let connect_seconds = phases.connect(opened..count)?;
        let generator_cpu_share = generator.share();
        let server_connect_cpu_ns = before.zip(cpu_ns()).map(|(before, after)| after.saturating_sub(before));
        opened = count;
        phases.hold(clock::now_ns() + REST_NS)?;
        let connections =
            (0..opened).filter(|index| phases.fleet.stage(*index) == Stage::Ready).count() as u64;
        let rung = Rung {
            connections,
            connect_seconds,
            server_connect_cpu_ns,
            generator_cpu_share,
            ..Rung::default()
        };
        let rung = rung.with_state(server);
        phases.progress.say(&rung.line());
        ladder.rungs.push(rung);
    }
    ladder.idle_cpu_share = idle_cpu_share(&mut phases, server.map(ServerProcess::new))?;
    ladder.failures = phases.traffic.counted.failures.clone();
    for (reason, count) in &phases.traffic.counted.closes {
        ladder.failures.insert(format!("closed: {reason}"), *count);
    }
    ladder.listen_overflows =
        overflows.zip(listen_overflows()).map(|(before, after)| after.saturating_sub(before));
    phases.progress.finish();
    phases.close_all();
    Ok(ladder)
}

fn idle_cpu_share(phases: &mut Phases<'_>, server: Option<ServerProcess>) -> Result<Option<f64>> {
    let usage = || server.and_then(ServerProcess::usage);
    let (before, start_ns) = (usage(), clock::now_ns());
    phases.hold(start_ns + IDLE_NS)?;
    let elapsed = seconds(start_ns, clock::now_ns()).max(1e-9);
    Ok(before
        .zip(usage())
        .map(|(before, after)| after.cpu_ns.saturating_sub(before.cpu_ns) as f64 / 1e9 / elapsed))
}

impl Rung {
    /// Adds what machine and server have now.
    fn with_state(self, server: Option<u32>) -> Self {
        let usage = server.and_then(|pid| ServerProcess::new(pid).usage());
        Self {
            server_resident_bytes: usage.map(|usage| usage.resident_bytes),
            server_descriptors: server.and_then(descriptors),
            available_bytes: available_bytes(),
            ..self
        }
    }

    fn line(&self) -> String {
        let resident = self
            .server_resident_bytes
            .map(|bytes| format!(", server {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
        format!("{} connections open and idle{}", self.connections, resident.unwrap_or_default())
    }
}
