//! A ramp: tries what the search names on one live fleet, window after window, until it has its answer.
//!
//! Between two windows everything outstanding arrives, or is written off; connections that were lost are opened again,
//! and those beyond the next trial are closed. So no trial pays for the one before it.

use anyhow::Result;

use super::phases::{Measured, Phases, SETTLE_NS, Window};
use super::{Counts, HOUSEKEEPING_NS, Interruption};
use crate::args::RampWhat;
use crate::capacity::{Limits, RampReport, Search, Step, StepServer};
use crate::clock;
use crate::measure::{Latency, Servers, ThreadTimes, Usages};
use crate::net::Stage;
use crate::report::{Connects, Generator, Report, limits};
use crate::scenario::{Layout, Span};
use crate::settings::{Settings, ramp};

/// Part of the deliveries that may be too late before the 99th percentile is.
const LATE_SHARE_MAX: f64 = 0.01;

/// Searches, and reports what was found.
pub(super) fn run(settings: &Settings, what: RampWhat, interruption: &Interruption) -> Result<Report> {
    let args = &settings.args;
    let limits = limits(args.max_p99.unwrap_or(ramp::MAX_P99_MS), args.max_loss);
    let mut trials = Trials::new(settings, limits, Phases::new(settings, interruption)?);
    let mut search = Search::new(ramp::range(args, what));
    let mut steps = Vec::new();
    let mut failures = None;
    while let Some(value) = search.next() {
        let shape = Shape::new(args.connections, args.rate, what, value);
        trials.connect(shape.connections)?;
        failures.get_or_insert_with(|| trials.phases.traffic.counted.failures.clone());
        let step = trials.measure(shape)?;
        if interruption.is_wanted() {
            break;
        }
        trials.phases.progress.say(&format!("step {}: {}", steps.len() + 1, step.line()));
        search.record(value, step.passed());
        steps.push(step);
    }
    let complete = search.next().is_none();
    let ramp = RampReport::new(what, limits.p99_ms, search.answer(), complete, steps);
    let report = trials.report(ramp, failures.unwrap_or_default(), !complete);
    trials.phases.progress.finish();
    trials.phases.close_all();
    Ok(report)
}

/// What one trial asks of the server.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    connections: usize,
    rate: f64,
}

impl Shape {
    /// `connections` and `rate` are the whole, of which a search for connections takes a part.
    fn new(connections: usize, rate: f64, what: RampWhat, value: u64) -> Self {
        match what {
            RampWhat::Rate => Self { connections, rate: value as f64 },
            RampWhat::Connections => {
                let part = usize::try_from(value).unwrap_or(connections).min(connections);
                Self { connections: part, rate: rate * part as f64 / connections as f64 }
            }
        }
    }
}

struct Trials<'a> {
    settings: &'a Settings,
    limits: Limits,
    phases: Phases<'a>,
    servers: Servers,
    /// All connections; a trial uses the first of them.
    order: Vec<usize>,
    layout: Layout,
    connect_seconds: f64,
}

impl<'a> Trials<'a> {
    fn new(settings: &'a Settings, limits: Limits, phases: Phases<'a>) -> Self {
        let layout = phases.traffic.clients.layout().clone();
        Self {
            settings,
            limits,
            phases,
            servers: settings.servers(),
            order: layout.room_by_room(),
            layout,
            connect_seconds: 0.0,
        }
    }

    /// Opens and closes connections until the first `count` of the order are open, as far as the server lets them.
    fn connect(&mut self, count: usize) -> Result<()> {
        let (wanted, surplus) = self.order.split_at(count);
        let mut is_closing = false;
        for index in surplus {
            if self.phases.fleet.stage(*index) == Stage::Ready {
                self.phases.fleet.close(*index);
                is_closing = true;
            }
        }
        while is_closing && !self.phases.is_interrupted() {
            self.phases.turn(clock::now_ns() + HOUSEKEEPING_NS / 10)?;
            is_closing = surplus.iter().any(|index| self.phases.fleet.stage(*index) == Stage::Closing);
        }
        let is_absent = |index: &usize| self.phases.fleet.stage(*index) == Stage::Absent;
        let absent: Vec<_> = wanted.iter().copied().filter(is_absent).collect();
        if !absent.is_empty() {
            self.connect_seconds += self.phases.connect(absent)?;
            self.phases.hold(clock::now_ns() + SETTLE_NS)?;
        }
        Ok(())
    }

    /// One window, and everything until the server is at rest again.
    fn measure(&mut self, shape: Shape) -> Result<Step> {
        let ramp = &self.settings.args.ramp_args;
        let last = self.order[shape.connections.max(1) - 1];
        let faults = self.phases.traffic.checker.faults();
        let unsent = self.phases.traffic.counted.unsent;
        let start_ns = clock::now_ns();
        let measured_from_ns = start_ns + ramp.ramp_settle.as_ns();
        let end_ns = measured_from_ns + ramp.ramp_window.as_ns();
        self.phases.traffic.reshape(shape.rate, self.layout.room_of(last) + 1);
        self.phases.traffic.start(Span { start_ns, measured_from_ns, end_ns });
        self.phases.hold(measured_from_ns)?;
        self.phases.traffic.begin(&format!("{:.0}/s, {} connections", shape.rate, shape.connections), true);

        let threads = self.servers.thread_times();
        let window = Window::open(&self.phases.traffic, &self.servers);
        let cut_short = self.hold_while_hopeful(shape, end_ns)?;
        let measured = window.close(&self.phases.traffic, &self.servers);
        let server = self.server_step(&threads, &measured);
        let missing_connections = self.missing(shape.connections);
        self.phases.traffic.begin("between windows", false);
        if cut_short {
            self.phases.traffic.stop_sending();
        }
        self.phases.drain()?;

        let traffic = &mut self.phases.traffic;
        traffic.checker.write_off();
        let latency = traffic.recorder.latency.all();
        let mut step = Step {
            connections: shape.connections,
            missing_connections,
            rate: shape.rate,
            messages_unsent: traffic.counted.unsent - unsent,
            seconds: measured.seconds,
            deliveries_per_second: measured.deliveries as f64 / measured.seconds.max(1e-9),
            latency_ms: latency.percentiles(),
            latencies: latency.count(),
            faults: traffic.checker.faults().since(faults),
            generator_cpu_share: measured.cpu_share,
            send_lag_p99_ms: traffic.recorder.send_lag.all().percentiles().p99,
            server,
            cut_short,
            causes: Vec::new(),
        };
        step.judge(self.limits);
        Ok(step)
    }

    /// Goes on until the end of the window; returns whether it was given up before, because so many deliveries were late
    /// already that it could not pass any more, or because connections were lost.
    fn hold_while_hopeful(&mut self, shape: Shape, end_ns: u64) -> Result<bool> {
        let members = shape.connections as f64 / self.phases.traffic.rooms_in_use() as f64;
        let seconds = self.settings.args.ramp_args.ramp_window.0.as_secs_f64();
        let late_max = shape.rate * seconds * members * LATE_SHARE_MAX;
        while clock::now_ns() < end_ns && !self.phases.is_interrupted() {
            let check_ns = end_ns.min(clock::now_ns() + HOUSEKEEPING_NS);
            self.phases.hold(check_ns)?;
            // Rooms differ in size by a member; the double leaves no doubt.
            let late = self.phases.traffic.recorder.latency.count_above(self.limits.p99_ms) as f64;
            if late > 2.0 * late_max || self.missing(shape.connections) > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Connections of the trial that are not open.
    fn missing(&self, count: usize) -> u64 {
        let is_ready = |index: &&usize| self.phases.fleet.stage(**index) == Stage::Ready;
        (count - self.order[..count].iter().filter(is_ready).count()) as u64
    }

    fn server_step(&self, earlier: &ThreadTimes, measured: &Measured) -> Option<StepServer> {
        let [from, to] = &measured.usages;
        let [from, to] = Usages::sums([from, to])?;
        let cpu_ns = to.cpu_ns.saturating_sub(from.cpu_ns) as f64;
        let wall_ns = measured.seconds.max(1e-9) * 1e9;
        let threads = self.servers.thread_times();
        let (busiest, busiest_ns) = threads.busiest_since(earlier).unwrap_or_default();
        Some(StepServer {
            cpu_share: cpu_ns / wall_ns,
            cpu_us_per_delivery: (measured.deliveries > 0).then(|| cpu_ns / 1e3 / measured.deliveries as f64),
            busiest_thread: busiest.to_owned(),
            busiest_thread_cpu_share: busiest_ns as f64 / wall_ns,
            resident_bytes: to.resident_bytes,
        })
    }

    fn report(&self, ramp: RampReport, failures: Counts, interrupted: bool) -> Report {
        let counted = &self.phases.traffic.counted;
        let mut report = Report::new(self.settings, &self.phases.traffic.recorder, interrupted);
        report.connects = Connects::new(
            counted.ready,
            failures,
            self.connect_seconds,
            &self.phases.traffic.connect_latency,
        );
        report.errors = counted.errors.clone();
        report.other_messages = counted.other_messages;
        if let Some(step) = ramp.best() {
            // The histogram is the last window's; what counts is how late the best one's messages were.
            let mut lag = Latency::coarse();
            #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
            lag.record((step.send_lag_p99_ms * 1e3) as u64);
            report.generator =
                Generator::new(step.generator_cpu_share, &lag, &self.phases.traffic.recorder.loop_lag.all());
        }
        report.ramp = Some(ramp);
        report.judge(&self.settings.args);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_connections_takes_a_part_of_the_whole() {
        assert_eq!(
            Shape::new(1000, 50.0, RampWhat::Connections, 250),
            Shape { connections: 250, rate: 12.5 }
        );
        assert_eq!(Shape::new(1000, 50.0, RampWhat::Rate, 250), Shape { connections: 1000, rate: 250.0 });
    }
}
