//! What a shard counts: plain words, written by one thread, read as a snapshot by the control plane.

use crate::access::token::TokenError;
use crate::protocol::close_code::CloseCode;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::reply::SessionError;

/// Counts of durations in fixed buckets, in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Observations at or below each of [`Histogram::BOUNDS_US`], and above the last; not cumulative.
    pub buckets: [u64; Self::BOUNDS_US.len() + 1],
    /// Sum of all observations in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Upper bounds of the buckets in microseconds.
    pub const BOUNDS_US: [u64; 12] =
        [10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 250_000];

    /// Counts one duration.
    pub fn observe(&mut self, us: u64) {
        let at = Self::BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at] += 1;
        self.sum_us += us;
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.sum_us += other.sum_us;
    }
}

/// Generates the struct of plain counters and gauges, and how two shards' add up.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters and gauges of one shard, or of all.
        #[derive(Debug, Clone, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Connections closed, by [`CloseCode`]'s position.
            pub closes: [u64; CloseCode::ALL.len()],
            /// Connections that went without a close frame of ours.
            pub resets: u64,
            /// Errors sent to clients, by [`ErrorCode`]'s position.
            pub errors: [u64; ErrorCode::ALL.len()],
            /// Sessions refused, by [`SessionError::ALL`]'s position.
            pub session_refusals: [u64; SessionError::ALL.len()],
            /// Tokens refused, by [`TokenError::LABELS`]' position.
            pub auth_failures: [u64; TokenError::LABELS.len()],
            /// How long turns of the loop took, waiting not counted.
            pub turn: Histogram,
            /// How long it took to queue one message for all its local subscribers.
            pub fan_out: Histogram,
        }

        impl Metrics {
            /// Adds another shard's.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                self.resets += other.resets;
                for (mine, theirs) in self.closes.iter_mut().zip(other.closes) { *mine += theirs; }
                for (mine, theirs) in self.errors.iter_mut().zip(other.errors) { *mine += theirs; }
                for (mine, theirs) in self.session_refusals.iter_mut().zip(other.session_refusals) {
                    *mine += theirs;
                }
                for (mine, theirs) in self.auth_failures.iter_mut().zip(other.auth_failures) { *mine += theirs; }
                self.turn.merge(&other.turn);
                self.fan_out.merge(&other.fan_out);
            }
        }
    };
}

counters! {
    /// Connections taken over from the acceptor.
    connections_opened,
    /// Connections now, in whatever phase.
    connections,
    /// Connections now that are authenticated.
    connections_authenticated,
    /// Requests handed to the control plane.
    http_handovers,
    /// Connections handed to the shard of the session that their request names.
    connections_moved,
    /// Connections closed because the shard that should take them over had too many.
    connections_lost,
    /// Sessions of Socket.IO that moved from polling to a WebSocket.
    socketio_upgrades,
    /// Sessions of Socket.IO that poll now.
    socketio_polling,
    /// Requests refused with an HTTP status.
    http_refusals,
    /// Messages received from clients.
    messages_received,
    /// Messages accepted by rooms that this shard owns.
    publications,
    /// Messages recognised as repeated.
    publications_duplicate,
    /// Frames queued for recipients of a room's messages.
    deliveries,
    /// Frames that left for clients, of every kind.
    frames_sent,
    /// Bytes received.
    bytes_received,
    /// Bytes sent.
    bytes_sent,
    /// Frames encoded for fan-out: one for each message, dialect and profile.
    frames_encoded,
    /// Ephemeral frames dropped because a queue was full.
    frames_dropped,
    /// Ephemeral messages dropped for all local subscribers because of overload.
    publications_shed,
    /// How far load is shed now: 0 not at all, 1 new connections are refused, 2 ephemeral messages are dropped too.
    overload,
    /// Times that unread replies stopped a connection's reading.
    reads_paused,
    /// Recoveries asked for.
    recoveries,
    /// Recoveries that gave all that was missed.
    recoveries_complete,
    /// Edits and deletions accepted by rooms that this shard owns.
    revisions,
    /// Receipts accepted.
    receipts,
    /// Cursors of receipts, and pushes of them, given up because there were too many.
    receipts_dropped,
    /// Events for listeners.
    gateway_events,
    /// Events for listeners that there was no room for.
    gateway_events_dropped,
    /// Users who began or ended to write.
    typing_edges,
    /// Changes of users' presence.
    presence_changes,
    /// Pushes of presence to watchers.
    presence_deliveries,
    /// Users who are there now, those within the grace of a lost connection included.
    users_online,
    /// Rooms that somebody created and nobody has closed, now.
    rooms_created,
    /// Bytes that what their creators decided takes, now.
    rooms_created_bytes,
    /// Kept messages given to members of queued rooms who came back.
    queued_delivered,
    /// Members of queued rooms who came back and for whom not everything could be kept.
    queue_overflows,
    /// Questions to the engine that several nodes share.
    engine_requests,
    /// Those of them that somebody waits for now.
    engine_open,
    /// What could not be done because the engine did not answer, or too much waited for it.
    engine_refusals,
    /// Shared rooms that were read anew because an entry was missed.
    engine_gaps,
    /// Entries and words of the engine that make no sense here.
    engine_illegible,
    /// Sessions that can be resumed now.
    sessions,
    /// Those of them without a connection.
    sessions_parked,
    /// Sessions given up because their user had too many.
    sessions_dropped,
    /// Connections closed because another one resumed their session.
    sessions_replaced,
    /// Sessions that clients wanted to resume.
    session_recoveries,
    /// Sessions resumed with all of their rooms.
    session_recoveries_full,
    /// Sessions resumed of which some room could not be recovered.
    session_recoveries_partial,
    /// Pings that asked clients with a session how far they had got.
    progress_probes,
    /// Messages and names that histories and dedupe windows forgot before their time.
    history_dropped,
    /// Bytes in histories now, as of each room's last change.
    history_bytes,
    /// Rooms that this shard owns now.
    rooms,
    /// Connections times rooms now.
    subscriptions,
    /// Connections times patterns now.
    pattern_subscriptions,
    /// Bytes waiting in outbound queues now.
    outbound_queue_bytes,
    /// Items put into rings.
    ring_items,
    /// Items waiting in this shard's inbound rings now.
    ring_depth,
    /// Items that found a ring full and waited beside it.
    ring_overflows,
    /// Items waiting beside a full ring now.
    ring_overflow_items,
    /// Turns in which clients were not read because a ring was full.
    ring_pauses,
    /// Questions to the control plane and to backends that are not answered yet.
    inquiries_open,
    /// What owners tell that waits for the disk now.
    store_held_items,
    /// Turns in which clients were not read because too much waited to be written.
    store_pauses,
    /// Items from the control plane or to it that found its queue full.
    control_overflows,
    /// Doorbells rung for sleeping threads.
    doorbells,
    /// Turns of the loop.
    turns,
    /// Share of its time, in percent, that the shard would need if no frames shared a write.
    load_percent,
    /// Milliseconds that pushes wait now for others to share their write.
    coalescing_wait_ms,
    /// Calls of `send`.
    sends,
    /// Calls of `recv`.
    receives,
}

impl Metrics {
    /// Counts an error sent to a client.
    pub fn count_error(&mut self, code: ErrorCode) {
        self.errors[code as usize] += 1;
    }

    /// Counts a connection closed by us, or a client's close answered.
    pub fn count_close(&mut self, code: CloseCode) {
        self.closes[code as usize] += 1;
    }

    /// Counts a refused token.
    pub fn count_auth_failure(&mut self, error: TokenError) {
        let label = error.label();
        if let Some(at) = TokenError::LABELS.iter().position(|known| *known == label) {
            self.auth_failures[at] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_falls_into_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for us in [0, 10, 11, 250_000, 250_001] {
            histogram.observe(us);
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1]), (2, 1));
        assert_eq!((histogram.buckets[11], histogram.buckets[12]), (1, 1));
    }

    #[test]
    fn codes_stand_at_their_index() {
        for (index, code) in CloseCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
        }
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
        }
    }
}
