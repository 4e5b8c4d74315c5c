//! The built load generator against a server with known faults: it must report exactly those, and say so by its exit code.

mod agents;
mod chat;
mod cluster;
mod compare;
mod disrupt;
mod nats;
mod page;
mod plan;
mod ramp;
mod report;
mod scenarios;
mod socketio;
mod stand_in;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};

const CONNECTIONS: u64 = 6;
const ROOMS: u64 = 2;
/// Messages of a run: 200 a second for 700 ms.
const MESSAGES: u64 = 140;
const DELIVERIES: u64 = MESSAGES * CONNECTIONS / ROOMS;

fn command(server: &StandIn) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    command.args(["--url", &format!("ws://{}/ws?profile=native", server.address)]);
    command.args([
        "--connections",
        "6",
        "--rooms",
        "2",
        "--rate",
        "200",
        "--warmup",
        "200ms",
        "--duration",
        "500ms",
    ]);
    command.args(["--grace", "500ms", "--quiet"]);
    command
}

/// Runs the generator with these flags in addition; its exit code, report and what it printed.
fn run(server: &StandIn, flags: &[&str]) -> (Option<i32>, Value, String) {
    let file = report_file();
    let output = command(server).args(flags).arg("--json").arg(&file).output().expect("the binary starts");
    let json =
        std::fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or(Value::Null);
    let _ = std::fs::remove_file(&file);
    let Output { status, stdout, stderr } = output;
    (status.code(), json, [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat())
}

pub(crate) fn report_file() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("report-{}-{}.json", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn faults(lost: u64, duplicates: u64, order: u64) -> Value {
    json!({ "lost": lost, "duplicates": duplicates, "order": order, "misrouted": 0, "malformed": 0 })
}

#[test]
fn a_faultless_server_passes_in_both_dialects_and_in_pieces() {
    for fault in [Fault::None, Fault::Trickle] {
        for dialect in ["event", "topic"] {
            let server = StandIn::start(fault);
            let (code, report, text) = run(&server, &["--dialect", dialect]);
            assert_eq!(code, Some(0), "{fault:?} {dialect}: {text}");
            let traffic = &report["traffic"];
            assert_eq!(traffic["faults"], faults(0, 0, 0), "{text}");
            assert_eq!(
                (&traffic["messages_sent"], &traffic["deliveries"]),
                (&json!(MESSAGES), &json!(DELIVERIES))
            );
            assert_eq!(traffic["latencies"], json!(DELIVERIES * 5 / 7), "only the measured window counts");
            assert!(traffic["latency_ms"]["p50"].as_f64().expect("a number") > 0.0);
            assert_eq!(report["connects"]["ready"], json!(CONNECTIONS));
            assert_eq!(server.pongs(), usize::try_from(CONNECTIONS).expect("small"));
            assert!(text.contains("deliveries/s"), "{text}");
        }
    }
}

#[test]
fn planted_faults_are_reported_exactly() {
    for (fault, expected) in [
        (Fault::Drop, faults(ROOMS, 0, 0)),
        (Fault::Duplicate, faults(0, ROOMS, 0)),
        (Fault::Swap, faults(0, 0, ROOMS)),
    ] {
        let (code, report, text) = run(&StandIn::start(fault), &[]);
        assert_eq!(report["traffic"]["faults"], expected, "{fault:?}: {text}");
        assert_eq!(code, Some(1), "{fault:?}: {text}");
        assert!(text.contains("FAILED"), "{text}");
    }
}

#[test]
fn members_that_disagree_about_an_offset_fail_the_run() {
    let (code, report, text) = run(&StandIn::start(Fault::Renumber), &[]);
    assert_eq!(code, Some(1), "{text}");
    // Who is right depends on who is read first, so their number is not exact.
    assert!(report["traffic"]["faults"]["order"].as_u64() >= Some(ROOMS), "{text}");
}

#[test]
fn losses_may_be_allowed() {
    let (code, _, text) = run(&StandIn::start(Fault::Drop), &["--max-loss", "2"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn closes_are_reported_by_code() {
    let (code, report, text) = run(&StandIn::start(Fault::Close(4409)), &[]);
    assert_eq!((code, &report["closes"]), (Some(1), &json!({ "4409": ROOMS })), "{text}");
}

#[test]
fn slow_consumers_are_no_loss_and_their_closes_are_reported() {
    let flags = ["--stop-fraction", "0.34", "--stop-after", "0s"];
    for (fault, closes) in [(Fault::None, json!({})), (Fault::CloseSilent(4409), json!({ "4409": 2 }))] {
        let (code, report, text) = run(&StandIn::start(fault), &flags);
        assert_eq!(code, Some(0), "{fault:?}: {text}");
        let slow = &report["slow_consumers"];
        assert_eq!(
            [&slow["count"], &slow["reading"], &slow["closes"]],
            [&json!(2), &json!(0), &closes],
            "{text}"
        );
        assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
    }
}

#[test]
fn thresholds_decide_the_exit_code() {
    let server = StandIn::start(Fault::None);
    let pid = std::process::id().to_string();
    for (flags, code) in [
        (&["--max-p99", "0"][..], 1),
        (&["--max-p99", "60000"], 0),
        (&["--server-pid", &pid, "--max-cpu-per-delivery", "1000000"], 0),
        (&["--min-deliveries", "100", "--min-connects", "0.1", "--max-connect-p99", "9999"], 0),
        (&["--min-deliveries", "1000000"], 1),
        (&["--min-connects", "1e9"], 1),
        (&["--max-connect-p99", "0"], 1),
        (&["--server-pid", &pid, "--max-rss-per-connection", "1e12"], 0),
    ] {
        let (exit, report, text) = run(&server, flags);
        assert_eq!(exit, Some(code), "{flags:?}: {text}");
        assert_eq!(report["server"].is_object(), flags.contains(&"--server-pid"));
    }
}

#[test]
fn refusals_are_named_and_fail() {
    let (code, report, text) = run(&StandIn::start(Fault::RefuseJoin), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(report["connects"]["failures"], json!({ "refused: RATE_LIMITED": CONNECTIONS }));
    let mut nobody = StandIn::start(Fault::None);
    nobody.address = ([127, 0, 0, 1], 1).into();
    let (code, report, text) = run(&nobody, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(report["connects"]["failures"], json!({ "connection refused": CONNECTIONS }));
}

#[test]
fn wrong_settings_exit_64_and_name_the_flag() {
    let server = StandIn::start(Fault::None);
    for flags in [
        &["--rooms", "7"][..],
        &["--payload-size", "1"],
        &["--duration", "10"],
        &["--cpu", "x"],
        &["--cpu", "900"],
        &["--connections", "4000000000"],
        &["--max-p99", "NaN"],
        &["--min-deliveries", "inf"],
        &["--min-deliveries", "5", "--idle"],
    ] {
        let (code, _, text) = run(&server, flags);
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains(flags[0]), "{text}");
    }
    assert!(server.requests().is_empty(), "nothing is opened before the settings are judged");
}

#[test]
fn churn_connects_so_often_and_no_more() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--churn", "50"]);
    assert_eq!((code, &report["connects"]["ready"]), (Some(0), &json!(50)), "{text}");
    assert_eq!(server.requests().len(), 50);
}

#[test]
fn idle_holds_and_tells_memory() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--idle", "--server-pid", &std::process::id().to_string()]);
    assert_eq!((code, &report["traffic"]), (Some(0), &Value::Null), "{text}");
    assert!(report["server"]["bytes_per_connection"].is_number(), "{text}");
}

#[test]
fn tokens_and_source_addresses_are_used() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--secret", "s3cret", "--source-ips", "3"]);
    assert_eq!(code, Some(0), "{text}");
    let requests = server.requests();
    assert!(requests.iter().all(|head| head.contains("\r\nAuthorization: Bearer ey")), "{requests:?}");
    assert!(requests[0].starts_with("GET /ws?profile=native HTTP/1.1\r\n"), "{requests:?}");
    assert!(!report.to_string().contains("s3cret"), "a report must not leak the secret");
}

#[test]
fn an_interrupted_run_still_reports() {
    let server = StandIn::start(Fault::None);
    let file = report_file();
    let mut command = command(&server);
    command.args(["--duration", "60s"]).arg("--json").arg(&file).stdout(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let begun = Instant::now();
    while server.requests().len() < 6 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody connects");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    let status = child.wait().expect("it is our child");
    assert!(begun.elapsed() < Duration::from_secs(30));
    let report: Value = serde_json::from_slice(&std::fs::read(&file).expect("a report")).expect("JSON");
    let _ = std::fs::remove_file(&file);
    assert_eq!((status.code(), &report["interrupted"]), (Some(1), &json!(true)));
    assert_eq!(report["failures"], json!(["interrupted before its end"]));
    assert_eq!(report["traffic"]["faults"], faults(0, 0, 0));
    assert!(report["traffic"]["messages_sent"].as_u64() > Some(0));
}
