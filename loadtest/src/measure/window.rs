//! A sliding window over numbers that should come one after the other: offsets of a room, messages of a sender.

/// How a number stands to those seen before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The one after the newest.
    Next,
    /// Further on; those between are missing, or late.
    Ahead,
    /// Older than the newest, and new.
    Late,
    /// Seen before.
    Duplicate,
}

/// The newest of a sequence of numbers, and which of the 64 up to it were seen. What is older still counts as late,
/// since nobody can tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    next: u64,
    /// Bit n: the number `next - 1 - n` was seen.
    seen: u64,
}

impl Window {
    /// `next` is expected first; everything before it counts as seen.
    pub(super) fn starting_at(next: u64) -> Self {
        Self { next, seen: u64::MAX }
    }

    /// The greatest number seen; before the first, the one before what is expected first.
    pub(super) fn newest(&self) -> u64 {
        self.next - 1
    }

    /// Whether a number was seen; those too old to be remembered count as seen.
    pub(super) fn has_seen(&self, number: u64) -> bool {
        number < self.next && (self.next - 1 - number >= 64 || self.seen & 1 << (self.next - 1 - number) != 0)
    }

    /// Takes notice of a number, which must be below `u64::MAX`.
    #[inline]
    pub(super) fn observe(&mut self, number: u64) -> Sight {
        if number == self.next {
            self.next += 1;
            self.seen = self.seen << 1 | 1;
            return Sight::Next;
        }
        if number > self.next {
            let steps = number - self.next + 1;
            self.seen = if steps < 64 { self.seen << steps | 1 } else { 1 };
            self.next = number + 1;
            return Sight::Ahead;
        }
        let age = self.next - 1 - number;
        if age >= 64 {
            return Sight::Late;
        }
        let bit = 1 << age;
        if self.seen & bit != 0 {
            return Sight::Duplicate;
        }
        self.seen |= bit;
        Sight::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_remember_the_last_64() {
        let mut window = Window::starting_at(1);
        assert_eq!(window.observe(0), Sight::Duplicate);
        assert_eq!(window.observe(100), Sight::Ahead);
        assert_eq!(window.observe(100), Sight::Duplicate);
        assert_eq!(window.observe(37), Sight::Late);
        assert_eq!(window.observe(37), Sight::Duplicate);
        assert_eq!(window.observe(36), Sight::Late);
        assert_eq!(window.observe(101), Sight::Next);
    }
}
