//! Progress on standard error while a run lasts: a live line on a terminal, a plain line every few seconds elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const LIVE_INTERVAL_NS: u64 = 500_000_000;
const PLAIN_INTERVAL_NS: u64 = 5_000_000_000;

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

/// Shows snapshots at a bearable pace.
pub(crate) struct Progress {
    output: Output,
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
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}");
            bar.set_style(style.expect("the template is valid"));
            Output::Live(bar)
        } else {
            Output::Plain
        };
        Self { output, due_ns: 0, last: None }
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
        self.due_ns = now_ns + interval_ns;
        let snapshot = snapshot();
        if let Some((last_ns, last)) = self.last {
            let line = line(&last, &snapshot, now_ns.saturating_sub(last_ns) as f64 / 1e9);
            match &self.output {
                Output::Live(bar) => {
                    bar.set_message(line);
                    bar.tick();
                }
                Output::Plain => eprintln!("{line}"),
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
            Output::Plain => eprintln!("{line}"),
        }
    }

    /// Clears the live line.
    pub(crate) fn finish(&self) {
        if let Output::Live(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

fn line(last: &Snapshot, now: &Snapshot, seconds: f64) -> String {
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds.max(1e-9);
    let p99 = now.p99_ms.map(|ms| format!(", p99 {ms:.2} ms")).unwrap_or_default();
    format!(
        "{} connected, {:.0} messages/s sent, {:.0} deliveries/s{p99}",
        now.connections,
        rate(last.sent, now.sent),
        rate(last.deliveries, now.deliveries),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_rates_since_the_last_one() {
        let snapshot = |sent, deliveries, p99_ms| Snapshot { connections: 7, sent, deliveries, p99_ms };
        let text = line(&snapshot(10, 100, None), &snapshot(30, 1100, Some(1.25)), 2.0);
        assert_eq!(text, "7 connected, 10 messages/s sent, 500 deliveries/s, p99 1.25 ms");
    }
}
