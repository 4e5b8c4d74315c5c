//! A fuzzer on stable Rust: mutates a corpus that is committed, for so many seconds a target, from a seed.
//!
//! `ROOMCAST_FUZZ_SECONDS` (1) is the time, `ROOMCAST_FUZZ_SEED` (0) the seed. An input that panics is written to
//! `shards/fuzz/corpus/<name>/crash-<hash>`, where every later run begins with it.

mod mutator;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mutator::Mutator;

/// Inputs between two looks at the clock.
const INPUTS_A_LOOK: usize = 64;

/// Checks the corpus of a target, and then mutations of it until the time is over.
///
/// `tokens` are what the language of the target is made of.
#[expect(clippy::disallowed_methods, reason = "a fuzzer runs for a time")]
pub(crate) fn fuzz(name: &str, tokens: &[&[u8]], mut check: impl FnMut(&[u8])) {
    let corpus = corpus(name);
    corpus.iter().for_each(|input| try_input(name, input, &mut check));
    let mut mutator = Mutator::new(number("ROOMCAST_FUZZ_SEED", 0), &corpus, tokens);
    let end = Instant::now() + Duration::from_secs(number("ROOMCAST_FUZZ_SECONDS", 1));
    let mut inputs = 0u64;
    while Instant::now() < end {
        for _ in 0..INPUTS_A_LOOK {
            try_input(name, &mutator.next(), &mut check);
            inputs += 1;
        }
    }
    report(name, inputs);
}

#[expect(clippy::print_stdout, reason = "whoever fuzzes wants to know how much was tried")]
fn report(name: &str, inputs: u64) {
    println!("{name}: {inputs} inputs");
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// The committed inputs, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = folder(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

fn try_input(name: &str, input: &[u8], check: &mut impl FnMut(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        keep(name, input);
        resume_unwind(panic);
    }
}

#[expect(clippy::print_stderr, reason = "the input is what a failed run is for")]
fn keep(name: &str, input: &[u8]) {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder(name).join(format!("crash-{:016x}", hasher.finish()));
    let kept = std::fs::write(&path, input).map_err(|error| error.to_string());
    eprintln!("{name} fails on {:?}\nkept as {}: {kept:?}", String::from_utf8_lossy(input), path.display());
}
