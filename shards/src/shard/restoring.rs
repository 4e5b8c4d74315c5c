//! The state of an earlier process is taken up, and the shard's own is told anew when the store asks for it.
//!
//! Telling takes many turns: each tells a little, room by room, while the rest of the shard goes on. A room is told whole,
//! so that it is either as it was written before or as it is now.

use std::ops::Bound;
use std::sync::Arc;

use super::Shard;
use crate::access::revocations::Revocation;
use crate::clock::Now;
use crate::config::RoomClass;
use crate::durable::{Record, Saved, SavedRoom, SessionRecord};
use crate::id::ConnectionId;
use crate::room::history_budget::Kept;
use crate::room::owned::OwnedRoom;

/// Bytes that a turn tells anew; one room more may come on top.
const TURN_BYTES: usize = 1 << 20;
/// Milliseconds from the beginning for which sessions are told again when they enter a room: what its owner told of that
/// may stand in front of what is told anew.
const TOLD_AGAIN_MS: u64 = 10_000;
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
    Sessions(usize),
}

impl Shard {
    /// Takes up what was saved of the rooms and users that this shard owns. To be called before anything else.
    pub fn restore(&mut self, saved: Saved, now: Now) {
        self.epochs.restore(saved.ended);
        for (subject, until) in saved.revoked {
            let revocation = Revocation { subject, until_unix_ms: Some(until) };
            // There were no more of them than there may be.
            let _ = self.revocations.note(&revocation, now.unix_ms);
        }
        for (name, room) in in_order(saved.rooms) {
            self.restore_room(&name, room, now);
        }
        self.note_restored();
        for (name, user) in in_order(saved.users) {
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
    pub fn tell_anew(&mut self, round: u64, now: Now) {
        self.storing.telling_until_ms = now.ms + TOLD_AGAIN_MS;
        let ended = self.epochs.ended().iter().map(|(place, ended)| (*place, *ended)).collect();
        let revoked: Vec<Revocation> = self.revocations.iter().collect();
        revoked.iter().for_each(|revocation| self.store_revocation(revocation));
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
                    None => Part::Sessions(0),
                },
                Part::Sessions(slot) if slot < self.connections.end() => {
                    self.tell_session_of(slot);
                    Part::Sessions(slot + 1)
                }
                Part::Sessions(_) => return self.store_soon(Record::Told { round: telling.round }),
            };
        }
        self.storing.telling = Some(telling);
    }

    /// Whether the state is being told anew: the rim comes back for it without waiting.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.storing.telling.is_some()
    }

    /// What epochs are made from, in place of what the settings say.
    #[cfg(feature = "testing")]
    pub fn seed_epochs(&mut self, seeds: [u64; 4]) {
        self.epochs = crate::room::epochs::Epochs::new(&mut self.random, Some(seeds));
    }

    /// The stream of a room that this shard owns, unless that is being closed.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn stream(&self, room: &str) -> Option<crate::id::Epoch> {
        let key = self.open_room(room).ok()?;
        Some(self.owned[key].epoch()).filter(|_| self.owned[key].is_kept())
    }

    /// A connection has entered a room, `fresh` if it was not in it. The room's owner may have told of that before all
    /// was told anew, or not at all, when the session was opened meanwhile.
    pub(super) fn tell_entered(&mut self, connection: ConnectionId, fresh: bool, now: Now) {
        if !self.storing.is_on || self.client(connection).is_none() {
            return;
        }
        let slot = connection.slot as usize;
        if now.ms < self.storing.telling_until_ms {
            self.tell_session_of(slot);
        } else if fresh && self.stored_session(slot).is_some() {
            self.checkpoint(slot);
        }
    }

    /// The session of a connection here, which knows better than its owner how far its client has got.
    fn tell_session_of(&mut self, slot: usize) {
        if self.connections.get(slot).is_none() {
            return;
        }
        let Some(user) = self.stored_session(slot) else { return };
        let Some(progress) = self.progress_to_store(slot) else { return };
        let session = self.connections[slot].session;
        let record = SessionRecord { user, session, until_unix_ms: None, progress: *progress };
        self.store_soon(Record::Session(Box::new(record)));
    }

    fn tell_user_behind(&mut self, after: Option<&str>, now: Now) -> Option<Arc<str>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, records) = self.users.told_behind(start, now)?;
        records.into_iter().for_each(|record| self.store_soon(record));
        Some(name)
    }
}

/// Maps have no order; the simulation needs one.
fn in_order<T>(by_name: ahash::HashMap<Arc<str>, T>) -> Vec<(Arc<str>, T)> {
    let mut all: Vec<_> = by_name.into_iter().collect();
    all.sort_unstable_by_key(|(name, _)| Arc::clone(name));
    all
}
