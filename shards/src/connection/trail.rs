//! The order in which a Socket.IO client was given messages, until it has certainly got them.
//!
//! The client names the last place that it saw when it comes back; [`Trail`] is what that is looked up in
//! ([`crate::user::progress`]). The engine's pong confirms what was in front of its ping: a client handles packets one
//! after the other, so that no place before it will be named again. Pure.

use std::collections::{BTreeSet, VecDeque};

use crate::id::{Epoch, Offset};
use crate::user::progress::{Place, Step, Steps};

/// Runs after which the older half is thinned out: a client that names a place within is not recovered.
const RUNS_MAX: usize = 1024;

/// Consecutive messages of one room.
#[derive(Debug, Clone, Copy)]
struct Run {
    epoch: Epoch,
    /// What the subscription is called.
    number: u32,
    first: Offset,
    last: Offset,
}

/// What a client was given and has not certainly got.
#[derive(Debug)]
pub struct Trail {
    /// Where the first run begins; `None` once places in front of it are forgotten.
    from: Option<Place>,
    runs: VecDeque<Run>,
    /// Runs in front of the ping that waits for its pong; they grow no further.
    pinged: Option<usize>,
    acknowledged: Option<Place>,
    /// Where the client was before it was given anything.
    named: Option<Place>,
}

impl Trail {
    /// Nothing was given yet to a client that has named a place.
    #[must_use]
    pub fn new(named: Option<Place>) -> Self {
        Self { from: Some(Place::Start), runs: VecDeque::new(), pinged: None, acknowledged: None, named }
    }

    /// The place that the client named as it came.
    #[must_use]
    pub fn named(&self) -> Option<Place> {
        self.named
    }

    /// Consecutive messages of a room were given.
    pub fn push(&mut self, epoch: Epoch, number: u32, (first, last): (Offset, Offset)) {
        let sealed = self.pinged == Some(self.runs.len());
        if let Some(run) = self.runs.back_mut().filter(|_| !sealed)
            && (run.epoch, run.number, run.last + 1) == (epoch, number, first)
        {
            run.last = last;
            return;
        }
        if self.runs.len() >= RUNS_MAX {
            self.thin_out();
        }
        self.runs.push_back(Run { epoch, number, first, last });
    }

    /// Where the client is when it has got everything.
    #[must_use]
    pub fn place(&self) -> Place {
        let last = self.runs.back().map(|run| Place::Behind(run.epoch, run.last));
        last.or(self.from).unwrap_or(Place::Start)
    }

    /// A ping goes out behind all that was given.
    pub fn ping(&mut self) {
        self.pinged = Some(self.runs.len());
    }

    /// The pong to it came.
    pub fn pong(&mut self) {
        let count = self.pinged.take().unwrap_or(0);
        if let Some(run) = self.runs.drain(..count).next_back() {
            self.from = Some(Place::Behind(run.epoch, run.last));
        }
    }

    /// The client has acknowledged a message by itself.
    pub fn acknowledge(&mut self, epoch: Epoch, offset: Offset) {
        let place = Place::Behind(epoch, offset);
        // Acknowledgements come in any order; the furthest counts.
        if self.index_of(Some(place)) >= self.index_of(self.acknowledged) {
            self.acknowledged = Some(place);
        }
    }

    /// Where a place stands among the runs; in front of all when it is not in one of them.
    fn index_of(&self, place: Option<Place>) -> Option<(usize, Offset)> {
        let Some(Place::Behind(epoch, offset)) = place else { return None };
        let holds = |run: &Run| run.epoch == epoch && (run.first..=run.last).contains(&offset);
        self.runs.iter().rposition(holds).map(|index| (index, offset))
    }

    /// What the client will be looked up in; `index` gives a subscription's position among the session's rooms.
    #[must_use]
    pub fn steps(&self, index: impl Fn(u32) -> Option<u32>) -> Steps {
        let step =
            |run: &Run| Step { epoch: run.epoch, room: index(run.number), first: run.first, last: run.last };
        Steps {
            from: self.from,
            steps: self.runs.iter().map(step).collect(),
            acknowledged: self.acknowledged,
            named: self.named,
            is_cut: false,
        }
    }

    /// Of the older half only the last run of each room stays, for where it ends, and no place within it is known.
    fn thin_out(&mut self) {
        let newer = self.runs.split_off(self.runs.len() / 2);
        let mut known = BTreeSet::new();
        let mut kept: Vec<Run> =
            self.runs.drain(..).rev().filter(|run| known.insert((run.number, run.epoch.0))).collect();
        kept.reverse();
        self.runs.extend(kept.into_iter().map(|run| Run { first: run.last + 1, ..run }));
        self.runs.extend(newer);
        self.pinged = None;
        self.from = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::user::progress::Progress;
    use crate::user::session::SessionRoom;

    const A: Epoch = Epoch(0xa);
    const B: Epoch = Epoch(0xb);

    /// Where the rooms `a` and `b`, of the numbers 1 and 2, stood at a place.
    fn at(trail: &Trail, base: [Offset; 2], place: Place) -> Option<[Offset; 2]> {
        let room = |name: &str, epoch, offset| SessionRoom { room: name.into(), epoch, offset };
        let steps = trail.steps(|number| number.checked_sub(1));
        let rooms = [room("a", A, base[0]), room("b", B, base[1])].into();
        let rooms = Progress { rooms, steps: Some(Arc::new(steps)), granted: Vec::new() }.at(place)?;
        Some([rooms[0].offset, rooms[1].offset])
    }

    #[test]
    fn runs_take_one_entry_until_a_ping() {
        let mut trail = Trail::new(None);
        assert_eq!(trail.place(), Place::Start);
        for offset in 1..=3 {
            trail.push(A, 1, (offset, offset));
        }
        trail.push(A, 1, (4, 5));
        trail.ping();
        trail.push(A, 1, (6, 6));
        trail.push(B, 2, (1, 1));
        assert_eq!((trail.runs.len(), trail.place()), (3, Place::Behind(B, 1)));
        assert_eq!(at(&trail, [0, 0], Place::Behind(A, 4)), Some([4, 0]));
        trail.pong();
        assert_eq!(at(&trail, [5, 0], Place::Behind(A, 4)), Some([5, 0]), "the client is certainly further");
        assert_eq!(at(&trail, [5, 0], Place::Behind(A, 5)), Some([5, 0]));
        assert_eq!(at(&trail, [5, 0], Place::Behind(B, 1)), Some([6, 1]));
        trail.pong();
        assert_eq!(trail.runs.len(), 2, "a pong that nobody asked for says nothing");
    }

    #[test]
    fn the_furthest_acknowledgement_counts() {
        let mut trail = Trail::new(None);
        trail.push(A, 1, (1, 2));
        trail.push(B, 2, (1, 1));
        for (epoch, offset) in [(A, 1), (B, 1), (A, 2), (Epoch(7), 9)] {
            trail.acknowledge(epoch, offset);
        }
        assert_eq!(at(&trail, [0, 0], Place::Start), Some([2, 1]));
    }

    #[test]
    fn a_long_trail_forgets_places_and_no_position() {
        let mut trail = Trail::new(None);
        for offset in 1..=2_000 {
            trail.push(A, 1, (offset, offset));
            trail.push(B, 2, (offset, offset));
            assert!(trail.runs.len() <= RUNS_MAX);
        }
        for place in [Place::Start, Place::Behind(A, 1), Place::Behind(B, 1_000)] {
            assert_eq!(at(&trail, [0, 0], place), None);
        }
        assert_eq!(at(&trail, [0, 0], Place::Behind(A, 2_000)), Some([2_000, 1_999]));
        assert_eq!(at(&trail, [0, 0], Place::Behind(B, 1_900)), Some([1_900, 1_900]));
    }
}
