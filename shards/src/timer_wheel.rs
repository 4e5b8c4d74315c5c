//! Timers of a shard: what must happen to a connection, user or room at some time.
//!
//! A hashed wheel: an entry lies in the slot of its tick modulo the number of slots, and waits there in place
//! when its turn is more than one round away. Scheduling is a push, a tick looks at one slot, and there is no
//! cancelling: whoever receives a key checks whether it still means something (the connection was closed, its
//! deadline has moved) and schedules again if need be. Pure: the time is an argument.

/// Length of a tick in milliseconds: how late a timer may be.
pub const TICK_MS: u64 = 100;
/// Slots of the wheel; one round is 102.4 s, longer than nearly all time-outs of a gateway.
const SLOTS: usize = 1024;
/// Entries for which an emptied slot keeps its memory, so that steady traffic does not allocate and a mass
/// disconnect does not leave a thousand large slots behind.
const SLOT_ENTRIES_KEPT: usize = 8;

#[derive(Debug)]
struct Entry<K> {
    due_tick: u64,
    key: K,
}

/// Keys with deadlines. An entry costs at most 16 bytes beside its key.
#[derive(Debug)]
pub struct TimerWheel<K> {
    slots: Box<[Vec<Entry<K>>]>,
    /// The last tick whose entries were handed out.
    tick: u64,
    len: usize,
}

impl<K> TimerWheel<K> {
    /// An empty wheel that starts at `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: now_ms / TICK_MS, len: 0 }
    }

    /// Entries that were not handed out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is scheduled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hands `key` out once `deadline_ms` has come. The same key may be scheduled any number of times.
    ///
    /// A deadline that has passed already is due at the next tick.
    pub fn schedule(&mut self, deadline_ms: u64, key: K) {
        // Rounded up, since the tick before it begins too early.
        let due_tick = deadline_ms.div_ceil(TICK_MS).max(self.tick.saturating_add(1));
        let slot = &mut self.slots[slot_of(due_tick)];
        if slot.len() == slot.capacity() {
            // By a quarter: everybody who came at once stands in one slot.
            slot.reserve_exact(slot.len() / 4 + 4);
        }
        slot.push(Entry { due_tick, key });
        self.len += 1;
    }

    /// Appends to `due` the keys whose time has come: none before its deadline, and none more than one tick late
    /// if this is called every tick.
    ///
    /// Keys of earlier ticks come first, and those of one tick as they were scheduled; only when the clock has
    /// jumped by more than a round is the order arbitrary. A clock that goes back does nothing. Costs one look at
    /// each slot passed, at most at all of them.
    pub fn advance(&mut self, now_ms: u64, due: &mut Vec<K>) {
        let target = now_ms / TICK_MS;
        let passed = target.saturating_sub(self.tick).min(SLOTS as u64);
        let before = due.len();
        for tick in (self.tick..).skip(1).take(usize::try_from(passed).expect("at most SLOTS")) {
            let slot = &mut self.slots[slot_of(tick)];
            due.extend(slot.extract_if(.., |entry| entry.due_tick <= target).map(|entry| entry.key));
            if slot.is_empty() {
                slot.shrink_to(SLOT_ENTRIES_KEPT);
            }
        }
        self.len -= due.len() - before;
        self.tick = self.tick.max(target);
    }
}

fn slot_of(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).expect("a remainder of SLOTS")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due<K>(wheel: &mut TimerWheel<K>, now_ms: u64) -> Vec<K> {
        let mut keys = Vec::new();
        wheel.advance(now_ms, &mut keys);
        keys
    }

    #[test]
    fn a_key_comes_at_the_first_tick_after_its_deadline() {
        let mut wheel = TimerWheel::new(1_050);
        wheel.schedule(1_200, "on the tick");
        wheel.schedule(1_201, "just after it");
        wheel.schedule(10, "long past");
        assert_eq!(due(&mut wheel, 1_099), [""; 0]);
        assert_eq!(due(&mut wheel, 1_100), ["long past"]);
        assert_eq!(due(&mut wheel, 1_200), ["on the tick"]);
        assert_eq!(due(&mut wheel, 1_299), [""; 0]);
        assert_eq!(wheel.len(), 1);
        assert_eq!(due(&mut wheel, 1_300), ["just after it"]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn later_rounds_wait_in_place() {
        let mut wheel = TimerWheel::new(0);
        let round_ms = TICK_MS * SLOTS as u64;
        for round in 0..3 {
            wheel.schedule(500 + round * round_ms, round);
        }
        for round in 0..3 {
            assert_eq!(due(&mut wheel, 499 + round * round_ms), Vec::<u64>::new());
            assert_eq!(due(&mut wheel, 500 + round * round_ms), [round]);
        }
    }

    #[test]
    fn a_jump_of_hours_loses_nothing_and_visits_each_slot_once() {
        let mut wheel = TimerWheel::new(0);
        let hour_ms = 3_600_000;
        for minute in 0..240 {
            wheel.schedule(minute * 60_000, minute);
        }
        let mut keys = due(&mut wheel, 2 * hour_ms);
        keys.sort_unstable();
        assert_eq!(keys, (0..=120).collect::<Vec<_>>());
        assert_eq!(wheel.len(), 119);
        assert_eq!(due(&mut wheel, hour_ms), Vec::<u64>::new(), "a clock that goes back");
        assert_eq!(due(&mut wheel, u64::MAX).len(), 119, "no pass for each of 10^17 ticks");
        wheel.schedule(u64::MAX, 0);
        assert_eq!(due(&mut wheel, u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn a_mass_disconnect_does_not_keep_its_memory() {
        let mut wheel = TimerWheel::new(0);
        for key in 0..10_000_u64 {
            wheel.schedule(1_000, key);
        }
        assert_eq!(due(&mut wheel, 1_000).len(), 10_000);
        assert!(wheel.slots.iter().map(Vec::capacity).sum::<usize>() <= SLOT_ENTRIES_KEPT);
        assert!(size_of::<Entry<u64>>() <= 16 + size_of::<u64>());
    }

    proptest! {
        #[test]
        fn every_key_comes_once_and_in_time(
            start_ms in 0_u64..1_000_000,
            rounds in prop::collection::vec(
                (prop::collection::vec(0_u64..400_000, 0..8), prop_oneof![1_u64..=100, 1_u64..250_000]),
                1..60,
            ),
        ) {
            let mut wheel = TimerWheel::new(start_ms);
            let mut waiting: Vec<u64> = Vec::new();
            let mut now_ms = start_ms;
            for (delays_ms, step_ms) in rounds {
                for delay_ms in delays_ms {
                    wheel.schedule(now_ms + delay_ms, now_ms + delay_ms);
                    waiting.push(now_ms + delay_ms);
                }
                now_ms += step_ms;
                for deadline_ms in due(&mut wheel, now_ms) {
                    prop_assert!(deadline_ms <= now_ms, "early");
                    let at = waiting.iter().position(|&other| other == deadline_ms);
                    waiting.swap_remove(at.expect("handed out once"));
                }
                prop_assert!(waiting.iter().all(|&deadline_ms| deadline_ms + TICK_MS > now_ms), "late");
                prop_assert_eq!(wheel.len(), waiting.len());
            }
        }
    }
}
