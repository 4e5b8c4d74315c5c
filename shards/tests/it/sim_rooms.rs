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

fn repeat(seed: u64) -> String {
    format!(
        "ROOMCAST_SIM_START={seed} ROOMCAST_SIM_SEEDS=1 cargo test -p roomcast-shards --test it sim_rooms"
    )
}

/// Runs a seed, and again with a trace when it fails.
fn check(seed: u64) -> Totals {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, false)));
    let Ok(outcome) = outcome else {
        panic!("seed {seed}: the core panicked; repeat with\n  {}", repeat(seed))
    };
    outcome.unwrap_or_else(|failure| {
        let trace = run(seed, true).err().map(|Failure { trace, .. }| trace).unwrap_or_default();
        panic!("{}\n{failure}\nrepeat with\n  {}", trace.join("\n"), repeat(seed))
    })
}

#[test]
fn rooms_keep_their_promises_under_faults() {
    let start = number("ROOMCAST_SIM_START", 0);
    let seeds = number("ROOMCAST_SIM_SEEDS", 200);
    let mut totals = Totals::default();
    for seed in start..start + seeds {
        totals.add(&check(seed));
    }
    report(seeds, &totals);
    // A few seeds need not show everything; many that do not show something show nothing.
    if seeds >= 100 {
        assert_eq!(totals.missing(), [""; 0], "never happened in {seeds} seeds");
    }
}

#[expect(clippy::print_stdout, reason = "whoever runs the simulation wants to know what it did")]
fn report(seeds: u64, totals: &Totals) {
    println!("{seeds} seeds:\n{totals}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        let totals = check(seed);
        assert_eq!(totals, check(seed), "seed {seed}");
    }
}
