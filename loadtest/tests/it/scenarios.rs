//! Scenarios by name and by file.

use std::process::Command;

use serde_json::json;

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, faults, report_file, run};

fn print(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"))
        .args(words)
        .output()
        .expect("the binary starts");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8"))
}

#[test]
fn shipped_scenarios_are_listed_and_printed() {
    let (code, list) = print(&["scenarios"]);
    assert_eq!(code, Some(0));
    for line in list.lines() {
        let (name, about) = line.split_once(' ').expect("a name and what it is");
        assert!(!about.trim().is_empty(), "{line}");
        let (code, file) = print(&["scenarios", name]);
        assert_eq!(code, Some(0));
        assert!(file.contains(about.trim()) && file.contains("kind = "), "{file}");
    }
    assert!(list.contains("broadcast"), "{list}");
    let (code, text) = print(&["scenarios", "nosuch"]);
    assert_eq!(code, Some(64));
    assert!(text.contains("nosuch") && text.contains("broadcast"), "{text}");
}

#[test]
fn a_file_sets_what_was_not_typed() {
    let server = StandIn::start(Fault::None);
    let file = report_file().with_extension("toml");
    let path = file.to_str().expect("an ASCII path");
    // The rooms are typed by `run`, and win; the payload is not.
    std::fs::write(&file, "rooms = 1\npayload-size = 200\nroom-prefix = \"file:\"\n").expect("writes");
    let (code, report, text) = run(&server, &["--scenario", path]);
    assert_eq!(code, Some(0), "{text}");
    let settings = &report["settings"];
    assert_eq!([&settings["rooms"], &settings["payload_size"]], [&json!(2), &json!(200)]);
    std::fs::write(&file, "raet = 1\n").expect("writes");
    let (code, _, text) = run(&server, &["--scenario", path]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("raet") && text.contains(path), "{text}");
    let _ = std::fs::remove_file(&file);
}

#[test]
fn rooms_by_zipf_are_checked_like_all_others() {
    for fault in [Fault::None, Fault::Drop] {
        let (code, report, text) = run(&StandIn::start(fault), &["--zipf", "2"]);
        // One room of five and one of one: of 140 messages five in six go to the first.
        let lost = if fault == Fault::None { 0 } else { 2 };
        assert_eq!(report["traffic"]["faults"], faults(lost, 0, 0), "{text}");
        assert_eq!(code, Some(i32::from(lost > 0)), "{text}");
        let (sent, deliveries) = (140, &report["traffic"]["deliveries"]);
        let first = sent * 5 / CONNECTIONS + 1;
        assert_eq!(*deliveries, json!(first * 5 + (sent - first) - lost), "{text}");
    }
}
