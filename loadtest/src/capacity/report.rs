//! What a search found, for the report.

use serde::{Deserialize, Serialize};

use super::search::{Answer, Tally};
use super::step::{Cause, Step};
use crate::args::RampWhat;

/// A whole search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RampReport {
    /// What was searched.
    pub(crate) what: RampWhat,
    /// The limit for the 99th percentile of latency, in milliseconds.
    pub(crate) max_p99_ms: f64,
    /// The highest messages a second, or connections, that passed below all that failed.
    pub(crate) answer: Option<u64>,
    /// Windows at the answer that passed, of so many.
    pub(crate) windows_passed: u32,
    pub(crate) windows: u32,
    /// The lowest value that failed; without one the end of the range was reached.
    pub(crate) lowest_failing: Option<u64>,
    /// Whether the search came to its end.
    pub(crate) complete: bool,
    /// Why `lowest_failing` failed.
    pub(crate) causes: Vec<Cause>,
    /// Every window, in order.
    pub(crate) steps: Vec<Step>,
}

impl RampReport {
    /// Puts an answer and the windows that led to it together.
    pub(crate) fn new(
        what: RampWhat,
        max_p99_ms: f64,
        answer: Answer,
        complete: bool,
        steps: Vec<Step>,
    ) -> Self {
        let (value, tally) = answer.passes.unzip();
        let Tally { passed, failed } = tally.unwrap_or_default();
        let mut report = Self {
            what,
            max_p99_ms,
            answer: value,
            windows_passed: passed,
            windows: passed + failed,
            lowest_failing: answer.fails,
            complete,
            causes: Vec::new(),
            steps,
        };
        report.causes = answer.fails.map(|fails| report.causes_at(fails)).unwrap_or_default();
        report
    }

    /// The value of a step that was searched.
    pub(crate) fn value_of(&self, step: &Step) -> u64 {
        match self.what {
            #[expect(clippy::cast_possible_truncation, reason = "the rate was made from a u64")]
            RampWhat::Rate => step.rate.round() as u64,
            RampWhat::Connections => step.connections as u64,
        }
    }

    /// The best window at the answer: the one with the lowest p99 of those that passed.
    pub(crate) fn best(&self) -> Option<&Step> {
        let at_answer =
            self.steps.iter().filter(|step| step.passed() && Some(self.value_of(step)) == self.answer);
        at_answer.min_by(|a, b| a.latency_ms.p99.total_cmp(&b.latency_ms.p99))
    }

    /// The answer as a sentence.
    pub(crate) fn sentence(&self) -> String {
        let unit = match self.what {
            RampWhat::Rate => "messages/s",
            RampWhat::Connections => "connections",
        };
        let limit = format!("p99 <= {} ms and nothing lost", self.max_p99_ms);
        let mut text = match (self.answer, self.best()) {
            (Some(answer), Some(step)) => format!(
                "{answer} {unit} ({:.0} deliveries/s) with {limit}: {} of {} windows passed",
                step.deliveries_per_second, self.windows_passed, self.windows
            ),
            _ => format!("no number of {unit} that was tried kept {limit}"),
        };
        match self.lowest_failing {
            Some(fails) => {
                let causes: Vec<_> = self.causes.iter().map(Cause::to_string).collect();
                text.push_str(&format!("; {fails} failed ({})", causes.join(", ")));
            }
            None if self.complete => text.push_str("; the end of the range was reached without a failure"),
            None => {}
        }
        if !self.complete {
            text.push_str("; ended early");
        }
        text
    }

    fn causes_at(&self, value: u64) -> Vec<Cause> {
        let mut causes = Vec::new();
        let at_value = self.steps.iter().filter(|step| self.value_of(step) == value);
        for cause in at_value.flat_map(|step| &step.causes) {
            if !causes.contains(cause) {
                causes.push(*cause);
            }
        }
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, causes: &[Cause]) -> Step {
        Step {
            connections: 5,
            rate,
            deliveries_per_second: rate * 10.0,
            causes: causes.to_vec(),
            ..Step::default()
        }
    }

    #[test]
    fn the_sentence_tells_answer_trials_and_bracket() {
        let steps =
            vec![step(100.0, &[]), step(200.0, &[Cause::P99]), step(200.0, &[Cause::P99, Cause::Loss])];
        let answer = Answer { passes: Some((100, Tally { passed: 2, failed: 1 })), fails: Some(200) };
        let report = RampReport::new(RampWhat::Rate, 50.0, answer, true, steps);
        assert_eq!(
            report.sentence(),
            "100 messages/s (1000 deliveries/s) with p99 <= 50 ms and nothing lost: 2 of 3 windows passed; \
             200 failed (p99, loss)"
        );
        assert_eq!(report.causes, [Cause::P99, Cause::Loss]);
    }

    #[test]
    fn searches_without_an_answer_or_an_end_say_so() {
        let nothing = Answer { passes: None, fails: Some(1) };
        let report = RampReport::new(RampWhat::Connections, 5.0, nothing, false, Vec::new());
        let text = report.sentence();
        assert!(text.starts_with("no number of connections") && text.ends_with("ended early"), "{text}");
        let all = Answer { passes: Some((5, Tally { passed: 3, failed: 0 })), fails: None };
        let report = RampReport::new(RampWhat::Connections, 5.0, all, true, vec![step(1.0, &[])]);
        assert!(report.sentence().contains("5 connections (10 deliveries/s)"), "{}", report.sentence());
        assert!(report.sentence().contains("end of the range"), "{}", report.sentence());
    }
}
