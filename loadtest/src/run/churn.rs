//! The churn run: connects and closes as often as asked, a bounded number at a time, to measure what a connect costs.

use anyhow::Result;

use super::nodes::Nodes;
use super::{Counts, HOUSEKEEPING_NS, Interruption, Ramp, count, seconds, upgrade};
use crate::clock;
use crate::measure::{GeneratorCpu, Latency, Recorder, Totals, Usages};
use crate::net::{Answer, End, Fleet, Handler, Stage};
use crate::progress::{Goal, Progress, Snapshot};
use crate::report::{Connects, Generator, Report, Server};
use crate::settings::Settings;

/// Performs `connects` connects and closes.
pub(super) fn run(settings: &Settings, connects: u64, interruption: &Interruption) -> Result<Report> {
    let servers = settings.servers();
    let before = servers.usages();
    let cpu = GeneratorCpu::start();
    let start_ns = clock::now_ns();
    let mut recorder = Recorder::new(servers.clone());
    recorder.begin("connecting", true, Totals::default());
    let churn = perform(settings, connects, interruption, &mut recorder)?;
    recorder.end(churn.totals());
    let elapsed = seconds(start_ns, clock::now_ns());

    let mut report = Report::new(settings, &recorder, churn.is_cut_short);
    report.connects = Connects::new(churn.opened, churn.failures, elapsed, &churn.connect_latency);
    report.closes = churn.closes;
    report.generator = Generator::new(cpu.share(), &Latency::coarse(), &Latency::coarse());
    let after = servers.usages();
    report.server = Usages::sums([&before, &before, &after])
        .map(|moments| Server::new(moments, elapsed, 0, churn.opened));
    report.nodes = churn.nodes.report(|number| {
        let moments = Usages::over([&before, &before, &after], number);
        let connections = churn.nodes.ready_at(number);
        (0, moments.map(|moments| Server::new(moments, elapsed, 0, connections)))
    });
    report.judge(&settings.args);
    Ok(report)
}

fn perform(
    settings: &Settings,
    connects: u64,
    interruption: &Interruption,
    recorder: &mut Recorder,
) -> Result<Churn> {
    let mut fleet = Fleet::new(settings, upgrade(settings))?;
    let mut progress = Progress::new(settings.args.quiet);
    progress.begin("connecting and closing", Goal::Connections(connects));
    let mut churn = Churn::new(settings);
    let ramp = Ramp { start_ns: clock::now_ns(), per_second: settings.args.ramp };
    let (mut begun, mut housekeeping_ns) = (0, 0);
    while (begun < connects || churn.idle.len() < settings.args.connections) && !interruption.is_wanted() {
        let now_ns = clock::now_ns();
        while begun < connects && fleet.may_open() && ramp.due_ns(begun) <= now_ns {
            let Some(index) = churn.idle.pop() else { break };
            begun += 1;
            churn.nodes.place(index, begun);
            fleet.open(index, churn.nodes.at(index), false, &mut churn);
        }
        let may_open = begun < connects && fleet.may_open() && !churn.idle.is_empty();
        fleet.turn(&mut churn, housekeeping_ns.min(if may_open { ramp.due_ns(begun) } else { u64::MAX }))?;
        for index in churn.open.drain(..) {
            fleet.close(index);
        }
        let now_ns = clock::now_ns();
        recorder.tick(now_ns, churn.totals());
        if now_ns >= housekeeping_ns {
            housekeeping_ns = now_ns + HOUSEKEEPING_NS;
            fleet.expire(&mut churn);
            let connections = churn.opened;
            progress.show(now_ns, || Snapshot { connections, sent: 0, deliveries: 0, p99_ms: None });
        }
    }
    churn.is_cut_short = begun < connects || churn.idle.len() < settings.args.connections;
    progress.finish();
    Ok(churn)
}

/// Counts; every connection is closed as soon as it is open.
struct Churn {
    /// Connections that are absent, ready to be opened.
    idle: Vec<usize>,
    nodes: Nodes,
    /// Connections that have just opened.
    open: Vec<usize>,
    opened: u64,
    /// Ends, wanted or not, after the upgrade.
    ended: u64,
    failures: Counts,
    /// Ends that we did not ask for.
    closes: Counts,
    connect_latency: Latency,
    /// Whether the user ended it early.
    is_cut_short: bool,
}

impl Churn {
    fn new(settings: &Settings) -> Self {
        Self {
            idle: (0..settings.args.connections).rev().collect(),
            nodes: Nodes::new(settings),
            open: Vec::new(),
            opened: 0,
            failures: Counts::new(),
            closes: Counts::new(),
            ended: 0,
            connect_latency: Latency::new(),
            is_cut_short: false,
        }
    }
}

impl Churn {
    fn totals(&self) -> Totals {
        Totals { connects: self.opened, closes: self.ended, ..Totals::default() }
    }
}

impl Handler for Churn {
    fn on_open(&mut self, index: usize, _first: &mut Vec<u8>) {
        self.opened += 1;
        self.nodes.on_ready(index, false);
        self.open.push(index);
    }

    fn on_answer(&mut self, _index: usize, _text: &[u8]) -> Answer {
        Answer::Unrelated
    }

    fn on_ready(&mut self, _index: usize, took_ns: u64) {
        self.connect_latency.record(took_ns / 1000);
    }

    fn on_text(&mut self, _index: usize, _text: &[u8], _now_ns: u64) {}

    fn on_end(&mut self, index: usize, stage: Stage, end: End) {
        self.idle.push(index);
        self.nodes.on_end(index, stage, &end);
        self.open.retain(|open| *open != index);
        self.ended += u64::from(matches!(stage, Stage::Ready | Stage::Closing));
        match stage {
            Stage::Closing if matches!(end, End::Code(_) | End::Eof) => {}
            Stage::Closing | Stage::Ready => count(&mut self.closes, end.to_string()),
            _ => count(&mut self.failures, end.to_string()),
        }
    }

    fn next_due_ns(&self) -> u64 {
        u64::MAX
    }

    fn next_send(&mut self, _now_ns: u64, _out: &mut Vec<u8>) -> Option<usize> {
        None
    }

    fn on_unsent(&mut self, _index: usize) {}
}
