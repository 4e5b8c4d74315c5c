//! Which entries of a room or a user stand in the timer wheel.

use crate::timer_wheel::TICK_MS;

/// Deadlines that are told apart: a room or user has about so many that are not equally far away.
const STANDING_MAX: usize = 4;
const NEVER: u32 = u32::MAX;

/// The ticks of the entries that stand in the wheel for one key, the next first.
///
/// The wheel cannot cancel. A far deadline that was scheduled once must not be scheduled again each time that a nearer
/// one has fired, or a busy room would leave an entry for its history's age behind every second. So all that stand
/// are remembered, not just the next; of too many the farthest is forgotten, which costs one entry more.
#[derive(Debug, Clone, Copy)]
pub struct Alarm([u32; STANDING_MAX]);

impl Default for Alarm {
    fn default() -> Self {
        Self([NEVER; STANDING_MAX])
    }
}

impl Alarm {
    /// Something is due; whether the wheel needs an entry for it: not when one stands there that fires no later.
    pub fn set(&mut self, due_ms: u64) -> bool {
        let tick = tick(due_ms.div_ceil(TICK_MS));
        if self.0[0] <= tick {
            return false;
        }
        self.0.rotate_right(1);
        self.0[0] = tick;
        true
    }

    /// An entry has fired; whether it was one that still counts: no other did so before, at this moment.
    pub fn fire(&mut self, now_ms: u64) -> bool {
        let now = tick(now_ms / TICK_MS);
        let passed = self.0.iter().filter(|tick| **tick <= now).count();
        self.0[..passed].fill(NEVER);
        self.0.rotate_left(passed);
        passed > 0
    }
}

/// Half the size of a number of milliseconds, and enough for 13 years of a process.
fn tick(tick: u64) -> u32 {
    u32::try_from(tick).unwrap_or(NEVER).min(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_deadline_is_scheduled_once() {
        let mut alarm = Alarm::default();
        assert!(alarm.set(3_600_000));
        for second in 1..3_000 {
            assert!(alarm.set(second * 1_000));
            assert!(!alarm.set(second * 1_000 + 100), "one fires before it");
            assert!(!alarm.fire(second * 1_000 - 1), "nothing is due");
            assert!(alarm.fire(second * 1_000 + 50));
            assert!(!alarm.fire(second * 1_000 + 50), "it has fired");
            assert!(!alarm.set(3_600_000 + second), "the first entry stands");
        }
        assert!(alarm.fire(3_600_000) && alarm.set(3_600_000));
    }

    #[test]
    fn of_too_many_the_farthest_is_scheduled_again() {
        let mut alarm = Alarm::default();
        for due_ms in [900, 800, 700, 600, 500] {
            assert!(alarm.set(due_ms));
        }
        assert!(alarm.fire(800));
        assert!(alarm.set(900));
    }

    #[test]
    fn it_is_no_larger_than_one_deadline() {
        assert!(size_of::<Alarm>() <= size_of::<Option<u64>>());
    }
}
