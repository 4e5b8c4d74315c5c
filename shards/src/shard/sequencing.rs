//! Rooms that several nodes share, on their owner shard: the engine gives out their offsets.
//!
//! A room is followed while somebody here is in it, or has just asked about it. What is asked of one that is not followed
//! yet waits for the engine to say how it stands, in the order in which it came; from then on the shard has a copy that
//! the engine's entries keep up to date, and answers from it as from a room of its own. Only what changes a room goes to
//! the engine first: a message is delivered, here as elsewhere, when the engine has told it.
//!
//! While the engine cannot be reached, rooms are ordered here alone. The first message that is given out so begins a
//! stream of its own, and when the engine is back, the room begins anew there, for everybody: what was said on one node
//! only is a gap that all can see.

use std::sync::Arc;

use ahash::{HashMap, HashSet};
use rand::Rng as _;

use super::Shard;
use super::commands::unavailable;
use crate::clock::Now;
use crate::config::RoomClass;
use crate::engine::codec::{self, Word};
use crate::engine::{Event, NodeId, Request, RoomState, Table, Ticket, Unavailable};
use crate::id::{Epoch, MessageId, Offset, SessionId, ShardId};
use crate::mesh::item::{Ask, Caller};
use crate::mesh::operation::Operation;
use crate::protocol::message::Publication;
use crate::protocol::push::{Except, News, Notice, Trouble};
use crate::protocol::reply::Sent;
use crate::room::owned::{Adopted, Applied};

/// What may wait for one room to be opened.
const WAITING_MAX: usize = 8_192;
/// What may wait for the engine to take it before clients are not read any more.
const REQUESTS_MAX: usize = 8_192;

/// A question and the shard that asks it.
type Asked = (ShardId, Ask);

/// How a room is followed.
#[derive(Debug)]
pub(super) enum Link {
    /// The engine was asked how it stands.
    Opening {
        /// What was asked meanwhile.
        waiting: Vec<Asked>,
        /// The stream that was left for one of this node's own, if it was.
        ended: Option<Epoch>,
    },
    /// What happens in it is heard. A room that nobody here is in yet, and in which nothing ever was, has its epoch here.
    Open(Epoch),
    /// It is ordered here alone.
    Alone {
        /// The stream that was left, once messages were given out that are not in it.
        ended: Option<Epoch>,
    },
}

/// What waits for the engine's answer.
#[derive(Debug)]
pub(super) enum Pending {
    /// A message.
    Message { from: ShardId, caller: Caller, sent: Sent },
    /// A change of one.
    Revision { from: ShardId, caller: Caller, change: Box<Publication> },
    /// A room that is to be created.
    Creation { from: ShardId, ask: Box<Ask>, asked: Now },
    /// A session that is to be resumed.
    Session { from: ShardId, caller: Caller, user: Arc<str>, session: SessionId, patient: bool },
}

/// What a shard knows of those who share its rooms.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) node: NodeId,
    pub(super) rooms: HashMap<Arc<str>, Link>,
    pub(super) pending: HashMap<Ticket, Pending>,
    tickets: Ticket,
    /// The other nodes, by the place that their seats name.
    pub(super) nodes: Vec<NodeId>,
    /// Those whose lease is over, unless they were heard of since.
    pub(super) gone: HashSet<NodeId>,
    pub(super) up: bool,
    /// Sessions that other nodes were asked for, and until when that is waited for.
    pub(super) claims: Vec<(u64, Pending)>,
    /// Messages, and changes of them, that this node has asked the engine to append.
    pub(super) own: HashSet<MessageId>,
}

impl Links {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            rooms: HashMap::default(),
            pending: HashMap::default(),
            tickets: 0,
            nodes: Vec::new(),
            gone: HashSet::default(),
            up: true,
            claims: Vec::new(),
            own: HashSet::default(),
        }
    }

    pub(super) fn wait_for(&mut self, pending: Pending) -> Ticket {
        self.tickets += 1;
        self.pending.insert(self.tickets, pending);
        self.tickets
    }
}

impl Shard {
    /// Whether the engine has so much to take that clients should wait.
    pub(super) fn engine_is_full(&self) -> bool {
        self.effects.engine.len() > REQUESTS_MAX
    }

    /// Whether a room is ordered by the engine now.
    pub(super) fn is_shared(&self, room: &str) -> bool {
        self.links.as_ref().is_some_and(|links| matches!(links.rooms.get(room), Some(Link::Open(_))))
    }

    /// Asks the engine something.
    pub(super) fn request(&mut self, request: Request) {
        self.metrics.engine_requests += 1;
        self.effects.engine.push(request);
    }

    /// What is asked of a room that must be opened first waits; everything else comes back to be carried out.
    pub(super) fn await_room(&mut self, from: ShardId, ask: Ask) -> Option<Ask> {
        let Some(links) = &mut self.links else { return Some(ask) };
        if matches!(ask.operation, Operation::Everywhere(_)) {
            return Some(ask);
        }
        match links.rooms.get_mut(&*ask.room) {
            Some(Link::Opening { waiting, .. }) if waiting.len() < WAITING_MAX => {
                waiting.push((from, ask));
                return None;
            }
            Some(Link::Opening { .. }) => {
                self.metrics.engine_refusals += 1;
                self.answer(from, ask.caller, Err(unavailable("engine")));
                return None;
            }
            Some(Link::Open(_) | Link::Alone { .. }) => return Some(ask),
            None if needs_no_room(&ask.operation) => return Some(ask),
            None => {}
        }
        let room = Arc::clone(&ask.room);
        if !links.up {
            links.rooms.insert(room, Link::Alone { ended: None });
            return Some(ask);
        }
        let opening = Link::Opening { waiting: vec![(from, ask)], ended: None };
        links.rooms.insert(Arc::clone(&room), opening);
        self.request(Request::Open { room, ended: None });
        None
    }

    /// Where a room begins that is made now.
    pub(super) fn first_epoch(&self, room: &str, class: RoomClass) -> Epoch {
        match self.links.as_ref().and_then(|links| links.rooms.get(room)) {
            Some(Link::Open(epoch)) => *epoch,
            _ => self.epochs.of(room, class),
        }
    }

    /// A room that nobody here has anything of is not followed any more.
    pub(super) fn release_room(&mut self, room: &Arc<str>) {
        let Some(links) = &mut self.links else { return };
        if let Some(Link::Open(_)) = links.rooms.remove(room) {
            self.request(Request::Release { room: Arc::clone(room) });
        }
    }

    /// The engine says something.
    pub fn on_engine(&mut self, event: Event, now: Now) {
        match event {
            Event::Opened { room, state } => self.on_opened(&room, state, now),
            Event::Entry { room, epoch, offset, entry } => {
                if let Some(entry) = codec::read_entry(&entry, &room, epoch, offset) {
                    self.on_entry(entry, now);
                } else {
                    self.metrics.engine_illegible += 1;
                }
            }
            Event::Restarted { room, epoch } => self.on_restarted(&room, epoch, now),
            Event::Appended { ticket, place } => self.on_appended(ticket, place),
            Event::Taken { ticket, held } => self.on_taken(ticket, held, now),
            Event::Word { room, from, word } => match codec::read_json::<Word>(&word) {
                Some(word) => self.on_word(&room, from, word, now),
                None => self.metrics.engine_illegible += 1,
            },
            Event::NodeGone(node) => self.on_node_gone(node, now),
            Event::Down => self.on_engine_down(now),
            Event::Up => self.on_engine_up(),
        }
        self.settle(now);
    }

    fn on_opened(&mut self, room: &Arc<str>, state: RoomState, now: Now) {
        let Some(links) = &mut self.links else { return };
        let Some(link) = links.rooms.get_mut(room) else { return };
        let waiting = match std::mem::replace(link, Link::Open(state.epoch)) {
            Link::Opening { waiting, .. } => waiting,
            other => {
                *link = other;
                return;
            }
        };
        let is_blank = state.offset == 0 && state.fields.is_empty();
        if !is_blank || self.known(room).is_some() {
            let key = self.own(room, now);
            self.adopt_state(key, state, now);
        }
        for (from, ask) in waiting {
            self.on_ask(from, ask, now);
        }
        match self.known(room) {
            Some(key) => {
                self.forget_if_over(key, now);
                if let Some(key) = self.known(room) {
                    self.schedule_room(key, now);
                }
            }
            None => self.release_room(room),
        }
    }

    /// Takes over how a room stands.
    fn adopt_state(&mut self, key: usize, state: RoomState, now: Now) {
        let RoomState { epoch, offset, entries, fields } = state;
        let room = Arc::clone(self.owned[key].name());
        let entries = entries
            .into_iter()
            .filter_map(|(offset, entry)| codec::read_entry(&entry, &room, epoch, offset))
            .collect();
        let had_members = !self.owned[key].users_here().is_empty();
        self.adopt_card(key, &fields);
        match self.change_room(key, |owned, config| owned.adopt((epoch, offset), entries, now, config)) {
            Adopted::Missed(missed) => {
                for entry in missed {
                    self.deliver(key, &entry, now);
                }
            }
            Adopted::Restarted if had_members => {
                self.tell_trouble(key, Trouble::Resync, now);
            }
            Adopted::Restarted => {}
        }
        self.adopt_members(key, &fields, now);
        self.share_members(key);
    }

    fn on_entry(&mut self, entry: Publication, now: Now) {
        let Some(key) = self.known(&entry.room) else { return };
        if !self.is_shared(&entry.room) {
            return;
        }
        let sender = Arc::clone(&entry.sender);
        match self.change_room(key, |room, config| room.apply(entry, now, config)) {
            Applied::Known => {}
            Applied::Next(entry, forgotten) => {
                self.metrics.history_dropped += forgotten as u64;
                self.deliver(key, &entry, now);
                if entry.change().is_none() {
                    let here = self.is_ours(&entry);
                    self.stop_typing(key, &sender, here);
                }
                self.share_cursor_of_owner(key);
            }
            Applied::Gap => self.reopen(key),
        }
    }

    fn deliver(&mut self, key: usize, entry: &Arc<Publication>, now: Now) {
        if entry.change().is_some() {
            self.metrics.revisions += 1;
        } else {
            self.metrics.publications += 1;
        }
        self.note_kept(key, entry);
        self.distribute(key, entry);
        self.schedule_room(key, now);
    }

    /// Something of a room was missed: the engine says anew how it stands.
    fn reopen(&mut self, key: usize) {
        let room = Arc::clone(self.owned[key].name());
        let Some(links) = &mut self.links else { return };
        links.rooms.insert(Arc::clone(&room), Link::Opening { waiting: Vec::new(), ended: None });
        self.metrics.engine_gaps += 1;
        self.request(Request::Open { room, ended: None });
    }

    fn on_restarted(&mut self, room: &Arc<str>, epoch: Epoch, now: Now) {
        let Some(key) = self.known(room).filter(|key| self.owned[*key].position().epoch != epoch) else {
            return;
        };
        self.change_room(key, |room, _| room.restart(epoch));
        self.tell_trouble(key, Trouble::Resync, now);
    }

    /// The members of a room hear what became of its order.
    fn tell_trouble(&mut self, key: usize, kind: Trouble, now: Now) {
        let position = self.owned[key].position();
        let (epoch, offset) = (position.epoch, position.offset);
        let news = News::Trouble { kind, epoch, offset, unix_ms: now.unix_ms };
        self.notify(key, &Notice { room: position.room, except: Except::Nobody, news });
    }

    /// The engine cannot be reached: everything goes on here alone.
    fn on_engine_down(&mut self, now: Now) {
        let Some(links) = &mut self.links else { return };
        links.up = false;
        let mut waiting = Vec::new();
        for link in links.rooms.values_mut() {
            let ended = match link {
                Link::Opening { waiting: asked, ended } => {
                    waiting.append(asked);
                    *ended
                }
                Link::Open(_) => None,
                Link::Alone { .. } => continue,
            };
            *link = Link::Alone { ended };
        }
        let rooms: Vec<Arc<str>> = links.rooms.keys().cloned().collect();
        for room in rooms {
            if let Some(key) = self.known(&room) {
                self.tell_trouble(key, Trouble::Degraded, now);
            }
        }
        for (from, ask) in waiting {
            self.on_ask(from, ask, now);
        }
    }

    /// It can be reached again: every room is opened anew.
    fn on_engine_up(&mut self) {
        let Some(links) = &mut self.links else { return };
        links.up = true;
        let mut requests = Vec::new();
        for (room, link) in &mut links.rooms {
            let (waiting, ended) = match link {
                Link::Alone { ended } => (Vec::new(), *ended),
                Link::Opening { waiting, ended } => (std::mem::take(waiting), *ended),
                Link::Open(_) => (Vec::new(), None),
            };
            *link = Link::Opening { waiting, ended };
            requests.push(Request::Open { room: Arc::clone(room), ended });
        }
        for request in requests {
            self.request(request);
        }
    }

    /// Before a room gives out a message of its own while the engine is away: a stream that is not the engine's begins.
    pub(super) fn begin_alone(&mut self, key: usize, now: Now) {
        let room = Arc::clone(self.owned[key].name());
        let Some(links) = &mut self.links else { return };
        let Some(Link::Alone { ended: ended @ None }) = links.rooms.get_mut(&room) else { return };
        *ended = Some(self.owned[key].position().epoch);
        let epoch = Epoch(self.random.next_u64());
        self.change_room(key, |room, _| room.restart(epoch));
        self.tell_trouble(key, Trouble::Resync, now);
    }

    fn on_taken(&mut self, ticket: Ticket, held: Result<Option<bytes::Bytes>, Unavailable>, now: Now) {
        let Some(pending) = self.links.as_mut().and_then(|links| links.pending.remove(&ticket)) else {
            return;
        };
        match pending {
            Pending::Creation { from, ask, asked } => {
                self.on_reserved(from, *ask, held.map(|held| held.is_some()), asked);
            }
            pending @ Pending::Session { .. } => self.on_session_taken(pending, held, now),
            Pending::Message { .. } | Pending::Revision { .. } => {}
        }
    }

    /// Tells the engine something to remember of a room, and the other nodes a word.
    pub(super) fn share(
        &mut self,
        room: &Arc<str>,
        field: Option<(Table, String, Option<bytes::Bytes>)>,
        word: Option<&Word>,
    ) {
        let word = word.map(codec::json);
        self.request(Request::Note { room: Arc::clone(room), field, word });
    }

    /// The last offset of a room.
    pub(super) fn offset_of(&self, key: usize) -> Offset {
        self.owned[key].position().offset
    }
}

/// What is about a user, or takes something away, and needs no room that is followed.
fn needs_no_room(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::User(_) | Operation::Park { .. } | Operation::Leave { .. } | Operation::Settle { .. }
    )
}
