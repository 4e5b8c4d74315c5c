//! What the benchmarks measure, set up once for all of them: `benches/instructions` counts it, `benches/wall_clock`
//! times it, and `tests/allocations` looks at what it allocates.
//!
//! Everything here is the gateway's own code behind its public functions; only sockets are missing. Nothing depends on
//! the time, on chance or on the order of threads, so that two runs execute the same instructions.

pub mod cases;
pub mod gateway;
