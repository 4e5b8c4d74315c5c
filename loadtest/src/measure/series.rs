//! A run over time: one point for each interval, fewer than [`POINTS_MAX`]; a long run's intervals become longer.

use serde::{Deserialize, Serialize};

use super::packed::Distribution;

/// Points that a series never has; when there would be as many, neighbours become one. Even.
pub(crate) const POINTS_MAX: usize = 600;
/// Length in seconds below which an interval is none of its own.
const SECONDS_MIN: f64 = 0.05;
/// Phases that are remembered; further ones have no name.
const PHASES_MAX: usize = 200;

/// The points of a run, oldest first, and the names of its parts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// Seconds that an interval has at the end of the run; the last of a phase may be shorter.
    pub(crate) interval_s: f64,
    pub(crate) phases: Vec<Phase>,
    pub(crate) points: Vec<Point>,
}

/// A part of the run, which lasts until the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// Seconds from the run's beginning.
    pub(crate) from_s: f64,
    /// Whether its figures are those that the report is about.
    pub(crate) measured: bool,
}

/// What happened in one interval.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Seconds from the run's beginning to the interval's.
    pub(crate) at_s: f64,
    /// Length of the interval in seconds.
    pub(crate) seconds: f64,
    /// Connections that were ready when it ended.
    pub(crate) connections: u64,
    /// Connections that became ready.
    pub(crate) connects: u64,
    /// Ready connections that ended.
    pub(crate) closes: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Deliveries received.
    pub(crate) deliveries: u64,
    /// Of what was received in it, and due in the measured time.
    pub(crate) latency: Option<Distribution>,
    /// How late messages left.
    pub(crate) send_lag: Option<Distribution>,
    /// How late the generator's loop woke.
    pub(crate) loop_lag: Option<Distribution>,
    /// CPU time of the generator over wall time.
    pub(crate) generator_cpu_share: f64,
    pub(crate) server: Option<ServerPoint>,
}

/// What the server used in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerPoint {
    /// CPU time over wall time; 1 is one core.
    pub(crate) cpu_share: f64,
    /// Resident memory when it ended.
    pub(crate) resident_bytes: u64,
}

impl Point {
    /// When it ended, in seconds from the run's beginning.
    pub(crate) fn end_s(&self) -> f64 {
        self.at_s + self.seconds
    }

    /// This interval and the one after it as one.
    fn followed_by(&self, next: &Self) -> Self {
        let seconds = next.end_s() - self.at_s;
        let mean =
            |a: f64, b: f64| (a * self.seconds + b * next.seconds) / (self.seconds + next.seconds).max(1e-9);
        Self {
            at_s: self.at_s,
            seconds,
            connections: next.connections,
            connects: self.connects + next.connects,
            closes: self.closes + next.closes,
            sent: self.sent + next.sent,
            deliveries: self.deliveries + next.deliveries,
            latency: Distribution::merged(self.latency.as_ref(), next.latency.as_ref()),
            send_lag: Distribution::merged(self.send_lag.as_ref(), next.send_lag.as_ref()),
            loop_lag: Distribution::merged(self.loop_lag.as_ref(), next.loop_lag.as_ref()),
            generator_cpu_share: mean(self.generator_cpu_share, next.generator_cpu_share),
            server: match (self.server, next.server) {
                (Some(a), Some(b)) => Some(ServerPoint { cpu_share: mean(a.cpu_share, b.cpu_share), ..b }),
                (a, b) => b.or(a),
            },
        }
    }

    /// The same interval as another generator saw it, added to this one's. The server is one: whoever watched it tells.
    fn beside(&mut self, other: &Self) {
        self.seconds = self.seconds.max(other.seconds);
        self.connections += other.connections;
        self.connects += other.connects;
        self.closes += other.closes;
        self.sent += other.sent;
        self.deliveries += other.deliveries;
        self.latency = Distribution::merged(self.latency.as_ref(), other.latency.as_ref());
        self.send_lag = Distribution::merged(self.send_lag.as_ref(), other.send_lag.as_ref());
        self.loop_lag = Distribution::merged(self.loop_lag.as_ref(), other.loop_lag.as_ref());
        self.generator_cpu_share = self.generator_cpu_share.max(other.generator_cpu_share);
        self.server = self.server.or(other.server);
    }
}

impl Series {
    /// No points, with intervals of one second.
    pub(crate) fn new() -> Self {
        Self { interval_s: 1.0, ..Self::default() }
    }

    /// Adds the newest point. One of hardly any time, as between two phases, says nothing by itself: it joins its neighbour.
    pub(crate) fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if point.seconds.min(last.seconds) < SECONDS_MIN => *last = last.followed_by(&point),
            _ => self.points.push(point),
        }
        // An even number, so that everybody has a neighbour.
        if self.points.len() >= POINTS_MAX {
            self.halve();
        }
    }

    fn halve(&mut self) {
        self.interval_s *= 2.0;
        let pairs = self.points.chunks(2).map(|pair| match pair {
            [first, second] => first.followed_by(second),
            alone => alone[0].clone(),
        });
        self.points = pairs.collect();
    }

    /// The run is in another phase from here on.
    pub(crate) fn begin(&mut self, name: &str, from_s: f64, measured: bool) {
        if self.phases.len() < PHASES_MAX {
            self.phases.push(Phase { name: name.to_owned(), from_s, measured });
        }
    }

    /// From and to which second the run was measured; the whole run when nobody said.
    pub(crate) fn measured(&self) -> (f64, f64) {
        let end = self.points.last().map_or(0.0, Point::end_s);
        let Some(first) = self.phases.iter().position(|phase| phase.measured) else {
            return (0.0, end);
        };
        let after = self.phases[first..].iter().find(|phase| !phase.measured);
        (self.phases[first].from_s, after.map_or(end, |phase| phase.from_s))
    }

    /// The points that lie in the measured time by at least half.
    pub(crate) fn measured_points(&self) -> impl Iterator<Item = &Point> {
        let (from, to) = self.measured();
        let middle = |point: &Point| point.at_s + point.seconds / 2.0;
        self.points.iter().filter(move |point| (from..=to).contains(&middle(point)))
    }

    /// What several generators saw of one run, each on its own clock: seconds count from when each began to measure, so
    /// that clocks that disagree do no harm. Names of phases are the first one's.
    pub(crate) fn merged(all: &[Self]) -> Self {
        let first = match all {
            [] => return Self::new(),
            [alone] => return alone.clone(),
            [first, ..] => first,
        };
        let interval_s = all.iter().map(|series| series.interval_s).fold(1.0, f64::max);
        let zero_s = all.iter().map(|series| series.measured().0).fold(0.0, f64::max);
        let shift = zero_s - first.measured().0;
        let phases = first
            .phases
            .iter()
            .map(|phase| Phase { from_s: phase.from_s + shift, ..phase.clone() })
            .collect();
        let mut sums: Vec<Point> = Vec::new();
        for series in all {
            let shift = zero_s - series.measured().0;
            for point in series.on_grid(interval_s, zero_s, shift) {
                match sums.binary_search_by(|sum| sum.at_s.total_cmp(&point.at_s)) {
                    Ok(at) => sums[at].beside(&point),
                    Err(at) => sums.insert(at, point),
                }
            }
        }
        Self { interval_s, phases, points: sums }
    }

    /// The points moved by `shift` seconds, one for each interval of a grid through `zero_s`.
    fn on_grid(&self, interval_s: f64, zero_s: f64, shift: f64) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for point in &self.points {
            // An interval begins within a few milliseconds of its place, so it is the middle that decides.
            let middle = point.at_s + shift + point.seconds.min(interval_s) / 2.0 - zero_s;
            let at_s = (zero_s + (middle / interval_s).floor() * interval_s).max(0.0);
            match points.last_mut() {
                Some(last) if last.at_s >= at_s => {
                    *last = Point {
                        at_s: last.at_s,
                        seconds: last.seconds + point.seconds,
                        ..last.followed_by(point)
                    };
                }
                _ => points.push(Point { at_s, ..point.clone() }),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Latency;

    fn point(at_s: f64, seconds: f64, deliveries: u64) -> Point {
        let mut latency = Latency::new();
        (0..deliveries).for_each(|n| latency.record(1000 + n));
        let server = ServerPoint { cpu_share: 0.5, resident_bytes: 100 };
        Point {
            at_s,
            seconds,
            deliveries,
            connections: 7,
            latency: Distribution::coarse(&latency),
            server: Some(server),
            ..Point::default()
        }
    }

    fn deliveries(series: &Series) -> Vec<u64> {
        series.points.iter().map(|point| point.deliveries).collect()
    }

    #[test]
    fn long_runs_have_longer_intervals_and_lose_nothing() {
        let mut series = Series::new();
        let (mut second, mut pushed) = (0.0, 0);
        while second < 2000.0 {
            let interval_s = series.interval_s;
            series.push(point(second, interval_s, 2));
            second += interval_s;
            pushed += 2;
            assert!(series.points.len() < POINTS_MAX, "{}", series.points.len());
        }
        assert_eq!(series.interval_s, 4.0);
        assert_eq!(deliveries(&series).iter().sum::<u64>(), pushed);
        let latencies = series.points.iter().filter_map(|point| point.latency.as_ref());
        assert_eq!(latencies.map(|latency| latency.count).sum::<u64>(), pushed);
        for pair in series.points.windows(2) {
            assert!((pair[0].end_s() - pair[1].at_s).abs() < 1e-6);
        }
        assert_eq!(series.points[0].connections, 7);
        assert_eq!(series.points[0].server.map(|server| server.cpu_share), Some(0.5));
    }

    #[test]
    fn moments_between_phases_are_no_points() {
        let mut series = Series::new();
        for (at_s, seconds) in [(0.0, 0.01), (0.01, 1.0), (1.01, 0.001), (1.011, 0.5)] {
            series.push(point(at_s, seconds, 2));
        }
        assert_eq!(deliveries(&series), [6, 2]);
        assert!((series.points[0].end_s() - 1.011).abs() < 1e-9);
    }

    #[test]
    fn the_measured_time_is_the_measured_phases() {
        let mut series = Series::new();
        assert_eq!(series.measured(), (0.0, 0.0));
        for second in 0..6 {
            series.push(point(f64::from(second), 1.0, 1));
        }
        assert_eq!(series.measured(), (0.0, 6.0));
        series.begin("warm-up", 0.0, false);
        series.begin("measuring", 2.0, true);
        assert_eq!(series.measured(), (2.0, 6.0));
        series.begin("draining", 5.0, false);
        assert_eq!(series.measured(), (2.0, 5.0));
    }

    #[test]
    fn agents_are_aligned_where_they_began_to_measure() {
        let series = |measured_from: f64, first: u64| {
            let mut series = Series::new();
            series.begin("connecting", 0.0, false);
            series.push(point(0.0, measured_from, 1));
            series.begin("measuring", measured_from, true);
            // Late by up to 90 ms, as intervals are.
            for (second, late) in [(0.0, 0.0), (1.0, 0.09), (2.0, 0.03)] {
                series.push(point(measured_from + second + late, 1.0, first));
            }
            series
        };
        let merged = Series::merged(&[series(0.7, 10), series(1.4, 100)]);
        assert_eq!(deliveries(&merged)[deliveries(&merged).len() - 3..], [110, 110, 110], "{merged:?}");
        assert_eq!(merged.measured().0, 1.4);
        assert_eq!(merged.points.last().map(|point| point.connections), Some(14));
        assert_eq!(
            merged.points.last().and_then(|point| point.server).map(|server| server.cpu_share),
            Some(0.5)
        );
        assert_eq!(Series::merged(&[]), Series::new());
        assert_eq!(Series::merged(&[series(0.7, 10)]), series(0.7, 10));
    }

    #[test]
    fn agents_with_coarser_intervals_set_the_grid() {
        let series = |seconds: f64, count: u32| {
            let points = (0..count).map(|n| point(f64::from(n) * seconds, seconds, 10)).collect();
            Series { interval_s: seconds, points, ..Series::default() }
        };
        let merged = Series::merged(&[series(1.0, 4), series(2.0, 2)]);
        assert_eq!(deliveries(&merged), [30, 30]);
        assert_eq!(merged.points[1].seconds, 2.0);
    }
}
