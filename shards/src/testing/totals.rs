//! How much happened in a run, so that a simulation in which nothing happens is noticed.

use std::fmt;

/// Generates the struct of counts, how two runs' add up, and how they print.
macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened, in one run or in many.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Totals {
            /// Adds another run's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// The names of what never happened.
            #[must_use]
            pub fn missing(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name),)*];
                all.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
            }
        }

        impl fmt::Display for Totals {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(out, "{:>12} {}", self.$name, stringify!($name).replace('_', " "))?;)*
                Ok(())
            }
        }
    };
}

totals! {
    /// Connections opened.
    connections,
    /// Rooms entered.
    joins,
    /// Rooms left.
    leaves,
    /// Messages sent by clients.
    sends,
    /// Sends that were acknowledged.
    acknowledged,
    /// Sends that were recognised as repeated.
    duplicates,
    /// Messages received live by members.
    deliveries,
    /// Messages received live through patterns only.
    pattern_deliveries,
    /// Messages kept from their own sender.
    excluded,
    /// Messages read from histories.
    history_messages,
    /// Messages into users' own rooms that were acknowledged.
    user_sends,
    /// Recoveries that gave all that was missed.
    recovered_true,
    /// Messages that recoveries gave.
    recovered_messages,
    /// Recoveries that reported a gap.
    recovered_false,
    /// Frames dropped of ephemeral rooms.
    drops,
    /// Messages that members of ephemeral rooms missed.
    losses,
    /// Connections closed as slow consumers.
    slow_closes,
    /// Connections closed or reset because the client was silent.
    silent_closes,
    /// Connections that never authenticated.
    auth_closes,
    /// Requests for an upgrade that were refused.
    http_refusals,
    /// Sockets handed to the control plane.
    hand_overs,
    /// Clients that died.
    deaths,
    /// Clients that closed.
    client_closes,
    /// Frames that were no proper commands.
    garbage,
    /// Errors that clients were sent.
    errors,
    /// Refusals because of a rate.
    rate_limited,
    /// Times that a ring was full.
    full_rings,
    /// Times that a shard was not run for a while.
    shard_pauses,
    /// Times that a connection's reading was paused.
    reads_paused,
    /// Turns that shards took.
    turns,
}
