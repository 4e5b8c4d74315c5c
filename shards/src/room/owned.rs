//! A room as its owner shard knows it: the stream, its history, its members, and which shards have any.
//!
//! The owner is the only one who gives out offsets, so the order of a room needs no lock.

use std::sync::Arc;

use smallvec::SmallVec;

use super::dedupe::{Accepted, Dedupe};
use super::history::History;
use super::roster::{Edge, Roster};
use crate::access::limits::SharedBucket;
use crate::clock::Now;
use crate::config::{Config, RoomClass};
use crate::id::{Epoch, MessageId, Offset, SessionId, ShardId};
use crate::protocol::command::{Draft, Position};
use crate::protocol::message::Publication;
use crate::protocol::reply::{HistoryPage, Joined, OnlinePage, RoomInfo, Sent};

/// Milliseconds between two counts of a large room.
const COUNT_INTERVAL_MS: u64 = 1000;

/// A room on its owner shard.
#[derive(Debug)]
pub struct OwnedRoom {
    name: Arc<str>,
    class: RoomClass,
    epoch: Epoch,
    offset: Offset,
    created_unix_ms: u64,
    /// When somebody last left or a message last came: the epoch outlives it by the history's age.
    active_ms: u64,
    roster: Roster,
    /// Connections in the room on each shard.
    interest: SmallVec<[u32; 4]>,
    history: History,
    dedupe: Option<Box<Dedupe>>,
    /// For a user's own room.
    owner: Option<Box<Owner>>,
    /// When the members of a large room are next told how many they are.
    count_due_ms: Option<u64>,
    counted_ms: u64,
    /// When the room's timer fires.
    pub timer_ms: Option<u64>,
}

/// What the owner of `user:{id}` knows of that user.
#[derive(Debug)]
struct Owner {
    account: Option<Arc<str>>,
    messages: Arc<SharedBucket>,
}

/// What a change of members means to those who stay.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing to say.
    Quiet,
    /// A user came or left, to be told at once.
    Edge {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        joined: bool,
    },
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

/// Whether the server alone decides who is in a room: the user's own and its account's. Nobody is told of its edges.
#[must_use]
pub fn is_forced(room: &str) -> bool {
    room.starts_with("user:") || room.starts_with("account:")
}

impl OwnedRoom {
    /// A room that begins now.
    #[must_use]
    pub fn new(name: Arc<str>, class: RoomClass, shards: usize, epoch: Epoch, now: Now) -> Self {
        Self {
            name,
            class,
            epoch,
            offset: 0,
            created_unix_ms: now.unix_ms,
            active_ms: now.ms,
            roster: Roster::default(),
            interest: SmallVec::from_elem(0, shards),
            history: History::default(),
            dedupe: None,
            owner: None,
            count_due_ms: None,
            counted_ms: 0,
            timer_ms: None,
        }
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Lets a connection of `shard` in.
    pub fn join(&mut self, shard: ShardId, user: &Arc<str>, now: Now, config: &Config) -> Change {
        self.interest[shard.index()] += 1;
        let edge = self.roster.join(user, is_forced(&self.name));
        self.change(edge, user, true, now, config)
    }

    /// Lets a connection of `shard` out.
    pub fn leave(
        &mut self,
        shard: ShardId,
        user: &Arc<str>,
        lost: bool,
        now: Now,
        config: &Config,
    ) -> Change {
        self.interest[shard.index()] = self.interest[shard.index()].saturating_sub(1);
        self.active_ms = now.ms;
        let grace = (lost && config.presence_grace_ms > 0).then_some(now.ms + config.presence_grace_ms);
        let edge = self.roster.leave(user, grace);
        self.change(edge, user, false, now, config)
    }

    /// In a large room, counts replace edges.
    fn change(&mut self, edge: Edge, user: &Arc<str>, joined: bool, now: Now, config: &Config) -> Change {
        if edge == Edge::None {
            return Change::Quiet;
        }
        if self.roster.len() > config.presence_room_max {
            self.count_due_ms.get_or_insert((self.counted_ms + COUNT_INTERVAL_MS).max(now.ms));
            return Change::Quiet;
        }
        Change::Edge { user: Arc::clone(user), joined }
    }

    /// What a joining session is told.
    pub fn joined(
        &mut self,
        session: SessionId,
        history: usize,
        recover: Option<Position>,
        now: Now,
        config: &Config,
    ) -> Joined {
        self.history.expire(now.unix_ms, &config.history);
        let bytes_max = config.history.replay_bytes_max;
        let recovered = recover.map(|position| self.recover(position, session, bytes_max));
        let messages = match &recovered {
            Some(Some(missed)) => Some(missed.clone()),
            _ if history > 0 => Some(self.history.newest(history, session, bytes_max)),
            Some(None) => Some(Vec::new()),
            None => None,
        };
        Joined { recovered: recovered.map(|missed| missed.is_some()), messages, ..self.position() }
    }

    fn recover(
        &self,
        position: Position,
        session: SessionId,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Publication>>> {
        if self.class == RoomClass::Ephemeral || position.epoch != Some(self.epoch) {
            return None;
        }
        self.history.after(position.offset, self.offset, session, bytes_max)
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
        self.offset += 1;
        self.active_ms = now.ms;
        let publication = Arc::new(Publication {
            id,
            room: Arc::clone(&self.name),
            epoch: self.epoch,
            offset: self.offset,
            sender: Arc::clone(sender),
            kind: draft.kind,
            content: draft.content,
            metadata: draft.metadata,
            client_id: draft.client_id,
            unix_ms: now.unix_ms,
            exclude: draft.exclude_sender.then_some(session),
        });
        let accepted = Accepted { id: publication.id, offset: self.offset, unix_ms: now.unix_ms };
        let mut forgotten = 0;
        if let Some(client_id) = &client_id {
            let dedupe = self.dedupe.get_or_insert_default();
            forgotten +=
                usize::from(dedupe.remember(sender, client_id, accepted, now.ms + config.dedup_window_ms));
        }
        if self.class != RoomClass::Ephemeral {
            self.history.expire(now.unix_ms, &config.history);
            forgotten += self.history.push(Arc::clone(&publication), &config.history);
        }
        Accepting { sent: self.sent(accepted, client_id, false), publication: Some(publication), forgotten }
    }

    fn find_accepted(&mut self, sender: &Arc<str>, client_id: Option<&str>, now: Now) -> Option<Accepted> {
        let found = self.dedupe.as_mut()?.find(sender, client_id?, now.ms);
        if self.dedupe.as_ref().is_some_and(|dedupe| dedupe.is_empty()) {
            self.dedupe = None;
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

    /// Describes the room.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        RoomInfo {
            room: Arc::clone(&self.name),
            created_unix_ms: self.created_unix_ms,
            members: self.roster.len(),
            online: self.roster.online(),
            epoch: self.epoch,
            offset: self.offset,
            visibility: if is_forced(&self.name) { "private" } else { "public" },
        }
    }

    /// A page of the users who are connected.
    #[must_use]
    pub fn online(&self, cursor: Option<&str>, limit: usize) -> OnlinePage {
        let (users, more) = self.roster.page(cursor, limit);
        OnlinePage { room: Arc::clone(&self.name), users, total: self.roster.online(), more }
    }

    /// A page of the messages.
    pub fn history(
        &mut self,
        session: SessionId,
        (before, after): (Option<Offset>, Option<Offset>),
        limit: usize,
        now: Now,
        config: &Config,
    ) -> HistoryPage {
        self.history.expire(now.unix_ms, &config.history);
        let page = self.history.page(before, after, limit, session, config.history.replay_bytes_max);
        HistoryPage {
            room: Arc::clone(&self.name),
            epoch: self.epoch,
            messages: page.messages,
            more: page.more,
        }
    }

    /// Whether the user is in the room.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.roster.contains(user)
    }

    /// Notes whose own room this is; the bucket that the user's connections share.
    pub fn attach_owner(&mut self, account: Option<Arc<str>>) -> Arc<SharedBucket> {
        let owner = self.owner.get_or_insert_with(|| {
            Box::new(Owner { account: None, messages: Arc::new(SharedBucket::default()) })
        });
        owner.account = account;
        Arc::clone(&owner.messages)
    }

    /// Whether the user whose own room this is belongs to the account.
    #[must_use]
    pub fn owner_has_account(&self, account: Option<&str>) -> bool {
        let own = self.owner.as_ref().and_then(|owner| owner.account.as_deref());
        own.is_some() && own == account
    }

    /// The shards that have members, each once.
    pub fn interested(&self) -> impl Iterator<Item = ShardId> {
        let counted = self.interest.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(index, _)| ShardId(u16::try_from(index).expect("the number of shards fits 16 bits")))
    }

    /// Ends graces that have passed; `left` gets each user, and the count is returned when it is due.
    pub fn tick(&mut self, now: Now, config: &Config, mut left: impl FnMut(Arc<str>)) -> Option<usize> {
        self.history.expire(now.unix_ms, &config.history);
        if let Some(dedupe) = &mut self.dedupe {
            dedupe.expire(now.ms);
        }
        let mut gone = Vec::new();
        self.roster.expire(now.ms, |user| gone.push(user));
        for user in gone {
            self.active_ms = now.ms;
            if let Change::Edge { user, .. } = self.change(Edge::Tell, &user, false, now, config) {
                left(user);
            }
        }
        self.count_due_ms.filter(|due| *due <= now.ms)?;
        self.count_due_ms = None;
        self.counted_ms = now.ms;
        Some(self.roster.len())
    }

    /// When something is due here, if anything is.
    #[must_use]
    pub fn next_due_ms(&self, now: Now, config: &Config) -> Option<u64> {
        let forgotten = self.roster.is_empty().then_some(self.active_ms + self.kept_ms(config));
        let expires = self.history.oldest_unix_ms().map(|unix_ms| {
            now.ms + (unix_ms + config.history.ttl_ms).saturating_sub(now.unix_ms).max(COUNT_INTERVAL_MS)
        });
        [self.roster.next_gone_ms(), self.count_due_ms, forgotten, expires].into_iter().flatten().min()
    }

    /// Whether nobody is here, nothing is kept and nobody was for as long as the epoch must last.
    #[must_use]
    pub fn is_forgotten(&self, now: Now, config: &Config) -> bool {
        self.roster.is_empty() && self.active_ms + self.kept_ms(config) <= now.ms
    }

    /// How long the room outlives its last member and message: as long as its stream, its user's account or its user's
    /// rate may still matter. A room in which nothing was sent keeps its epoch all the same, see [`super::epochs`].
    fn kept_ms(&self, config: &Config) -> u64 {
        let rate_ms = config.limits.messages.map_or(0, |rate| rate.interval_ms);
        match &self.owner {
            _ if self.has_stream() => config.history.ttl_ms,
            Some(owner) if owner.account.is_some() => config.history.ttl_ms,
            Some(owner) if !owner.messages.is_untouched() => rate_ms,
            _ => 0,
        }
    }

    /// Whether a message was ever sent here.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.offset > 0
    }

    /// Forgets the oldest messages up to an offset of a stream, as far as they are still there; how many.
    pub fn evict(&mut self, epoch: Epoch, offset: Offset) -> usize {
        if epoch == self.epoch { self.history.evict(offset) } else { 0 }
    }

    /// Bytes and number of the kept messages.
    #[must_use]
    pub fn history_size(&self) -> (usize, usize) {
        (self.history.bytes(), self.history.len())
    }

    /// Whether a message of a stream is kept.
    #[must_use]
    pub fn keeps(&self, epoch: Epoch, offset: Offset) -> bool {
        epoch == self.epoch && self.history.first_offset().is_some_and(|first| first <= offset)
    }
}
