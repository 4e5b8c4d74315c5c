//! Who is in a shared room by other nodes, on the room's owner shard: their comings and goings, and what they say.
//!
//! Another node is to a room what another shard is: a place where a user has a seat. So edges, counts, graces and pages
//! need no second rule. A user sits there once, however many connections it has; and since its rooms tell, a user's owner
//! knows of every user with whom somebody here shares a room, which are all that anybody here may know of.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::engine::codec::{self, Member, Reached, Word};
use crate::engine::{Field, NodeId, Request, Table};
use crate::id::{Offset, SHARDS_MAX, SessionId, ShardId};
use crate::mesh::item::{Ask, Caller, Item, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::protocol::app_event::AppEvent;
use crate::protocol::command::{Status, StatusUpdate, UpTo};
use crate::protocol::push::{Except, News, Notice};
use crate::protocol::reply::ReceiptStatus;
use crate::room::name::{account_room, is_room_of, user_room};
use crate::room::owned::OwnedRoom;
use crate::room::roster::Seat;

/// Seats on other nodes name a shard from here on.
const NODES_FROM: u16 = 64;
const _: () = assert!(NODES_FROM as usize == SHARDS_MAX, "behind all shards");

impl Shard {
    /// The place of a node's seats; the node gets one if it has none.
    fn place_of(&mut self, node: NodeId) -> Option<ShardId> {
        let nodes = &mut self.links.as_mut()?.nodes;
        let at = nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
            nodes.push(node);
            nodes.len() - 1
        });
        Some(ShardId(NODES_FROM.checked_add(u16::try_from(at).ok()?)?))
    }

    /// A user's first connection of this node is in the room.
    pub(super) fn share_member(&mut self, key: usize, user: &Arc<str>, account: Option<&Arc<str>>) {
        if !self.is_shared(&Arc::clone(self.owned[key].name())) || self.owned[key].seats_here(user) != 1 {
            return;
        }
        self.tell_member(key, user, account);
        self.share_cursor(key, user);
        self.share_limits(key, user);
    }

    fn tell_member(&mut self, key: usize, user: &Arc<str>, account: Option<&Arc<str>>) {
        let Some(node) = self.links.as_ref().map(|links| links.node) else { return };
        let room = Arc::clone(self.owned[key].name());
        let status = self.owned[key].status(user).unwrap_or_default();
        let member = Member::new(account, &StatusUpdate { status, text: None });
        let value = Some(codec::json(&member));
        let word = Word::Joined { user: Arc::clone(user), member };
        self.share(&room, Some((Table::Members, codec::member_name(node, user), value)), Some(&word));
    }

    /// Everybody of this node who is in the room, after it was opened anew.
    pub(super) fn share_members(&mut self, key: usize) {
        for user in self.owned[key].users_here() {
            let account = self.account_known(&user);
            self.tell_member(key, &user, account.as_ref());
        }
    }

    /// The account of a user, if this shard is the user's owner.
    fn account_known(&self, user: &str) -> Option<Arc<str>> {
        self.users.get(user).and_then(|user| user.account.clone())
    }

    /// Perhaps a user's last connection of this node has left the room.
    pub(super) fn share_left(&mut self, key: usize, user: &Arc<str>, lost: bool) {
        let room = Arc::clone(self.owned[key].name());
        if !self.is_shared(&room) || self.owned[key].seats_here(user) > 0 {
            return;
        }
        let Some(node) = self.links.as_ref().map(|links| links.node) else { return };
        let cursor = self.owned[key].cursor(user);
        let word = Word::Left { user: Arc::clone(user), lost, cursor };
        self.share(&room, Some((Table::Members, codec::member_name(node, user), None)), Some(&word));
        self.share_cursor(key, user);
    }

    /// What the creator of a room that is opened decided, if this node does not know it.
    pub(super) fn adopt_card(&mut self, key: usize, fields: &[Field]) {
        let card = fields.iter().find(|field| field.table == Table::Card);
        let card = card
            .filter(|_| self.owned[key].card().is_none())
            .and_then(|field| codec::read_card(&field.value));
        let Some((card, audience)) = card else { return };
        let owner = Arc::clone(&card.owner);
        self.owned[key].adopt_card(card, audience);
        self.created.add(&owner, self.owned[key].created_bytes());
    }

    /// Who the engine says is in the room by other nodes, and up to where absent members and readers have got it.
    pub(super) fn adopt_members(&mut self, key: usize, fields: &[Field], now: Now) {
        let (mut present, mut cursors) = (Vec::new(), Vec::new());
        for Field { table, name, value } in fields {
            match table {
                Table::Members => {
                    let Some((node, user)) = codec::read_member_name(name) else { continue };
                    let Some(member) = codec::read_json(value) else { continue };
                    if self.links.as_ref().is_some_and(|links| links.node != node) {
                        present.push((node, Arc::<str>::from(user)));
                        self.seat_elsewhere(key, node, &user.into(), &member, now);
                    }
                }
                Table::Cursors => {
                    let offset = codec::read_json::<Offset>(value);
                    cursors.extend(offset.map(|offset| (Arc::<str>::from(name.as_str()), offset)));
                }
                Table::Receipts => {
                    let Some(Reached { delivered, read }) = codec::read_json(value) else { continue };
                    let user = name.as_str().into();
                    self.owned[key].adopt_receipt(&user, false, delivered.0, delivered.1);
                    self.owned[key].adopt_receipt(&user, true, read.0, read.1);
                }
                Table::Card | Table::Sessions => {}
            }
        }
        // Of those whom this node thought there, some may have left while the engine was away.
        let nodes = self.links.as_ref().map_or(Vec::new(), |links| links.nodes.clone());
        for (user, seat) in self.owned[key].users_elsewhere(None) {
            let node = nodes.get(usize::from(seat.shard.0 - NODES_FROM)).copied();
            if !present.iter().any(|(at, known)| Some(*at) == node && *known == user) {
                self.unseat(key, &user, seat, true, now);
            }
        }
        for (user, offset) in cursors {
            self.adopt_cursor(key, &user, offset, now);
        }
    }

    /// A user came into the room by another node.
    fn seat_elsewhere(&mut self, key: usize, node: NodeId, user: &Arc<str>, member: &Member, now: Now) {
        let Some(shard) = self.place_of(node) else { return };
        if let Some(links) = &mut self.links {
            links.gone.remove(&node);
        }
        let seat = Seat { shard, number: 0 };
        let said = member.said();
        if !self.owned[key].has_seat(user, seat) {
            let Self { owned, config, .. } = self;
            let change = owned[key].join_elsewhere(seat, user, now, config);
            self.owned[key].forget_cursor(user);
            self.tell_edge(key, change, now);
        }
        self.owned[key].set_status(user, said.status);
        let room = Arc::clone(self.owned[key].name());
        let operation = UserOperation::Elsewhere {
            seat: seat_of_room(shard, &room),
            room,
            account: member.account.clone(),
            said,
            there: true,
            lost: false,
        };
        self.ask_owner_of(user, operation);
        self.share_limits(key, user);
    }

    /// A user who was in the room by another node is not, any more.
    fn unseat(&mut self, key: usize, user: &Arc<str>, seat: Seat, lost: bool, now: Now) {
        self.unseat_waiting(key, user, seat, (lost, None), now);
    }

    /// The same; what comes behind an offset waits for the user, if one is named.
    fn unseat_waiting(
        &mut self,
        key: usize,
        user: &Arc<str>,
        seat: Seat,
        (lost, behind): (bool, Option<Offset>),
        now: Now,
    ) {
        let change = self.change_room(key, |room, config| {
            room.leave(seat, user, (lost, behind.is_some(), behind), now, config)
        });
        if !self.owned[key].is_present(user) {
            self.stop_typing(key, user, false);
        }
        self.tell_edge(key, change, now);
        self.leave_elsewhere(Arc::clone(self.owned[key].name()), user, seat.shard, lost);
        self.share_limits(key, user);
    }

    fn leave_elsewhere(&mut self, room: Arc<str>, user: &Arc<str>, shard: ShardId, lost: bool) {
        let said = StatusUpdate { status: Status::Online, text: None };
        let seat = seat_of_room(shard, &room);
        let operation = UserOperation::Elsewhere { seat, room, account: None, said, there: false, lost };
        self.ask_owner_of(user, operation);
    }

    /// A room is not followed any more: what is known of users by it alone is not known any more.
    pub(super) fn forget_elsewhere(&mut self, room: &OwnedRoom) {
        for (user, seat) in room.users_elsewhere(None) {
            self.leave_elsewhere(Arc::clone(room.name()), &user, seat.shard, false);
        }
    }

    fn ask_owner_of(&mut self, user: &str, operation: UserOperation) {
        let room: Arc<str> = user_room(user).into();
        let owner = self.router.owner(&room);
        let connection = crate::id::ConnectionId { slot: 0, generation: 0 };
        let caller = Caller { connection, reply: ReplyTo::Nobody };
        let ask = Ask { caller, room, operation: Operation::User(operation) };
        self.dispatch(owner, Item::Ask(Box::new(ask)));
    }

    /// A user with connections by several nodes has its share of its rates on each.
    fn share_limits(&mut self, key: usize, user: &str) {
        if is_room_of(self.owned[key].name(), user) {
            let nodes = self.owned[key].nodes_of(user) + 1;
            if let Some(user) = self.users.get(user) {
                user.messages.share_among(nodes);
            }
        }
    }

    /// Another node says something about a room.
    pub(super) fn on_word(&mut self, room: &Arc<str>, from: NodeId, word: Word, now: Now) {
        let Some(key) = self.known(room) else { return };
        match word {
            Word::Joined { user, member } => self.seat_elsewhere(key, from, &user, &member, now),
            Word::Left { user, lost, cursor } => {
                let Some(shard) = self.place_of(from) else { return };
                self.unseat(key, &user, Seat { shard, number: 0 }, lost, now);
                if let Some(offset) = cursor {
                    self.adopt_cursor(key, &user, offset, now);
                }
            }
            Word::Cursor { user, offset } => self.adopt_cursor(key, &user, offset, now),
            Word::Status { user, member } => self.seat_elsewhere(key, from, &user, &member, now),
            Word::Typing { user, typing } => {
                let state = self.owned[key].typing_mut();
                let is_news = if typing { state.start(&user, now.ms) } else { state.stop(&user) };
                if is_news {
                    self.tell_typing(key, &user, typing, false);
                    self.schedule_room(key, now);
                }
            }
            Word::Receipt { user, read, offset, message } => {
                self.on_receipt_elsewhere(key, &user, read, (offset, message), now);
            }
            Word::Closed => self.close_owned(key, now),
            Word::Created { card, except, .. } => {
                if let Some((card, _)) = codec::read_card(&card) {
                    let except = Except::Session(SessionId(except));
                    let notice =
                        Notice { room: Arc::clone(room), except, news: News::Created(Arc::new(card)) };
                    self.notify(key, &notice);
                }
            }
            Word::Push { event, data, except_user, except_session } => {
                let except = match (except_user, except_session) {
                    (Some(user), _) => Except::User(user),
                    (None, Some(session)) => Except::Session(SessionId(session)),
                    (None, None) => Except::Nobody,
                };
                let event = Arc::new(AppEvent { name: (&*event).into(), data: data.into() });
                self.notify(key, &Notice { room: Arc::clone(room), except, news: News::Custom(event) });
            }
            Word::Evict { session } => self.evict_for_node(room, SessionId(session)),
            Word::Parked { session } => self.on_parked_elsewhere(SessionId(session)),
            Word::Taken { session } => self.on_taken_elsewhere(room, SessionId(session), now),
        }
    }

    fn on_receipt_elsewhere(
        &mut self,
        key: usize,
        user: &Arc<str>,
        read: bool,
        (offset, message): (Offset, Option<String>),
        now: Now,
    ) {
        let offset = offset.min(self.offset_of(key));
        let Ok(receipting) = self.owned[key].receipt(user, UpTo::Offset(offset), read, now) else { return };
        if receipting.is_news {
            let message = message.as_deref().and_then(crate::id::MessageId::parse);
            let status = ReceiptStatus { message, ..receipting.status };
            self.tell_receipt(user, Except::Nobody, status);
            self.flush_receipts(key, now);
            self.schedule_room(key, now);
        }
    }

    /// On the owner: a receipt of this node's is told to the others.
    pub(super) fn share_receipt(&mut self, key: usize, status: &ReceiptStatus) {
        let room = Arc::clone(self.owned[key].name());
        if !self.is_shared(&room) {
            return;
        }
        let reached = self.owned[key].reached(&status.user);
        let word = Word::Receipt {
            user: Arc::clone(&status.user),
            read: status.read,
            offset: status.offset,
            message: status.message.map(|id| id.to_string()),
        };
        let field = (Table::Receipts, status.user.to_string(), Some(codec::json(&reached)));
        self.share(&room, Some(field), Some(&word));
    }

    /// On the owner: that a user of this node writes, or not any more, is told to the others.
    pub(super) fn share_typing(&mut self, key: usize, user: &Arc<str>, typing: bool) {
        let room = Arc::clone(self.owned[key].name());
        if self.is_shared(&room) && self.owned[key].seats_here(user) > 0 {
            self.share(&room, None, Some(&Word::Typing { user: Arc::clone(user), typing }));
        }
    }

    /// On a user's owner: what a user of this node says of itself is told to the other nodes, room by room.
    pub(super) fn share_status(
        &mut self,
        room: &Arc<str>,
        user: &Arc<str>,
        account: Option<&Arc<str>>,
        said: &StatusUpdate,
    ) {
        let Some(node) = self.links.as_ref().map(|links| links.node) else { return };
        let member = Member::new(account, said);
        let value = Some(codec::json(&member));
        let word = Word::Status { user: Arc::clone(user), member };
        self.share(room, Some((Table::Members, codec::member_name(node, user), value)), Some(&word));
    }

    /// On a user's owner: the rooms that hear what a user of this node says of itself.
    pub(super) fn spread_status(&mut self, name: &Arc<str>) {
        if self.links.as_ref().is_none_or(|links| !links.up) {
            return;
        }
        let Some(user) = self.users.get(name) else { return };
        let account = user.account.clone();
        let said = user.presence.said().clone();
        let account_rooms = account.iter().map(|account| Arc::from(account_room(name, account)));
        let rooms: Vec<Arc<str>> =
            user.rooms().cloned().chain(account_rooms).chain([Arc::from(user_room(name))]).collect();
        for room in rooms {
            self.share_status(&room, name, account.as_ref(), &said);
        }
    }

    /// On a user's owner: a room that the user has entered hears what it says of itself, if that is more than that it is
    /// there.
    pub(super) fn spread_status_to(&mut self, name: &Arc<str>, room: &Arc<str>) {
        if self.links.as_ref().is_none_or(|links| !links.up) {
            return;
        }
        let Some(user) = self.users.get(name) else { return };
        let (account, said) = (user.account.clone(), user.presence.said().clone());
        if said.status != Status::Online || said.text.is_some() {
            self.share_status(room, name, account.as_ref(), &said);
        }
    }

    /// A node is gone, and with it its users' seats; they may come back by another.
    pub(super) fn on_node_gone(&mut self, node: NodeId, now: Now) {
        let Some(shard) = self.place_of(node) else { return };
        let Some(links) = &mut self.links else { return };
        links.gone.insert(node);
        let rooms: Vec<Arc<str>> = links.rooms.keys().cloned().collect();
        for room in rooms {
            let Some(key) = self.known(&room) else { continue };
            for (user, seat) in self.owned[key].users_elsewhere(Some(shard)) {
                let behind = self.owned[key].certain_elsewhere(&user);
                self.unseat_waiting(key, &user, seat, (true, behind), now);
                let name = codec::member_name(node, &user);
                self.share(&room, Some((Table::Members, name, None)), None);
                if self.owned[key].cursor(&user).is_some() {
                    self.share_cursor(key, &user);
                }
            }
            self.settle_items(now);
        }
    }

    /// A room of which members on other nodes are to hear that another was created.
    pub(super) fn share_created(&mut self, notice: &Notice) {
        let (News::Created(card), Except::Session(session)) = (&notice.news, &notice.except) else { return };
        if self.links.as_ref().is_none_or(|links| !links.up) {
            return;
        }
        let bytes = codec::card(card, None).to_vec();
        let word = Word::Created { room: Arc::clone(&card.room), card: bytes, except: session.0 };
        self.share(&notice.room, None, Some(&word));
    }

    /// The members of a room on other nodes are to be told something of the application's.
    pub(super) fn share_push(&mut self, room: &Arc<str>, event: &AppEvent, except: &Except) {
        if !self.is_shared(room) {
            return;
        }
        let Ok(data) = std::str::from_utf8(&event.data) else { return };
        let (except_user, except_session) = match except {
            Except::Nobody => (None, None),
            Except::User(user) => (Some(Arc::clone(user)), None),
            Except::Session(session) => (None, Some(session.0)),
        };
        let (name, data) = ((&*event.name).into(), data.to_owned());
        self.share(room, None, Some(&Word::Push { event: name, data, except_user, except_session }));
    }

    /// A room was closed here: the engine forgets it, and the other nodes close it.
    pub(super) fn share_closed(&mut self, room: &Arc<str>) {
        if self.is_shared(room) {
            self.request(Request::Close { room: Arc::clone(room), word: codec::json(&Word::Closed) });
        }
    }
}

/// A user's seat by another node, one for each room in which it is seen there.
fn seat_of_room(shard: ShardId, room: &str) -> Seat {
    // FNV-1a: any hash does, as long as a room's is always the same.
    let number =
        room.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Seat { shard, number }
}
