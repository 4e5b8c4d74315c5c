//! How far a session's client has got: what a lost connection leaves behind, and where a client says that it stands.
//!
//! A client of the event dialect is believed to be where its pongs have shown it. A Socket.IO client says where it is:
//! every event carries a place, and the last that it saw comes back with the session. So the order in which rooms were
//! delivered is kept beside the rooms themselves, as [`Step`]s, and the place tells how many of them were made.

use std::fmt;
use std::sync::Arc;

use super::session::SessionRoom;
use crate::id::{Epoch, Offset};

/// A message in some room's stream, which marks a place in what one client was given: the text `EPOCH-OFFSET`, or `0` in
/// front of the first message. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of everything.
    Start,
    /// Behind that message.
    Behind(Epoch, Offset),
}

impl Place {
    /// Reads what [`Display`](fmt::Display) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::Start);
        }
        let (epoch, offset) = text.split_once('-')?;
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self::Behind(Epoch::parse(epoch)?, offset.parse().ok().filter(|_| is_number)?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => out.write_str("0"),
            Self::Behind(epoch, offset) => write!(out, "{epoch}-{offset}"),
        }
    }
}

/// Consecutive messages of one room that were given with nothing else in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The stream.
    pub epoch: Epoch,
    /// The room's position among those of the session, if it is still one of them.
    pub room: Option<u32>,
    /// The first of them; behind the last when only the step as a whole is known, and no place within.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
}

/// What is left of a session.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its rooms, and up to where the client has certainly got each.
    pub rooms: Arc<[SessionRoom]>,
    /// What it was given since, for a client that will say how much of it has arrived.
    pub steps: Option<Arc<Steps>>,
    /// Rooms into which the application let it, whatever the user's own rights.
    pub granted: Vec<Arc<str>>,
}

/// What a client was given beyond what it has certainly got.
#[derive(Debug, Clone)]
pub struct Steps {
    /// Where the first of them begins; `None` when too much was given for all places to be known.
    pub from: Option<Place>,
    /// In order.
    pub steps: Vec<Step>,
    /// A place that the client has confirmed by other means than by coming back.
    pub acknowledged: Option<Place>,
    /// The place that it named as it came. Who names that again has perhaps got nothing since, be it that the same message
    /// was given once more.
    pub named: Option<Place>,
    /// Whether the client was perhaps given more than is known, because its process ended without notice.
    pub is_cut: bool,
}

impl Progress {
    /// Rooms alone.
    #[must_use]
    pub fn of(rooms: Arc<[SessionRoom]>) -> Self {
        Self { rooms, steps: None, granted: Vec::new() }
    }

    /// The same, of a client that may have gone further than is told here, because its process ended without notice.
    #[must_use]
    pub fn cut(self) -> Self {
        let steps = self.steps.map(|steps| Arc::new(Steps { is_cut: true, ..Steps::clone(&steps) }));
        Self { steps, ..self }
    }

    /// Bytes that it holds beside itself.
    #[must_use]
    pub fn cost(&self) -> usize {
        let steps = self.steps.as_ref().map_or(0, |steps| steps.steps.len() * size_of::<Step>());
        size_of_val(&*self.rooms) + steps + size_of_val(&*self.granted)
    }

    /// The rooms as they stood at that place; `None` when it is not known what came behind it.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<Vec<SessionRoom>> {
        let Some(steps) = &self.steps else { return Some(self.rooms.to_vec()) };
        let mut reached = steps.find(place)?;
        if let Some(further) = steps.acknowledged.and_then(|place| steps.find(place)) {
            reached = reached.max(further);
        }
        let mut rooms = self.rooms.to_vec();
        let (whole, part) = reached;
        let made = steps.steps[..whole].iter().map(|step| (step, step.last));
        let begun = steps.steps.get(whole).filter(|_| part > 0).map(|step| (step, part));
        for (step, offset) in made.chain(begun) {
            let room = step.room.and_then(|room| rooms.get_mut(room as usize));
            if let Some(room) = room.filter(|room| room.epoch == step.epoch) {
                room.offset = room.offset.max(offset);
            }
        }
        if let (Place::Behind(epoch, offset), true) = (place, steps.is_cut && !steps.knows(place)) {
            // It saw that message, and so what was before it in that room; of the others nobody can say.
            let seen = rooms.iter_mut().filter(|room| room.epoch == epoch);
            seen.for_each(|room| room.offset = room.offset.max(offset));
        }
        Some(rooms)
    }
}

impl Steps {
    /// Of a client that cannot be given what it missed, wherever it says that it is.
    #[must_use]
    pub fn unknown() -> Self {
        Self { from: None, steps: Vec::new(), acknowledged: None, named: None, is_cut: false }
    }

    fn knows(&self, place: Place) -> bool {
        let Place::Behind(epoch, offset) = place else { return true };
        let holds = |step: &Step| step.epoch == epoch && (step.first..=step.last).contains(&offset);
        self.named == Some(place) || self.steps.iter().any(holds)
    }

    /// How many whole steps lead to a place, and up to which offset of the one behind them it reaches.
    ///
    /// A place that was never given is one of an earlier session, which the client names until it has seen an event of
    /// this one: it has nothing that it has not confirmed otherwise.
    fn find(&self, place: Place) -> Option<(usize, Offset)> {
        let given = match place {
            Place::Start => None,
            place if self.named == Some(place) => None,
            Place::Behind(epoch, offset) => {
                let holds = |step: &Step| step.epoch == epoch && (step.first..=step.last).contains(&offset);
                self.steps.iter().rposition(holds).map(|index| (index, offset))
            }
        };
        given.or(self.from.is_some().then_some((0, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Epoch = Epoch(0xa);
    const B: Epoch = Epoch(0xb);

    fn room(name: &str, epoch: Epoch, offset: Offset) -> SessionRoom {
        SessionRoom { room: name.into(), epoch, offset }
    }

    fn progress(acknowledged: Option<Place>) -> Progress {
        let step = |epoch, room, first, last| Step { epoch, room, first, last };
        let steps = vec![
            step(A, Some(0), 1, 3),
            step(B, Some(1), 11, 11),
            step(Epoch(9), None, 5, 5),
            step(A, Some(0), 4, 4),
        ];
        let steps = Steps { from: Some(Place::Start), steps, acknowledged, named: None, is_cut: false };
        let rooms = [room("a", A, 0), room("b", B, 10)].into();
        Progress { rooms, steps: Some(Arc::new(steps)), granted: Vec::new() }
    }

    fn offsets(progress: &Progress, place: Place) -> Option<Vec<Offset>> {
        progress.at(place).map(|rooms| rooms.iter().map(|room| room.offset).collect())
    }

    #[test]
    fn a_place_tells_where_every_room_stood() {
        let progress = progress(None);
        assert_eq!(offsets(&progress, Place::Start), Some(vec![0, 10]));
        assert_eq!(offsets(&progress, Place::Behind(A, 2)), Some(vec![2, 10]));
        assert_eq!(offsets(&progress, Place::Behind(A, 3)), Some(vec![3, 10]));
        assert_eq!(offsets(&progress, Place::Behind(B, 11)), Some(vec![3, 11]));
        assert_eq!(offsets(&progress, Place::Behind(Epoch(9), 5)), Some(vec![3, 11]), "a room that was left");
        assert_eq!(offsets(&progress, Place::Behind(A, 4)), Some(vec![4, 11]));
        let foreign = Place::Behind(Epoch(1), 1);
        assert_eq!(offsets(&progress, foreign), Some(vec![0, 10]), "one of an earlier session");
        let mut forgotten = progress.clone();
        forgotten.steps = forgotten.steps.map(|steps| Arc::new(Steps { from: None, ..Steps::clone(&steps) }));
        assert_eq!(offsets(&forgotten, foreign), None);
        assert_eq!(offsets(&forgotten, Place::Behind(B, 11)), Some(vec![3, 11]));
    }

    #[test]
    fn who_names_a_place_again_has_got_nothing_since() {
        let mut again = progress(None);
        let named = Some(Place::Behind(B, 11));
        again.steps = again.steps.map(|steps| Arc::new(Steps { named, ..Steps::clone(&steps) }));
        assert_eq!(offsets(&again, Place::Behind(B, 11)), Some(vec![0, 10]));
        assert_eq!(offsets(&again, Place::Behind(A, 4)), Some(vec![4, 11]));
    }

    #[test]
    fn a_place_that_a_lost_process_gave_counts_for_its_room() {
        let mut cut = progress(None);
        cut.steps = cut.steps.map(|steps| Arc::new(Steps { is_cut: true, ..Steps::clone(&steps) }));
        assert_eq!(offsets(&cut, Place::Behind(A, 9)), Some(vec![9, 10]));
        assert_eq!(offsets(&cut, Place::Behind(A, 2)), Some(vec![2, 10]));
        assert_eq!(offsets(&cut, Place::Behind(Epoch(1), 1)), Some(vec![0, 10]));
    }

    #[test]
    fn what_was_acknowledged_is_not_given_again() {
        let acknowledged = progress(Some(Place::Behind(B, 11)));
        assert_eq!(offsets(&acknowledged, Place::Start), Some(vec![3, 11]));
        assert_eq!(offsets(&acknowledged, Place::Behind(A, 4)), Some(vec![4, 11]));
    }

    #[test]
    fn places_read_what_they_write() {
        for place in [Place::Start, Place::Behind(Epoch(77), 12)] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for text in ["", "1", "-", "0-1", "00000000000000ab-", "00000000000000ab-+1", "00000000000000ab-x"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
