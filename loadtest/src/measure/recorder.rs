//! Takes a run down over time: histograms that hold one interval each, closed into a `series` and into totals.

use jiff::Timestamp;

use super::Latency;
use super::packed::Distribution;
use super::series::{Point, Series, ServerPoint};
use super::servers::{Servers, Usages};
use crate::clock;

/// The shortest interval; a long run's are longer.
const INTERVAL_NS: u64 = 1_000_000_000;

/// A histogram of the interval under way, and one of all before it. Recording costs what one histogram costs.
pub(crate) struct Tally {
    interval: Latency,
    total: Latency,
}

/// Counts of a run since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Connections that became ready.
    pub(crate) connects: u64,
    /// Ready connections that ended.
    pub(crate) closes: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Deliveries received.
    pub(crate) deliveries: u64,
}

/// What was used since the start.
#[derive(Debug, Clone)]
struct Usage {
    generator_cpu_ns: u64,
    servers: Usages,
}

/// Everything that is taken down while a run lasts.
pub(crate) struct Recorder {
    /// From when something was due until it arrived.
    pub(crate) latency: Tally,
    /// How late messages left.
    pub(crate) send_lag: Tally,
    /// How late the loop woke; in total only in measured phases.
    pub(crate) loop_lag: Tally,
    started_at: Timestamp,
    servers: Servers,
    series: Series,
    origin_ns: u64,
    measured: bool,
    /// The interval under way: when it began, and what had been by then.
    from_ns: u64,
    due_ns: u64,
    totals: Totals,
    usage: Usage,
}

impl Tally {
    fn new(like: &Latency) -> Self {
        Self { interval: like.clone(), total: like.clone() }
    }

    /// Records one time in microseconds.
    #[inline]
    pub(crate) fn record(&mut self, us: u64) {
        self.interval.record(us);
    }

    /// Everything recorded.
    pub(crate) fn all(&self) -> Latency {
        let mut all = self.total.clone();
        all.add(&self.interval);
        all
    }

    /// How many were longer than this, in milliseconds.
    pub(crate) fn count_above(&self, ms: f64) -> u64 {
        self.total.count_above(ms) + self.interval.count_above(ms)
    }

    fn forget(&mut self) {
        self.interval.clear();
        self.total.clear();
    }

    fn close(&mut self, counts: bool) -> Option<Distribution> {
        let distribution = Distribution::coarse(&self.interval)?;
        if counts {
            self.total.add(&self.interval);
        }
        self.interval.clear();
        Some(distribution)
    }
}

impl Recorder {
    /// Begins to take down, also what `servers` use.
    pub(crate) fn new(servers: Servers) -> Self {
        let usage = Usage::now(&servers);
        Self::at(clock::now_ns(), servers, usage)
    }

    fn at(origin_ns: u64, servers: Servers, usage: Usage) -> Self {
        Self {
            latency: Tally::new(&Latency::new()),
            send_lag: Tally::new(&Latency::coarse()),
            loop_lag: Tally::new(&Latency::coarse()),
            started_at: Timestamp::now(),
            servers,
            series: Series::new(),
            origin_ns,
            measured: false,
            from_ns: origin_ns,
            due_ns: origin_ns + INTERVAL_NS,
            totals: Totals::default(),
            usage,
        }
    }

    /// When the interval under way ends.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Ends the interval under way if it is time.
    pub(crate) fn tick(&mut self, now_ns: u64, totals: Totals) {
        if now_ns >= self.due_ns() {
            self.close(now_ns, totals, Usage::now(&self.servers));
            // Late ends do not add up: the intervals of a phase stay where they were to be.
            let interval_ns = self.interval_ns();
            let late_ns = now_ns - self.due_ns;
            self.due_ns = now_ns - late_ns % interval_ns + interval_ns;
        }
    }

    /// Another phase of the run begins: ends the interval under way, so that none belongs to two phases. `measured` says
    /// whether the report is about this one.
    pub(crate) fn begin(&mut self, phase: &str, measured: bool, totals: Totals) {
        let now_ns = clock::now_ns();
        self.close(now_ns, totals, Usage::now(&self.servers));
        self.due_ns = now_ns + self.interval_ns();
        self.measured = measured;
        self.series.begin(phase, self.seconds_at(now_ns), measured);
    }

    /// Begins all totals anew; what was taken down over time stays.
    pub(crate) fn forget(&mut self) {
        [&mut self.latency, &mut self.send_lag, &mut self.loop_lag].into_iter().for_each(Tally::forget);
    }

    /// The last phase is over.
    pub(crate) fn end(&mut self, totals: Totals) {
        self.close(clock::now_ns(), totals, Usage::now(&self.servers));
    }

    /// The run over time, as far as intervals have ended.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// When the run began.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The 99th percentile of late, in milliseconds: of the last interval that had any latency.
    pub(crate) fn p99_ms(&self) -> Option<f64> {
        let closed = self.series.points.last().and_then(|point| point.latency.as_ref());
        let open = &self.latency.interval;
        closed.map(|latency| latency.ms.p99).or_else(|| (open.count() > 0).then(|| open.at_quantile(0.99)))
    }

    fn interval_ns(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
        let interval_ns = (self.series.interval_s * 1e9) as u64;
        interval_ns.max(INTERVAL_NS)
    }

    fn seconds_at(&self, ns: u64) -> f64 {
        ns.saturating_sub(self.origin_ns) as f64 / 1e9
    }

    fn close(&mut self, now_ns: u64, totals: Totals, usage: Usage) {
        if now_ns <= self.from_ns {
            return;
        }
        let before = std::mem::replace(&mut self.totals, totals);
        let used = std::mem::replace(&mut self.usage, usage);
        let wall_ns = (now_ns - self.from_ns) as f64;
        let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / wall_ns;
        let point = Point {
            at_s: self.seconds_at(self.from_ns),
            seconds: wall_ns / 1e9,
            connections: totals.connects.saturating_sub(totals.closes),
            connects: totals.connects.saturating_sub(before.connects),
            closes: totals.closes.saturating_sub(before.closes),
            // A message that could not be sent after all is taken back.
            sent: totals.sent.saturating_sub(before.sent),
            deliveries: totals.deliveries.saturating_sub(before.deliveries),
            latency: self.latency.close(true),
            send_lag: self.send_lag.close(true),
            loop_lag: self.loop_lag.close(self.measured),
            generator_cpu_share: share(used.generator_cpu_ns, self.usage.generator_cpu_ns),
            server: Usages::sums([&used.servers, &self.usage.servers]).map(|[from, to]| ServerPoint {
                cpu_share: share(from.cpu_ns, to.cpu_ns),
                resident_bytes: to.resident_bytes,
            }),
        };
        self.from_ns = now_ns;
        self.series.push(point);
    }
}

impl Usage {
    fn now(servers: &Servers) -> Self {
        Self { generator_cpu_ns: clock::process_cpu_ns(), servers: servers.usages() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn usage(generator_cpu_ns: u64, cpu_ns: u64) -> Usage {
        Usage { generator_cpu_ns, servers: Usages::from_cpu(&[Some(cpu_ns)]) }
    }

    #[test]
    fn intervals_hold_what_happened_in_them_and_totals_everything() {
        let mut recorder = Recorder::at(10 * S, Servers::default(), usage(0, 5 * S));
        recorder.latency.record(1_000);
        let totals = Totals { connects: 3, closes: 1, sent: 10, deliveries: 100 };
        recorder.close(11 * S, totals, usage(S / 4, 6 * S));
        recorder.latency.record(9_000);
        recorder.loop_lag.record(50);
        let totals = Totals { connects: 3, closes: 3, sent: 14, deliveries: 150 };
        recorder.close(13 * S, totals, usage(S / 4, 7 * S));

        let points = &recorder.series().points;
        let p99 = |at: usize| points[at].latency.as_ref().map(|latency| latency.ms.p99.round());
        assert_eq!([p99(0), p99(1)], [Some(1.0), Some(9.0)]);
        assert_eq!((points[0].sent, points[1].sent), (10, 4));
        assert_eq!((points[0].connections, points[1].connections), (2, 0));
        assert_eq!((points[1].closes, points[1].deliveries), (2, 50));
        assert_eq!((points[0].generator_cpu_share, points[1].generator_cpu_share), (0.25, 0.0));
        let shares = [0, 1].map(|at: usize| points[at].server.map(|server| server.cpu_share));
        assert_eq!(shares, [Some(1.0), Some(0.5)]);
        assert_eq!((points[1].at_s, points[1].seconds), (1.0, 2.0));
        assert_eq!(recorder.latency.all().count(), 2);
        assert_eq!(recorder.loop_lag.all().count(), 0, "nothing was measured");
        assert_eq!(recorder.p99_ms().map(f64::round), Some(9.0));
    }

    #[test]
    fn intervals_end_when_due() {
        let mut recorder = Recorder::at(0, Servers::default(), usage(0, 0));
        recorder.tick(S - 1, Totals::default());
        assert_eq!(recorder.series().points.len(), 0);
        recorder.tick(S + 7, Totals::default());
        recorder.tick(2 * S - 1, Totals::default());
        assert_eq!((recorder.series().points.len(), recorder.due_ns()), (1, 2 * S));
        recorder.tick(9 * S / 2, Totals::default());
        assert_eq!((recorder.series().points.len(), recorder.due_ns()), (2, 5 * S));
    }
}
