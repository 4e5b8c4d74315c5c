//! A run from start to report: prepares the process, then goes through the phases of its mode.

mod chat;
mod churn;
mod clients;
mod crew;
mod disrupt;
mod ladder;
mod nodes;
mod phases;
mod ramp;
mod spread;
mod timeline;
mod traffic;
mod wires;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use signal_hook::consts::{SIGINT, SIGTERM};

pub(crate) use crew::{Crew, run as run_in_crew};
pub(crate) use ladder::climb as idle_ladder;

use self::wires::Wires;
use crate::net::{Upgrade, raise_descriptor_limit};
use crate::report::Report;
use crate::settings::{Mode, Settings};
use crate::token::Minter;

/// How often progress is shown and time-outs are looked for.
const HOUSEKEEPING_NS: u64 = 100_000_000;
const SIGINT_EXIT: i32 = 130;

/// How often each of some named things happened.
type Counts = BTreeMap<String, u64>;

/// Asks the kernel for what the settings need: descriptors, and a CPU to itself.
///
/// # Errors
/// Names the flag that asks for more than there is.
pub(crate) fn prepare(settings: &Settings) -> Result<()> {
    if let Some(cpu) = settings.args.cpu {
        pin(cpu)?;
    }
    let connections = match settings.mode {
        Mode::Churn(_) => settings.args.connections,
        _ => settings.part.share(settings.args.connections),
    };
    if let Err(possible) = raise_descriptor_limit(connections) {
        bail!("--connections {connections}: the descriptor limit (ulimit -n) allows {possible}");
    }
    Ok(())
}

/// Runs what the settings say and reports on it.
///
/// # Errors
/// When the epoll set fails. What the server does wrong is reported, not an error.
pub(crate) fn run(settings: &Settings, interruption: &Interruption) -> Result<Report> {
    match settings.mode {
        Mode::Churn(connects) => churn::run(settings, connects, interruption),
        Mode::Traffic | Mode::Idle => phases::run(settings, interruption),
        Mode::Ramp(what) => ramp::run(settings, what, interruption),
    }
}

/// Whether the user wants the run to end.
pub(crate) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// By a first SIGINT or SIGTERM; a second one ends the process at once.
    ///
    /// # Errors
    /// When the signals cannot be handled.
    pub(crate) fn on_signals() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, SIGINT_EXIT, Arc::clone(&interrupted))?;
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Self(interrupted))
    }

    /// By somebody who sets this.
    pub(crate) fn by(wanted: Arc<AtomicBool>) -> Self {
        Self(wanted)
    }

    /// Whether it is.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn pin(cpu: usize) -> Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        bail!("--cpu {cpu}: there is no such CPU");
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("--cpu {cpu}"))
}

fn upgrade(settings: &Settings) -> Upgrade {
    let wires = Wires::new(settings);
    let wire = wires.first();
    Upgrade {
        servers: settings
            .targets
            .iter()
            .map(|target| (target.host.clone(), wire.complete_path(&target.path)))
            .collect(),
        subprotocols: wires.subprotocols(),
        packing: wire.packing(),
        rooms_in_path: wire.room_in_path().map(|prefix| (prefix.to_owned(), settings.layout())),
        minter: settings.secret.as_deref().map(|it| Minter::new(it).expect("tried by the settings")),
        user_prefix: settings.args.user_prefix.clone(),
    }
}

fn count(counts: &mut Counts, name: String) {
    *counts.entry(name).or_default() += 1;
}

/// Spaces connects evenly by `--ramp`; without one all are due at once.
struct Ramp {
    start_ns: u64,
    per_second: f64,
}

impl Ramp {
    fn due_ns(&self, number: u64) -> u64 {
        if self.per_second == 0.0 {
            return self.start_ns;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
        let after = (number as f64 * 1e9 / self.per_second) as u64;
        self.start_ns.saturating_add(after)
    }
}

/// Seconds from one point of the clock to another.
fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}
