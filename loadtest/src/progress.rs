//! Progress on standard error while a run lasts: a live line with a bar on a terminal, plain lines elsewhere, one as each
//! phase begins and then every few seconds.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const LIVE_INTERVAL_NS: u64 = 500_000_000;
const PLAIN_INTERVAL_NS: u64 = 5_000_000_000;
/// Steps of the bar.
const BAR_STEPS: u64 = 1000;

/// Where a run stands; counts since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    /// Connections that became ready.
    pub(crate) connections: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Deliveries received.
    pub(crate) deliveries: u64,
    /// 99th percentile of latency in milliseconds, once something was measured.
    pub(crate) p99_ms: Option<f64>,
}

/// When a phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// With so many connections.
    Connections(u64),
    /// At a point in time.
    Time { from_ns: u64, to_ns: u64 },
    /// Nobody can tell.
    Open,
}

/// Shows snapshots at a bearable pace.
pub(crate) struct Progress {
    output: Output,
    phase: &'static str,
    goal: Goal,
    due_ns: u64,
    last: Option<(u64, Snapshot)>,
}

enum Output {
    None,
    Live(ProgressBar),
    Plain,
}

impl Progress {
    /// Shows nothing when `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let output = if quiet {
            Output::None
        } else if std::io::stderr().is_terminal() {
            Output::Live(ProgressBar::with_draw_target(Some(BAR_STEPS), ProgressDrawTarget::stderr()))
        } else {
            Output::Plain
        };
        let progress = Self { output, phase: "running", goal: Goal::Open, due_ns: 0, last: None };
        progress.set_style();
        progress
    }

    /// Another phase begins.
    pub(crate) fn begin(&mut self, phase: &'static str, goal: Goal) {
        (self.phase, self.goal, self.due_ns) = (phase, goal, 0);
        self.set_style();
        if let Output::Plain = self.output {
            say(&first_line(phase, goal));
        }
    }

    fn set_style(&self) {
        if let Output::Live(bar) = &self.output {
            let template = match self.goal {
                Goal::Open => "{spinner} {elapsed_precise} {prefix}  {msg}",
                Goal::Connections(_) | Goal::Time { .. } => {
                    "{spinner} {elapsed_precise} {prefix} {bar:24} {msg}"
                }
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
            bar.set_prefix(self.phase);
            bar.set_position(0);
        }
    }

    /// Shows where the run stands, if it is time; only then is the snapshot taken.
    pub(crate) fn show(&mut self, now_ns: u64, snapshot: impl FnOnce() -> Snapshot) {
        let interval_ns = match self.output {
            Output::None => return,
            Output::Live(_) => LIVE_INTERVAL_NS,
            Output::Plain => PLAIN_INTERVAL_NS,
        };
        if now_ns < self.due_ns {
            return;
        }
        let is_first = self.due_ns == 0;
        self.due_ns = now_ns + interval_ns;
        let snapshot = snapshot();
        // Right after its beginning there is nothing to say of a phase, and no time to have a rate over.
        if let Some((last_ns, last)) = self.last.filter(|_| !is_first) {
            let line = line(self.goal, (last_ns, &last), (now_ns, &snapshot));
            match &self.output {
                Output::Live(bar) => {
                    bar.set_position(done(self.goal, now_ns, &snapshot));
                    bar.set_message(line);
                    bar.tick();
                }
                Output::Plain => say(&format!("{}: {line}", self.phase)),
                Output::None => {}
            }
        }
        self.last = Some((now_ns, snapshot));
    }

    /// Shows a line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.output {
            Output::None => {}
            Output::Live(bar) => bar.println(line),
            Output::Plain => say(line),
        }
    }

    /// Clears the live line.
    pub(crate) fn finish(&self) {
        if let Output::Live(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to standard error. A run goes on although nobody reads of it any more.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn first_line(phase: &str, goal: Goal) -> String {
    match goal {
        Goal::Connections(count) => format!("{phase}: {count} connections"),
        Goal::Time { from_ns, to_ns } => format!("{phase}: {:.1} s", seconds(from_ns, to_ns)),
        Goal::Open => phase.to_owned(),
    }
}

/// How many of [`BAR_STEPS`] are behind us.
fn done(goal: Goal, now_ns: u64, now: &Snapshot) -> u64 {
    let (part, whole) = match goal {
        Goal::Connections(count) => (now.connections, count),
        Goal::Time { from_ns, to_ns } => (now_ns.saturating_sub(from_ns), to_ns.saturating_sub(from_ns)),
        Goal::Open => return 0,
    };
    let steps = u128::from(part.min(whole)) * u128::from(BAR_STEPS) / u128::from(whole.max(1));
    u64::try_from(steps).unwrap_or(BAR_STEPS)
}

fn line(goal: Goal, (last_ns, last): (u64, &Snapshot), (now_ns, now): (u64, &Snapshot)) -> String {
    let elapsed = seconds(last_ns, now_ns).max(1e-9);
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / elapsed;
    if let Goal::Connections(count) = goal {
        let pace = rate(last.connections, now.connections);
        let left = count.saturating_sub(now.connections) as f64 / pace;
        let left = if left.is_finite() { format!(", {left:.0} s left") } else { String::new() };
        return format!("{} of {count} connected, {pace:.0}/s{left}", now.connections);
    }
    let time = match goal {
        Goal::Time { from_ns, to_ns } => {
            format!("{:.0} s of {:.0} s, ", seconds(from_ns, now_ns), seconds(from_ns, to_ns))
        }
        _ => String::new(),
    };
    let p99 = now.p99_ms.map(|ms| format!(", p99 {ms:.2} ms")).unwrap_or_default();
    format!(
        "{time}{} connected, {:.0} messages/s sent, {:.0} deliveries/s{p99}",
        now.connections,
        rate(last.sent, now.sent),
        rate(last.deliveries, now.deliveries),
    )
}

fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn snapshot(connections: u64, sent: u64, deliveries: u64, p99_ms: Option<f64>) -> Snapshot {
        Snapshot { connections, sent, deliveries, p99_ms }
    }

    #[test]
    fn lines_show_rates_since_the_last_one() {
        let (last, now) = (snapshot(7, 10, 100, None), snapshot(7, 30, 1100, Some(1.25)));
        let rates = "7 connected, 10 messages/s sent, 500 deliveries/s, p99 1.25 ms";
        assert_eq!(line(Goal::Open, (0, &last), (2 * S, &now)), rates);
        let goal = Goal::Time { from_ns: S, to_ns: 11 * S };
        assert_eq!(line(goal, (2 * S, &last), (4 * S, &now)), format!("3 s of 10 s, {rates}"));
    }

    #[test]
    fn connecting_has_a_pace_and_an_end() {
        let goal = Goal::Connections(1000);
        let (last, now) = (snapshot(200, 0, 0, None), snapshot(600, 0, 0, None));
        assert_eq!(line(goal, (0, &last), (2 * S, &now)), "600 of 1000 connected, 200/s, 2 s left");
        assert_eq!(line(goal, (0, &now), (2 * S, &now)), "600 of 1000 connected, 0/s");
        assert_eq!(first_line("connecting", goal), "connecting: 1000 connections");
    }

    #[test]
    fn bars_never_overflow() {
        let at = |goal, now_ns| done(goal, now_ns, &snapshot(5, 0, 0, None));
        assert_eq!(at(Goal::Connections(10), 0), 500);
        assert_eq!(
            [at(Goal::Connections(0), 0), at(Goal::Connections(3), 0), at(Goal::Open, 9)],
            [0, 1000, 0]
        );
        let time = Goal::Time { from_ns: 10, to_ns: 20 };
        assert_eq!([at(time, 5), at(time, 15), at(time, u64::MAX)], [0, 500, 1000]);
    }
}
