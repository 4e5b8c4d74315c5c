//! A room as its owner shard knows it: the stream, its history, its members, and which shards have any.
//!
//! The owner is the only one who gives out offsets, so the order of a room needs no lock. Here are its members and its
//! time; `stream` has what is sent in it, `revisions` what is changed of that, `standing` what is said about it. `replica` is
//! for rooms that several nodes share, where the engine gives out the offsets.

mod contents;
mod replica;
mod revisions;
mod saved;
mod standing;
mod stream;

use std::sync::Arc;

use smallvec::SmallVec;

use super::name::{is_forced, user_of};
use super::roster::{Edge, Roster, Seat};
use super::typing::Typing;
use crate::alarm::Alarm;
use crate::clock::Now;
use crate::config::{Config, RoomClass, StoreMode};
use crate::id::{Epoch, Offset, ShardId};
use crate::protocol::command::{Creation, Status};
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::message::Audience;
use crate::protocol::reply::{ReceiptStatus, RoomCard};

use contents::{Contents, NOTHING};
pub use replica::{Adopted, Applied};
pub use revisions::{Prepared, Revising, unknown_message};
pub use standing::Receipting;
pub use stream::{Accepting, Arrival, Wanted};

/// Milliseconds for which a node follows a room that others share after its last member here has left.
const LINGER_MS: u64 = 5_000;
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
    /// What most rooms do not have: they are a user's own, and nothing was ever said there.
    contents: Option<Box<Contents>>,
    /// Set once the room was closed, until everybody is out of it.
    closing: bool,
    /// When the room's timer fires.
    pub alarm: Alarm,
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
    /// The same in a large room, whose members are told counts instead.
    Counted {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        joined: bool,
    },
}

/// What time brought.
#[derive(Debug, Default)]
pub struct Due {
    /// The users whose grace is over, and whether it was another node that had each last.
    pub left: Vec<(Change, bool)>,
    /// Users who no longer write.
    pub stopped: Vec<Arc<str>>,
    /// The number of members, when those of a large room are to be told.
    pub count: Option<usize>,
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
            contents: None,
            closing: false,
            alarm: Alarm::default(),
        }
    }

    fn contents(&self) -> &Contents {
        self.contents.as_deref().unwrap_or(&NOTHING)
    }

    fn contents_mut(&mut self) -> &mut Contents {
        self.contents.get_or_insert_default()
    }

    /// Who writes.
    #[must_use]
    pub fn typing(&self) -> &Typing {
        &self.contents().typing
    }

    /// Who writes, to change it.
    pub fn typing_mut(&mut self) -> &mut Typing {
        &mut self.contents_mut().typing
    }

    /// What the senders of messages are to hear of who has got and read them, as far as it is due.
    pub fn take_receipts(&mut self, now: Now) -> Vec<(Arc<str>, ReceiptStatus)> {
        let receipts = self.contents.as_mut().and_then(|contents| contents.receipts.as_mut());
        receipts.map_or(Vec::new(), |receipts| receipts.take_due(now.ms))
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> RoomClass {
        self.class
    }

    /// Its stream.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Makes it the room that its creator wants.
    pub fn create(&mut self, creation: Creation, owner: &Arc<str>, now: Now) -> Arc<RoomCard> {
        let card = Arc::new(RoomCard {
            room: Arc::clone(&self.name),
            owner: Arc::clone(owner),
            private: creation.private,
            metadata: creation.metadata,
            members_max: creation.members_max,
            created_unix_ms: now.unix_ms,
            epoch: self.epoch,
            offset: self.offset,
        });
        self.created_unix_ms = now.unix_ms;
        let contents = self.contents_mut();
        contents.audience = creation.private.then(|| {
            let named = creation.members.into_iter().map(Into::into);
            Arc::new(Audience(named.chain([Arc::clone(owner)]).collect()))
        });
        contents.card = Some(Arc::clone(&card));
        card
    }

    /// What its creator decided, if somebody created it.
    #[must_use]
    pub fn card(&self) -> Option<&Arc<RoomCard>> {
        self.contents().card.as_ref()
    }

    /// Whether a user may know what is in the room: it is public, or the user is named, or `entitled` otherwise.
    #[must_use]
    pub fn is_open_to(&self, user: &str, entitled: bool) -> bool {
        entitled || self.contents().audience.as_ref().is_none_or(|audience| audience.0.contains(user))
    }

    /// Whether a user may enter now.
    ///
    /// # Errors
    /// Why not: it is not for this user, is closing, or is full.
    pub fn admit(&self, user: &str, entitled: bool) -> Result<(), CommandError> {
        let refused = |message: &'static str, reason: &'static str| {
            Err(CommandError::new(ErrorCode::ChannelError, message)
                .with("reason", Detail::Text(reason.into())))
        };
        if !self.is_open_to(user, entitled) {
            return Err(CommandError::room_denied());
        }
        if self.closing {
            return refused("the room is closing", "closing");
        }
        let max = self.contents().card.as_ref().and_then(|card| card.members_max);
        if max.is_some_and(|max| self.roster.len() >= max) && !self.roster.contains(user) {
            return refused("the room is full", "full");
        }
        Ok(())
    }

    /// Lets a connection in.
    pub fn join(&mut self, seat: Seat, user: &Arc<str>, now: Now, config: &Config) -> Change {
        // A seat on another node is nobody whom this one delivers to.
        if let Some(count) = self.interest.get_mut(seat.shard.index()) {
            *count += 1;
        }
        // What was kept for it counts as unread, too.
        let since =
            self.contents().absent.as_ref().and_then(|absent| absent.position(user)).unwrap_or(self.offset);
        let edge = self.roster.join(user, seat, is_forced(&self.name), (now.unix_ms, since));
        self.change(edge, user, true, now, config)
    }

    /// Lets a connection out, if it was in; whether it was lost, whether the user will come back for what it missed, and
    /// the last offset that was queued for it.
    pub fn leave(
        &mut self,
        seat: Seat,
        user: &Arc<str>,
        (lost, waits, seen): (bool, bool, Option<Offset>),
        now: Now,
        config: &Config,
    ) -> Change {
        let grace = (lost && config.presence_grace_ms > 0).then_some(now.ms + config.presence_grace_ms);
        let Some(edge) = self.roster.leave(user, seat, grace) else { return Change::Quiet };
        if let Some(count) = self.interest.get_mut(seat.shard.index()) {
            *count = count.saturating_sub(1);
        }
        self.active_ms = now.ms;
        if self.class == RoomClass::Queued && !self.roster.is_present(user) {
            self.note_absent(user, lost && waits, seen, now);
        }
        self.change(edge, user, false, now, config)
    }

    /// A member's last connection here is gone: what comes now waits for it, unless it left for good.
    fn note_absent(&mut self, user: &Arc<str>, waits: bool, seen: Option<Offset>, now: Now) {
        // A user's own room is that user's for ever, so nothing need be remembered before there is something to keep.
        let nothing_yet =
            is_forced(&self.name) && seen == Some(self.offset) && self.contents().absent.is_none();
        if !waits || self.closing {
            if let Some(absent) = self.contents.as_mut().and_then(|contents| contents.absent.as_mut()) {
                absent.forget(user);
            }
        } else if !nothing_yet {
            let offset = self.offset;
            self.contents_mut().absent.get_or_insert_default().leave(user, seen, offset, now.ms);
        }
    }

    /// A user who is away turned out to have got everything up to `offset`.
    pub fn settle(&mut self, user: &Arc<str>, epoch: Epoch, offset: Offset, now: Now) {
        if epoch != self.epoch || self.class != RoomClass::Queued || self.roster.is_present(user) {
            return;
        }
        let forced = is_forced(&self.name);
        let absent = self.contents_mut().absent.get_or_insert_default();
        if absent.knows(user) {
            absent.settle(user, offset);
        } else if forced {
            absent.leave(user, Some(offset), offset, now.ms);
        }
    }

    /// In a large room, counts replace edges.
    fn change(&mut self, edge: Edge, user: &Arc<str>, joined: bool, now: Now, config: &Config) -> Change {
        if edge == Edge::None || self.closing {
            return Change::Quiet;
        }
        if self.roster.len() > config.presence_room_max {
            let contents = self.contents_mut();
            contents.count_due_ms.get_or_insert((contents.counted_ms + COUNT_INTERVAL_MS).max(now.ms));
            return Change::Counted { user: Arc::clone(user), joined };
        }
        Change::Edge { user: Arc::clone(user), joined }
    }

    /// Lets nobody in any more; those within the grace of a lost connection are out at once.
    pub fn close(&mut self) {
        self.closing = true;
        self.roster.end_graces();
        if let Some(contents) = &mut self.contents {
            contents.absent = None;
            contents.count_due_ms = None;
            contents.receipts.iter_mut().for_each(|receipts| receipts.hasten());
        }
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// A user says something else of itself.
    pub fn set_status(&mut self, user: &str, status: Status) {
        self.roster.set_status(user, status);
    }

    /// Whether the user is in the room.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.roster.contains(user)
    }

    /// Whether the user has a connection in the room.
    #[must_use]
    pub fn is_present(&self, user: &str) -> bool {
        self.roster.is_present(user)
    }

    /// Whether a connection is in the room.
    #[must_use]
    pub fn has_seat(&self, user: &str, seat: Seat) -> bool {
        self.roster.has_seat(user, seat)
    }

    /// The shards that have members, each once.
    pub fn interested(&self) -> impl Iterator<Item = ShardId> {
        let counted = self.interest.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(index, _)| ShardId(u16::try_from(index).expect("the number of shards fits 16 bits")))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, config: &Config) -> Due {
        let mut due = Due::default();
        self.expire(now, config);
        if let Some(contents) = &mut self.contents {
            if let Some(dedupe) = &mut contents.dedupe {
                dedupe.expire(now.ms);
            }
            contents.typing.expire(now.ms, |user| due.stopped.push(user));
        }
        let mut gone = Vec::new();
        self.roster.expire(now.ms, |user, elsewhere| gone.push((user, elsewhere)));
        for (user, elsewhere) in gone {
            self.active_ms = now.ms;
            due.left.push((self.change(Edge::Tell, &user, false, now, config), elsewhere));
        }
        if let Some(contents) = &mut self.contents
            && contents.count_due_ms.is_some_and(|at| at <= now.ms)
        {
            contents.count_due_ms = None;
            contents.counted_ms = now.ms;
            due.count = Some(self.roster.len());
        }
        due
    }

    /// Forgets what is too old.
    fn expire(&mut self, now: Now, config: &Config) {
        let Some(contents) = &mut self.contents else { return };
        if let Some(absent) = &mut contents.absent {
            absent.expire(now.ms, config.queue_ttl_ms);
            // Who is there is known for a process that ends without notice.
            let outlives = config.node.is_some() || config.store != StoreMode::Off;
            if absent.knows_nobody() || (absent.is_empty() && !outlives) {
                contents.absent = None;
            }
        }
        let waiting = contents.waiting(config);
        contents.history.expire(now.unix_ms, &config.history, waiting);
    }

    /// When something is due here, if anything is.
    #[must_use]
    pub fn next_due_ms(&self, now: Now, config: &Config) -> Option<u64> {
        let kept_ms = if config.node.is_some() { LINGER_MS } else { self.kept_ms(config) };
        let forgotten =
            self.is_vacant(config).then(|| if self.closing { now.ms } else { self.active_ms + kept_ms });
        let contents = self.contents();
        let expires = contents
            .history
            .next_due_unix_ms(&config.history, contents.waiting(config))
            .map(|unix_ms| now.ms + unix_ms.saturating_sub(now.unix_ms).max(COUNT_INTERVAL_MS));
        let receipts = contents.receipts.as_ref().and_then(|receipts| receipts.due_ms());
        let absent = contents.absent.as_ref().and_then(|absent| absent.next_due_ms(config.queue_ttl_ms));
        let stays = contents.card.is_some() && config.node.is_none();
        let forgotten = forgotten.filter(|_| !stays || self.closing);
        let all = [
            self.roster.next_gone_ms(),
            contents.count_due_ms,
            contents.typing.next_due_ms(),
            receipts,
            absent,
            forgotten,
            expires,
        ];
        all.into_iter().flatten().min()
    }

    /// Whether nobody is here, nothing is kept and nobody was for as long as the epoch must last. A room that somebody
    /// created stays until it is closed: forgotten, a private one would be public when it came again.
    #[must_use]
    pub fn is_forgotten(&self, now: Now, config: &Config) -> bool {
        if !self.is_vacant(config) {
            return false;
        }
        if config.node.is_some() {
            return self.closing || self.active_ms + LINGER_MS <= now.ms;
        }
        self.closing || (self.contents().card.is_none() && self.active_ms + self.kept_ms(config) <= now.ms)
    }

    /// How long the room outlives its last member and message: as long as its stream or somebody who is away may need
    /// it. A room in which nothing was sent keeps its epoch all the same, see [`super::epochs`].
    fn kept_ms(&self, config: &Config) -> u64 {
        match &self.contents().absent {
            Some(absent) if !absent.is_empty() => config.queue_ttl_ms.max(config.history.ttl_ms),
            _ if self.has_stream() => config.history.ttl_ms,
            _ => 0,
        }
    }

    /// Whether nobody is in the room; of one that several nodes share: nobody of this node.
    fn is_vacant(&self, config: &Config) -> bool {
        if config.node.is_none() {
            return self.roster.is_empty();
        }
        self.interest.iter().all(|count| *count == 0) && self.roster.next_gone_ms().is_none()
    }

    /// Whether it is the own room of somebody who is not there.
    #[must_use]
    pub fn absent_owner(&self) -> Option<Arc<str>> {
        let owner = user_of(&self.name)?;
        (!self.roster.is_present(&owner)).then(|| Arc::from(&*owner))
    }
}
