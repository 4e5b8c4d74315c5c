//! The report as JSON: over time, with whole histograms, without secrets; and as what `report` makes of several.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, DELIVERIES, MESSAGES, command, report_file, run};

fn points(report: &Value) -> &Vec<Value> {
    report["series"]["points"].as_array().expect("a list")
}

fn sum(report: &Value, field: &str) -> u64 {
    points(report).iter().map(|point| point[field].as_u64().expect("a count")).sum()
}

#[test]
fn files_are_tried_before_anything_is_opened() {
    let server = StandIn::start(Fault::None);
    for flags in [["--json", "/nonexistent/r.json"], ["--html", "/nonexistent/r.html"]] {
        let run = command(&server).args(flags).output().expect("the binary starts");
        let mut plan = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
        plan.args(["plan", "--url", &format!("ws://{}/ws", server.address)]).args(flags);
        for output in [run, plan.output().expect("the binary starts")] {
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{text}");
            assert!(text.contains(&flags.join(" ")), "{text}");
        }
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_report_is_written_although_nobody_reads_of_the_run() {
    let server = StandIn::start(Fault::None);
    let file = report_file();
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    command.args(["--url", &format!("ws://{}/ws", server.address), "--connections=6", "--rooms=2"]);
    command.args(["--warmup=0s", "--duration=300ms", "--grace=500ms"]).arg("--json").arg(&file);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    drop((child.stdout.take(), child.stderr.take()));
    let status = child.wait().expect("it is our child");
    let report: Value = serde_json::from_slice(&std::fs::read(&file).expect("a report")).expect("JSON");
    let _ = std::fs::remove_file(&file);
    assert_eq!((status.code(), &report["failures"]), (Some(1), &json!([])), "only the table was not written");
}

#[test]
fn the_run_over_time_adds_up_to_the_run() {
    let pid = std::process::id().to_string();
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--server-pid", &pid, "--duration", "2500ms"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(report["format"], 1);
    let traffic = &report["traffic"];
    assert_eq!(sum(&report, "sent"), traffic["messages_sent"].as_u64().expect("a count"));
    assert_eq!(sum(&report, "deliveries"), traffic["deliveries"].as_u64().expect("a count"));
    assert_eq!(sum(&report, "connects"), CONNECTIONS);
    let latencies = points(&report).iter().filter_map(|point| point["latency"]["count"].as_u64());
    assert_eq!(latencies.sum::<u64>(), traffic["latencies"].as_u64().expect("a count"));
    let phases: Vec<_> =
        report["series"]["phases"].as_array().expect("a list").iter().map(|phase| &phase["name"]).collect();
    assert_eq!(phases, ["connecting", "settling", "warm-up", "measuring", "draining"]);
    // 2.5 s are two whole intervals and a half, unless a busy machine makes them longer.
    let from_s = report["series"]["phases"][3]["from_s"].as_f64().expect("a number");
    let measured = points(&report).iter().filter(|point| point["at_s"].as_f64() >= Some(from_s - 0.1));
    assert!(measured.count() >= 2, "{text}");
    assert!(
        points(&report).iter().all(|point| point["server"]["resident_bytes"].as_u64() > Some(0)),
        "{text}"
    );
    assert!(report["generator"]["loop_lag_ms"]["p99"].as_f64() > Some(0.0), "{text}");
    assert!(report["host"]["memory_bytes"].as_u64() > Some(0), "{text}");
}

#[test]
fn runs_without_traffic_are_taken_down_too() {
    let server = StandIn::start(Fault::None);
    let (_, report, text) = run(&server, &["--churn", "50"]);
    assert_eq!((sum(&report, "connects"), sum(&report, "deliveries")), (50, 0), "{text}");
    let (_, report, text) = run(&server, &["--idle", "--duration", "1500ms"]);
    assert_eq!(
        points(&report).last().map(|point| &point["connections"]),
        Some(&json!(CONNECTIONS)),
        "{text}"
    );
}

#[test]
fn limits_are_listed_with_what_became_of_them() {
    let server = StandIn::start(Fault::Drop);
    let (_, report, text) = run(&server, &["--max-p99", "60000"]);
    let thresholds = report["thresholds"].as_array().expect("a list");
    let of =
        |flag: &str| thresholds.iter().find(|threshold| threshold["flag"] == flag).expect("it is listed");
    assert_eq!(
        (&of("--max-p99")["passed"], &of("--max-loss")["passed"]),
        (&json!(true), &json!(false)),
        "{text}"
    );
    assert_eq!(
        (&of("--max-loss")["limit"], &of("--max-loss")["found"]),
        (&json!(0.0), &json!(2.0)),
        "{text}"
    );
}

#[test]
fn tokens_in_the_address_stay_secret() {
    let mut server = command(&StandIn::start(Fault::None));
    let file = report_file();
    let address = server
        .get_args()
        .nth(1)
        .expect("the address")
        .to_string_lossy()
        .replace("profile=native", "access_token=hush");
    let output =
        server.args(["--url", &address]).arg("--json").arg(&file).output().expect("the binary starts");
    let json = std::fs::read_to_string(&file).expect("a report");
    let _ = std::fs::remove_file(&file);
    assert_eq!(output.status.code(), Some(0));
    assert!(json.contains("access_token=REDACTED") && !json.contains("hush"), "{json}");
}

#[test]
fn several_reports_are_shown_as_one() {
    let server = StandIn::start(Fault::None);
    let files = [report_file(), report_file()];
    for file in &files {
        assert!(command(&server).arg("--json").arg(file).status().expect("the binary starts").success());
    }
    let sum_file = report_file();
    let mut show = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    let output =
        show.arg("report").args(&files).arg("--json").arg(&sum_file).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_slice(&std::fs::read(&sum_file).expect("a report")).expect("JSON");
    assert_eq!(report["agents"], 2);
    assert_eq!(report["traffic"]["messages_sent"], 2 * MESSAGES);
    assert_eq!(report["traffic"]["latencies"], 2 * DELIVERIES * 5 / 7);
    assert_eq!((sum(&report, "deliveries"), sum(&report, "connects")), (2 * DELIVERIES, 2 * CONNECTIONS));
    assert!(text.contains(&format!("{}", 2 * DELIVERIES)), "{text}");
    for file in files.iter().chain([&sum_file]) {
        let _ = std::fs::remove_file(file);
    }
}

#[test]
fn files_that_are_no_reports_are_named() {
    let file = report_file();
    for (content, said) in [("{}", "no \"format\""), ("", "no report"), (r#"{"format":99}"#, "format 99")] {
        std::fs::write(&file, content).expect("writable");
        let mut show = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
        let output = show.arg("report").arg(&file).output().expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(said) && text.contains(&*file.to_string_lossy()), "{text}");
    }
    let _ = std::fs::remove_file(&file);
}

#[test]
fn progress_names_phases_and_rates_in_plain_lines() {
    let server = StandIn::start(Fault::None);
    let address = format!("ws://{}/ws?profile=native", server.address);
    let mut talkative = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    talkative.args(["--url", &address, "--connections", "6", "--rooms", "2", "--rate", "50"]);
    let output =
        talkative.args(["--warmup", "200ms", "--duration", "6s"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in ["connecting: 6 connections", "warm-up: 0.2 s", "measuring: 6.0 s", "draining"] {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
    let rates = text.lines().find(|line| line.starts_with("measuring: 5 s of 6 s, 6 connected, "));
    let rates = rates.unwrap_or_else(|| panic!("no rates: {text}"));
    assert!(rates.contains("messages/s sent") && rates.contains("deliveries/s, p99 "), "{rates}");
    assert!(
        !text.contains('\u{1b}') && !text.contains('\r'),
        "plain lines hold no control characters: {text:?}"
    );
    assert!(command(&server).output().expect("the binary starts").stderr.is_empty(), "--quiet is quiet");
}
