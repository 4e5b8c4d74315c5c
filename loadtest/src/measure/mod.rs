//! Judges what arrives: `marker` (which message is it), `sequence` with `room_log` and `window` (is it the right one), `latency` (was it in time),
//! `process` (what did it cost). Knows no socket.

mod latency;
pub(crate) mod marker;
mod process;
mod room_log;
mod sequence;
mod window;

pub(crate) use latency::{Latency, Percentiles};
pub(crate) use process::{GeneratorCpu, ServerProcess, ServerUsage};
pub(crate) use sequence::{Checker, Faults};
