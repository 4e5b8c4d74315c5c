//! A run that several generators share: like one alone, but it begins and ends when the others do, opens only its own
//! part of the connections, and learns at the end what the others sent.

use anyhow::Result;

use super::phases::{Phases, SETTLE_NS, Window};
use super::{HOUSEKEEPING_NS, Interruption, churn};
use crate::clock;
use crate::measure::RoomDigest;
use crate::progress::Snapshot;
use crate::report::Report;
use crate::scenario::Span;
use crate::settings::{Mode, Settings};

/// How often the others are asked.
const POLL_NS: u64 = 10_000_000;

/// The others, as a run sees them. Nothing here waits.
pub(crate) trait Crew {
    /// Tells that all of ours are connected.
    fn tell_connected(&mut self) -> Result<()>;
    /// Whether everybody is, so that sending may begin.
    fn may_send(&mut self) -> Result<bool>;
    /// Tells how many messages were sent to each room; no more will be.
    fn tell_sent(&mut self, rooms: &[u64]) -> Result<()>;
    /// What all have sent to each room, once that is known.
    fn all_sent(&mut self) -> Result<Option<Vec<u64>>>;
    /// Tells where the run stands.
    fn tell(&mut self, snapshot: Snapshot) -> Result<()>;
}

/// Runs our part; what we found, and which order we saw. `run` tells this run's messages from those of all others.
///
/// # Errors
/// When the others are gone, or the epoll set fails.
pub(crate) fn run(
    settings: &Settings,
    run: u32,
    crew: &mut dyn Crew,
    interruption: &Interruption,
) -> Result<(Report, Vec<RoomDigest>)> {
    if let Mode::Churn(connects) = settings.mode {
        crew.tell_connected()?;
        while !crew.may_send()? && !interruption.is_wanted() {
            std::thread::sleep(std::time::Duration::from_nanos(POLL_NS));
        }
        let report = churn::run(settings, connects, interruption)?;
        crew.tell_sent(&[])?;
        // Whoever waits for it must not find us gone.
        while crew.all_sent()?.is_none() {
            std::thread::sleep(std::time::Duration::from_nanos(POLL_NS));
        }
        return Ok((report, Vec::new()));
    }
    let mut shared = Shared { phases: Phases::numbered(settings, interruption, run)?, crew, told_ns: 0 };
    let report = shared.run(settings)?;
    shared.phases.close_all();
    Ok((report, shared.phases.traffic.checker.digests()))
}

struct Shared<'a, 'b> {
    phases: Phases<'a>,
    crew: &'b mut dyn Crew,
    told_ns: u64,
}

impl Shared<'_, '_> {
    fn run(&mut self, settings: &Settings) -> Result<Report> {
        let servers = settings.servers();
        let before = servers.usages();
        self.phases.traffic.begin("connecting", false);
        let own = self.phases.traffic.own();
        let connect_seconds = self.phases.connect(own)?;
        self.phases.traffic.begin("settling", false);
        self.hold(clock::now_ns() + SETTLE_NS)?;
        self.crew.tell_connected()?;
        while !self.crew.may_send()? && !self.phases.is_interrupted() {
            self.phases.turn(clock::now_ns() + POLL_NS)?;
        }

        let start_ns = clock::now_ns();
        let is_traffic = settings.mode == Mode::Traffic;
        let measured_from_ns = start_ns + if is_traffic { settings.args.warmup.as_ns() } else { 0 };
        let end_ns = measured_from_ns + settings.args.duration.as_ns();
        if is_traffic && !self.phases.is_interrupted() {
            self.phases.traffic.begin("warm-up", false);
            self.phases.traffic.start(Span { start_ns, measured_from_ns, end_ns });
        }
        self.hold(measured_from_ns)?;
        self.phases.traffic.begin(if is_traffic { "measuring" } else { "holding" }, true);
        let window = Window::open(&self.phases.traffic, &servers);
        self.hold(end_ns)?;
        self.phases.note_end(end_ns);
        let measured = window.close(&self.phases.traffic, &servers);
        self.phases.traffic.begin("draining", false);
        self.learn_what_was_sent()?;
        self.phases.drain()?;
        let totals = self.phases.traffic.totals();
        self.phases.traffic.recorder.end(totals);
        Ok(self.phases.report(connect_seconds, &before, &measured))
    }

    /// Sends what is still due, tells it, and waits for what the others tell.
    fn learn_what_was_sent(&mut self) -> Result<()> {
        if self.phases.is_interrupted() {
            self.phases.traffic.stop_sending();
        }
        while self.phases.traffic.is_sending() {
            self.phases.turn(clock::now_ns() + POLL_NS)?;
        }
        let own = self.phases.traffic.checker.sent().to_vec();
        self.crew.tell_sent(&own)?;
        loop {
            if let Some(all) = self.crew.all_sent()? {
                self.phases.traffic.checker.all_sent(&all);
                return Ok(());
            }
            self.phases.turn(clock::now_ns() + POLL_NS)?;
        }
    }

    /// Goes on until a point in time, or an interruption, and tells how it stands meanwhile.
    fn hold(&mut self, until_ns: u64) -> Result<()> {
        while clock::now_ns() < until_ns && !self.phases.is_interrupted() {
            self.phases.hold(until_ns.min(clock::now_ns() + HOUSEKEEPING_NS))?;
            let now_ns = clock::now_ns();
            if now_ns >= self.told_ns + 5 * HOUSEKEEPING_NS {
                self.told_ns = now_ns;
                self.crew.tell(self.phases.traffic.snapshot())?;
            }
        }
        Ok(())
    }
}
