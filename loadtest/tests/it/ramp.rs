//! Searches for the most that a server holds, against servers whose limit is known.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{command, run};

/// A search that is short, and does not mind a slow machine.
const RAMP: [&str; 10] = [
    "--ramp-window",
    "400ms",
    "--ramp-settle",
    "100ms",
    "--ramp-resolution",
    "0.2",
    "--max-p99",
    "5000",
    "--grace",
    "300ms",
];

fn ramp(fault: Fault, flags: &[&str]) -> (Option<i32>, Value, String) {
    run(&StandIn::start(fault), &[&RAMP[..], flags].concat())
}

#[test]
fn the_highest_rate_without_a_loss_is_found() {
    let (code, report, text) = ramp(Fault::LoseAbove(300), &["--ramp-what", "rate", "--ramp-from", "50"]);
    assert_eq!(code, Some(0), "{text}");
    let ramp = &report["ramp"];
    let answer = ramp["answer"].as_u64().expect("an answer");
    let fails = ramp["lowest_failing"].as_u64().expect("a failure");
    assert!((150..=330).contains(&answer) && fails > answer && fails <= 400, "{text}");
    assert!((fails - answer) as f64 <= 0.2 * fails as f64, "{text}");
    assert_eq!(ramp["causes"], json!(["loss"]), "{text}");
    assert!(ramp["windows_passed"].as_u64() >= Some(2) && ramp["windows"] == json!(3), "{text}");
    let steps = ramp["steps"].as_array().expect("steps");
    assert_eq!(steps[0]["rate"], json!(50.0));
    assert!(steps.iter().all(|step| step["connections"] == json!(6)));
    assert!(text.contains("messages/s (") && text.contains("FAILED: loss"), "{text}");
    assert_eq!(report["connects"]["ready"], json!(6), "one fleet serves all windows");
}

#[test]
fn the_highest_number_of_connections_is_found() {
    let flags = ["--ramp-what", "connections", "--ramp-from", "4", "--connections", "40", "--rooms", "10"];
    let (code, report, text) = ramp(Fault::RefuseAbove(18), &[&flags[..], &["--rate", "400"]].concat());
    assert_eq!(code, Some(0), "{text}");
    let ramp = &report["ramp"];
    let (answer, fails) = (ramp["answer"].as_u64(), ramp["lowest_failing"].as_u64());
    assert!((Some(15)..=Some(18)).contains(&answer) && (Some(19)..=Some(22)).contains(&fails), "{text}");
    assert_eq!(ramp["causes"][0], json!("connections"), "{text}");
    let first = &ramp["steps"][0];
    assert_eq!((&first["connections"], &first["rate"]), (&json!(4), &json!(40.0)));
}

#[test]
fn an_answer_below_the_minimum_fails_and_so_does_none() {
    let flags = ["--ramp-what", "rate", "--ramp-from", "50", "--ramp-to", "60", "--repeats", "1"];
    let (code, report, text) = ramp(Fault::None, &[&flags[..], &["--ramp-min", "60"]].concat());
    assert_eq!((code, &report["ramp"]["answer"]), (Some(0), &json!(60)), "{text}");
    assert!(text.contains("end of the range"), "{text}");
    let (code, _, text) = ramp(Fault::None, &[&flags[..], &["--ramp-min", "61"]].concat());
    assert!(code == Some(1) && text.contains("--ramp-min 61"), "{text}");
    let (code, report, text) = ramp(Fault::LoseAbove(0), &flags);
    assert_eq!((code, &report["ramp"]["answer"]), (Some(1), &Value::Null), "{text}");
    assert!(text.contains("no number of messages/s"), "{text}");
}

#[test]
fn progress_shows_each_step() {
    let server = StandIn::start(Fault::None);
    let mut command = command(&server);
    command.args(RAMP).args(["--scenario", "ramp", "--ramp-from", "50", "--ramp-to", "60", "--repeats", "1"]);
    // The last of a flag counts, and there is no flag against --quiet.
    let arguments: Vec<_> =
        command.get_args().filter(|flag| *flag != "--quiet").map(ToOwned::to_owned).collect();
    let output = std::process::Command::new(command.get_program())
        .args(arguments)
        .stdout(Stdio::null())
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("step 1: 6 connections, 50 messages/s") && text.contains("step 2: "), "{text}");
}
