//! Judges what arrives: `marker` (which message is it), `stamp` (which other event), `sequence` with `room_log`,
//! `sender_log` and `window` (is it the right one), `latency` (was it in time), `process` (what did it cost). Knows no socket.

mod latency;
pub(crate) mod marker;
mod process;
mod room_log;
mod sender_log;
mod sequence;
mod stamp;
mod window;

pub(crate) use latency::{Latency, Percentiles};
pub(crate) use process::{GeneratorCpu, ServerProcess, ServerUsage, ThreadTimes};
pub(crate) use sender_log::windows_of;
pub(crate) use sequence::{Checker, Faults};
pub(crate) use stamp::Stamper;
