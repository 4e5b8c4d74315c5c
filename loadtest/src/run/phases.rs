//! The phases of a traffic or idle run: connect, warm up, measure, drain, and look after the slow consumers.

use anyhow::{Context as _, Result};
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::disrupt::Disruption;
use super::nodes::Nodes;
use super::traffic::Traffic;
use super::{HOUSEKEEPING_NS, Interruption, Ramp, seconds, upgrade};
use crate::args::Kind;
use crate::clock;
use crate::measure::{GeneratorCpu, Packed, Servers, Usages};
use crate::net::{Fleet, Stage};
use crate::progress::{Goal, Progress};
use crate::report::{Connects, Generator, Report, Server, SlowConsumers, TrafficReport};
use crate::scenario::Span;
use crate::settings::{Mode, Settings};

/// From the end of connecting to the first message, so that the last join's pushes are out of the way.
pub(super) const SETTLE_NS: u64 = 200_000_000;
/// Silence after which a slow consumer's backlog counts as read.
const QUIET_NS: u64 = 300_000_000;

/// Runs all phases.
pub(super) fn run(settings: &Settings, interruption: &Interruption) -> Result<Report> {
    let servers = settings.servers();
    let before = servers.usages();
    let mut phases = Phases::new(settings, interruption)?;
    phases.begin("connecting", false, Goal::Connections(settings.args.connections as u64));
    let connect_seconds = phases.connect(0..settings.args.connections)?;
    phases.traffic.begin("settling", false);
    phases.hold(clock::now_ns() + SETTLE_NS)?;

    let start_ns = clock::now_ns();
    let is_traffic = settings.mode == Mode::Traffic;
    let measured_from_ns = start_ns + if is_traffic { settings.args.warmup.as_ns() } else { 0 };
    let end_ns = measured_from_ns + settings.args.duration.as_ns();
    phases.stop_slow_ns = start_ns + settings.args.stop_after.as_ns();
    if is_traffic {
        phases.begin("warm-up", false, Goal::Time { from_ns: start_ns, to_ns: measured_from_ns });
        phases.traffic.start(Span { start_ns, measured_from_ns, end_ns });
    }
    phases.disruption = Disruption::new(settings, measured_from_ns, end_ns);
    phases.hold(measured_from_ns)?;
    let goal = Goal::Time { from_ns: measured_from_ns, to_ns: end_ns };
    phases.begin(if is_traffic { "measuring" } else { "holding" }, true, goal);
    let window = Window::open(&phases.traffic, &servers);
    phases.hold(end_ns)?;
    phases.note_end(end_ns);
    let measured = window.close(&phases.traffic, &servers);
    phases.begin("draining", false, Goal::Open);
    phases.let_all_return()?;
    phases.drain()?;
    phases.look_after_slow()?;
    phases.progress.finish();
    let totals = phases.traffic.totals();
    phases.traffic.recorder.end(totals);
    let report = phases.report(connect_seconds, &before, &measured);
    phases.close_all();
    Ok(report)
}

pub(super) struct Phases<'a> {
    settings: &'a Settings,
    interruption: &'a Interruption,
    pub(super) fleet: Fleet<'a>,
    pub(super) traffic: Traffic,
    pub(super) progress: Progress,
    housekeeping_ns: u64,
    /// When slow consumers stop reading; `u64::MAX` once they have.
    stop_slow_ns: u64,
    /// When slow readers have read last; 0 before they are slow.
    sipped_ns: u64,
    sipped_bytes: u64,
    disruption: Option<Disruption>,
    /// Whether the user ended the run before there was nothing more to measure.
    is_cut_short: bool,
}

impl<'a> Phases<'a> {
    /// Nobody is connected.
    ///
    /// # Errors
    /// When the kernel has no descriptors left, or no random number.
    pub(super) fn new(settings: &'a Settings, interruption: &'a Interruption) -> Result<Self> {
        let run = SysRng.try_next_u32().context("choosing a number for the run")?;
        Self::numbered(settings, interruption, run)
    }

    /// Nobody is connected; `run` tells this run's messages from those of all others.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub(super) fn numbered(settings: &'a Settings, interruption: &'a Interruption, run: u32) -> Result<Self> {
        Ok(Self {
            settings,
            interruption,
            fleet: Fleet::new(settings, upgrade(settings))?,
            traffic: Traffic::new(settings, run, clock::now_ns()),
            progress: Progress::new(settings.args.quiet),
            housekeeping_ns: 0,
            stop_slow_ns: u64::MAX,
            sipped_ns: 0,
            sipped_bytes: 0,
            disruption: None,
            is_cut_short: false,
        })
    }

    /// Connects and joins these connections, which are absent; returns the seconds that it took.
    pub(super) fn connect(&mut self, absent: impl IntoIterator<Item = usize>) -> Result<f64> {
        let start_ns = clock::now_ns();
        let ramp = Ramp { start_ns, per_second: self.settings.args.ramp };
        let mut begun = 0;
        let mut absent = absent.into_iter().peekable();
        while (absent.peek().is_some() || self.fleet.in_flight() > 0) && !self.interruption.is_wanted() {
            let now_ns = clock::now_ns();
            while self.fleet.may_open() && ramp.due_ns(begun) <= now_ns {
                let Some(index) = absent.next() else { break };
                let (at, slow) = (self.traffic.nodes.at(index), self.traffic.clients.is_slow(index));
                self.fleet.open(index, at, slow, &mut self.traffic);
                begun += 1;
            }
            let may_open = absent.peek().is_some() && self.fleet.may_open();
            self.turn(if may_open { ramp.due_ns(begun) } else { u64::MAX })?;
        }
        Ok(seconds(start_ns, clock::now_ns()))
    }

    /// Another part of the run, for the report and for who watches.
    pub(super) fn begin(&mut self, phase: &'static str, measured: bool, goal: Goal) {
        self.traffic.begin(phase, measured);
        self.progress.begin(phase, goal);
    }

    /// Whether the run is to end.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interruption.is_wanted()
    }

    /// Goes on until a point in time, or an interruption.
    pub(super) fn hold(&mut self, until_ns: u64) -> Result<()> {
        while clock::now_ns() < until_ns && !self.interruption.is_wanted() {
            self.turn(until_ns)?;
        }
        Ok(())
    }

    /// The measured time is over, or should have gone on until this point.
    pub(super) fn note_end(&mut self, end_ns: u64) {
        self.is_cut_short = clock::now_ns() < end_ns;
    }

    /// Waits for those who are away, but not for ever.
    fn let_all_return(&mut self) -> Result<()> {
        let give_up_ns = clock::now_ns().saturating_add(self.settings.args.disrupt.reconnect_timeout.as_ns());
        while self.disruption.as_ref().is_some_and(|disruption| !disruption.is_over())
            && clock::now_ns() < give_up_ns
            && !self.interruption.is_wanted()
        {
            self.turn(give_up_ns)?;
        }
        let is_waiting = self.disruption.as_ref().is_some_and(|disruption| !disruption.is_over());
        self.is_cut_short |= is_waiting && self.interruption.is_wanted();
        Ok(())
    }

    /// Waits for what was sent to arrive, as long as something arrives and it does not take too long in all.
    pub(super) fn drain(&mut self) -> Result<()> {
        if self.interruption.is_wanted() {
            self.traffic.stop_sending();
        }
        let grace_ns = self.settings.args.grace.as_ns();
        let mut arrived = self.traffic.arrived();
        let mut progressed_ns = clock::now_ns();
        let give_up_ns = progressed_ns.saturating_add(self.settings.args.grace_max.as_ns());
        // A message may still be due when the loop was late.
        while self.traffic.is_sending() || !self.traffic.is_complete() {
            let check_ns = clock::now_ns() + HOUSEKEEPING_NS / 10;
            while clock::now_ns() < check_ns {
                self.turn(check_ns)?;
            }
            let now_ns = clock::now_ns();
            if now_ns >= give_up_ns {
                break;
            }
            if self.traffic.arrived() != arrived {
                arrived = self.traffic.arrived();
                progressed_ns = now_ns;
            } else if now_ns >= progressed_ns.saturating_add(grace_ns) {
                break;
            }
        }
        Ok(())
    }

    /// Reads what the slow consumers left, to learn what they were closed with.
    fn look_after_slow(&mut self) -> Result<()> {
        let paused = |phases: &Self, index| {
            phases.traffic.clients.is_slow(index) && phases.fleet.stage(index) == Stage::Ready
        };
        let left: Vec<_> = (0..self.settings.args.connections).filter(|index| paused(self, *index)).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.sipped_ns = 0;
        for index in left {
            self.fleet.resume(index, &mut self.traffic);
        }
        let give_up_ns = clock::now_ns().saturating_add(self.settings.args.grace.as_ns());
        let (mut receives, mut quiet_since_ns) = (self.fleet.receives(), clock::now_ns());
        while clock::now_ns() < give_up_ns.min(quiet_since_ns + QUIET_NS) {
            self.turn(quiet_since_ns + QUIET_NS)?;
            if self.fleet.receives() != receives {
                (receives, quiet_since_ns) = (self.fleet.receives(), clock::now_ns());
            }
        }
        Ok(())
    }

    /// One turn of the loop, at most until the next housekeeping.
    pub(super) fn turn(&mut self, until_ns: u64) -> Result<()> {
        let due_ns = self.traffic.recorder.due_ns();
        let disrupt_ns =
            self.disruption.as_ref().map_or(u64::MAX, |disruption| disruption.due_ns(&self.fleet));
        let wake_ns = until_ns.min(self.housekeeping_ns).min(self.stop_slow_ns).min(due_ns).min(disrupt_ns);
        self.fleet.turn(&mut self.traffic, wake_ns)?;
        let now_ns = clock::now_ns();
        if let Some(disruption) = &mut self.disruption {
            disruption.act(now_ns, &mut self.fleet, &mut self.traffic)?;
        }
        if now_ns >= self.stop_slow_ns {
            self.stop_slow();
        }
        if now_ns >= due_ns {
            let totals = self.traffic.totals();
            self.traffic.recorder.tick(now_ns, totals);
        }
        if now_ns >= self.housekeeping_ns {
            self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
            self.sip(now_ns);
            if self.fleet.in_flight() > 0 {
                self.fleet.expire(&mut self.traffic);
            }
            let traffic = &self.traffic;
            self.progress.show(now_ns, || traffic.snapshot());
        }
        Ok(())
    }

    /// Lets the slow readers have what they may have read since the last time.
    fn sip(&mut self, now_ns: u64) {
        if self.sipped_ns == 0 {
            return;
        }
        let rate = self.settings.args.slow_rate as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a rate over less than a second, and saturating")]
        let bytes = (rate * seconds(self.sipped_ns, now_ns)) as usize;
        if bytes == 0 {
            return;
        }
        self.sipped_ns = now_ns;
        for index in self.traffic.clients.readers().to_vec() {
            if self.fleet.stage(index) == Stage::Ready {
                self.sipped_bytes += self.fleet.sip(index, bytes, &mut self.traffic) as u64;
            }
        }
    }

    fn stop_slow(&mut self) {
        self.stop_slow_ns = u64::MAX;
        self.sipped_ns = clock::now_ns();
        self.traffic.stop_slow();
        for index in 0..self.settings.args.connections {
            if self.traffic.clients.is_slow(index) {
                self.fleet.pause(index);
            }
        }
    }

    /// Says goodbye; nobody waits for the answers.
    pub(super) fn close_all(&mut self) {
        for index in 0..self.settings.args.connections {
            if self.fleet.stage(index) == Stage::Ready {
                self.fleet.close(index);
            }
        }
    }

    pub(super) fn report(&mut self, connect_seconds: f64, before: &Usages, measured: &Measured) -> Report {
        let counted = &self.traffic.counted;
        let recorder = &self.traffic.recorder;
        let latency = recorder.latency.all();
        let mut report = Report::new(self.settings, recorder, self.is_cut_short);
        report.connects = Connects::new(
            counted.ready,
            counted.failures.clone(),
            connect_seconds,
            &self.traffic.connect_latency,
        );
        report.closes = counted.closes.clone();
        let slow = self.traffic.clients.slow_count();
        report.slow_consumers = (slow > 0).then(|| SlowConsumers {
            count: slow,
            reading: self.traffic.clients.readers().len(),
            bytes_read: self.sipped_bytes,
            closes: counted.slow_closes.clone(),
        });
        report.generator =
            Generator::new(measured.cpu_share, &recorder.send_lag.all(), &recorder.loop_lag.all());
        report.server = measured.server(before, &self.traffic.nodes);
        report.nodes = self.traffic.nodes.report(|number| measured.node(before, &self.traffic.nodes, number));
        report.other_messages = counted.other_messages;
        report.errors = counted.errors.clone();
        if self.settings.mode == Mode::Traffic {
            report.traffic = Some(TrafficReport {
                messages_sent: counted.sent,
                messages_unsent: counted.unsent,
                messages_unseen: self.traffic.checker.unseen(),
                deliveries: self.traffic.checker.deliveries(),
                measured_seconds: measured.seconds,
                measured_deliveries: measured.deliveries,
                deliveries_per_second: measured.deliveries as f64 / measured.seconds.max(1e-9),
                latency_ms: latency.percentiles(),
                latencies: latency.count(),
                histogram: Packed::of(&latency),
                faults: self.traffic.checker.faults(),
                uncompared: self.traffic.checker.uncompared(),
            });
        }
        report.chat = self.traffic.chat_report();
        report.compare_thirds(self.settings.args.kind == Kind::Soak);
        report.disruption = self.disruption.as_mut().map(|disruption| disruption.report(&self.traffic));
        report.judge(&self.settings.args);
        report
    }
}

/// The beginning of the measured time.
pub(super) struct Window {
    start_ns: u64,
    deliveries: u64,
    deliveries_at: Vec<u64>,
    cpu: GeneratorCpu,
    usages: Usages,
}

/// What happened in the measured time.
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) deliveries: u64,
    /// At each of the servers.
    deliveries_at: Vec<u64>,
    pub(super) cpu_share: f64,
    /// What the servers had used at its beginning, and at its end.
    pub(super) usages: [Usages; 2],
}

impl Measured {
    /// What was delivered at one of the servers, and what that cost since `before`, when nobody was connected.
    fn node(&self, before: &Usages, nodes: &Nodes, number: usize) -> (u64, Option<Server>) {
        let [from, to] = &self.usages;
        let deliveries = self.deliveries_at[number];
        let moments = Usages::over([before, from, to], number);
        let cost = moments.map(|it| Server::new(it, self.seconds, deliveries, nodes.open_max_at(number)));
        (deliveries, cost)
    }

    /// The same of all servers that were there all the time.
    fn server(&self, before: &Usages, nodes: &Nodes) -> Option<Server> {
        let [from, to] = &self.usages;
        let moments = [before, from, to];
        let is_there = |number: &usize| Usages::over(moments, *number).is_some();
        let there = || (0..self.deliveries_at.len()).filter(is_there);
        let deliveries = there().map(|number| self.deliveries_at[number]).sum();
        let connections = there().map(|number| nodes.open_max_at(number)).sum();
        Usages::sums(moments).map(|sums| Server::new(sums, self.seconds, deliveries, connections))
    }
}

impl Window {
    pub(super) fn open(traffic: &Traffic, servers: &Servers) -> Self {
        Self {
            start_ns: clock::now_ns(),
            deliveries: traffic.checker.deliveries(),
            deliveries_at: traffic.nodes.deliveries(),
            cpu: GeneratorCpu::start(),
            usages: servers.usages(),
        }
    }

    pub(super) fn close(&self, traffic: &Traffic, servers: &Servers) -> Measured {
        let now = traffic.nodes.deliveries();
        Measured {
            deliveries_at: now.iter().zip(&self.deliveries_at).map(|(now, then)| now - then).collect(),
            seconds: seconds(self.start_ns, clock::now_ns()),
            deliveries: traffic.checker.deliveries() - self.deliveries,
            cpu_share: self.cpu.share(),
            usages: [self.usages.clone(), servers.usages()],
        }
    }
}
