//! `compare`: what the built binary says of two sides, and when that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{command, report_file};

/// A real report, to make others of.
fn report() -> Value {
    let file = report_file();
    let server = StandIn::start(Fault::None);
    assert!(command(&server).arg("--json").arg(&file).status().expect("the binary starts").success());
    let report = serde_json::from_slice(&std::fs::read(&file).expect("a report")).expect("JSON");
    let _ = std::fs::remove_file(&file);
    report
}

/// The same report with 20 measured seconds whose p99 scatters a little around `p99_ms`.
fn with_p99(report: &Value, p99_ms: f64) -> Value {
    let mut report = report.clone();
    let points = report["series"]["points"].as_array().expect("a list");
    let model = points.iter().find(|point| !point["latency"].is_null()).expect("a measured one").clone();
    let points: Vec<_> = (0..20)
        .map(|second| {
            let mut point = model.clone();
            (point["at_s"], point["seconds"]) = (json!(second), json!(1.0));
            point["deliveries"] = json!(1000 + second % 3);
            point["latency"]["p99"] = json!(p99_ms * (1.0 + f64::from(second * 7 % 5) / 100.0));
            point
        })
        .collect();
    report["series"] = json!({ "interval_s": 1.0, "points": points,
        "phases": [{ "name": "measuring", "from_s": 0.0, "measured": true }] });
    report
}

fn file(report: &Value) -> PathBuf {
    let file = report_file();
    std::fs::write(&file, report.to_string()).expect("writable");
    file
}

fn compare(flags: &[&dyn AsRef<std::ffi::OsStr>]) -> (Option<i32>, String) {
    let mut compare = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    let Output { status, stdout, stderr } = compare
        .arg("compare")
        .args(flags.iter().map(|flag| flag.as_ref()))
        .output()
        .expect("the binary starts");
    (status.code(), [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat())
}

fn line<'a>(text: &'a str, figure: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(figure)).unwrap_or_else(|| panic!("no {figure}: {text}"))
}

#[test]
fn changes_beyond_noise_are_told_from_noise_and_may_fail() {
    let report = report();
    let [base, same, worse] = [5.0, 5.01, 6.0].map(|p99_ms| file(&with_p99(&report, p99_ms)));
    let (code, text) = compare(&[&base, &same, &"--fail-on", &"worse"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(line(&text, "latency p99 ").ends_with("within noise"), "{text}");
    let (code, text) = compare(&[&base, &worse]);
    assert_eq!(code, Some(0), "without --fail-on nothing is a failure: {text}");
    assert!(
        line(&text, "latency p99 ").contains("1.200") && line(&text, "latency p99 ").ends_with("worse"),
        "{text}"
    );
    assert!(line(&text, "deliveries").ends_with("within noise"), "{text}");
    for (fail_on, expected) in [("worse", 1), ("worse:10", 1), ("worse:30", 0), ("better", 64)] {
        let (code, text) = compare(&[&base, &worse, &"--fail-on", &fail_on]);
        assert_eq!(code, Some(expected), "{fail_on}: {text}");
    }
    let (code, text) = compare(&[&worse, &base, &"--fail-on", &"worse"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(line(&text, "latency p99 ").ends_with("better"), "{text}");
    let (_, again) = compare(&[&worse, &base, &"--fail-on", &"worse"]);
    assert_eq!(text, again, "the same files always say the same");
    let (code, text) = compare(&[&base, &worse, &same, &"--json"]);
    let comparisons: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, comparisons.as_array().map(Vec::len)), (Some(0), Some(2)), "{text}");
    let p99 = |at: usize| comparisons[at]["changes"].as_array().expect("a list")[1].clone();
    assert_eq!((&p99(0)["name"], &p99(0)["verdict"]), (&json!("latency p99"), &json!("worse")), "{text}");
    assert_eq!(p99(1)["verdict"], "within-noise", "{text}");
    remove(&[&base, &same, &worse]);
}

#[test]
fn rounds_are_compared_in_pairs() {
    let report = report();
    let side = |level: f64| [1.0, 1.8, 0.6].map(|drift| file(&with_p99(&report, level * drift)));
    let (base, new) = (side(5.0), side(5.6));
    let list =
        |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(",");
    let (code, text) = compare(&[&"--base", &list(&base), &"--new", &new[0], &new[1], &new[2]]);
    assert_eq!(code, Some(0), "{text}");
    assert!(line(&text, "latency p99 ").ends_with("worse"), "drift of both is no noise: {text}");
    let files: Vec<_> = base.iter().chain(&new).map(PathBuf::as_path).collect();
    remove(&files);
}

#[test]
fn losses_and_what_makes_runs_differ_are_told() {
    let before = with_p99(&report(), 5.0);
    let mut after = before.clone();
    after["traffic"]["faults"]["lost"] = json!(30);
    after["settings"]["rate"] = json!(7.0);
    after["host"]["kernel"] = json!("Linux 1.0");
    after["generator"]["bottleneck"] = json!(true);
    let [base, new] = [file(&before), file(&after)];
    let (code, text) = compare(&[&base, &new, &"--fail-on", &"worse:50"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(line(&text, "lost of a million").ends_with("worse"), "{text}");
    for said in ["other settings: --rate", "another machine", "the generator was the bottleneck"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    remove(&[&base, &new]);
}

#[test]
fn bad_files_and_lone_ones_exit_64_and_are_named() {
    let good = file(&report());
    let bad = report_file();
    std::fs::write(&bad, r#"{"format":1,"version":3}"#).expect("writable");
    let (code, text) = compare(&[&good, &bad]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains(&bad.display().to_string()), "{text}");
    for flags in [
        &[&good as &dyn AsRef<std::ffi::OsStr>][..],
        &[],
        &[&"--base", &good],
        &[&good, &"/nonexistent.json"],
    ] {
        let (code, text) = compare(flags);
        assert_eq!(code, Some(64), "{text}");
    }
    remove(&[&good, &bad]);
}

fn remove(files: &[&Path]) {
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
}
