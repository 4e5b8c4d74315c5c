//! Rooms under simulation: thousands of small gateways, each with its own faults, none of which may lose, double
//! or turn around a message without saying so.
//!
//! `ROOMCAST_SIM_SEEDS` seeds are run (200), from `ROOMCAST_SIM_START` (0) on. A failure names its seed, and tells
//! everything that led to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use roomcast_shards::testing::{Failure, Totals, run};

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
}

/// The test that a seed is run by, and whether it has a store and crashes.
#[derive(Clone, Copy)]
struct Kind(&'static str, bool);

const ROOMS: Kind = Kind("rooms_keep_their_promises_under_faults", false);
const DURABLE: Kind = Kind("what_is_acknowledged_survives_crashes", true);

fn repeat(Kind(test, _): Kind, seed: u64) -> String {
    format!(
        "ROOMCAST_SIM_START={seed} ROOMCAST_SIM_SEEDS=1 ROOMCAST_SIM_DURABLE_SEEDS=1 cargo test -p roomcast-shards --test it {test}"
    )
}

/// Runs a seed, and again with a trace when it fails.
fn check(kind: Kind, seed: u64) -> Totals {
    let Kind(_, durable) = kind;
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, durable, false)));
    let Ok(outcome) = outcome else {
        panic!("seed {seed}: the core panicked; repeat with\n  {}", repeat(kind, seed))
    };
    outcome.unwrap_or_else(|failure| {
        let trace = run(seed, durable, true).err().map(|Failure { trace, .. }| trace).unwrap_or_default();
        panic!("{}\n{failure}\nrepeat with\n  {}", trace.join("\n"), repeat(kind, seed))
    })
}

fn check_all(kind: Kind, seeds: u64) {
    let start = number("ROOMCAST_SIM_START", 0);
    let mut totals = Totals::default();
    for seed in start..start + seeds {
        totals.add(&check(kind, seed));
    }
    report(seeds, &totals);
    let Kind(_, durable) = kind;
    let only_durable = |name: &&str| durable || !["crashes", "tellings"].contains(name);
    // A few seeds need not show everything; many that do not show something show nothing.
    if seeds >= 100 {
        let missing: Vec<_> = totals.missing().into_iter().filter(only_durable).collect();
        assert_eq!(missing, [""; 0], "never happened in {seeds} seeds");
    }
}

#[test]
fn rooms_keep_their_promises_under_faults() {
    check_all(ROOMS, number("ROOMCAST_SIM_SEEDS", 200));
}

/// With a store that commits late, and processes that are killed. `ROOMCAST_SIM_DURABLE_SEEDS` seeds are run (200).
#[test]
fn what_is_acknowledged_survives_crashes() {
    check_all(DURABLE, number("ROOMCAST_SIM_DURABLE_SEEDS", 200));
}

#[expect(clippy::print_stdout, reason = "whoever runs the simulation wants to know what it did")]
fn report(seeds: u64, totals: &Totals) {
    println!("{seeds} seeds:\n{totals}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        for kind in [ROOMS, DURABLE] {
            let totals = check(kind, seed);
            assert_eq!(totals, check(kind, seed), "seed {seed}");
        }
    }
}
