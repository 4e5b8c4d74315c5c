//! The state as the records tell it, and what a new process begins with.
//!
//! A log tells more than is to be kept: messages that were trimmed, users who were forgotten. The same bounds that hold in
//! memory are applied while it is read, so a log of any length becomes a state of bounded size.

mod sessions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;

use super::record::{Card, Cursor, Record, RoomRecord, Space};
use crate::access::revocations::{Revocation, Subject};
use crate::config::HistoryLimits;
use crate::id::{Epoch, Offset};
use crate::protocol::message::{Publication, Revised};
use crate::room::dedupe::{Accepted, ENTRIES_MAX};
use crate::room::name::user_room;
use crate::user::session::SessionRoom;
pub use sessions::SavedSession;

/// Everything that was told.
#[derive(Debug, Default)]
pub struct Saved {
    /// Rooms by name.
    pub rooms: HashMap<Arc<str>, SavedRoom>,
    /// Users by name.
    pub users: HashMap<Arc<str>, SavedUser>,
    /// Users and tokens that are refused, and until when.
    pub revoked: HashMap<Subject, u64>,
    /// Streams that have ended, by the place of their names.
    pub ended: HashMap<u64, u64>,
    /// The latest moment that was told of.
    pub latest_unix_ms: u64,
    /// Key spaces.
    pub values: BTreeMap<(Space, Bytes), Bytes>,
}

/// A room as it was.
#[derive(Debug)]
pub struct SavedRoom {
    /// Its stream.
    pub epoch: Epoch,
    /// The last offset that was given out.
    pub offset: Offset,
    /// When it was created.
    pub created_unix_ms: u64,
    /// When something was last sent in it.
    pub active_unix_ms: u64,
    /// Messages, edits and deletions.
    pub counts: (u64, u64, u64),
    /// What its creator decided.
    pub card: Option<Card>,
    /// The newest entries, with consecutive offsets up to the last, and the bytes that they take.
    pub entries: VecDeque<Arc<Publication>>,
    bytes: usize,
    /// Names of messages, oldest first.
    pub names: VecDeque<(Arc<str>, Box<str>, Accepted)>,
    /// Members of a queued room: up to where they have certainly got everything, and since when they are away.
    pub members: BTreeMap<Arc<str>, (Offset, Option<u64>)>,
    /// Up to where users have got and read it.
    pub receipts: BTreeMap<Arc<str>, (Cursor, Cursor)>,
}

/// A user as it was.
#[derive(Debug, Default)]
pub struct SavedUser {
    /// Its account.
    pub account: Option<Arc<str>>,
    /// When it was last seen, and whether it was there then.
    pub seen: Option<(u64, bool)>,
    /// What it can resume, oldest first.
    pub sessions: Vec<SavedSession>,
}

/// Reads records in the order in which they were written.
#[derive(Debug)]
pub struct Replay {
    saved: Saved,
    limits: HistoryLimits,
    /// Entries read.
    pub entries: u64,
}

impl Replay {
    /// Nothing was read yet; at most so much is kept of each room.
    #[must_use]
    pub fn new(limits: HistoryLimits) -> Self {
        Self { saved: Saved::default(), limits, entries: 0 }
    }

    /// The state that was told.
    #[must_use]
    pub fn finish(self) -> Saved {
        self.saved
    }

    /// Takes the next record.
    pub fn take(&mut self, record: Record) {
        let Self { saved, limits, entries } = self;
        match record {
            Record::Entry(entry) => {
                *entries += 1;
                saved.note(entry.change().map_or(entry.unix_ms, |change| change.unix_ms));
                saved.room(&entry.room, entry.epoch, entry.unix_ms).push(entry, limits);
            }
            Record::Room(room) => {
                saved.rooms.insert(Arc::clone(&room.name), SavedRoom::told(*room));
            }
            Record::Gone { room, place, ended } => {
                saved.rooms.remove(&room);
                saved.end(place, ended);
            }
            Record::Renewed { room, epoch } => {
                if let Some(room) = saved.rooms.get_mut(&room) {
                    room.renew(epoch);
                }
            }
            Record::Member { room, epoch, user, offset, away_since_unix_ms } => {
                let unix_ms = away_since_unix_ms.unwrap_or_default();
                let room = saved.room(&room, epoch, unix_ms);
                room.offset = room.offset.max(offset);
                room.members.insert(user, (offset, away_since_unix_ms));
            }
            Record::MemberGone { room, user } => {
                if let Some(room) = saved.rooms.get_mut(&room) {
                    room.members.remove(&user);
                }
            }
            Record::Receipt { room, user, delivered, read } => {
                if let Some(room) = saved.rooms.get_mut(&room) {
                    room.receipts.insert(user, (delivered, read));
                }
            }
            Record::Name { room, sender, client_id, accepted } => {
                if let Some(room) = saved.rooms.get_mut(&room) {
                    room.remember(sender, client_id, accepted);
                }
            }
            Record::Session(session) => {
                saved.users.entry(Arc::clone(&session.user)).or_default().hold(*session)
            }
            Record::SessionRoom { user, session, room, entered: Some((epoch, offset)) } => {
                let user = saved.users.entry(user).or_default();
                user.enter(session, SessionRoom { room, epoch, offset });
            }
            Record::SessionRoom { user, session, room, entered: None } => {
                if let Some(user) = saved.users.get_mut(&user) {
                    user.leave(session, &room);
                }
            }
            Record::SessionGone { user, session } => {
                if let Some(user) = saved.users.get_mut(&user) {
                    user.sessions.retain(|known| known.id != session);
                }
            }
            Record::Seen { user, account, unix_ms, online } => {
                saved.note(unix_ms);
                let user = saved.users.entry(user).or_default();
                (user.account, user.seen) = (account, Some((unix_ms, online)));
            }
            Record::Revoked(Revocation { subject, until_unix_ms: Some(until) }) => {
                saved.revoked.insert(subject, until);
            }
            Record::Revoked(Revocation { subject, until_unix_ms: None }) => {
                saved.revoked.remove(&subject);
            }
            Record::Place { place, ended } => saved.end(place, ended),
            Record::Value { space, key, value: Some(value) } => {
                saved.values.insert((space, key), value);
            }
            Record::Value { space, key, value: None } => {
                saved.values.remove(&(space, key));
            }
            Record::Values => saved.values.clear(),
            Record::Told { .. } => {}
        }
    }
}

impl Saved {
    /// The room, in that stream: of another one nothing counts any more.
    fn room(&mut self, name: &Arc<str>, epoch: Epoch, unix_ms: u64) -> &mut SavedRoom {
        let new = || SavedRoom::new(epoch, unix_ms);
        let room = self.rooms.entry(Arc::clone(name)).or_insert_with(new);
        if room.epoch != epoch {
            *room = new();
        }
        room
    }

    fn note(&mut self, unix_ms: u64) {
        self.latest_unix_ms = self.latest_unix_ms.max(unix_ms);
    }

    fn end(&mut self, place: u64, ended: u64) {
        let known = self.ended.entry(place).or_default();
        *known = ended.max(*known);
    }

    /// Every stream goes on under another epoch, because the end of any may be missing; what to write of that.
    pub fn renew(&mut self, mut epoch: impl FnMut() -> Epoch) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.rooms.len());
        let mut rooms: Vec<_> = self.rooms.iter_mut().collect();
        // Maps have no order; the simulation needs one.
        rooms.sort_unstable_by_key(|(name, _)| Arc::clone(name));
        for (name, room) in rooms {
            room.renew(epoch());
            records.push(Record::Renewed { room: Arc::clone(name), epoch: room.epoch });
        }
        records
    }

    /// Messages that are kept.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.rooms.values().map(|room| room.entries.len()).sum()
    }

    fn part(&self) -> Self {
        Self {
            revoked: self.revoked.clone(),
            ended: self.ended.clone(),
            latest_unix_ms: self.latest_unix_ms,
            ..Self::default()
        }
    }

    /// Parts the rooms and users among shards, by the index of each room's owner: a user's is that of the user's room. What
    /// ended and who is refused is told to all of them.
    #[must_use]
    pub fn split(self, shards: usize, owner: impl Fn(&str) -> usize) -> Vec<Self> {
        let mut parts: Vec<Self> = (0..shards).map(|_| self.part()).collect();
        for (name, room) in self.rooms {
            parts[owner(&name)].rooms.insert(name, room);
        }
        for (name, user) in self.users {
            parts[owner(&user_room(&name))].users.insert(name, user);
        }
        parts
    }
}

impl SavedRoom {
    fn new(epoch: Epoch, unix_ms: u64) -> Self {
        Self {
            epoch,
            offset: 0,
            created_unix_ms: unix_ms,
            active_unix_ms: unix_ms,
            counts: (0, 0, 0),
            card: None,
            entries: VecDeque::new(),
            bytes: 0,
            names: VecDeque::new(),
            members: BTreeMap::new(),
            receipts: BTreeMap::new(),
        }
    }

    fn told(record: RoomRecord) -> Self {
        Self {
            offset: record.offset,
            active_unix_ms: record.active_unix_ms,
            counts: record.counts,
            card: record.card,
            ..Self::new(record.epoch, record.created_unix_ms)
        }
    }

    /// Takes an entry: the next of the stream, or one that is told anew behind what its room's record says.
    fn push(&mut self, entry: Arc<Publication>, limits: &HistoryLimits) {
        if self.entries.back().is_some_and(|last| last.offset + 1 != entry.offset) {
            // Never a silent hole: what lies before it is as good as gone.
            self.entries.clear();
            self.bytes = 0;
        }
        if entry.offset > self.offset {
            self.offset = entry.offset;
            match entry.change().map(|change| change.kind) {
                None => self.counts.0 += 1,
                Some(Revised::Edited) => self.counts.1 += 1,
                Some(Revised::Deleted) => self.counts.2 += 1,
            }
        }
        match entry.change() {
            Some(change) => {
                self.active_unix_ms = self.active_unix_ms.max(change.unix_ms);
                self.apply(change.of, &entry);
            }
            None => {
                self.active_unix_ms = self.active_unix_ms.max(entry.unix_ms);
                if let Some(client_id) = entry.client_id.clone() {
                    let accepted = Accepted { id: entry.id, offset: entry.offset, unix_ms: entry.unix_ms };
                    self.remember(Arc::clone(&entry.sender), client_id, accepted);
                }
            }
        }
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        while self.entries.len() > limits.messages_max || self.bytes > limits.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.cost();
        }
    }

    /// The message in its own place becomes what the change says.
    fn apply(&mut self, of: Offset, change: &Publication) {
        let Some(first) = self.entries.front().map(|first| first.offset) else { return };
        let index = of.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let Some(place) = index.and_then(|index| self.entries.get_mut(index)) else { return };
        let message = Publication { offset: of, exclude: place.exclude.clone(), ..change.clone() };
        self.bytes = self.bytes + message.cost() - place.cost();
        *place = Arc::new(message);
    }

    fn remember(&mut self, sender: Arc<str>, client_id: Box<str>, accepted: Accepted) {
        self.names.push_back((sender, client_id, accepted));
        if self.names.len() > ENTRIES_MAX {
            self.names.pop_front();
        }
    }

    fn renew(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        for entry in &mut self.entries {
            Arc::make_mut(entry).epoch = epoch;
        }
    }
}

#[cfg(test)]
mod tests;
