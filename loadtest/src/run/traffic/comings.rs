//! Connections that go away and come back, where they may: who did, and what they are given.

use super::Traffic;
use crate::args::{Args, Recovery};
use crate::measure::marker::Reading;
use crate::net::{End, Stage};

/// Who went and who came, until that is asked for.
pub(super) struct Comings {
    pub(super) recovery: Recovery,
    pub(super) ended: Vec<Ended>,
    pub(super) returned: Vec<usize>,
    /// For each connection whether it has been in its room.
    pub(super) was_in: Vec<bool>,
}

/// A connection that ended, or one more attempt of it to come back.
pub(in crate::run) struct Ended {
    pub(in crate::run) index: usize,
    pub(in crate::run) stage: Stage,
    pub(in crate::run) end: End,
}

impl Comings {
    /// Nobody was there yet; `None` where nobody comes back.
    pub(super) fn new(args: &Args) -> Option<Self> {
        args.kind.is_disruptive().then(|| Self {
            recovery: args.disrupt.recovery,
            ended: Vec::new(),
            returned: Vec::new(),
            was_in: vec![false; args.connections],
        })
    }
}

impl Traffic {
    /// Connections that have ended since this was asked last, if they may come back.
    pub(in crate::run) fn take_ended(&mut self) -> Vec<Ended> {
        self.comings.as_mut().map(|comings| std::mem::take(&mut comings.ended)).unwrap_or_default()
    }

    /// Connections that have come back since this was asked last.
    pub(in crate::run) fn take_returned(&mut self) -> Vec<usize> {
        self.comings.as_mut().map(|comings| std::mem::take(&mut comings.returned)).unwrap_or_default()
    }

    /// The connection is cut off.
    pub(in crate::run) fn on_cut(&mut self, index: usize) {
        self.clients.on_gone(index);
        self.nodes.on_gone(index);
        self.checker.on_away(index, Some(self.sequences[index]));
        self.counted.ended += 1;
    }

    /// The connection says goodbye: the server has taken all that it sent before.
    pub(in crate::run) fn on_goodbye(&mut self, index: usize) {
        self.clients.on_gone(index);
        self.checker.on_away(index, None);
    }

    pub(super) fn is_returning(&self, index: usize) -> bool {
        self.comings.as_ref().is_some_and(|comings| comings.was_in[index])
    }

    #[cold]
    pub(super) fn on_entered(&mut self, index: usize, offset: u64, text: &[u8]) {
        let entry = self.wires.of(index).read_entry(text);
        for message in &entry.messages {
            self.on_recovered(index, message);
        }
        self.checker.on_entered(index, &entry.epoch, offset, entry.recovered);
    }

    fn on_recovered(&mut self, index: usize, message: &[u8]) {
        match self.marker.read(message) {
            Reading::Delivery(mark, offset) => {
                self.nodes.on_delivery(index);
                self.checker.on_recovered(index, mark, offset);
            }
            Reading::Other(Some(offset)) => self.checker.on_foreign(index, offset),
            Reading::Other(None) | Reading::Unnumbered(_) | Reading::Malformed => self.checker.on_malformed(),
        }
    }
}
