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
    /// Processes that ended without notice, and whose state the next one took up.
    crashes,
    /// Times at which all state was told anew to the store.
    tellings,
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
    /// Messages that might wait to share a write.
    delayed,
    /// Changes of messages that were acknowledged.
    revised,
    /// Changes of messages that were pushed.
    revisions,
    /// Receipts that were acknowledged.
    receipts,
    /// Receipts of others, or of other sockets, that were pushed.
    receipts_heard,
    /// Receipts of which the senders must have heard.
    receipts_confirmed,
    /// Users who began or stopped to write, as others were told.
    typing_edges,
    /// Watches of presence.
    watches,
    /// Changes of presence that were pushed.
    presence_changes,
    /// Users whose presence was compared with what their watchers believed.
    presence_checks,
    /// Rooms created.
    created,
    /// Clients that were told of a created room.
    told_created,
    /// Rooms closed.
    closed,
    /// Clients that were told that they are out of a closed room.
    told_closed,
    /// Sessions opened.
    sessions,
    /// Sessions resumed.
    resumed,
    /// Those of them of which it was certain what the client had got.
    resumed_exactly,
    /// Those of them that another connection had resumed before, without reading the answer.
    resumed_unread,
    /// Rooms of resumed sessions that reported a gap.
    resumed_gaps,
    /// Messages that resumed sessions gave.
    resume_messages,
    /// Those of them that the client had, which is allowed when it did not say how far it had got.
    resume_repeats,
    /// Sessions that could not be resumed any more.
    resumes_refused,
    /// Connections that came although the one with their session was there.
    take_overs,
    /// Connections closed because another resumed their session.
    replaced,
    /// Times that a Socket.IO client entered a namespace.
    conversations,
    /// Those of them that took up a session.
    conversations_resumed,
    /// Those of them that wanted to, and began anew.
    conversations_anew,
    /// Events that sessions of Socket.IO had missed.
    conversation_events,
    /// Times that a Socket.IO client was not let in.
    connects_refused,
    /// Times that one left its namespace and entered it again over the same transport.
    reentries,
    /// Messages that asked them for an answer.
    answers_wanted,
    /// Attachments that Socket.IO clients sent.
    attachments_sent,
    /// Attachments that they got.
    attachments_heard,
    /// Messages that were kept for absent members.
    kept,
    /// Those of them that had come before.
    kept_repeats,
    /// Members who were told to synchronise.
    resyncs,
    /// Members who got everything of a queued room.
    queues_complete,
    /// Shards that sent their clients away.
    drains,
    /// Turns that shards took.
    turns,
}
