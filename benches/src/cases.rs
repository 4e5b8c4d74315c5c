//! The cases: one thing each, done the same way again and again.

pub mod access;
pub mod delivery;
pub mod protocol;
pub mod structures;

/// Something to measure. Its constructor has brought it into a steady state: nothing grows any more.
pub trait Case {
    /// Restores what the last [`Case::run`] has changed; not measured.
    fn prepare(&mut self) {}

    /// Does it [`Case::times`] times; this is measured.
    fn run(&mut self);

    /// How often one run does it: more than once where that is short beside the measuring.
    fn times(&self) -> u32 {
        1
    }
}

/// Runs a new case often enough that what grows has grown, and what is set up at first use is set up.
fn warm<C: Case>(mut case: C, runs: u32) -> C {
    for _ in 0..runs {
        case.prepare();
        case.run();
    }
    case.prepare();
    case
}
