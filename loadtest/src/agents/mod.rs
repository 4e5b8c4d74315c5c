//! Several generators driven as one: a `coordinator` tells `agent`s what to do and merges what they found.
//!
//! Every agent numbers all connections alike, but opens only its own part of each room. A message's mark names its
//! sender, thereby its agent: only that one, whose clock the mark's time is of, takes the latency; all others count and
//! check. When everybody has sent, all learn how much was sent to each room, so that a loss at the very end is one; and the
//! order that each agent saw is compared by a digest of every room.
//!
//! The line between them is not encrypted. An agent on a network asks for a proof that the coordinator knows its secret,
//! but what follows, the secret for the server's tokens included, could be read on the way: hence loopback or a tunnel.

mod agent;
mod coordinator;
mod message;
mod proof;
mod share;

pub(crate) use agent::Agent;
pub(crate) use coordinator::{check, run};
