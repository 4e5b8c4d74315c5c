//! How much a server holds: `search` names the value to try next, `step` judges one trial, `report` says what came of
//! all of them. Pure; `run::ramp` does the trying.

mod report;
mod search;
mod step;

pub(crate) use report::RampReport;
pub(crate) use search::{Range, Search};
pub(crate) use step::{Cause, Limits, Step, StepServer};
