//! What of a client's progress has not been told yet to whoever keeps it for another process.

use std::sync::Arc;

use super::DeliveryLog;
use crate::user::progress::{Progress, Steps};
use crate::user::session::SessionRoom;

impl DeliveryLog {
    /// Whether the client has got further, or is in other rooms, since that was told.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.changes != self.told || self.run.is_some()
    }

    /// All is told; the rooms in which the client has got further.
    pub fn take_news(&mut self) -> Vec<SessionRoom> {
        self.settle();
        self.told = self.changes;
        let mut news = Vec::new();
        for room in self.rooms.iter_mut().filter(|room| room.offset > room.told) {
            room.told = room.offset;
            let name = Arc::clone(&room.name);
            news.push(SessionRoom { room: name, epoch: room.epoch, offset: room.offset });
        }
        news
    }

    /// What is left of the session when the connection goes, with what it was granted.
    #[must_use]
    pub fn progress(&mut self, granted: &[Arc<str>]) -> Progress {
        self.settle();
        let index = |number| self.rooms.iter().position(|room| room.number == number);
        let index = |number| index(number).and_then(|at| u32::try_from(at).ok());
        let steps = self
            .trail
            .as_ref()
            .map(|trail| Arc::new(if self.is_partial { Steps::unknown() } else { trail.steps(index) }));
        Progress { rooms: self.positions().collect(), steps, granted: granted.to_vec() }
    }

    /// As [`DeliveryLog::progress`]; `partial` when the client has more than a session brings back.
    #[must_use]
    pub fn progress_of(&mut self, partial: bool, granted: &[Arc<str>]) -> Progress {
        let progress = self.progress(granted);
        let steps = progress.steps.map(|steps| if partial { Arc::new(Steps::unknown()) } else { steps });
        Progress { steps, ..progress }
    }
}
