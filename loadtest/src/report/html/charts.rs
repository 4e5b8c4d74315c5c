//! Which charts a report has: over time what the series holds, and the whole distribution of latency.

use super::chart::{Chart, Line};
use super::scale::Scale;
use super::text::{self, Unit};
use crate::measure::{Distribution, Latency, Percentiles, Point};
use crate::report::{Report, Threshold};

/// Phases that are named in a chart; of more, only the measured time is set off.
const PHASES_NAMED_MAX: usize = 12;

/// All charts that have something to show.
pub(super) fn render(report: &Report) -> String {
    let over_time = OverTime { report, points: &report.series.points };
    let charts = [
        Some(over_time.latency()),
        distribution(report),
        Some(over_time.deliveries()),
        Some(over_time.sent()),
        Some(over_time.connections()),
        Some(over_time.comings_and_goings()),
        Some(over_time.server_cpu()),
        Some(over_time.server_memory()),
        Some(over_time.generator_cpu()),
        Some(over_time.generator_lag()),
    ];
    charts.iter().flatten().map(Chart::render).collect()
}

struct OverTime<'a> {
    report: &'a Report,
    points: &'a [Point],
}

impl OverTime<'_> {
    fn values(&self, of: impl Fn(&Point) -> Option<f64>) -> Vec<Option<f64>> {
        self.points.iter().map(of).collect()
    }

    /// Of counts that are always zero nothing is shown.
    fn rates(&self, of: impl Fn(&Point) -> u64) -> Vec<Option<f64>> {
        let any = self.points.iter().any(|point| of(point) > 0);
        self.values(|point| any.then(|| of(point) as f64 / point.seconds.max(1e-9)))
    }

    fn chart(&self, title: &'static str, unit: Unit, lines: Vec<Line>) -> Chart {
        let end = self.points.last().map_or(0.0, Point::end_s);
        let values = || lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let y = match unit {
            Unit::Milliseconds => Scale::log(values()),
            Unit::Bytes => Scale::bytes(values()),
            _ => Scale::from_zero(values()),
        };
        let place = |point: &Point| {
            let span =
                format!("{} – {}", text::clock(tenths(point.at_s)), text::clock(tenths(point.end_s())));
            (point.at_s + point.seconds / 2.0, span)
        };
        Chart {
            title,
            summary: String::new(),
            wide: false,
            unit,
            x: Scale::time(0.0, end),
            y,
            x_label: text::clock,
            places: self.points.iter().map(place).collect(),
            bands: self.bands(end),
            limit: None,
            lines,
        }
    }

    /// The measured phases, named when they are few.
    fn bands(&self, end: f64) -> Vec<(f64, f64, String)> {
        let phases = &self.report.series.phases;
        let ends = phases.iter().skip(1).map(|phase| phase.from_s).chain([end]);
        let measured = phases.iter().zip(ends).filter(|(phase, _)| phase.measured);
        let named = phases.len() <= PHASES_NAMED_MAX;
        let name = |name: &str| if named { name.to_owned() } else { String::new() };
        measured.map(|(phase, to)| (phase.from_s, to, name(&phase.name))).collect()
    }

    fn latency(&self) -> Chart {
        let at = |of: fn(&Percentiles) -> f64| {
            // Nothing is at zero on a logarithmic axis; the histogram tells nothing below a microsecond.
            self.values(|point| point.latency.as_ref().map(|latency| of(&latency.ms).max(0.001)))
        };
        let lines = vec![
            Line::new("p50", 1, at(|ms| ms.p50)),
            Line::new("p90", 2, at(|ms| ms.p90)),
            Line::new("p99", 3, at(|ms| ms.p99)),
            Line::new("p99.9", 4, at(|ms| ms.p999)),
            Line::new("max", 5, at(|ms| ms.max)),
        ];
        let mut chart = self.chart("Latency over time", Unit::Milliseconds, lines);
        let p99 = self.points.iter().filter_map(|point| point.latency.as_ref()).map(|latency| latency.ms.p99);
        chart.summary = format!(
            "From the intended time of sending to receipt, logarithmic. p99 by interval: {}.",
            range(Unit::Milliseconds, p99)
        );
        chart.wide = true;
        chart.limit = limit(&self.report.thresholds);
        if let Some((limit, _)) = chart.limit
            && let Some(most) = chart.lines[4].values.iter().flatten().copied().reduce(f64::max)
            // A limit far above all would press the lines together at the bottom.
            && (most..most * 30.0).contains(&limit)
        {
            let values = chart.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
            chart.y = Scale::log(values.chain([limit * 1.5]));
        }
        chart
    }

    fn deliveries(&self) -> Chart {
        let line = Line::new("deliveries", 2, self.rates(|point| point.deliveries));
        let mut chart = self.filled("Deliveries a second", Unit::PerSecond, line);
        if let Some(traffic) = &self.report.traffic {
            chart.summary =
                format!("{} in the measured window.", Unit::PerSecond.show(traffic.deliveries_per_second));
        }
        chart
    }

    fn sent(&self) -> Chart {
        let line = Line::new("messages", 1, self.rates(|point| point.sent));
        let mut chart = self.filled("Messages sent a second", Unit::PerSecond, line);
        let sent: u64 = self.points.iter().map(|point| point.sent).sum();
        chart.summary = format!("{} in all.", text::number(sent as f64));
        chart
    }

    fn connections(&self) -> Chart {
        let line = Line::new("connections", 1, self.values(|point| Some(point.connections as f64)));
        let mut chart = self.filled("Open connections", Unit::Plain, line);
        let most = self.points.iter().map(|point| point.connections).max().unwrap_or(0);
        chart.summary =
            format!("{} at most, counted at the end of each interval.", text::number(most as f64));
        chart
    }

    fn comings_and_goings(&self) -> Chart {
        let lines = vec![
            Line::new("connected", 1, self.rates(|point| point.connects)),
            Line::new("closed", 5, self.rates(|point| point.closes)),
        ];
        let mut chart = self.chart("Connects and closes a second", Unit::PerSecond, lines);
        let closes: u64 = self.points.iter().map(|point| point.closes).sum();
        let connects = &self.report.connects;
        chart.summary = format!(
            "{} connected, {} failed, {} closed.",
            text::number(connects.ready as f64),
            text::number(connects.failed as f64),
            text::number(closes as f64)
        );
        chart
    }

    fn server_cpu(&self) -> Chart {
        let share = |point: &Point| point.server.map(|server| server.cpu_share);
        let line = Line::new("server", 3, self.values(share));
        let mut chart = self.filled("Server CPU", Unit::Share, line);
        let cost = self.report.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
        chart.summary = match cost {
            Some(us) => format!("100 % is one core; {} a delivery.", Unit::Milliseconds.show(us / 1e3)),
            None => "100 % is one core.".to_owned(),
        };
        chart
    }

    fn server_memory(&self) -> Chart {
        let resident = |point: &Point| point.server.map(|server| server.resident_bytes as f64);
        let mut chart =
            self.filled("Server memory", Unit::Bytes, Line::new("resident", 3, self.values(resident)));
        chart.summary = format!("Resident: {}.", range(Unit::Bytes, self.points.iter().filter_map(resident)));
        chart
    }

    fn generator_cpu(&self) -> Chart {
        let share = |point: &Point| point.generator_cpu_share;
        let line = Line::new("generator", 4, self.values(|point| Some(share(point))));
        let mut chart = self.filled("Generator CPU", Unit::Share, line);
        let most = self.points.iter().filter(|point| point.seconds > 0.2).map(share).fold(0.0, f64::max);
        chart.summary = format!("{} at most; near 100 % it limits the run.", Unit::Share.show(most));
        chart
    }

    fn generator_lag(&self) -> Chart {
        type Lag = fn(&Point) -> Option<&Distribution>;
        let at = |lag: Lag, of: fn(&Percentiles) -> f64| {
            self.values(|point| lag(point).map(|lag| of(&lag.ms).max(0.001)))
        };
        let (send, wake): (Lag, Lag) = (|point| point.send_lag.as_ref(), |point| point.loop_lag.as_ref());
        let lines = vec![
            Line::new("send lag p99", 2, at(send, |ms| ms.p99)),
            Line::new("send lag max", 5, at(send, |ms| ms.max)),
            Line::new("loop lag p99", 1, at(wake, |ms| ms.p99)),
        ];
        let mut chart = self.chart("Generator lag", Unit::Milliseconds, lines);
        chart.summary =
            "How late messages left against their schedule, and how late the loop woke.".to_owned();
        chart
    }

    fn filled(&self, title: &'static str, unit: Unit, line: Line) -> Chart {
        self.chart(title, unit, vec![Line { filled: true, ..line }])
    }
}

/// The limit of latency, if one was set.
fn limit(thresholds: &[Threshold]) -> Option<(f64, String)> {
    let threshold = thresholds.iter().find(|threshold| threshold.flag == "--max-p99")?;
    Some((threshold.limit, format!("p99 limit {}", Unit::Milliseconds.show(threshold.limit))))
}

/// The latency that each share of all deliveries kept to: the rarer, the further right.
fn distribution(report: &Report) -> Option<Chart> {
    let traffic = report.traffic.as_ref().filter(|traffic| traffic.latencies > 0)?;
    let latency = traffic.histogram.unpack();
    let spots = quantiles(latency.count());
    let value = |(quantile, _): &(f64, f64)| Some(latency.at_quantile(*quantile).max(0.001));
    let values: Vec<_> = spots.iter().map(value).collect();
    let rarest = spots.last().map_or(10.0, |(_, one_in)| *one_in).max(10.0);
    let marks = [1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    let mut chart = Chart {
        title: "Distribution of latency",
        summary: summary(&latency),
        wide: true,
        unit: Unit::Milliseconds,
        x: Scale::log_marked(1.0, rarest, marks.into_iter().filter(|mark| *mark <= rarest).collect()),
        // The few that were quickest would take half of the height.
        y: Scale::log(values.iter().flatten().copied().skip(1)),
        x_label: share,
        places: spots
            .iter()
            .map(|(_, one_in)| (*one_in, format!("{} of all within", share(*one_in))))
            .collect(),
        lines: vec![Line { filled: true, ..Line::new("latency", 3, values) }],
        bands: Vec::new(),
        limit: limit(&report.thresholds),
    };
    chart.limit = chart.limit.filter(|(limit, _)| chart.y.holds(*limit));
    Some(chart)
}

fn summary(latency: &Latency) -> String {
    let Percentiles { p50, p99, p999, max, .. } = latency.percentiles();
    let show = |ms| Unit::Milliseconds.show(ms);
    format!(
        "Of {} deliveries half came within {}, 99 % within {}, 99.9 % within {}; the last took {}.",
        text::number(latency.count() as f64),
        show(p50),
        show(p99),
        show(p999),
        show(max)
    )
}

/// Shares of a whole of `count`, evenly spaced by how rare the rest is; each with "one in so many".
fn quantiles(count: u64) -> Vec<(f64, f64)> {
    let steps = (1..).map(|n| 10f64.powf(f64::from(n) / 20.0)).take_while(|one_in| *one_in <= count as f64);
    [1.0].into_iter().chain(steps).map(|one_in| (1.0 - 1.0 / one_in, one_in)).collect()
}

/// "99.9 %" of one in a thousand.
fn share(one_in: f64) -> String {
    let percent = 100.0 - 100.0 / one_in;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the logarithm of at most 2^64"
    )]
    let decimals = (one_in.log10().round() as usize).saturating_sub(2);
    format!("{percent:.decimals$} %")
}

fn range(unit: Unit, values: impl Iterator<Item = f64>) -> String {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
        Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    match ends.map(|(low, high)| (unit.show(low), unit.show(high))) {
        Some((low, high)) if low == high => low,
        Some((low, high)) => format!("{low} to {high}"),
        None => "unknown".to_owned(),
    }
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_precise_as_they_are_rare() {
        assert_eq!(
            [1.0, 2.0, 10.0, 100.0, 1e3, 1e5].map(share),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.999 %"]
        );
        let quantiles = quantiles(1000);
        assert_eq!(quantiles.first(), Some(&(0.0, 1.0)));
        assert!(quantiles.last().is_some_and(|(_, one_in)| (one_in - 1000.0).abs() < 1e-6), "{quantiles:?}");
    }

    #[test]
    fn ranges_say_what_there_is() {
        assert_eq!(range(Unit::Milliseconds, [2.0, 1.0].into_iter()), "1 ms to 2 ms");
        assert_eq!(range(Unit::Milliseconds, [1.0].into_iter()), "1 ms");
        assert_eq!(range(Unit::Bytes, std::iter::empty()), "unknown");
    }
}
