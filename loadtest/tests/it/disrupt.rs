//! Storms, churn and drains against the stand-in: who comes back, what is recovered, and what fails.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, faults, run};

/// A storm over half of each room in the middle of the run; the others go on.
const STORM: [&str; 6] = ["--scenario", "storm", "--storm-fraction", "0.5", "--disrupt-after", "100ms"];

fn storm(fault: Fault, flags: &[&str]) -> (Option<i32>, Value, String) {
    let (code, report, text) = run(&StandIn::start(fault), &[&STORM, flags].concat());
    (code, report["disruption"].clone(), format!("{text}\n{}", report["traffic"]["faults"]))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn who_is_cut_off_comes_back_and_recovers_all_in_both_dialects() {
    for dialect in ["event", "topic"] {
        let (code, found, text) = storm(Fault::LateReturn, &["--dialect", dialect]);
        assert_eq!(code, Some(0), "{dialect}: {text}");
        assert_eq!([&found["gone"], &found["back"], &found["never_back"]], [3, 3, 0], "{text}");
        assert_eq!([&found["gaps"], &found["duplicates"], &found["missed"]], [0, 0, 0], "{text}");
        // 100 ms at 100 messages a second and room, for each of three.
        assert!((15..=90).contains(&number(&found["recovered"])), "{dialect}: {text}");
        let seconds = found["seconds_until_all_back"].as_f64().expect("all are back");
        assert!((0.1..5.0).contains(&seconds), "{text}");
        assert!(text.contains("until all were back"), "{text}");
    }
}

#[test]
fn without_recovery_what_went_past_is_missed_and_not_lost() {
    let (code, found, text) = storm(Fault::LateReturn, &["--recovery", "none"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!([&found["recovered"], &found["gaps"]], [0, 0], "{text}");
    assert!((15..=90).contains(&number(&found["missed"])), "{text}");
}

#[test]
fn a_lost_recovery_is_a_gap_and_a_repeated_one_a_duplicate() {
    for dialect in ["event", "topic"] {
        let (code, found, text) = storm(Fault::LoseRecovery, &["--dialect", dialect]);
        assert_eq!((code, &found["gaps"]), (Some(1), &json!(3)), "{text}");
        assert!(text.contains("missing from recoveries") && text.contains("\"lost\":3"), "{text}");
        let (code, found, text) = storm(Fault::RepeatRecovery, &["--dialect", dialect]);
        assert_eq!((code, &found["duplicates"]), (Some(1), &json!(3)), "{text}");
        assert!(text.contains("that the client had"), "{text}");
    }
}

#[test]
fn the_time_until_all_are_back_may_be_limited() {
    for (limit, expected) in [("50ms", 1), ("10s", 0)] {
        let (code, _, text) = storm(Fault::LateReturn, &["--max-reconnect", limit]);
        assert_eq!(code, Some(expected), "{text}");
        assert_eq!(text.contains("--max-reconnect"), expected == 1, "{text}");
    }
}

#[test]
fn everybody_may_be_cut_off_at_once() {
    let (code, found, text) = storm(Fault::None, &["--storm-fraction", "1"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!([&found["gone"], &found["back"]], [CONNECTIONS, CONNECTIONS], "{text}");
}

#[test]
fn churn_goes_on_while_messages_flow() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--scenario", "churn", "--churn-rate", "40"]);
    assert_eq!(code, Some(0), "{text}");
    let found = &report["disruption"];
    // 500 ms at 40 a second.
    assert!((15..=20).contains(&number(&found["gone"])), "{text}");
    assert_eq!(found["gone"], found["back"], "{text}");
    assert_eq!(found["goodbyes_due"], 20, "{text}");
    assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
    assert_eq!(server.requests().len() as u64, CONNECTIONS + number(&found["gone"]));
}

#[test]
fn churn_beyond_what_connections_can_do_is_counted_once_and_said() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--kind", "churn", "--churn-rate", "20000"]);
    assert_eq!(code, Some(0), "{text}");
    let found = &report["disruption"];
    // Three quarters of 500 ms at 20,000 a second, however late the loop was.
    assert_eq!(found["goodbyes_due"], json!(7500), "{text}");
    assert_eq!(number(&found["gone"]) + number(&found["goodbyes_unsaid"]), 7500, "{text}");
    assert_eq!((&found["gone"], &found["never_back"]), (&found["back"], &json!(0)), "{text}");
    assert!(number(&found["gone"]) >= CONNECTIONS, "{text}");
    assert!(report["warnings"].to_string().contains("fell short of --churn-rate"), "{text}");
}

#[test]
fn a_drain_must_be_told_how() {
    let server = StandIn::start(Fault::None);
    let (code, _, text) = run(&server, &["--scenario", "drain", "--disrupt-after", "0s"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("say how with --drain-command"), "{text}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_command_that_fails_at_once_ends_the_run() {
    let server = StandIn::start(Fault::None);
    let begun = Instant::now();
    let command = "echo first >&2; echo 'no such unit' >&2; exit 4";
    let flags = ["--scenario", "drain", "--duration", "60s", "--disrupt-after", "0s"];
    let (code, _, text) = run(&server, &[&flags[..], &["--drain-command", command]].concat());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--drain-command failed: exit status: 4: no such unit"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it does not wait for --duration");
}

#[test]
fn a_drain_sends_all_away_and_they_come_back_when_told() {
    let drain = ["--scenario", "drain", "--disrupt-after", "0s", "--drain-command", "true"];
    let (code, report, text) = run(&StandIn::start(Fault::Restart), &drain);
    assert_eq!(code, Some(0), "{text}");
    let found = &report["disruption"];
    assert_eq!(found["closes"], json!({ "1012": CONNECTIONS }), "{text}");
    assert_eq!([&found["back"], &found["refused"]], [CONNECTIONS, CONNECTIONS], "{text}");
    assert!(found["latency_ms"]["p50"].as_f64() >= Some(99.0), "they wait as long as they are told: {text}");
    assert!(number(&found["messages_cut_off"]) >= 1, "{text}");
    assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
}

#[test]
fn a_drain_that_does_not_happen_or_whose_command_fails_fails_the_run() {
    let drain = ["--scenario", "drain", "--disrupt-after", "0s", "--reconnect-timeout", "300ms"];
    let (code, _, text) =
        run(&StandIn::start(Fault::None), &[&drain[..], &["--drain-command", "true"]].concat());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("6 connections were never sent away"), "{text}");
    let (code, _, text) =
        run(&StandIn::start(Fault::Restart), &[&drain[..], &["--drain-command", "exit 3"]].concat());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--drain-command failed: exit status: 3"), "{text}");
}

#[test]
fn who_never_comes_back_fails_the_run() {
    // Six may be in at a time, and the server learns of the cut at once; so nobody is kept out but by the limit.
    let (code, found, text) = storm(Fault::RefuseReturn, &["--reconnect-timeout", "300ms"]);
    assert_eq!((code, &found["never_back"]), (Some(1), &json!(3)), "{text}");
    assert!(text.contains("3 connections never came back"), "{text}");
    assert!(number(&found["failed_attempts"]["refused: FULL"]) >= 3, "{text}");
}
