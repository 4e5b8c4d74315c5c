//! Changes of messages: entries of the same streams, and what they leave of the messages.

use super::{Absence, Entry, Heard, Ledger, Told};

/// What has become of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) enum State {
    /// It is as it was sent.
    #[default]
    New,
    /// It was edited: the number of the edit in [`Ledger::edits`].
    Edited(usize),
    /// It was deleted.
    Deleted,
}

/// A change that some client asked for.
#[derive(Debug)]
pub(in super::super) struct Edit {
    /// The message, by its number in [`Ledger::sends`].
    pub(in super::super) number: usize,
    /// What it says from then on; `None` deletes it.
    pub(in super::super) content: Option<String>,
    /// Whether anybody heard where it stands.
    pub(in super::super) placed: bool,
}

impl Ledger {
    /// The number of the message of that id.
    pub(in super::super) fn number_of(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Whether what was heard stands in its stream as a change.
    pub(super) fn is_change(&self, heard: &Heard) -> bool {
        let entry = self.stream(&heard.room, &heard.epoch).and_then(|stream| stream.get(&heard.offset));
        entry.is_some_and(|entry| entry.change.is_some())
    }

    /// A change stands at its offset: it is one that was asked for, and nothing follows a deletion.
    pub(super) fn hear_change(&mut self, heard: &Heard) {
        for (number, edit) in self.edits.iter_mut().enumerate() {
            edit.placed |= match heard.state {
                State::Edited(heard) => heard == number,
                _ => edit.number == heard.number && edit.content.is_none(),
            };
        }
        self.check_asked(heard);
        let changes = self.changes.entry(heard.id.clone()).or_default();
        changes.insert(heard.offset, heard.state);
        if changes.values().skip_while(|state| **state != State::Deleted).count() > 1 {
            let what = format!("{heard:?}: {changes:?}");
            self.violate("deleted stays deleted", what);
        }
    }

    /// A message was given in its own place, as what has become of it.
    pub(super) fn hear_shown(&mut self, heard: &Heard) {
        if heard.state == State::New {
            return;
        }
        self.check_asked(heard);
        let shown = self.shown.entry(heard.id.clone()).or_default();
        if !shown.contains(&heard.state) {
            shown.push(heard.state);
        }
    }

    fn check_asked(&mut self, heard: &Heard) {
        let asked = match heard.state {
            State::New => false,
            State::Edited(edit) => self.edits.get(edit).is_some_and(|edit| edit.number == heard.number),
            State::Deleted => {
                self.edits.iter().any(|edit| edit.number == heard.number && edit.content.is_none())
            }
        };
        if !asked {
            self.violate("changes were asked for", format!("{heard:?}"));
        }
    }

    /// Whether somebody who was not given a change apart sees it in what it was given.
    pub(super) fn shows_change(&self, absence: &Absence, entry: &Entry) -> bool {
        match absence.told {
            Told::Live => false,
            Told::History => true,
            Told::Replay(from, to) => {
                let place = self.places.get(&(entry.number, absence.epoch.clone()));
                let given = place.is_some_and(|place| *place > from);
                let later = self.changes.get(&entry.id);
                given || later.is_some_and(|changes| changes.range(absence.offset + 1..=to).next().is_some())
            }
        }
    }

    /// What may have become of a message in the end, as far as anybody heard: what a history said when all was quiet,
    /// else the last change that was told, or one that only a replay has shown. Where those stand nobody knows, but that
    /// they were made; and behind a deletion nothing stands.
    pub(in super::super) fn final_states(&self, id: &str) -> Vec<State> {
        if let Some(state) = self.finals.get(id) {
            return vec![*state];
        }
        let shown = self.shown.get(id).map(Vec::as_slice).unwrap_or_default();
        if shown.contains(&State::Deleted) {
            return vec![State::Deleted];
        }
        let is_placed = |state: &&State| match state {
            State::Edited(edit) => self.edits.get(*edit).is_some_and(|edit| edit.placed),
            _ => false,
        };
        let mut states: Vec<State> = shown.iter().filter(|state| !is_placed(state)).copied().collect();
        let last = self.changes.get(id).and_then(|changes| changes.last_key_value());
        states.extend(last.map(|(_, state)| *state));
        if states.is_empty() { vec![State::New] } else { states }
    }

    /// A history that was read when all was quiet shows a message so.
    pub(in super::super) fn hear_final(&mut self, heard: &Heard) {
        let said = *self.finals.entry(heard.id.clone()).or_insert(heard.state);
        let known = self.changes.get(&heard.id).and_then(|changes| changes.last_key_value());
        let unheard = |edit: &Edit| edit.number == heard.number && !edit.placed;
        // A change may stand where nobody has heard of it.
        let stale =
            known.map_or(State::New, |(_, state)| *state) != heard.state && !self.edits.iter().any(unheard);
        if said != heard.state || stale {
            let what = format!("{heard:?}, another history says {said:?}, the stream {known:?}");
            self.violate("the final state is everywhere the same", what);
        }
    }
}
