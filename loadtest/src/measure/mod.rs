//! Judges what arrives: `marker` (which message is it), `stamp` (which other event), `sequence` with `room_log`,
//! `sender_log` and `window` (is it the right one), `latency` (was it in time), `process` and `servers` (what did it cost); and takes it
//! down over time: `recorder`, which fills a `series`, whose histograms are `packed`. Knows no socket.

mod faults;
mod latency;
pub(crate) mod marker;
mod packed;
mod process;
mod recorder;
mod room_log;
mod sender_log;
mod sequence;
mod series;
mod servers;
mod stamp;
mod window;

pub(crate) use faults::Faults;
pub(crate) use latency::{Latency, Percentiles};
pub(crate) use packed::{Distribution, Packed};
pub(crate) use process::{GeneratorCpu, ServerProcess, ServerUsage, ThreadTimes};
pub(crate) use recorder::{Recorder, Totals};
pub(crate) use room_log::RoomDigest;
pub(crate) use sender_log::windows_of;
pub(crate) use sequence::{Absences, Checker};
pub(crate) use series::{Point, Series};
pub(crate) use servers::{Servers, Usages};
pub(crate) use stamp::Stamper;
