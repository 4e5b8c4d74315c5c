//! A simulation of several shards: virtual time, rings and clients that delay, fail and die, all from one seed.
//!
//! The shards are the real ones. What the rim does for them (sockets, rings, a clock) is played by `host` and
//! `network`; `client`s speak the real wire and check what they hear; the `ledger` keeps what all of them
//! learned, so that two clients cannot be told different things. The same seed always gives the same run.

mod client;
mod dice;
mod host;
mod ledger;
mod network;
mod scenario;
mod simulation;
mod store;
mod token;
mod totals;
mod wire;

pub use ledger::Violation;
pub use simulation::{Failure, run};
pub use totals::Totals;
pub use wire::{Reader, Received, client_frame, upgrade_head};
