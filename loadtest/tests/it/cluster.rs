//! Several servers as one: who is where, what is found at each, and what becomes of those whose server is gone.

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, MESSAGES, ROOMS, faults, run};

/// The flags that name these servers; the later of two `--url` counts.
fn at(servers: &[StandIn]) -> Vec<String> {
    let urls: Vec<_> = servers.iter().map(|server| format!("ws://{}/ws", server.address)).collect();
    vec!["--url".to_owned(), urls.join(",")]
}

/// Runs against all of these servers.
fn run_at(servers: &[StandIn], flags: &[&str]) -> (Option<i32>, Value, String) {
    let at = at(servers);
    let all: Vec<_> = at.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    run(&servers[0], &all)
}

/// One field of what was found at each server.
fn each<'a>(report: &'a Value, field: &str) -> Vec<&'a Value> {
    report["nodes"].as_array().expect("several servers").iter().map(|node| &node[field]).collect()
}

/// Three servers, the second of which dies in the midst of the run.
fn kill(fault: Fault, flags: &[&str]) -> (Option<i32>, Value, String) {
    let servers = StandIn::cluster([fault; 3]);
    let pid = servers[1].tie_to_process().to_string();
    // For the other two any process will do that stays.
    let own = std::process::id();
    let pids = format!("{own},{pid},{own}");
    let kill = ["--scenario", "kill", "--kill-pid", &pid, "--server-pid", &pids, "--disrupt-after", "100ms"];
    run_at(&servers, &[&kill[..], flags].concat())
}

#[test]
fn clients_are_spread_evenly_and_every_room_is_on_all_servers() {
    for agents in [&[][..], &["--agents", "3"], &["--agents", "2", "--source-ips", "3"]] {
        let servers = StandIn::cluster([Fault::None; 3]);
        let (code, report, text) = run_at(&servers, agents);
        assert_eq!(code, Some(0), "{agents:?}: {text}");
        assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
        // Three agents send a third of the rate each, and round it up.
        let messages = report["traffic"]["messages_sent"].as_u64().expect("a number");
        assert!((MESSAGES..MESSAGES + 3).contains(&messages), "{text}");
        assert_eq!(report["traffic"]["deliveries"], json!(messages * CONNECTIONS / ROOMS), "{text}");
        let addresses: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
        assert_eq!(each(&report, "address"), addresses.iter().collect::<Vec<_>>());
        assert_eq!(each(&report, "ready"), [CONNECTIONS / 3; 3], "{text}");
        // A room has one member on each, so each has all messages of both rooms.
        assert_eq!(each(&report, "deliveries"), [messages; 3], "{text}");
        assert_eq!(each(&report, "closes"), [&json!({}); 3], "{text}");
        let heads = servers[2].requests();
        let host = format!("\r\nHost: {}\r\n", servers[2].address);
        assert!(heads.iter().filter(|head| head.contains(&host)).count() == 2, "{heads:?}");
        assert!(text.contains(&format!("at {}", addresses[1])), "{text}");
    }
}

#[test]
fn faults_of_one_server_are_found_among_those_of_all() {
    for (fault, expected) in [
        (Fault::Drop, faults(ROOMS, 0, 0)),
        (Fault::Duplicate, faults(0, ROOMS, 0)),
        (Fault::Swap, faults(0, 0, ROOMS)),
    ] {
        for agents in [&[][..], &["--agents", "2"]] {
            let servers = StandIn::cluster([Fault::None, Fault::None, fault]);
            let (code, report, text) = run_at(&servers, agents);
            assert_eq!((code, &report["traffic"]["faults"]), (Some(1), &expected), "{fault:?}: {text}");
        }
    }
}

#[test]
fn servers_that_disagree_about_an_offset_fail_the_run() {
    for agents in [&[][..], &["--agents", "2"]] {
        let (code, report, text) = run_at(&StandIn::cluster([Fault::None, Fault::Renumber]), agents);
        assert_eq!(code, Some(1), "{text}");
        assert!(report["traffic"]["faults"]["order"].as_u64() >= Some(ROOMS), "{text}");
    }
}

#[test]
fn closes_and_failures_are_told_of_each_server() {
    let (code, report, text) = run_at(&StandIn::cluster([Fault::None, Fault::Close(4409)]), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(each(&report, "closes"), [&json!({}), &json!({ "4409": ROOMS })], "{text}");
    let (code, report, text) = run_at(&StandIn::cluster([Fault::RefuseJoin, Fault::None]), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(each(&report, "failures"), [&json!({ "refused: RATE_LIMITED": 3 }), &json!({})], "{text}");
}

#[test]
fn each_server_has_its_own_cost() {
    let servers = StandIn::cluster([Fault::None; 2]);
    let own = std::process::id();
    let (code, report, text) = run_at(&servers, &["--server-pid", &format!("{own},{own}")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(each(&report, "server").iter().all(|server| server["cpu_us_per_delivery"].is_number()), "{text}");
    let after = |server: &Value| server["resident_bytes_after"].as_u64().expect("a number");
    let sum: u64 = each(&report, "server").into_iter().map(after).sum();
    assert_eq!(after(&report["server"]), sum, "{text}");
}

#[test]
fn connects_are_spread_too() {
    for agents in [&[][..], &["--agents", "2"]] {
        let servers = StandIn::cluster([Fault::None; 3]);
        let (code, report, text) = run_at(&servers, &[&["--churn", "60"], agents].concat());
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(each(&report, "ready"), [20; 3], "{text}");
    }
}

#[test]
fn whoever_loses_its_server_recovers_all_at_another() {
    for dialect in ["event", "topic"] {
        let (code, report, text) = kill(Fault::LateReturn, &["--dialect", dialect]);
        assert_eq!(code, Some(0), "{dialect}: {text}");
        let found = &report["disruption"];
        assert_eq!([&found["gone"], &found["back"], &found["never_back"]], [2, 2, 0], "{text}");
        assert_eq!([&found["gaps"], &found["duplicates"], &found["missed"]], [0, 0, 0], "{text}");
        // At least 100 ms at 100 messages a second and room, for each of two.
        assert!(found["recovered"].as_u64() >= Some(10), "{dialect}: {text}");
        assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
        assert_eq!(each(&report, "back"), [1, 0, 1], "they share the load: {text}");
        let closes = each(&report, "closes")[1].as_object().expect("counts");
        assert_eq!(closes.values().filter_map(Value::as_u64).sum::<u64>(), 2, "{text}");
        let costs = each(&report, "server");
        assert!(costs[0].is_object() && costs[1].is_null() && costs[2].is_object(), "{text}");
    }
}

#[test]
fn what_is_lost_doubled_or_refused_after_a_kill_fails_the_run() {
    for (fault, field) in [(Fault::LoseRecovery, "gaps"), (Fault::RepeatRecovery, "duplicates")] {
        let (code, report, text) = kill(fault, &[]);
        assert_eq!((code, &report["disruption"][field]), (Some(1), &json!(2)), "{fault:?}: {text}");
    }
    let (code, _, text) = kill(Fault::RefuseReturn, &["--reconnect-timeout", "300ms"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("2 connections never came back"), "{text}");
}

#[test]
fn servers_and_processes_must_be_as_many_and_somebody_must_be_left() {
    let servers = StandIn::cluster([Fault::None; 2]);
    let own = std::process::id().to_string();
    for (flags, named) in [
        (&["--server-pid", &own][..], "--server-pid"),
        (&["--kind", "kill"], "--kill-pid"),
        (&["--kind", "kill", "--kill-pid", "4294967295"], "--kill-pid"),
        (&["--kind", "kill", "--kill-pid", &own, "--agents", "2"], "--agents"),
    ] {
        let (code, _, text) = run_at(&servers, flags);
        assert!(code == Some(64) && text.contains(named), "{flags:?}: {text}");
    }
    let (code, _, text) = run(&servers[0], &["--kind", "kill", "--kill-pid", &own]);
    assert!(code == Some(64) && text.contains("several addresses"), "{text}");
    assert!(servers[0].requests().is_empty());
}
