//! Health, from numbers alone.

use super::*;

const LIMITS: HealthLimits = HealthLimits {
    connections_max: 1_000,
    memory_max: Some(1 << 30),
    history_bytes_max: 64 << 20,
    ring_items_max: 16_384,
};

fn idle() -> Numbers {
    Numbers {
        connections: 10,
        resident_bytes: Some(50 << 20),
        open_fds: Some(60),
        fds_max: Some(2_000),
        shards: 4,
        ..Numbers::default()
    }
}

/// Expects the only pressing check to be this one, and its advice to name its flag.
fn check(numbers: Numbers, expected: Option<(&str, &str)>) {
    let health = judge(&numbers, &LIMITS);
    let pressing: Vec<&Check> = health.checks.iter().filter(|check| check.presses()).collect();
    let names: Vec<&str> = pressing.iter().map(|check| check.name).collect();
    assert_eq!(names, expected.map(|(name, _)| name).into_iter().collect::<Vec<_>>(), "{numbers:?}");
    assert_eq!(health.status, if expected.is_some() { "degraded" } else { "ok" });
    assert_eq!(health.recommendations.is_empty(), expected.is_none(), "{health:?}");
    if let Some((name, flag)) = expected {
        assert_eq!(pressing[0].flag, Some(flag));
        let [advice] = &health.recommendations[..] else { panic!("{health:?}") };
        assert!(advice.starts_with(name) && advice.contains(flag), "{advice}");
    }
}

#[test]
fn nine_tenths_of_a_limit_are_near_it() {
    check(idle(), None);
    check(Numbers { connections: 899, ..idle() }, None);
    check(Numbers { connections: 900, ..idle() }, Some(("connections", "--max-connections")));
    let resident = |bytes| Numbers { resident_bytes: Some(bytes), ..idle() };
    check(resident((1 << 30) / 10 * 8), None);
    check(resident(1 << 30), Some(("residentMemoryBytes", "--max-memory")));
    let open = |fds| Numbers { open_fds: Some(fds), ..idle() };
    check(open(1_799), None);
    check(open(1_800), Some(("openDescriptors", "--max-connections")));
    let items = |ring_items| Numbers { ring_items, ..idle() };
    check(items(14_000), None);
    check(items(15_000), Some(("ringItems", "--ring-items")));
}

#[test]
fn a_shard_may_fill_only_its_share_of_the_history() {
    let history = |history_bytes, shards| Numbers { history_bytes, shards, ..idle() };
    check(history(15 << 20, 4), Some(("shardHistoryBytes", "--history-total")));
    check(history(15 << 20, 1), None);
}

#[test]
fn what_must_be_nothing_degrades_at_one() {
    check(Numbers { overload: 1, ..idle() }, Some(("overload", "--shards")));
    check(Numbers { unresponsive_shards: 1, ..idle() }, Some(("unresponsiveShards", "--cpus")));
    check(Numbers { ring_overflow_items: 1, ..idle() }, Some(("ringOverflowItems", "--ring-items")));
}

#[test]
fn overload_for_want_of_memory_names_memory() {
    let health = judge(&Numbers { overload: 2, resident_bytes: Some(2 << 30), ..idle() }, &LIMITS);
    assert!(health.recommendations.iter().all(|advice| advice.contains("--max-memory")), "{health:?}");
    assert_eq!(health.recommendations.len(), 2);
}

#[test]
fn losses_degrade_nothing_and_are_told_beside_what_does() {
    let lost = Numbers { slow_consumers: 3, logs_dropped: 1, ..idle() };
    check(lost, None);
    let health = judge(&Numbers { overload: 1, ..lost }, &LIMITS);
    let names: Vec<_> = health.recommendations.iter().filter_map(|advice| advice.split(' ').next()).collect();
    assert_eq!(names, ["overload", "slowConsumers", "logsDropped"]);
    assert!(health.recommendations[1].contains("is 3 since the start"));
}

#[test]
fn limits_that_are_off_or_nothing_never_press_and_the_unreadable_is_left_out() {
    let limits = HealthLimits { memory_max: None, history_bytes_max: 0, ..LIMITS };
    let numbers = Numbers { resident_bytes: Some(u64::MAX), open_fds: None, ..idle() };
    let health = judge(&numbers, &limits);
    assert_eq!((health.status, health.recommendations.len()), ("ok", 0));
    // A level without a limit is no loss, so there is no advice on it either.
    let strained = judge(&Numbers { overload: 1, ..numbers }, &limits);
    assert_eq!(strained.recommendations.len(), 1, "{strained:?}");
    let named = |name| health.checks.iter().find(|check| check.name == name);
    assert!(named("openDescriptors").is_none());
    assert_eq!(named("residentMemoryBytes").map(|check| check.limit), Some(None));
}

#[test]
fn nearness_is_exact_at_the_extremes() {
    let presses = |value, limit| Check::level("it", value, Some(limit), "", "").presses();
    for (value, limit) in [(1, 1), (5, 5), (9, 10), (18, 19), (u64::MAX, u64::MAX)] {
        assert!(presses(value, limit), "{value} of {limit}");
    }
    for (value, limit) in [(0, 1), (4, 5), (8, 10), (17, 19), (u64::MAX / 2, u64::MAX)] {
        assert!(!presses(value, limit), "{value} of {limit}");
    }
}

#[test]
fn numbers_are_summed_or_those_of_the_worst_shard() {
    let mut shards = vec![Metrics::default(); 2];
    for (shard, n) in shards.iter_mut().zip([3, 5]) {
        shard.connections = n;
        shard.history_bytes = n;
        shard.ring_depth = n;
        shard.ring_overflow_items = n;
        shard.overload = n - 3;
        shard.count_close(CloseCode::SlowConsumer);
    }
    let snapshot = Snapshot { shards, unresponsive: 1, caught_up: vec![true, false] };
    let expected = Numbers {
        connections: 8,
        resident_bytes: Some(7),
        shards: 2,
        history_bytes: 5,
        ring_items: 5,
        ring_overflow_items: 8,
        overload: 2,
        unresponsive_shards: 1,
        slow_consumers: 2,
        ..Numbers::default()
    };
    let usage = Usage { resident_bytes: Some(7), ..Usage::default() };
    assert_eq!(Numbers::new(&snapshot, usage), expected);
}

#[test]
fn the_reply_has_the_members_that_clients_are_promised() {
    let numbers = Numbers { connections: 950, ..idle() };
    let reply = serde_json::to_value(judge(&numbers, &LIMITS)).unwrap();
    let expected = serde_json::json!({
        "name": "connections", "value": 950, "limit": 1_000, "ratio": 0.95, "flag": "--max-connections",
    });
    assert_eq!(reply["checks"][0], expected);
    assert_eq!(reply["status"], "degraded");
    assert!(reply["recommendations"][0].as_str().unwrap().starts_with("connections is 950 of 1000: "));
    for check in reply["checks"].as_array().unwrap() {
        assert_eq!(check.as_object().unwrap().len(), 5, "{check}");
    }
}
