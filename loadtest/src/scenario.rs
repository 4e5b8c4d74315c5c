//! Who is in which room, who sends when, and who stops reading: arithmetic only, no clock and no socket.

/// Spread of connections over rooms: connection i is in room i modulo the number of rooms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    connections: usize,
    rooms: usize,
}

impl Layout {
    /// Both numbers are at least 1, and there are no more rooms than connections.
    pub(crate) fn new(connections: usize, rooms: usize) -> Self {
        Self { connections, rooms }
    }

    /// Number of rooms.
    pub(crate) fn rooms(self) -> usize {
        self.rooms
    }

    /// The room that a connection is in.
    pub(crate) fn room_of(self, connection: usize) -> usize {
        connection % self.rooms
    }

    /// Number of members that a room is planned to have.
    pub(crate) fn members_of(self, room: usize) -> usize {
        (self.connections - room).div_ceil(self.rooms)
    }

    /// The connection that sends message `number`.
    pub(crate) fn sender_of(self, number: u64) -> usize {
        self.sender_among(number, self.rooms)
    }

    /// The connection that sends message `number` when only the first `rooms` are in use: round robin over them, and
    /// within a room over its members.
    pub(crate) fn sender_among(self, number: u64, rooms: usize) -> usize {
        let room = to_index(number % rooms as u64);
        let turn = number / rooms as u64 % self.members_of(room) as u64;
        room + self.rooms * to_index(turn)
    }

    /// All connections, room after room: the first of them fill as few rooms as they can.
    pub(crate) fn room_by_room(self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.connections).collect();
        order.sort_by_key(|connection| self.room_of(*connection));
        order
    }

    /// The member that follows `connection` in its room, wrapping around.
    pub(crate) fn next_member(self, connection: usize) -> usize {
        let next = connection + self.rooms;
        if next < self.connections { next } else { self.room_of(connection) }
    }

    /// For each connection whether it is among the `fraction` that stops reading. They are spread over the rooms by
    /// counting room after room, so that small rooms share them fairly.
    pub(crate) fn stopped(self, fraction: f64) -> Vec<bool> {
        let mut stopped = vec![false; self.connections];
        let mut due = 0.0;
        for room in 0..self.rooms {
            for connection in (room..self.connections).step_by(self.rooms) {
                due += fraction;
                // The tolerance absorbs what summing a fraction such as 0.1 loses.
                if due >= 1.0 - 1e-9 {
                    due -= 1.0;
                    stopped[connection] = true;
                }
            }
        }
        stopped
    }
}

/// When a run sends, and from when on what it sends is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first message.
    pub(crate) start_ns: u64,
    /// The end of the warmup.
    pub(crate) measured_from_ns: u64,
    /// Nothing is due from here on.
    pub(crate) end_ns: u64,
}

/// The open loop: message n is due at `start + n / rate`, whatever happened to the messages before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start_ns: u64,
    end_ns: u64,
    interval_ns: f64,
    next: u64,
}

impl Schedule {
    /// Spaces `rate` messages a second evenly over `start_ns..end_ns`.
    fn new(start_ns: u64, end_ns: u64, rate: f64) -> Self {
        Self { start_ns, end_ns, interval_ns: 1e9 / rate, next: 0 }
    }

    /// Spaces `rate` messages a second over a run; with a rate of 0 there are none.
    pub(crate) fn over(span: Span, rate: f64) -> Self {
        if rate > 0.0 { Self::new(span.start_ns, span.end_ns, rate) } else { Self::never() }
    }

    /// A schedule that never sends.
    pub(crate) fn never() -> Self {
        Self::new(0, 0, 1.0)
    }

    /// When the next message is due; `u64::MAX` when none is left.
    pub(crate) fn due_ns(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
        let due = self.start_ns.saturating_add((self.next as f64 * self.interval_ns) as u64);
        if due < self.end_ns { due } else { u64::MAX }
    }

    /// Takes the next message if it is due: its number and its intended time.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let due_ns = self.due_ns();
        if due_ns > now_ns || due_ns == u64::MAX {
            return None;
        }
        self.next += 1;
        Some((self.next - 1, due_ns))
    }
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).expect("a number below the number of connections, which is a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_evenly_spaced_and_end() {
        let mut schedule = Schedule::new(1_000_000_000, 2_000_000_000, 4.0);
        assert_eq!(schedule.take(999_999_999), None);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take(5_000_000_000)).collect();
        assert_eq!(taken, [(0, 1_000_000_000), (1, 1_250_000_000), (2, 1_500_000_000), (3, 1_750_000_000)]);
        assert_eq!(schedule.due_ns(), u64::MAX);
        assert_eq!(Schedule::never().take(u64::MAX), None);
        let span = Span { start_ns: 5, measured_from_ns: 7, end_ns: 9 };
        assert_eq!(Schedule::over(span, 0.0).due_ns(), u64::MAX);
        assert_eq!(Schedule::over(span, 1e9).due_ns(), 5);
    }

    #[test]
    fn a_late_caller_gets_the_intended_times_not_its_own() {
        let mut schedule = Schedule::new(0, u64::MAX, 1000.0);
        assert_eq!(schedule.take(7_500_000), Some((0, 0)));
        assert_eq!(schedule.take(7_500_000), Some((1, 1_000_000)));
    }

    #[test]
    fn every_room_and_every_member_takes_its_turn() {
        let layout = Layout::new(7, 3);
        let senders: Vec<_> = (0..9).map(|number| layout.sender_among(number, 3)).collect();
        assert_eq!(senders, [0, 1, 2, 3, 4, 5, 6, 1, 2]);
        let senders: Vec<_> = (0..6).map(|number| layout.sender_among(number, 2)).collect();
        assert_eq!(senders, [0, 1, 3, 4, 6, 1]);
        assert_eq!(layout.room_by_room(), [0, 3, 6, 1, 4, 2, 5]);
        assert_eq!([layout.members_of(0), layout.members_of(1), layout.members_of(2)], [3, 2, 2]);
        assert_eq!([layout.next_member(0), layout.next_member(6), layout.next_member(5)], [3, 0, 2]);
    }

    #[test]
    fn slow_consumers_are_spread_over_rooms() {
        let stopped = Layout::new(100, 10).stopped(0.1);
        assert_eq!(stopped.iter().filter(|stopped| **stopped).count(), 10);
        for room in 0..10 {
            assert_eq!((room..100).step_by(10).filter(|member| stopped[*member]).count(), 1, "room {room}");
        }
        assert!(Layout::new(5, 1).stopped(1.0).iter().all(|stopped| *stopped));
        assert!(!Layout::new(5, 1).stopped(0.0).iter().any(|stopped| *stopped));
    }
}
