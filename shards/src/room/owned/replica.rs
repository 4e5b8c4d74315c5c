//! A room that several nodes share, as one of them has it: the engine gives out the offsets, and what it tells is taken
//! over here. All that is read (history, recovery, pages, receipts) is read from this copy, as from a room of its own.

use std::sync::Arc;

use super::OwnedRoom;
use crate::clock::Now;
use crate::config::{Config, RoomClass};
use crate::engine::Keep;
use crate::engine::codec::Reached;
use crate::id::{Epoch, MessageId, Offset, SessionId, ShardId};
use crate::protocol::command::{Draft, Status};
use crate::protocol::message::{Audience, Publication};
use crate::protocol::reply::RoomCard;
use crate::room::name::{is_forced, is_room_of};
use crate::room::roster::Seat;

/// What became of an entry that the engine told.
#[derive(Debug)]
pub enum Applied {
    /// It came next; and how many older ones had to be forgotten.
    Next(Arc<Publication>, usize),
    /// It is there already.
    Known,
    /// Something before it is missing.
    Gap,
}

/// What became of the state that the engine told.
#[derive(Debug)]
pub enum Adopted {
    /// The stream goes on: with these entries, that were missing.
    Missed(Vec<Arc<Publication>>),
    /// It is another stream, or too much of it was missed: who is in the room must begin anew.
    Restarted,
}

impl OwnedRoom {
    /// A message that is yet to get its place.
    #[must_use]
    pub fn draft(
        &self,
        sender: &Arc<str>,
        session: SessionId,
        draft: Draft,
        now: Now,
        id: MessageId,
    ) -> Publication {
        self.publication(sender, session, draft, (now, id), (self.epoch, 0))
    }

    /// Takes over an entry.
    pub fn apply(&mut self, mut entry: Publication, now: Now, config: &Config) -> Applied {
        // Of another stream: its beginning was missed, or it is over; the engine knows which.
        if entry.epoch != self.epoch || entry.offset > self.offset + 1 {
            return Applied::Gap;
        }
        if entry.offset <= self.offset {
            return Applied::Known;
        }
        let mut forgotten = self.await_owner(now);
        let (entry, dropped) = if entry.change().is_some() {
            self.accept_revision(entry, now, config)
        } else {
            self.offset = entry.offset;
            self.active_ms = now.ms;
            entry.audience = self.contents().audience.clone();
            self.contents_mut().counts.message(now);
            let entry = Arc::new(entry);
            let dropped = self.keep(&entry, now, config);
            (entry, dropped)
        };
        forgotten += dropped;
        Applied::Next(entry, forgotten)
    }

    /// Takes over how the stream stands: its last offset, and its newest entries.
    pub fn adopt(
        &mut self,
        (epoch, offset): (Epoch, Offset),
        entries: Vec<Publication>,
        now: Now,
        config: &Config,
    ) -> Adopted {
        let first = entries.first().map_or(offset + 1, |entry| entry.offset);
        let goes_on = epoch == self.epoch && self.offset <= offset && first <= self.offset + 1;
        if !goes_on {
            self.restart(epoch);
            self.offset = first - 1;
        }
        let mut missed = Vec::new();
        for entry in entries {
            if let Applied::Next(entry, _) = self.apply(entry, now, config) {
                missed.push(entry);
            }
        }
        self.offset = offset;
        if goes_on { Adopted::Missed(missed) } else { Adopted::Restarted }
    }

    /// Another stream begins, at 0.
    pub fn restart(&mut self, epoch: Epoch) {
        (self.epoch, self.offset) = (epoch, 0);
        if let Some(contents) = &mut self.contents {
            contents.history = crate::room::history::History::NEW;
            contents.dedupe = None;
            contents.receipts = None;
            contents.absent = None;
        }
    }

    /// Takes over what the room's creator decided.
    pub fn adopt_card(&mut self, card: RoomCard, audience: Option<Audience>) {
        self.created_unix_ms = card.created_unix_ms;
        let contents = self.contents_mut();
        contents.audience = audience.map(Arc::new);
        contents.card = Some(Arc::new(card));
    }

    /// Who may enter, if not everybody may.
    #[must_use]
    pub fn audience(&self) -> Option<&Arc<Audience>> {
        self.contents().audience.as_ref()
    }

    /// Takes over up to where a user has got or read the room, of which nobody is told.
    pub fn adopt_receipt(&mut self, user: &Arc<str>, read: bool, offset: Offset, unix_ms: u64) {
        self.contents_mut().receipts.get_or_insert_default().advance(user, read, offset, unix_ms);
    }

    /// Takes over up to where an absent member has got the room.
    pub fn adopt_cursor(&mut self, user: &Arc<str>, offset: Offset, now: Now) {
        if !self.roster.is_present(user) {
            let absent = self.contents_mut().absent.get_or_insert_default();
            absent.leave(user, Some(offset), offset, now.ms);
        }
    }

    /// Up to where a user who is away has got the room, if that is remembered.
    #[must_use]
    pub fn cursor(&self, user: &str) -> Option<Offset> {
        self.contents().absent.as_ref().and_then(|absent| absent.position(user))
    }

    /// Up to where a user certainly has the room, away or not, if that is remembered.
    #[must_use]
    pub fn certain(&self, user: &str) -> Option<Offset> {
        self.contents().absent.as_ref().and_then(|absent| absent.member(user)).map(|(offset, _)| offset)
    }

    /// The same for a user of another node, which may be lost with all that was on its way: as little as is possible.
    #[must_use]
    pub fn certain_elsewhere(&self, user: &str) -> Option<Offset> {
        let since = || self.roster.since(user).filter(|_| is_room_of(&self.name, user));
        self.certain(user).or_else(|| since().map(|(_, offset)| offset))
    }

    /// A member who is away came back on another node, which gives it what was kept.
    pub fn forget_cursor(&mut self, user: &str) {
        if let Some(absent) = self.contents.as_mut().and_then(|contents| contents.absent.as_mut()) {
            absent.forget(user);
        }
    }

    /// A user came into the room by another node.
    pub fn join_elsewhere(
        &mut self,
        seat: Seat,
        user: &Arc<str>,
        now: Now,
        config: &Config,
    ) -> super::Change {
        let edge = self.roster.join(user, seat, is_forced(&self.name), (now.unix_ms, self.offset));
        self.change(edge, user, true, now, config)
    }

    /// What a user who is in the room says of itself.
    #[must_use]
    pub fn status(&self, user: &str) -> Option<Status> {
        self.roster.status(user)
    }

    /// Whether messages are kept for members who are away.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.class == RoomClass::Queued
    }

    /// How much of the stream an engine keeps.
    #[must_use]
    pub fn keep_in_engine(&self, config: &Config) -> Keep {
        let history = &config.history;
        match self.class {
            RoomClass::Ephemeral => Keep { entries_max: 0, ttl_ms: history.ttl_ms },
            RoomClass::Reliable => Keep { entries_max: history.messages_max, ttl_ms: history.ttl_ms },
            RoomClass::Queued => {
                Keep { entries_max: history.messages_max, ttl_ms: history.ttl_ms.max(config.queue_ttl_ms) }
            }
        }
    }

    /// Up to where a user has got and read the room.
    #[must_use]
    pub fn reached(&self, user: &str) -> Reached {
        self.contents().receipts.as_ref().map_or(Reached::default(), |receipts| receipts.reached(user))
    }

    /// Connections that a user has in the room by this node.
    #[must_use]
    pub fn seats_here(&self, user: &str) -> usize {
        self.roster.seats(user, |seat| seat.is_here())
    }

    /// The nodes beside this one by which a user is in the room.
    #[must_use]
    pub fn nodes_of(&self, user: &str) -> usize {
        self.roster.seats(user, |seat| !seat.is_here())
    }

    /// The users who are in the room by a connection of this node.
    #[must_use]
    pub fn users_here(&self) -> Vec<Arc<str>> {
        self.roster.users_where(|seat| seat.is_here())
    }

    /// The users who are in the room by another node; by that one, if one is named.
    #[must_use]
    pub fn users_elsewhere(&self, node: Option<ShardId>) -> Vec<(Arc<str>, Seat)> {
        self.roster
            .seated()
            .filter(|(_, seat)| node.map_or(!seat.is_here(), |node| seat.shard == node))
            .map(|(user, seat)| (Arc::clone(user), seat))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::message::MessageType;

    const NOW: Now = Now { ms: 1, unix_ms: 1 };

    /// What becomes of an entry of a room that has one of its stream 1.
    fn applied(epoch: u64, offset: Offset) -> Applied {
        let config = Config::default();
        let mut room = OwnedRoom::new("r".into(), RoomClass::Reliable, 0, Epoch(1), NOW);
        let draft = Draft::new("r".to_owned(), MessageType::Chat, Bytes::from_static(b"{}"));
        let entry = |room: &OwnedRoom, epoch, offset| Publication {
            epoch: Epoch(epoch),
            offset,
            ..room.draft(&"ana".into(), SessionId(1), draft.clone(), NOW, MessageId::from_bytes([0; 16]))
        };
        assert!(matches!(room.apply(entry(&room, 1, 1), NOW, &config), Applied::Next(..)));
        room.apply(entry(&room, epoch, offset), NOW, &config)
    }

    #[test]
    fn an_entry_that_does_not_follow_says_that_something_is_missing() {
        assert!(matches!(applied(1, 2), Applied::Next(..)));
        assert!(matches!(applied(1, 1), Applied::Known));
        assert!(matches!(applied(1, 3), Applied::Gap));
        assert!(matches!(applied(2, 1), Applied::Gap), "whoever begins another stream tells it first");
    }
}
