//! What is sent in a room: accepted, kept, and given again to those who missed it.

use std::sync::Arc;

use super::OwnedRoom;
use crate::clock::Now;
use crate::config::{Config, RoomClass};
use crate::id::{Epoch, MessageId, Offset, SessionId};
use crate::protocol::command::{Draft, Position};
use crate::protocol::message::{Except, Eyes, Publication};
use crate::protocol::reply::{HistoryPage, Joined, MessageStats, Sent};
use crate::room::dedupe::Accepted;

/// A window over which messages are counted for their rate.
const MINUTE_MS: u64 = 60_000;

/// What was sent in a room since its stream began.
#[derive(Debug, Default)]
pub(super) struct Counts {
    messages: u64,
    pub(super) edits: u64,
    pub(super) deletes: u64,
    last_unix_ms: u64,
    /// Messages of the present minute, of the one before, and when the present one began.
    minute: (u64, u64, u64),
}

/// An accepted message.
#[derive(Debug)]
pub struct Accepting {
    /// The answer to the sender.
    pub sent: Sent,
    /// What to deliver; `None` when it had been accepted before.
    pub publication: Option<Arc<Publication>>,
    /// Messages and names of messages that were forgotten before their time to make room.
    pub forgotten: usize,
}

/// What somebody gets who arrives.
#[derive(Debug)]
pub struct Arrival {
    /// The answer.
    pub joined: Joined,
    /// Messages of a queued room that were kept for the user and are not in the answer.
    pub kept: Vec<Arc<Publication>>,
    /// Whether some of them could not be kept.
    pub resync: bool,
    /// From where on the client has yet to get everything.
    pub base: Offset,
}

/// What somebody asks for who arrives.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The session, whose own excluded messages stay hidden.
    pub session: SessionId,
    /// Newest messages to answer with.
    pub history: usize,
    /// From where to catch up.
    pub recover: Option<Position>,
    /// Up to where to catch up, when what comes later has come already.
    pub until: Option<Offset>,
    /// Whether the user is there by other nodes alone: if one of those is lost, what was on its way there is, too.
    pub elsewhere: bool,
}

impl Counts {
    /// Nothing was sent.
    pub(super) const NONE: Self =
        Self { messages: 0, edits: 0, deletes: 0, last_unix_ms: 0, minute: (0, 0, 0) };

    /// Messages, edits and deletions.
    pub(super) fn saved(&self) -> (u64, u64, u64) {
        (self.messages, self.edits, self.deletes)
    }

    /// As they were, when the last message was sent then.
    pub(super) fn restore(&mut self, (messages, edits, deletes): (u64, u64, u64), last_unix_ms: u64) {
        *self = Self { messages, edits, deletes, last_unix_ms, minute: (0, 0, 0) };
    }

    pub(super) fn message(&mut self, now: Now) {
        self.messages += 1;
        self.last_unix_ms = now.unix_ms;
        self.roll(now);
        self.minute.0 += 1;
    }

    fn roll(&mut self, now: Now) {
        let (present, _, began_ms) = self.minute;
        match now.ms.saturating_sub(began_ms) {
            0..MINUTE_MS => {}
            MINUTE_MS..120_000 => self.minute = (0, present, began_ms + MINUTE_MS),
            _ => self.minute = (0, 0, now.ms),
        }
    }

    /// Messages of the last minute: the present one and what is left of the one before.
    fn per_minute(&mut self, now: Now) -> u64 {
        self.roll(now);
        let (present, before, began_ms) = self.minute;
        present + before * (MINUTE_MS - now.ms.saturating_sub(began_ms).min(MINUTE_MS)) / MINUTE_MS
    }
}

impl OwnedRoom {
    /// What a user gets who arrives with a connection, or asks again.
    pub fn arrive(&mut self, user: &str, wanted: Wanted, now: Now, config: &Config) -> Arrival {
        self.expire(now, config);
        let bytes_max = config.history.replay_bytes_max;
        let eyes = Eyes { session: wanted.session, user };
        let recovered = wanted
            .recover
            .map(|position| self.recover(position, wanted.until.unwrap_or(self.offset), eyes, bytes_max));
        let messages = match &recovered {
            Some(Some(missed)) => Some(missed.clone()),
            _ if wanted.history > 0 => Some(self.contents().history.newest(wanted.history, eyes, bytes_max)),
            Some(None) => Some(Vec::new()),
            None => None,
        };
        let mut base = self.offset;
        if let (Some(position), Some(Some(_))) = (wanted.recover, &recovered) {
            base = position.offset;
        }
        let (mut kept, mut resync) = (Vec::new(), false);
        let waited = self.contents.as_mut().and_then(|contents| contents.absent.as_mut()?.arrive(user));
        let uncertain = || self.certain_elsewhere(user).filter(|_| self.class == RoomClass::Queued);
        let waited =
            waited.or_else(|| uncertain().filter(|offset| wanted.elsewhere && *offset < self.offset));
        if let (Some(offset), false) = (waited, matches!(recovered, Some(Some(_)))) {
            base = offset;
            (kept, resync) = self.kept_behind(offset, eyes);
            let first = messages.as_ref().and_then(|messages| messages.first());
            kept.retain(|message| first.is_none_or(|first| message.offset < first.offset));
        }
        let recovered = recovered.map(|missed| missed.is_some());
        Arrival { joined: Joined { recovered, messages, ..self.position() }, kept, resync, base }
    }

    fn recover(
        &self,
        position: Position,
        until: Offset,
        eyes: Eyes<'_>,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Publication>>> {
        if self.class == RoomClass::Ephemeral || position.epoch != Some(self.epoch) {
            return None;
        }
        if position.offset > until {
            // Live messages have overtaken the position: all behind it has come.
            return (position.offset <= self.offset).then(Vec::new);
        }
        self.contents().history.after(position.offset, until, eyes, bytes_max)
    }

    /// What is kept behind an offset, and whether some of it is not.
    fn kept_behind(&self, offset: Offset, eyes: Eyes<'_>) -> (Vec<Arc<Publication>>, bool) {
        let first = self.contents().history.first_offset().unwrap_or(self.offset + 1);
        let resync = first > offset + 1;
        let from = if resync { first - 1 } else { offset };
        let kept = self.contents().history.after(from, self.offset, eyes, usize::MAX).unwrap_or_default();
        (kept, resync)
    }

    /// Where the stream stands.
    #[must_use]
    pub fn position(&self) -> Joined {
        Joined {
            room: Arc::clone(&self.name),
            epoch: self.epoch,
            offset: self.offset,
            members: self.roster.len(),
            recovered: None,
            messages: None,
        }
    }

    /// Accepts a message: recognises a repeat, gives out the offset, keeps it.
    pub fn publish(
        &mut self,
        sender: &Arc<str>,
        session: SessionId,
        draft: Draft,
        now: Now,
        config: &Config,
        id: MessageId,
    ) -> Accepting {
        let client_id = draft.client_id.clone();
        if let Some(first) = self.find_accepted(sender, client_id.as_deref(), now) {
            return Accepting { sent: self.sent(first, client_id, true), publication: None, forgotten: 0 };
        }
        let mut forgotten = self.await_owner(now);
        self.offset += 1;
        self.active_ms = now.ms;
        self.contents_mut().counts.message(now);
        let place = (self.epoch, self.offset);
        let publication = Arc::new(self.publication(sender, session, draft, (now, id), place));
        let accepted = Accepted { id: publication.id, offset: self.offset, unix_ms: now.unix_ms };
        if let Some(client_id) = &client_id {
            let dedupe = self.contents_mut().dedupe.get_or_insert_default();
            forgotten +=
                usize::from(dedupe.remember(sender, client_id, accepted, now.ms + config.dedup_window_ms));
        }
        forgotten += self.keep(&publication, now, config);
        Accepting { sent: self.sent(accepted, client_id, false), publication: Some(publication), forgotten }
    }

    /// A message at its place.
    pub(super) fn publication(
        &self,
        sender: &Arc<str>,
        session: SessionId,
        draft: Draft,
        (now, id): (Now, MessageId),
        (epoch, offset): (Epoch, Offset),
    ) -> Publication {
        Publication {
            id,
            room: Arc::clone(&self.name),
            epoch,
            offset,
            sender: Arc::clone(sender),
            kind: draft.kind,
            content: draft.content,
            metadata: draft.metadata,
            client_id: draft.client_id,
            unix_ms: now.unix_ms,
            exclude: match draft.exclude_user {
                Some(user) => Except::User(user),
                None if draft.exclude_sender => Except::Session(session),
                None => Except::Nobody,
            },
            lane: draft.lane,
            revision: None,
            audience: self.contents().audience.clone(),
            binary: draft.binary,
            ack_requested: draft.ack_requested,
        }
    }

    pub(super) fn keep(&mut self, publication: &Arc<Publication>, now: Now, config: &Config) -> usize {
        if self.class == RoomClass::Ephemeral {
            return 0;
        }
        let contents = self.contents_mut();
        let waiting = contents.waiting(config);
        contents.history.expire(now.unix_ms, &config.history, waiting);
        contents.history.push(Arc::clone(publication), &config.history)
    }

    /// What comes into the own room of somebody who is not there waits for that user, even if it was never there.
    pub(super) fn await_owner(&mut self, now: Now) -> usize {
        if self.class != RoomClass::Queued {
            return 0;
        }
        let Some(owner) = self.absent_owner() else { return 0 };
        let offset = self.offset;
        let absent = self.contents_mut().absent.get_or_insert_default();
        if absent.is_away(&owner) {
            return 0;
        }
        usize::from(absent.leave(&owner, None, offset, now.ms))
    }

    fn find_accepted(&mut self, sender: &Arc<str>, client_id: Option<&str>, now: Now) -> Option<Accepted> {
        let contents = self.contents.as_mut()?;
        let found = contents.dedupe.as_mut()?.find(sender, client_id?, now.ms);
        if contents.dedupe.as_ref().is_some_and(|dedupe| dedupe.is_empty()) {
            contents.dedupe = None;
        }
        found
    }

    fn sent(&self, accepted: Accepted, client_id: Option<Box<str>>, duplicate: bool) -> Sent {
        Sent {
            id: accepted.id,
            room: Arc::clone(&self.name),
            epoch: self.epoch,
            offset: accepted.offset,
            unix_ms: accepted.unix_ms,
            client_id,
            duplicate,
        }
    }

    /// A page of the messages.
    pub fn history(
        &mut self,
        eyes: Eyes<'_>,
        (before, after): (Option<Offset>, Option<Offset>),
        limit: usize,
        now: Now,
        config: &Config,
    ) -> HistoryPage {
        self.expire(now, config);
        let page = self.contents().history.page(before, after, limit, eyes, config.history.replay_bytes_max);
        HistoryPage {
            room: Arc::clone(&self.name),
            epoch: self.epoch,
            messages: page.messages,
            more: page.more,
        }
    }

    /// Counts what was sent.
    pub fn stats(&mut self, now: Now) -> MessageStats {
        let mut stats = MessageStats {
            room: Arc::clone(&self.name),
            messages: 0,
            edits: 0,
            deletes: 0,
            kept: self.contents().history.len(),
            last_unix_ms: None,
            per_minute: 0,
        };
        if let Some(counts) = self.contents.as_mut().map(|contents| &mut contents.counts) {
            stats.messages = counts.messages;
            stats.edits = counts.edits;
            stats.deletes = counts.deletes;
            stats.last_unix_ms = (counts.messages > 0).then_some(counts.last_unix_ms);
            stats.per_minute = counts.per_minute(now);
        }
        stats
    }

    /// Whether a message was ever sent here.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.offset > 0
    }

    /// Forgets the oldest messages up to an offset of a stream, as far as they are still there; how many.
    pub fn evict(&mut self, epoch: Epoch, offset: Offset) -> usize {
        match &mut self.contents {
            Some(contents) if epoch == self.epoch => contents.history.evict(offset),
            _ => 0,
        }
    }

    /// Bytes and number of the kept messages.
    #[must_use]
    pub fn history_size(&self) -> (usize, usize) {
        (self.contents().history.bytes(), self.contents().history.len())
    }

    /// Whether a message of a stream is kept.
    #[must_use]
    pub fn keeps(&self, epoch: Epoch, offset: Offset) -> bool {
        epoch == self.epoch && self.contents().history.first_offset().is_some_and(|first| first <= offset)
    }
}
