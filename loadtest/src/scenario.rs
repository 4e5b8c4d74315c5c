//! Who is in which room, who sends when, and who stops reading: arithmetic only, no clock and no socket.

use std::sync::Arc;

/// Which connection is in which room. Cheap to clone.
///
/// Without a Zipf exponent connection i is in room i modulo the number of rooms. With one, room r has a share of the
/// members in proportion to 1 / (r + 1)^exponent, and at least one of them; the rooms' members are spread evenly over
/// the connections' numbers, so that whoever goes through the connections in order meets every room at its own pace.
#[derive(Debug, Clone)]
pub(crate) struct Layout(Arc<Tables>);

#[derive(Debug)]
struct Tables {
    /// For each connection its room.
    room_of: Vec<u32>,
    /// The connections, room after room.
    members: Vec<u32>,
    /// For each connection its place in `members`.
    place_of: Vec<u32>,
    /// For each room where it begins in `members`, and behind the last the end.
    begins: Vec<u32>,
}

impl Layout {
    /// Both numbers are at least 1, there are no more rooms than connections, and those fit a `u32`; the exponent is
    /// finite and not negative.
    pub(crate) fn new(connections: usize, rooms: usize, zipf: f64) -> Self {
        let rooms_in_order = if zipf > 0.0 {
            spread(&zipf_sizes(connections, rooms, zipf))
        } else {
            (0..connections).map(|connection| narrow(connection % rooms)).collect()
        };
        Self(Arc::new(Tables::new(rooms_in_order, rooms)))
    }

    /// Number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.0.room_of.len()
    }

    /// Number of rooms.
    pub(crate) fn rooms(&self) -> usize {
        self.0.begins.len() - 1
    }

    /// The room that a connection is in.
    #[inline]
    pub(crate) fn room_of(&self, connection: usize) -> usize {
        self.0.room_of[connection] as usize
    }

    /// The connections that are planned to be in a room.
    pub(crate) fn members_of(&self, room: usize) -> &[u32] {
        &self.0.members[self.0.begins[room] as usize..self.0.begins[room + 1] as usize]
    }

    /// Members of the largest room.
    pub(crate) fn members_max(&self) -> usize {
        (0..self.rooms()).map(|room| self.members_of(room).len()).max().unwrap_or(0)
    }

    /// The connection that sends message `number`: one after the other, so that all say equally much, and a room is
    /// as lively as it is large.
    pub(crate) fn sender_of(&self, number: u64) -> usize {
        to_index(number % self.connections() as u64)
    }

    /// The connection that sends message `number` when only the first `rooms` are in use: round robin over them, and
    /// within a room over its members.
    pub(crate) fn sender_among(&self, number: u64, rooms: usize) -> usize {
        if rooms == self.rooms() {
            return self.sender_of(number);
        }
        let members = self.members_of(to_index(number % rooms as u64));
        members[to_index(number / rooms as u64 % members.len() as u64)] as usize
    }

    /// All connections, room after room: the first of them fill as few rooms as they can.
    pub(crate) fn room_by_room(&self) -> Vec<usize> {
        self.0.members.iter().map(|connection| *connection as usize).collect()
    }

    /// The member that follows `connection` in its room, wrapping around.
    pub(crate) fn next_member(&self, connection: usize) -> usize {
        let members = self.members_of(self.room_of(connection));
        members[(self.place_of(connection) + 1) % members.len()] as usize
    }

    /// A connection's place among the members of its room.
    #[inline]
    pub(crate) fn place_of(&self, connection: usize) -> usize {
        (self.0.place_of[connection] - self.0.begins[self.room_of(connection)]) as usize
    }

    /// For each connection whether it is among the `fraction` that is picked. They are spread over the rooms by
    /// counting room after room, so that small rooms share them fairly.
    pub(crate) fn picked(&self, fraction: f64) -> Vec<bool> {
        let mut picked = vec![false; self.connections()];
        let mut due = 0.0;
        for connection in &self.0.members {
            due += fraction;
            // The tolerance absorbs what summing a fraction such as 0.1 loses.
            if due >= 1.0 - 1e-9 {
                due -= 1.0;
                picked[*connection as usize] = true;
            }
        }
        picked
    }
}

impl Tables {
    fn new(room_of: Vec<u32>, rooms: usize) -> Self {
        let mut begins = vec![0; rooms + 1];
        for room in &room_of {
            begins[*room as usize + 1] += 1;
        }
        for room in 0..rooms {
            begins[room + 1] += begins[room];
        }
        let mut next = begins.clone();
        let mut members = vec![0; room_of.len()];
        let mut place_of = vec![0; room_of.len()];
        for (connection, room) in room_of.iter().enumerate() {
            let place = &mut next[*room as usize];
            place_of[connection] = *place;
            members[*place as usize] = narrow(connection);
            *place += 1;
        }
        Self { room_of, members, place_of, begins }
    }
}

/// Members of each room, largest first: one each, and the others by Zipf's law. What rounding leaves goes to the
/// largest.
fn zipf_sizes(connections: usize, rooms: usize, exponent: f64) -> Vec<usize> {
    let weight = |room: usize| ((room + 1) as f64).powf(-exponent);
    let sum: f64 = (0..rooms).map(weight).sum();
    let spare = connections - rooms;
    #[expect(clippy::cast_possible_truncation, reason = "a share of a usize")]
    let share = |room| (spare as f64 * weight(room) / sum) as usize;
    let mut sizes: Vec<usize> = (0..rooms).map(|room| 1 + share(room)).collect();
    // Less than one for each room.
    let left = connections.saturating_sub(sizes.iter().sum());
    sizes.iter_mut().take(left).for_each(|size| *size += 1);
    sizes
}

/// For each connection its room, such that every room's members are evenly spread.
fn spread(sizes: &[usize]) -> Vec<u32> {
    let mut places: Vec<(f64, u32)> = Vec::with_capacity(sizes.iter().sum());
    for (room, size) in sizes.iter().enumerate() {
        places.extend((0..*size).map(|member| ((member as f64 + 0.5) / *size as f64, narrow(room))));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.into_iter().map(|(_, room)| room).collect()
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).expect("below the number of connections, which is a usize")
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("settings allow far fewer connections")
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
    fn everybody_takes_a_turn_and_rooms_wrap_around() {
        let layout = Layout::new(7, 3, 0.0);
        let senders: Vec<_> = (0..9).map(|number| layout.sender_of(number)).collect();
        assert_eq!(senders, [0, 1, 2, 3, 4, 5, 6, 0, 1]);
        let senders: Vec<_> = (0..6).map(|number| layout.sender_among(number, 2)).collect();
        assert_eq!(senders, [0, 1, 3, 4, 6, 1]);
        assert_eq!(layout.room_by_room(), [0, 3, 6, 1, 4, 2, 5]);
        assert_eq!([0, 1, 2].map(|room| layout.members_of(room).len()), [3, 2, 2]);
        assert_eq!([layout.next_member(0), layout.next_member(6), layout.next_member(5)], [3, 0, 2]);
        assert_eq!(layout.members_max(), 3);
    }

    #[test]
    fn zipf_rooms_shrink_by_their_law_and_lose_nobody() {
        let layout = Layout::new(1000, 100, 1.0);
        let sizes: Vec<_> = (0..100).map(|room| layout.members_of(room).len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
        assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[99] >= 1, "{sizes:?}");
        // 900 spare members over a harmonic sum of 5.187, and the one that everybody has.
        assert!((174..=176).contains(&sizes[0]) && (87..=89).contains(&sizes[1]), "{sizes:?}");
        let mut all: Vec<_> = (0..100).flat_map(|room| layout.members_of(room).to_vec()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
        for room in 0..100 {
            assert!(layout.members_of(room).iter().all(|member| layout.room_of(*member as usize) == room));
        }
    }

    #[test]
    fn large_rooms_are_met_at_an_even_pace() {
        let layout = Layout::new(1000, 10, 1.5);
        for chunk in 0..10 {
            let members =
                (chunk * 100..chunk * 100 + 100).filter(|index| layout.room_of(*index) == 0).count();
            let share = layout.members_of(0).len() / 10;
            assert!(members.abs_diff(share) <= 2, "chunk {chunk}: {members} of {share}");
        }
    }

    #[test]
    fn a_huge_exponent_leaves_everybody_else_alone() {
        let layout = Layout::new(10, 4, 500.0);
        assert_eq!([0, 1, 2, 3].map(|room| layout.members_of(room).len()), [7, 1, 1, 1]);
    }

    #[test]
    fn slow_consumers_are_spread_over_rooms() {
        let picked = Layout::new(100, 10, 0.0).picked(0.1);
        assert_eq!(picked.iter().filter(|picked| **picked).count(), 10);
        for room in 0..10 {
            assert_eq!((room..100).step_by(10).filter(|member| picked[*member]).count(), 1, "room {room}");
        }
        assert!(Layout::new(5, 1, 0.0).picked(1.0).iter().all(|picked| *picked));
        assert!(!Layout::new(5, 1, 0.0).picked(0.0).iter().any(|picked| *picked));
    }
}
