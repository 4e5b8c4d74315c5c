//! What changed from some runs to others, with noise taken into account: `figures` finds the samples, `bootstrap` says how
//! far apart they are, `table` prints it.

mod bootstrap;
mod figures;
mod table;

use serde::Serialize;
use serde_json::Value;

use self::bootstrap::level;
use self::figures::{CONNECTS, FIGURES, Figure};
use super::Report;

/// Settings that may differ between runs of the same load.
const HARMLESS: [&str; 10] = [
    "json",
    "html",
    "quiet",
    "server_pid",
    "kill_pid",
    "url",
    "secret_file",
    "user_prefix",
    "room_prefix",
    "cpu",
];
/// Standard deviations by which counts of losses must differ to be told apart.
const LOSS_DEVIATIONS: f64 = 1.96;

/// What may be said of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The interval of the ratio lies on the better side.
    Better,
    /// It lies on the worse side.
    Worse,
    /// It includes "no change".
    WithinNoise,
    /// There are too few samples to know the spread.
    TooFewSamples,
}

/// One figure of both sides.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    name: &'static str,
    lower_is_better: bool,
    /// The medians over intervals; over rounds their geometric mean. Times in milliseconds.
    base: f64,
    new: f64,
    /// New over base; none when one of them is zero.
    ratio: Option<f64>,
    /// Ends of the 95 % interval of the ratio.
    interval: Option<(f64, f64)>,
    verdict: Verdict,
    #[serde(skip)]
    shown: (String, String),
}

/// All that changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    base: Vec<String>,
    new: Vec<String>,
    changes: Vec<Change>,
    warnings: Vec<String>,
}

/// The reports of one side, and the files that they are from.
pub(crate) struct Side {
    files: Vec<String>,
    reports: Vec<Report>,
}

impl Side {
    /// Of as many files as reports.
    pub(crate) fn new(files: Vec<String>, reports: Vec<Report>) -> Self {
        Self { files, reports }
    }
}

/// Compares two sides.
pub(crate) fn compare(base: &Side, new: &Side) -> Comparison {
    let figures = FIGURES.iter().chain([&CONNECTS]);
    let changes = figures.filter_map(|figure| change(figure, &base.reports, &new.reports));
    let changes = changes.chain(loss(&base.reports, &new.reports)).collect();
    Comparison { base: base.files.clone(), new: new.files.clone(), changes, warnings: warnings(base, new) }
}

impl Comparison {
    /// Whether a figure is certainly worse, and by more than this share.
    pub(crate) fn is_worse(&self, by: f64) -> bool {
        self.changes.iter().any(|change| change.verdict == Verdict::Worse && change.loss_of_quality() > by)
    }

    /// As people read it.
    pub(crate) fn table(&self) -> String {
        table::render(self)
    }
}

impl Change {
    /// By which share the new side is worse.
    fn loss_of_quality(&self) -> f64 {
        match self.ratio {
            Some(ratio) if self.lower_is_better => ratio - 1.0,
            Some(ratio) => 1.0 / ratio - 1.0,
            // From nothing to something.
            None => f64::INFINITY,
        }
    }
}

fn change(figure: &Figure, base: &[Report], new: &[Report]) -> Option<Change> {
    let (base, new) = (figure.rounds(base), figure.rounds(new));
    let ratio = bootstrap::compare(&base, &new)?;
    let (base, new) = level(&base).zip(level(&new))?;
    let verdict = match ratio.interval {
        None => Verdict::TooFewSamples,
        Some((low, high)) if low <= 1.0 && high >= 1.0 => Verdict::WithinNoise,
        Some((low, _)) if (low > 1.0) == figure.lower_is_better => Verdict::Worse,
        Some(_) => Verdict::Better,
    };
    let shown = (figure.unit.show(base), figure.unit.show(new));
    let Figure { name, lower_is_better, .. } = *figure;
    Some(Change {
        name,
        lower_is_better,
        base,
        new,
        ratio: Some(ratio.ratio),
        interval: ratio.interval,
        verdict,
        shown,
    })
}

/// Losses in a million deliveries. They are counts: what two differ by is judged by their own size.
fn loss(base: &[Report], new: &[Report]) -> Option<Change> {
    let counts = |reports: &[Report]| {
        let traffic = || reports.iter().filter_map(|report| report.traffic.as_ref());
        let lost: u64 = traffic().map(|traffic| traffic.faults.lost).sum();
        let expected: u64 = traffic().map(|traffic| traffic.deliveries + traffic.faults.lost).sum();
        (expected > 0).then_some((lost as f64, expected as f64))
    };
    let ((lost_base, of_base), (lost_new, of_new)) = counts(base).zip(counts(new))?;
    // As many as there would be on average if nothing had changed.
    let share = of_new / (of_base + of_new);
    let expected = (lost_base + lost_new) * share;
    let deviation = (expected * (1.0 - share)).sqrt();
    let verdict = match lost_new - expected {
        difference if difference > LOSS_DEVIATIONS * deviation => Verdict::Worse,
        difference if difference < -LOSS_DEVIATIONS * deviation => Verdict::Better,
        _ => Verdict::WithinNoise,
    };
    let (base, new) = (lost_base / of_base * 1e6, lost_new / of_new * 1e6);
    let shown = (super::html::text::number(base), super::html::text::number(new));
    let ratio = (lost_base > 0.0 && lost_new > 0.0).then(|| new / base);
    Some(Change {
        name: "lost of a million",
        lower_is_better: true,
        base,
        new,
        ratio,
        interval: None,
        verdict,
        shown,
    })
}

fn warnings(base: &Side, new: &Side) -> Vec<String> {
    let mut warnings = Vec::new();
    let all = || [base, new].into_iter().flat_map(|side| side.files.iter().zip(&side.reports));
    let Some((_, first)) = all().next() else { return warnings };
    for (file, report) in all() {
        let mut warn = |applies: bool, text: &str| {
            if applies {
                warnings.push(format!("{file}: {text}"));
            }
        };
        warn(report.host != first.host, "from another machine, or another kernel");
        warn(report.version != first.version, "from another version of the load generator");
        warn(report.agents != first.agents, "from another number of generators");
        warn(report.generator.bottleneck, "the generator was the bottleneck");
        warn(report.interrupted, "the run was interrupted");
        warn(!report.passed(), "the run failed");
        let differing = differing(&first.settings, &report.settings);
        warn(!differing.is_empty(), &format!("other settings: {}", differing.join(", ")));
    }
    warnings
}

/// The flags in which two runs differ, other than harmless ones.
fn differing(a: &Value, b: &Value) -> Vec<String> {
    let names = |settings: &Value| settings.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    let mut names = [names(a), names(b)].into_iter().flatten().flatten().collect::<Vec<_>>();
    names.sort();
    names.dedup();
    let differs = |name: &String| !HARMLESS.contains(&name.as_str()) && a.get(name) != b.get(name);
    names.into_iter().filter(differs).map(|name| format!("--{}", name.replace('_', "-"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_settings_that_matter_count() {
        let a = json!({ "rate": 100.0, "json": "a.json", "rooms": 3 });
        let b = json!({ "rate": 200.0, "json": "b.json", "rooms": 3, "max_p99": 5 });
        assert_eq!(differing(&a, &b), ["--max-p99", "--rate"]);
        assert_eq!(differing(&a, &a), [""; 0]);
    }

    #[test]
    fn worse_is_worse_in_either_direction() {
        let change = |lower_is_better, ratio| Change {
            name: "x",
            lower_is_better,
            base: 1.0,
            new: 1.0,
            ratio,
            interval: None,
            verdict: Verdict::Worse,
            shown: (String::new(), String::new()),
        };
        for (change, by) in [(change(true, Some(1.25)), 0.25), (change(false, Some(0.8)), 0.25)] {
            assert!((change.loss_of_quality() - by).abs() < 1e-9, "{change:?}");
        }
        let comparison = |change| Comparison {
            base: Vec::new(),
            new: Vec::new(),
            changes: vec![change],
            warnings: Vec::new(),
        };
        assert!(comparison(change(true, Some(1.25))).is_worse(0.2));
        assert!(!comparison(change(true, Some(1.25))).is_worse(0.3));
        assert!(comparison(change(true, None)).is_worse(9.0));
        assert!(
            !comparison(Change { verdict: Verdict::WithinNoise, ..change(true, Some(2.0)) }).is_worse(0.0)
        );
    }
}
