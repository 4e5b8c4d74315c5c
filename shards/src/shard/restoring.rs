//! The state of an earlier process is taken up, and the shard's own is told anew when the store asks for it.
//!
//! Telling takes many turns: each tells a little, room by room, while the rest of the shard goes on. A room is told whole,
//! so that it is either as it was written before or as it is now.

use std::ops::Bound;
use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::config::RoomClass;
use crate::durable::{Record, Saved, SavedRoom};
use crate::room::history_budget::Kept;
use crate::room::owned::OwnedRoom;

/// Bytes that a turn tells anew; one room more may come on top.
const TURN_BYTES: usize = 1 << 20;
/// Rooms and users that a turn looks at.
const TURN_STEPS: usize = 2_000;

/// State that is being told anew.
#[derive(Debug)]
pub(super) struct Telling {
    round: u64,
    next: Part,
}

/// What comes next.
#[derive(Debug)]
enum Part {
    Ended(Vec<(u64, u64)>),
    Rooms(usize),
    Users(Option<Arc<str>>),
}

impl Shard {
    /// Takes up what was saved of the rooms and users that this shard owns. To be called before anything else.
    pub fn restore(&mut self, saved: Saved, now: Now) {
        self.epochs.restore(saved.ended);
        for (name, room) in saved.rooms {
            self.restore_room(&name, room, now);
        }
        self.note_restored();
        for (name, user) in saved.users {
            self.users.restore(&name, user, saved.latest_unix_ms, now, &self.config);
            self.schedule_user(&name, now);
        }
    }

    fn restore_room(&mut self, name: &Arc<str>, saved: SavedRoom, now: Now) {
        let class = self.classes.of(name);
        if class == RoomClass::Ephemeral && saved.card.is_none() {
            return;
        }
        let epoch = if class == RoomClass::Ephemeral { self.epochs.of(name, class) } else { saved.epoch };
        let mut room = OwnedRoom::new(Arc::clone(name), class, self.config.shards, epoch, now);
        if let Some(last) = saved.entries.back() {
            self.message_ids.pass(last.id);
        }
        room.restore(saved, now, &self.config);
        if let Some(card) = room.card() {
            self.created.add(&card.owner, room.created_bytes());
        }
        self.history_budget.change((0, 0), room.history_size());
        let key = self.owned.insert(room);
        let owned = &self.owned;
        self.owned_by_name.insert(name, key, |key| owned[key as usize].name());
        self.schedule_room(key as usize, now);
    }

    /// All histories together obey their bound: the oldest message of whichever room goes first.
    fn note_restored(&mut self) {
        let mut kept: Vec<(u64, Kept)> = Vec::new();
        for (_, room) in self.owned.iter() {
            kept.extend(room.entries().map(|entry| {
                let unix_ms = entry.change().map_or(entry.unix_ms, |change| change.unix_ms);
                (unix_ms, Kept { room: Arc::clone(&entry.room), epoch: entry.epoch, offset: entry.offset })
            }));
        }
        kept.sort_by_key(|(unix_ms, _)| *unix_ms);
        kept.into_iter().for_each(|(_, kept)| self.history_budget.push(kept));
        self.bound_histories();
    }

    /// The store wants all of the state told anew; an earlier wish counts no more.
    pub fn tell_anew(&mut self, round: u64) {
        let ended = self.epochs.ended().iter().map(|(place, ended)| (*place, *ended)).collect();
        self.storing.telling = Some(Telling { round, next: Part::Ended(ended) });
    }

    /// Tells a little more of the state, if it is being told anew.
    pub fn tell_on(&mut self, now: Now) {
        let Some(mut telling) = self.storing.telling.take() else { return };
        let told_before = self.effects.store.bytes;
        let mut steps = TURN_STEPS;
        while steps > 0 && self.effects.store.bytes < told_before + TURN_BYTES {
            steps -= 1;
            telling.next = match telling.next {
                Part::Ended(mut places) => match places.pop() {
                    Some((place, ended)) => {
                        self.store_soon(Record::Place { place, ended });
                        Part::Ended(places)
                    }
                    None => Part::Rooms(0),
                },
                Part::Rooms(slot) if slot < self.owned.end() => {
                    if let Some(room) = self.owned.get(slot).filter(|room| room.is_kept()) {
                        room.records(now).into_iter().for_each(|record| self.store_soon(record));
                    }
                    Part::Rooms(slot + 1)
                }
                Part::Rooms(_) => Part::Users(None),
                Part::Users(after) => match self.tell_user_behind(after.as_deref(), now) {
                    Some(user) => Part::Users(Some(user)),
                    None => return self.store_soon(Record::Told { round: telling.round }),
                },
            };
        }
        self.storing.telling = Some(telling);
    }

    /// Whether the state is being told anew: the rim comes back for it without waiting.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.storing.telling.is_some()
    }

    fn tell_user_behind(&mut self, after: Option<&str>, now: Now) -> Option<Arc<str>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, records) = self.users.told_behind(start, now)?;
        records.into_iter().for_each(|record| self.store_soon(record));
        Some(name)
    }
}
