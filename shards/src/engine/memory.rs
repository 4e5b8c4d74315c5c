//! An engine in this process: for nodes that are simulated or tested, and as the plainest statement of the contract.
//!
//! Pure: whoever drives it takes the events of each node, and says when it is out of reach and what time it is. Nothing
//! is bounded but what requests bound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;

use super::{Appended, Event, Field, Keep, NodeId, Once, Request, RoomState, Table};
use crate::id::{Epoch, Offset, ShardId};

/// A room that somebody has opened.
#[derive(Debug, Default)]
struct Room {
    epoch: u64,
    offset: Offset,
    entries: VecDeque<(Offset, Bytes)>,
    fields: BTreeMap<(Table, String), Bytes>,
    once: HashMap<String, Named>,
    /// Which shard of which node.
    followers: BTreeMap<NodeId, ShardId>,
}

/// An entry that has a name.
#[derive(Debug)]
struct Named {
    place: (u64, Offset),
    says: Bytes,
    until_ms: u64,
}

/// What several nodes share.
#[derive(Debug, Default)]
pub struct Memory {
    rooms: HashMap<Arc<str>, Room>,
    epochs: u64,
    /// What each node is to hear, by shard.
    events: BTreeMap<NodeId, VecDeque<(ShardId, Event)>>,
    /// Nodes that cannot reach it.
    away: Vec<NodeId>,
}

impl Memory {
    /// A node joins; it is reached from now on.
    pub fn join(&mut self, node: NodeId) {
        self.events.entry(node).or_default();
    }

    /// What a node hears next, and which of its shards.
    pub fn next_event(&mut self, node: NodeId) -> Option<(ShardId, Event)> {
        self.events.get_mut(&node)?.pop_front()
    }

    /// A node cannot reach the engine any more: its shards hear that, and follow nothing.
    pub fn cut(&mut self, node: NodeId, shards: u16) {
        self.away.push(node);
        self.unfollow(node);
        self.tell_all(node, shards, &Event::Down);
    }

    /// It can again.
    pub fn mend(&mut self, node: NodeId, shards: u16) {
        self.away.retain(|away| *away != node);
        self.tell_all(node, shards, &Event::Up);
    }

    /// A node ends without a word: nothing is left of it, and the others hear of that.
    pub fn end(&mut self, node: NodeId, shards: u16) {
        self.unfollow(node);
        self.events.remove(&node);
        let prefix = format!("{:016x}/", node.0);
        for room in self.rooms.values_mut() {
            room.fields.retain(|(table, name), _| *table != Table::Members || !name.starts_with(&prefix));
        }
        for other in self.events.keys().copied().collect::<Vec<_>>() {
            self.tell_all(other, shards, &Event::NodeGone(node));
        }
    }

    /// It loses all that it knew, and whoever follows a room does so no longer.
    pub fn forget(&mut self) {
        self.rooms.clear();
    }

    fn unfollow(&mut self, node: NodeId) {
        for room in self.rooms.values_mut() {
            room.followers.remove(&node);
        }
    }

    fn tell_all(&mut self, node: NodeId, shards: u16, event: &Event) {
        let events = self.events.entry(node).or_default();
        events.extend((0..shards).map(|shard| (ShardId(shard), event.clone())));
    }

    /// Takes a request of a shard of a node, at that time in milliseconds.
    pub fn submit(&mut self, node: NodeId, shard: ShardId, request: Request, now_ms: u64) {
        if self.away.contains(&node) {
            if let Some(event) = request.unanswered() {
                self.tell(node, shard, event);
            }
            return;
        }
        let name = Arc::clone(request.room());
        match request {
            Request::Open { ended, .. } => self.open(node, shard, &name, ended),
            Request::Release { .. } => {
                if let Some(room) = self.rooms.get_mut(&name) {
                    room.followers.remove(&node);
                }
            }
            Request::Append { ticket, entry, once, keep, .. } => {
                let place = self.append(&name, entry, once, keep, now_ms);
                self.tell(node, shard, Event::Appended { ticket, place: Ok(place) });
            }
            Request::Note { field, word, .. } => {
                if let Some((table, field, value)) = field {
                    self.set(&name, table, field, value);
                }
                self.say(&name, node, word);
            }
            Request::Take { ticket, table, name: field, value, only_new, word, .. } => {
                let held = self.room(&name).fields.get(&(table, field.clone())).cloned();
                if !(only_new && held.is_some()) {
                    self.set(&name, table, field, Some(value));
                    self.say(&name, node, word);
                }
                self.tell(node, shard, Event::Taken { ticket, held: Ok(held) });
            }
            Request::Close { word, .. } => {
                let epoch = self.next_epoch();
                let room = self.room(&name);
                let followers = std::mem::take(&mut room.followers);
                *room = Room { epoch, followers, ..Room::default() };
                self.say(&name, node, Some(word));
            }
        }
    }

    fn next_epoch(&mut self) -> u64 {
        self.epochs += 1;
        self.epochs
    }

    fn room(&mut self, name: &Arc<str>) -> &mut Room {
        let Self { rooms, epochs, .. } = self;
        rooms.entry(Arc::clone(name)).or_insert_with(|| {
            *epochs += 1;
            Room { epoch: *epochs, ..Room::default() }
        })
    }

    fn open(&mut self, node: NodeId, shard: ShardId, name: &Arc<str>, ended: Option<Epoch>) {
        if ended == Some(Epoch(self.room(name).epoch)) {
            let epoch = self.next_epoch();
            let room = self.room(name);
            (room.epoch, room.offset) = (epoch, 0);
            room.entries.clear();
            room.fields.retain(|(table, _), _| !matches!(table, Table::Cursors | Table::Receipts));
            self.tell_followers(
                name,
                None,
                &Event::Restarted { room: Arc::clone(name), epoch: Epoch(epoch) },
            );
        }
        let room = self.room(name);
        room.followers.insert(node, shard);
        let field = |((table, name), value): (&(Table, String), &Bytes)| Field {
            table: *table,
            name: name.clone(),
            value: value.clone(),
        };
        let state = RoomState {
            epoch: Epoch(room.epoch),
            offset: room.offset,
            entries: room.entries.iter().cloned().collect(),
            fields: room.fields.iter().map(field).collect(),
        };
        self.tell(node, shard, Event::Opened { room: Arc::clone(name), state });
    }

    fn append(
        &mut self,
        name: &Arc<str>,
        entry: Bytes,
        once: Option<Once>,
        keep: Keep,
        now_ms: u64,
    ) -> Appended {
        let room = self.room(name);
        room.once.retain(|_, named| named.until_ms > now_ms);
        if let Some(named) = once.as_ref().and_then(|once| room.once.get(&once.name)) {
            let (epoch, offset) = named.place;
            return Appended { epoch: Epoch(epoch), offset, first: Some(named.says.clone()) };
        }
        room.offset += 1;
        let (epoch, offset) = (room.epoch, room.offset);
        if let Some(Once { name, says, window_ms }) = once {
            room.once.insert(name, Named { place: (epoch, offset), says, until_ms: now_ms + window_ms });
        }
        room.entries.push_back((offset, entry.clone()));
        while room.entries.len() > keep.entries_max {
            room.entries.pop_front();
        }
        let epoch = Epoch(epoch);
        self.tell_followers(name, None, &Event::Entry { room: Arc::clone(name), epoch, offset, entry });
        Appended { epoch, offset, first: None }
    }

    fn set(&mut self, name: &Arc<str>, table: Table, field: String, value: Option<Bytes>) {
        let fields = &mut self.room(name).fields;
        match value {
            Some(value) => fields.insert((table, field), value),
            None => fields.remove(&(table, field)),
        };
    }

    fn say(&mut self, name: &Arc<str>, from: NodeId, word: Option<Bytes>) {
        if let Some(word) = word {
            self.tell_followers(name, Some(from), &Event::Word { room: Arc::clone(name), from, word });
        }
    }

    fn tell_followers(&mut self, name: &Arc<str>, except: Option<NodeId>, event: &Event) {
        let followers = self.rooms.get(name).map(|room| room.followers.clone()).unwrap_or_default();
        for (node, shard) in followers.into_iter().filter(|(node, _)| Some(*node) != except) {
            self.tell(node, shard, event.clone());
        }
    }

    fn tell(&mut self, node: NodeId, shard: ShardId, event: Event) {
        if let Some(events) = self.events.get_mut(&node) {
            events.push_back((shard, event));
        }
    }
}
