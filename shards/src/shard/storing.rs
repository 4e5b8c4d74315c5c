//! What a shard leaves behind for the next process, and who waits for that to be on disk.
//!
//! Owners leave records of what they change. With `--durability batch` whatever an owner then tells anybody, itself
//! included, waits in one queue until those records are on disk: so nobody ever sees what a crash could take back, and the
//! order stays. While nothing is outstanding, nothing waits.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Shard;
use super::restoring::Telling;
use crate::access::revocations::Revocation;
use crate::clock::Now;
use crate::config::{RoomClass, StoreMode};
use crate::durable::{Batch, Record};
use crate::gateway_event::GatewayEvent;
use crate::id::{Epoch, Offset, SessionId, ShardId};
use crate::mesh::item::Item;
use crate::mesh::operation::Joining;
use crate::protocol::message::Publication;
use crate::room::name::is_forced;

/// The shard's side of the store.
#[derive(Debug)]
pub(super) struct Storing {
    /// Whether there is a store.
    pub(super) is_on: bool,
    /// Whether what owners tell waits for the disk.
    gates: bool,
    /// The batch that is being filled.
    batch: u64,
    /// The last batch that somebody must wait for, and up to which all are on disk.
    needed: u64,
    committed: u64,
    held: VecDeque<Held>,
    /// What is being told anew.
    pub(super) telling: Option<Telling>,
    pub(super) telling_until_ms: u64,
    /// Whether so much waits to be written that no client is read.
    pub(super) is_full: bool,
}

/// Something that waits for a batch.
#[derive(Debug)]
struct Held {
    batch: u64,
    told: Told,
}

/// What is told, and to whom.
#[derive(Debug)]
enum Told {
    /// A shard.
    Shard(ShardId, Item),
    /// Those who listen behind the gateway.
    Listeners(GatewayEvent),
}

impl Storing {
    pub(super) fn new(mode: StoreMode) -> Self {
        Self {
            is_on: mode != StoreMode::Off,
            gates: mode == StoreMode::Batch,
            batch: 1,
            needed: 0,
            committed: 0,
            held: VecDeque::new(),
            telling: None,
            telling_until_ms: 0,
            is_full: false,
        }
    }

    /// Whether an item must wait: an owner tells it, and not all is on disk that it may be about.
    pub(super) fn holds(&self, item: &Item) -> bool {
        self.holds_events() && is_owners(item)
    }

    /// Whether what happens must wait to be told: nobody behind the gateway hears what a crash could take back.
    pub(super) fn holds_events(&self) -> bool {
        self.needed > self.committed
    }

    /// Lets an item wait.
    pub(super) fn hold(&mut self, to: ShardId, item: Item) {
        self.hold_back(Told::Shard(to, item));
    }

    /// Lets an event wait.
    pub(super) fn hold_event(&mut self, event: GatewayEvent) {
        self.hold_back(Told::Listeners(event));
    }

    fn hold_back(&mut self, told: Told) {
        self.held.push_back(Held { batch: self.needed, told });
    }

    /// Items and events that wait.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

/// Whether an owner tells it, and no home shard.
fn is_owners(item: &Item) -> bool {
    match item {
        Item::Answer(_)
        | Item::Publish(_)
        | Item::Notice(_)
        | Item::Relay(_)
        | Item::Presence(_)
        | Item::Status(_)
        | Item::Evict(_) => true,
        Item::Ask(_) | Item::Interest(_) | Item::Watching(_) => false,
    }
}

impl Shard {
    /// Leaves a record that whatever is told from now on waits for.
    pub(super) fn store(&mut self, record: Record) {
        if self.storing.gates {
            self.storing.needed = self.storing.batch;
        }
        self.store_soon(record);
    }

    /// Leaves a record that nobody waits for.
    pub(super) fn store_soon(&mut self, record: Record) {
        let batch = &mut self.effects.store;
        batch.bytes += record.cost();
        batch.records.push(record);
    }

    /// What is to be written of the turn, if anything; the rim gives it to the store.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.effects.store.records.is_empty() {
            return None;
        }
        let batch = Batch { number: self.storing.batch, ..std::mem::take(&mut self.effects.store) };
        self.storing.batch += 1;
        Some(batch)
    }

    /// All batches up to this number are on disk, or the store has given up: what waited for them goes on.
    pub fn on_stored(&mut self, upto: u64, now: Now) {
        let storing = &mut self.storing;
        storing.committed = storing.committed.max(upto);
        while self.storing.held.front().is_some_and(|held| held.batch <= upto) {
            let Some(Held { told, .. }) = self.storing.held.pop_front() else { break };
            match told {
                Told::Shard(to, item) => self.send_item(to, item),
                Told::Listeners(event) => self.effects.events.push(event),
            }
        }
        self.settle(now);
    }

    /// Whether so much waits to be written that no client should be read.
    pub fn set_store_full(&mut self, is_full: bool) {
        self.storing.is_full = is_full;
    }

    /// Whether clients are not read because too much waits to be written.
    #[must_use]
    pub fn is_store_full(&self) -> bool {
        self.storing.is_full
    }
}

/// What owners leave behind of what they do.
impl Shard {
    /// Who is refused: all shards are told the same, and the first writes it.
    pub(super) fn store_revocation(&mut self, revocation: &Revocation) {
        if self.storing.is_on && self.id.index() == 0 {
            self.store(Record::Revoked(revocation.clone()));
        }
    }

    /// A room that somebody has created.
    pub(super) fn store_room(&mut self, key: usize, now: Now) {
        if self.storing.is_on {
            let record = self.owned[key].record(now);
            self.store(Record::Room(Box::new(record)));
        }
    }

    /// An entry of a room's stream.
    pub(super) fn store_entry(&mut self, key: usize, entry: &Arc<Publication>) {
        if self.storing.is_on && self.owned[key].class() != RoomClass::Ephemeral {
            self.store(Record::Entry(Arc::clone(entry)));
        }
    }

    /// A message, and that it waits for the owner of its room, who is away.
    pub(super) fn store_publication(&mut self, key: usize, message: &Arc<Publication>, now: Now) {
        if !self.storing.is_on {
            return;
        }
        if let Some(owner) = self.owned[key].absent_owner() {
            self.store_member(key, &owner, false, now);
        }
        self.store_entry(key, message);
    }

    /// A member has got everything up to an offset, be it away or there.
    pub(super) fn own_settle(
        &mut self,
        room: &str,
        user: &Arc<str>,
        (epoch, offset): (Epoch, Offset),
        now: Now,
    ) {
        let Some(key) = self.known(room) else { return };
        self.change_room(key, |owned, _| owned.settle(user, epoch, offset, now));
        self.schedule_room(key, now);
        self.keep_settled(key, user, (epoch, offset), now);
    }

    /// Nobody waits for how far somebody has got: that it was less far means that it is given again what it has.
    fn keep_settled(&mut self, key: usize, user: &Arc<str>, (epoch, offset): (Epoch, Offset), now: Now) {
        let room = &mut self.owned[key];
        if !(self.storing.is_on || self.links.is_some())
            || room.class() != RoomClass::Queued
            || room.epoch() != epoch
            || room.is_closing()
        {
            return;
        }
        let there = room.is_present(user);
        if there && !room.advance_member(user, offset) || !room.knows_member(user) {
            return;
        }
        if self.storing.is_on {
            let record = room.member_record(user, now);
            self.store_soon(record);
        } else {
            self.share_cursor(key, user);
        }
    }

    /// A session has left a room for good.
    pub(super) fn store_left(&mut self, room: &Arc<str>, session: Option<Box<(Arc<str>, SessionId)>>) {
        if let Some((user, session)) = session.filter(|_| self.storing.is_on).map(|session| *session) {
            self.store(Record::SessionRoom { user, session, room: Arc::clone(room), entered: None });
        }
    }

    /// A room is gone, or is closing: its name begins another stream next time.
    pub(super) fn store_gone(&mut self, room: &Arc<str>, ended: u64) {
        if self.storing.is_on {
            let place = self.epochs.place(room);
            self.store(Record::Gone { room: Arc::clone(room), place, ended });
        }
    }

    /// What is to be known of a member of a queued room, if anything was or is.
    pub(super) fn store_member(&mut self, key: usize, user: &Arc<str>, was_known: bool, now: Now) {
        let room = &self.owned[key];
        let queued = room.class() == RoomClass::Queued && !room.is_closing();
        if self.storing.is_on && queued && (was_known || room.knows_member(user)) {
            let record = room.member_record(user, now);
            self.store(record);
        }
    }

    /// A connection has entered a room: its session has, and whoever is in a queued room is kept messages for.
    ///
    /// When what it missed is gone, and it is told so, nothing can be resumed before it has certainly heard that.
    pub(super) fn store_entering(
        &mut self,
        key: usize,
        joining: &Joining,
        (base, gap): (Offset, bool),
        now: Now,
    ) {
        if !self.storing.is_on && self.links.is_none() {
            return;
        }
        let user = &joining.reader.user;
        let room = &mut self.owned[key];
        if room.class() == RoomClass::Queued && !joining.anonymous {
            let known = room.knows_member(user);
            if !known && !is_forced(room.name()) {
                room.note_member(user, base);
            }
            if known || !is_forced(self.owned[key].name()) {
                self.store_member(key, user, known, now);
            }
        }
        if let Some(session_user) = &joining.session_user {
            let room = &self.owned[key];
            let record = Record::SessionRoom {
                user: Arc::clone(session_user),
                session: joining.session,
                room: Arc::clone(room.name()),
                entered: Some((if gap { Epoch(0) } else { room.epoch() }, base)),
            };
            self.store(record);
        }
    }

    /// Up to where a user has got and read a room.
    pub(super) fn store_receipt(&mut self, key: usize, user: &Arc<str>) {
        if !self.storing.is_on || self.owned[key].class() == RoomClass::Ephemeral {
            return;
        }
        if let Some(record) = self.owned[key].receipt_record(user) {
            self.store(record);
        }
    }

    /// When a user was last seen.
    pub(super) fn store_seen(&mut self, name: &str, now: Now) {
        if !self.storing.is_on {
            return;
        }
        if let Some(record) = self.users.get(name).and_then(|user| user.seen_record(now)) {
            self.store_soon(record);
        }
    }

    /// Where a session is; what is told next waits for it if its client may rely on that.
    pub(super) fn store_session(&mut self, name: &Arc<str>, id: SessionId, waits: bool, now: Now) {
        if !self.storing.is_on {
            return;
        }
        let session = self.users.get_mut(name).and_then(|user| user.session(id));
        let record = match session {
            Some(session) => session.record(name, now),
            None => Record::SessionGone { user: Arc::clone(name), session: id },
        };
        if waits { self.store(record) } else { self.store_soon(record) }
    }
}
