//! `plan` against servers whose limit is known.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::report_file;
use crate::stand_in::{Fault, StandIn};

/// Small enough for a server of threads, and quick.
const FLAGS: [&str; 14] = [
    "--idle-connections",
    "40",
    "--room-size",
    "2",
    "--broadcast-size",
    "5",
    "--window",
    "400ms",
    "--repeats",
    "1",
    "--deliveries-max",
    "800",
    "--max-p99",
    "5000",
];

/// Plans with these flags in addition; its exit code, what it wrote, and what it printed.
fn plan(url: &str, flags: &[&str]) -> (Option<i32>, Value, String) {
    let file = report_file();
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    command.args(["plan", "--url", url]).args(FLAGS).args(flags).arg("--json").arg(&file);
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let json = std::fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let _ = std::fs::remove_file(&file);
    let text = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    (status.code(), json.unwrap_or(Value::Null), text)
}

fn url(server: &StandIn) -> String {
    format!("ws://{}/ws", server.address)
}

#[test]
fn a_server_is_found_measured_and_stated() {
    let server = StandIn::start(Fault::LoseAbove(100));
    let html = report_file().with_extension("html");
    let (code, plan, text) = plan(&url(&server), &["--html", html.to_str().expect("ASCII")]);
    let page = std::fs::read_to_string(&html).expect("a page");
    let _ = std::fs::remove_file(&html);
    assert!(page.contains("What ends first") && page.contains("<circle"), "{page}");
    assert_eq!(code, Some(0), "{text}");
    let facts = &plan["facts"];
    // The stand-in is this very process.
    assert_eq!(facts["server"]["pid"], json!(std::process::id()), "{text}");
    assert!(text.contains(&format!("it listens at {}", server.address)), "{text}");
    let connections: Vec<_> =
        facts["ladder"]["rungs"].as_array().expect("rungs").iter().map(|rung| &rung["connections"]).collect();
    assert_eq!(connections, [&json!(0), &json!(10), &json!(20), &json!(40)], "{text}");
    let answer = |part: &str| facts[part]["answer"].as_u64().expect("an answer");
    assert!((30..=130).contains(&answer("rooms")), "{text}");
    assert!((30..=130).contains(&answer("broadcast")), "{text}");
    for part in [
        "this machine: ",
        "[measured] 40 connections were open and idle",
        "First limit of connections: ",
        "ulimit -n",
        "messages/s (",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(plan["statement"]["limits_of_connections"].as_array().is_some_and(|limits| !limits.is_empty()));
}

#[test]
fn a_server_that_refuses_is_told_from_one_that_is_full() {
    let (code, plan, text) =
        plan(&url(&StandIn::start(Fault::RefuseAbove(45))), &["--idle-connections", "60"]);
    assert_eq!(code, Some(0), "{text}");
    let first = &plan["statement"]["limits_of_connections"][0];
    assert_eq!((&first["basis"], &first["at"]), (&json!("measured"), &json!(45)), "{text}");
    assert!(text.contains("refused: FULL"), "{text}");
}

#[test]
fn a_server_that_holds_nothing_fails_and_wrong_settings_exit_64() {
    let (code, _, text) = plan("ws://127.0.0.1:1/ws", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("reaching 127.0.0.1:1"), "{text}");
    for flags in [
        ["--room-size", "0"],
        ["--window", "0s"],
        ["--repeats", "0"],
        ["--idle-connections", "0"],
        ["--server-pid", "4294967295"],
    ] {
        let (code, _, text) = plan("ws://127.0.0.1:1/ws", &flags);
        assert_eq!(code, Some(64), "{flags:?}: {text}");
    }
}
