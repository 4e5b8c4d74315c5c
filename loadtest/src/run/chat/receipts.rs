//! Which received messages are confirmed, and when: some of them, and no connection more often than once a second.

use std::collections::VecDeque;

/// How long a connection rests after a receipt. What it is to confirm meanwhile becomes one receipt at the end.
const REST_NS: u64 = 1_000_000_000;

/// A receipt that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// Whose it is.
    pub(super) index: usize,
    /// The newest message that it confirms.
    pub(super) up_to_offset: u64,
}

/// The receipts that connections owe.
pub(super) struct Receipts {
    /// A message is confirmed when the next random number of 32 bits is below this.
    threshold: u64,
    random: u64,
    readers: Vec<Reader>,
    /// When each connection that is to send a receipt at once was to send it.
    ready: VecDeque<(u64, usize)>,
    /// When each connection that has sent one may send another, in order, since all rest equally long.
    resting: VecDeque<(u64, usize)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reader {
    /// The newest offset to confirm; 0 when there is none.
    up_to_offset: u64,
    /// It is in one of the queues.
    is_queued: bool,
}

impl Receipts {
    /// Confirms this fraction of the messages.
    pub(super) fn new(connections: usize, fraction: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of 2^32, and saturating")]
        let threshold = (fraction * (1_u64 << 32) as f64) as u64;
        Self {
            threshold,
            random: 1,
            readers: vec![Reader::default(); connections],
            ready: VecDeque::new(),
            resting: VecDeque::new(),
        }
    }

    /// A connection received somebody else's message. The hot path.
    #[inline]
    pub(super) fn on_delivery(&mut self, index: usize, offset: u64, now_ns: u64) {
        // Knuth's MMIX generator; its upper half is random enough to spread receipts over members.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if self.random >> 32 >= self.threshold {
            return;
        }
        let reader = &mut self.readers[index];
        reader.up_to_offset = reader.up_to_offset.max(offset);
        if !reader.is_queued {
            reader.is_queued = true;
            self.ready.push_back((now_ns, index));
        }
    }

    /// When [`Receipts::take`] should be called next; `u64::MAX` for not before another delivery.
    #[inline]
    pub(super) fn due_ns(&self) -> u64 {
        let front = |queue: &VecDeque<(u64, usize)>| queue.front().map_or(u64::MAX, |(due_ns, _)| *due_ns);
        front(&self.ready).min(front(&self.resting))
    }

    /// Takes a receipt that is due, if there is one.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Receipt> {
        let ready = self.ready.pop_front().map(|(_, index)| index);
        let index = ready.or_else(|| self.take_rested(now_ns))?;
        self.resting.push_back((now_ns + REST_NS, index));
        let up_to_offset = std::mem::take(&mut self.readers[index].up_to_offset);
        Some(Receipt { index, up_to_offset })
    }

    /// The next connection that has rested and has something to confirm; those that have nothing are idle again.
    fn take_rested(&mut self, now_ns: u64) -> Option<usize> {
        while let Some((due_ns, index)) = self.resting.front().copied()
            && due_ns <= now_ns
        {
            self.resting.pop_front();
            let reader = &mut self.readers[index];
            if reader.up_to_offset > 0 {
                return Some(index);
            }
            reader.is_queued = false;
        }
        None
    }

    /// Forgets everything that is owed.
    pub(super) fn clear(&mut self) {
        self.threshold = 0;
        self.ready.clear();
        self.resting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(index: usize, up_to_offset: u64) -> Option<Receipt> {
        Some(Receipt { index, up_to_offset })
    }

    #[test]
    fn a_connection_confirms_at_once_and_then_once_a_second() {
        let mut receipts = Receipts::new(2, 1.0);
        assert_eq!(receipts.due_ns(), u64::MAX);
        receipts.on_delivery(1, 7, 100);
        receipts.on_delivery(1, 8, 110);
        assert_eq!((receipts.due_ns(), receipts.take(120)), (100, receipt(1, 8)));
        for offset in 9..20 {
            receipts.on_delivery(1, offset, 200);
        }
        receipts.on_delivery(0, 3, 300);
        assert_eq!([receipts.take(300), receipts.take(300)], [receipt(0, 3), None]);
        assert_eq!(receipts.due_ns(), 120 + REST_NS);
        assert_eq!(receipts.take(120 + REST_NS), receipt(1, 19));
        // Nothing new: both rest to the end and are idle then.
        assert_eq!(receipts.take(u64::MAX / 2), None);
        assert_eq!(receipts.due_ns(), u64::MAX);
        receipts.on_delivery(1, 21, u64::MAX / 2);
        assert_eq!(receipts.take(u64::MAX / 2), receipt(1, 21));
    }

    #[test]
    fn the_fraction_decides_how_many_are_confirmed() {
        for (fraction, from, to) in [(0.0, 0, 0), (0.2, 1_800, 2_200), (1.0, 10_000, 10_000)] {
            let mut receipts = Receipts::new(10_000, fraction);
            (0..10_000).for_each(|index| receipts.on_delivery(index, 1, 0));
            let taken = std::iter::from_fn(|| receipts.take(0)).count();
            assert!((from..=to).contains(&taken), "{fraction}: {taken}");
        }
    }

    #[test]
    fn nothing_is_owed_once_cleared() {
        let mut receipts = Receipts::new(1, 1.0);
        receipts.on_delivery(0, 1, 0);
        receipts.clear();
        receipts.on_delivery(0, 2, 0);
        assert_eq!((receipts.take(u64::MAX / 2), receipts.due_ns()), (None, u64::MAX));
    }
}
