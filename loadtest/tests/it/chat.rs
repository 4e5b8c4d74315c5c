//! `--scenario chat` against the stand-in: what is sent, what is counted, what is measured, and what fails.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, DELIVERIES, MESSAGES, ROOMS, faults, run};

/// Other members of each room.
const OTHERS: u64 = CONNECTIONS / ROOMS - 1;

/// Runs the scenario for 700 ms: 28 status updates, 14 joins, 35 typing starts, and a receipt for every message.
fn run_chat(server: &StandIn, flags: &[&str]) -> (Option<i32>, Value, String) {
    let chat = ["--scenario", "chat", "--presence-rate", "40", "--join-rate", "20", "--typing-rate", "50"];
    run(server, &[&chat[..], &["--receipts", "1", "--zipf", "0"], flags].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn everything_is_sent_and_counted_and_messages_are_checked_as_ever() {
    for fault in [Fault::None, Fault::Trickle] {
        let server = StandIn::start(fault);
        let (code, report, text) = run_chat(&server, &[]);
        assert_eq!(code, Some(0), "{fault:?}: {text}");
        let (traffic, chat) = (&report["traffic"], &report["chat"]);
        assert_eq!(traffic["faults"], faults(0, 0, 0), "{text}");
        assert_eq!([&traffic["messages_sent"], &traffic["deliveries"]], [MESSAGES, DELIVERIES]);
        let presence = &chat["presence"];
        assert_eq!(
            [&presence["updates_sent"], &presence["changes_expected"], &presence["changes_received"]],
            [28, 28 * OTHERS, 28 * OTHERS],
            "a user's own connection is told too, and does not count: {text}"
        );
        assert_eq!(presence["latencies"], 20 * OTHERS, "only the measured window counts");
        let joins = &chat["joins"];
        assert_eq!([&joins["sent"], &joins["joined"], &joins["refused"]], [14, 14, 0], "{text}");
        assert!(number(&joins["latencies"]) >= 11.0, "{text}");
        let typing = &chat["typing"];
        // All begin, and nobody ceases before the end.
        assert_eq!([&typing["starts_sent"], &typing["edges_received"]], [35, CONNECTIONS * OTHERS], "{text}");
        let receipts = &chat["receipts"];
        assert!(number(&receipts["sent"]) >= CONNECTIONS as f64, "{text}");
        assert!(number(&receipts["statuses_received"]) > 0.0, "{text}");
        // Whoever leaves when another is to come back may miss the other's edges.
        assert!(number(&chat["members"]["edges_received"]) >= (14 * OTHERS) as f64, "{text}");
        for row in ["presence latency p99", "join latency p99", "typing edges received", "receipts sent"] {
            assert!(text.contains(row), "{text}");
        }
    }
}

#[test]
fn the_server_hears_what_chat_clients_say() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run_chat(&server, &["--duration", "2500ms"]);
    assert_eq!(code, Some(0), "{text}");

    let mut statuses: HashMap<u64, Vec<Value>> = HashMap::new();
    for update in server.heard("presence:update-status") {
        statuses.entry(update.id).or_default().push(update.frame["data"]["status"].clone());
    }
    assert_eq!(statuses.len() as u64, CONNECTIONS);
    for statuses in statuses.values() {
        let turns = [json!("away"), json!("online")];
        assert!(statuses.iter().eq(turns.iter().cycle().take(statuses.len())), "{statuses:?}");
    }

    let mut receipts: HashMap<u64, Vec<(Instant, u64)>> = HashMap::new();
    for receipt in server.heard("message:read") {
        let up_to = receipt.frame["data"]["upToOffset"].as_u64().expect("a number");
        receipts.entry(receipt.id).or_default().push((receipt.at, up_to));
    }
    assert_eq!(receipts.len() as u64, CONNECTIONS);
    for receipts in receipts.values() {
        assert!((2..=4).contains(&receipts.len()), "once a second: {receipts:?}");
        for pair in receipts.windows(2) {
            let [(at, up_to), (next_at, next_up_to)] = pair else { continue };
            // Sent a second apart; the stand-in may be late for either.
            assert!(next_at.duration_since(*at) > Duration::from_millis(700), "{receipts:?}");
            assert!(next_up_to > up_to, "{receipts:?}");
        }
    }

    let stops = server.heard("message:typing");
    let stops = stops.iter().filter(|typing| typing.frame["data"]["isTyping"] == false).count();
    // Some may still be on their way when the run is over.
    assert!(stops > 0 && stops as f64 <= number(&report["chat"]["typing"]["stops_sent"]), "{text}");
}

#[test]
fn planted_lateness_is_measured_and_trips_its_own_threshold() {
    for (fault, late, other) in
        [(Fault::SlowPresence(80), "presence", "joins"), (Fault::SlowJoin(80), "joins", "presence")]
    {
        let (flag, other_flag) = match late {
            "presence" => ("--max-presence-p99", "--max-join-p99"),
            _ => ("--max-join-p99", "--max-presence-p99"),
        };
        let (code, report, text) = run_chat(&StandIn::start(fault), &[flag, "79", other_flag, "60000"]);
        let p50 = |section: &str| number(&report["chat"][section]["latency_ms"]["p50"]);
        assert!(p50(late) >= 80.0, "{fault:?}: {text}");
        assert!(p50(other) < p50(late), "{fault:?}: {text}");
        assert_eq!(code, Some(1), "{fault:?}: {text}");
        assert!(text.contains(flag) && !text.contains(other_flag), "{fault:?}: {text}");
        let (code, _, text) = run_chat(&StandIn::start(fault), &[flag, "60000"]);
        assert_eq!(code, Some(0), "{fault:?}: {text}");
    }
}

#[test]
fn what_never_comes_is_told_and_fails_where_it_must() {
    let (code, report, text) = run_chat(&StandIn::start(Fault::MutePresence), &[]);
    assert_eq!((code, &report["chat"]["presence"]["changes_received"]), (Some(0), &json!(0)), "{text}");
    assert!(text.contains("56 changes of presence never came"), "{text}");
    let (code, _, text) = run_chat(&StandIn::start(Fault::MutePresence), &["--max-presence-p99", "60000"]);
    assert_eq!(code, Some(1), "{text}");
    let (code, report, text) = run_chat(&StandIn::start(Fault::MuteJoin), &[]);
    assert_eq!((code, &report["chat"]["joins"]["joined"]), (Some(1), &json!(0)), "{text}");
    assert!(text.contains("14 joins were never answered"), "{text}");
}

#[test]
fn presence_in_another_room_fails() {
    let (code, report, text) = run_chat(&StandIn::start(Fault::MisroutePresence), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(report["chat"]["presence"]["misrouted"], 28 * CONNECTIONS / ROOMS, "{text}");
}

#[test]
fn faults_of_messages_are_found_amid_chat() {
    for (fault, expected) in [(Fault::Drop, faults(ROOMS, 0, 0)), (Fault::Swap, faults(0, 0, ROOMS))] {
        let (code, report, text) = run_chat(&StandIn::start(fault), &[]);
        assert_eq!((code, &report["traffic"]["faults"]), (Some(1), &expected), "{fault:?}: {text}");
    }
}

#[test]
fn a_server_that_knows_no_chat_is_named() {
    let server = StandIn::start(Fault::RefuseChat);
    let (code, report, text) = run_chat(&server, &[]);
    assert_eq!(code, Some(1), "{text}");
    let failures = json!({ "refused: presence:watch: PROTOCOL_ERROR": CONNECTIONS });
    assert_eq!(report["connects"]["failures"], failures, "{text}");
    let (_, report, text) = run_chat(&server, &["--presence-rate", "0"]);
    assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
    assert_eq!(report["chat"]["joins"]["joined"], json!(14), "{text}");
    assert!(number(&report["errors"]["PROTOCOL_ERROR"]) > 35.0 && text.contains("WARNING"), "{text}");
}

#[test]
fn slow_consumers_neither_chat_nor_count() {
    let flags = ["--stop-fraction", "0.34", "--stop-after", "0s"];
    let (code, report, text) = run_chat(&StandIn::start(Fault::None), &flags);
    assert_eq!(code, Some(0), "{text}");
    let presence = &report["chat"]["presence"];
    assert_eq!([&presence["updates_sent"], &presence["changes_received"]], [28, 28], "{text}");
}

#[test]
fn without_the_scenario_nothing_is_different() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--scenario", "steady", "--typing-rate", "50"]);
    assert_eq!((code, &report["chat"]), (Some(0), &Value::Null), "{text}");
    for event in ["room:join", "room:leave", "presence:watch", "message:typing", "message:read"] {
        assert!(server.heard(event).is_empty(), "{event}");
    }
    let (code, _, text) = run(&server, &["--max-presence-p99", "5"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--kind chat"), "{text}");
}
