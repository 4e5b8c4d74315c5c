//! A connection's rooms and patterns, on its home shard: entered, left, listed.

use std::sync::Arc;

use super::Shard;
use super::hooks::Wants;
use crate::clock::Now;
use crate::config::RoomClass;
use crate::connection::Subscription;
use crate::id::Offset;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Joining, Operation, Reader, UserOperation};
use crate::protocol::command::{Creation, Position};
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::profile::Dialect;
use crate::protocol::reply::{self, Reply};
use crate::room::directory::RoomKey;
use crate::room::name::{is_forced, local, user_room};
use crate::user::watch::Target;

/// Who is in this room sees everybody visible come and go.
const GLOBAL_ROOM: &str = "presence:global";

/// What somebody who enters a room wants to know of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// Newest messages to answer with.
    pub(super) history: usize,
    /// From where to catch up.
    pub(super) recover: Option<Position>,
    /// Whether what came live is not to be given again.
    pub(super) only_missed: bool,
}

impl Shard {
    pub(super) fn join(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        history: usize,
        recover: Option<Position>,
    ) -> Result<(), CommandError> {
        let wish = Wish { history, recover, only_missed: false };
        if self.join_needs_leave(room) {
            self.check_entry(slot, room)?;
            self.hold(slot, caller.reply, Wants::Join(room.to_owned(), wish));
            return Ok(());
        }
        self.enter_room(slot, caller, room, wish)
    }

    /// The same with leave.
    pub(super) fn enter_room(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        wish: Wish,
    ) -> Result<(), CommandError> {
        self.check_entry(slot, room)?;
        self.subscribe(slot, caller, room, false, wish);
        Ok(())
    }

    /// Whether a connection may subscribe to a room, as far as that can be told here.
    pub(super) fn check_entry(&self, slot: usize, room: &str) -> Result<(), CommandError> {
        if !self.identity(slot).may_enter(room) && !self.is_granted(slot, room) {
            return Err(CommandError::room_denied());
        }
        let client = &self.connections[slot];
        let chosen = client.subscriptions.iter().filter(|subscription| !subscription.forced).count();
        if self.subscribed(slot, room).is_none() && chosen >= self.config.limits.rooms_max {
            return Err(limit_reached("too many rooms", self.config.limits.rooms_max));
        }
        Ok(())
    }

    /// Whether the application let a connection into a room, and it has not left since.
    pub(super) fn is_granted(&self, slot: usize, room: &str) -> bool {
        self.connections[slot].rare().granted.iter().any(|granted| **granted == *room)
    }

    /// Puts a connection into a room for the application, where it stays whatever its token says.
    pub(super) fn grant(&mut self, slot: usize, caller: Caller, room: &Arc<str>) {
        if !self.is_granted(slot, room) {
            self.connections[slot].rare_mut().granted.push(Arc::clone(room));
        }
        match self.subscribed(slot, room) {
            None => self.subscribe(slot, caller, room, false, Wish::default()),
            // It is there already: only those who keep its session hear of it.
            Some(_) => self.checkpoint(slot),
        }
    }

    /// Subscribes a connection to a room; the owner's answer lets its messages through.
    pub(super) fn subscribe(&mut self, slot: usize, caller: Caller, room: &str, forced: bool, wish: Wish) {
        // A closed connection has left its rooms for good.
        if !self.connections[slot].is_active() || self.connections[slot].evicted.is_some() {
            return;
        }
        let (name, joining) = self.prepare(slot, room, forced, wish);
        self.ask(caller, name, Operation::Join(Box::new(joining)));
    }

    /// Notes a subscription, and what its owner must know.
    fn prepare(&mut self, slot: usize, room: &str, forced: bool, wish: Wish) -> (Arc<str>, Joining) {
        let existing = self.subscribed(slot, room);
        let key = existing.unwrap_or_else(|| self.directory.acquire(room, &self.classes));
        let name = Arc::clone(&self.directory.get(key).name);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let client = &mut self.connections[slot];
        let id = client.id;
        let mut until = None;
        let (number, sequence) = match client.subscription_mut(key) {
            Some(subscription) => {
                subscription.forced |= forced;
                if wish.only_missed && subscription.joined {
                    until = Some(subscription.since);
                } else if wish.recover.is_some() && subscription.joined {
                    // What comes from here on is in the answer, or behind it; not both.
                    subscription.sequence = sequence;
                    subscription.joined = false;
                    self.directory.remove_member(key, id.slot);
                }
                (subscription.number, subscription.sequence)
            }
            None => {
                if client.subscriptions.is_empty() {
                    // The user's own room, and usually one that it chose; a vector would make room for four.
                    client.subscriptions.reserve_exact(2);
                }
                client.subscriptions.push(Subscription {
                    room: key,
                    number: sequence,
                    sequence,
                    joined: false,
                    forced,
                    told: false,
                    since: 0,
                    typing: Default::default(),
                });
                (sequence, sequence)
            }
        };
        let session = client.session;
        let session_user = self.stored_session(slot);
        let identity = self.identity(slot);
        let entitled = identity.is_entitled(room) || self.is_granted(slot, room);
        let reader = Reader { user: Arc::clone(&identity.user), entitled };
        let joining = Joining {
            reader,
            session,
            session_user,
            number,
            sequence,
            again: existing.is_some(),
            history: wish.history,
            recover: wish.recover,
            until,
            account: identity.account.clone(),
            anonymous: identity.is_anonymous(),
        };
        (name, joining)
    }

    pub(super) fn create_room(
        &mut self,
        slot: usize,
        caller: Caller,
        mut creation: Creation,
        now: Now,
    ) -> Result<(), CommandError> {
        if local(&creation.room).is_empty() {
            let id = self.message_ids.next(now.unix_ms, &mut self.random);
            creation.room = self.identity(slot).qualify(&format!("room:{id}"));
        }
        if is_forced(&creation.room) {
            return Err(CommandError::room_denied());
        }
        if self.join_needs_leave(&creation.room) {
            self.check_creation(slot, &creation.room)?;
            self.hold(slot, caller.reply, Wants::Create(Box::new(creation)));
            return Ok(());
        }
        self.create_with_leave(slot, caller, creation)
    }

    /// The same with leave to enter the room, as its creator does.
    pub(super) fn create_with_leave(
        &mut self,
        slot: usize,
        caller: Caller,
        creation: Creation,
    ) -> Result<(), CommandError> {
        self.check_creation(slot, &creation.room)?;
        let (name, joining) = self.prepare(slot, &creation.room, false, Wish::default());
        let operation = Operation::Create { joining: Box::new(joining), creation: Box::new(creation) };
        self.ask(caller, name, operation);
        Ok(())
    }

    /// Whether a connection may create a room, as far as that can be told here.
    fn check_creation(&self, slot: usize, room: &str) -> Result<(), CommandError> {
        self.check_entry(slot, room)?;
        if self.subscribed(slot, room).is_some() { Err(exists()) } else { Ok(()) }
    }

    pub(super) fn close_room(&mut self, slot: usize, caller: Caller, room: &str) -> Result<(), CommandError> {
        let identity = self.identity(slot);
        if is_forced(room) || (self.subscribed(slot, room).is_none() && !identity.may_enter(room)) {
            return Err(CommandError::room_denied());
        }
        let supervisor = identity.user_type == crate::access::token::UserType::Supervisor;
        let user = Arc::clone(&identity.user);
        self.ask(caller, room.into(), Operation::Close { user, supervisor });
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        now: Now,
    ) -> Result<(), CommandError> {
        let Some(key) = self.subscribed(slot, room) else {
            if self.connections[slot].variant.dialect == Dialect::Topic {
                self.answer_client(&caller, &Reply::Left { room: room.into() }, now);
                return Ok(());
            }
            return Err(CommandError::not_a_member());
        };
        if self.connections[slot].subscription(key).is_some_and(|subscription| subscription.forced) {
            return Err(CommandError::new(ErrorCode::ClientError, "this room cannot be left"));
        }
        self.unsubscribe(slot, caller, key, false);
        // Another node would put it back into the room.
        self.checkpoint_for_nodes(slot);
        Ok(())
    }

    /// Takes a connection out of a room at once, and tells the owner.
    pub(super) fn unsubscribe(&mut self, slot: usize, caller: Caller, key: RoomKey, lost: bool) {
        let client = &mut self.connections[slot];
        let Some(at) = client.subscriptions.iter().position(|subscription| subscription.room == key) else {
            return;
        };
        let subscription = client.subscriptions.swap_remove(at);
        if let Some(log) = client.log.as_mut().filter(|_| !lost) {
            log.leave(subscription.number);
        }
        let id = client.id;
        let room = self.directory.get(key);
        let name = Arc::clone(&room.name);
        if !lost && !client.rare().granted.is_empty() {
            client.rare_mut().granted.retain(|granted| *granted != name);
        }
        if let Some(log) = &mut client.log {
            log.settle();
        }
        let got = client.rare().goodbye.map_or(0, |goodbye| goodbye.upto());
        let certain = client.log.as_ref().and_then(|log| log.certain(subscription.number, got));
        let certain = certain.unwrap_or(room.offset);
        let seen = subscription.joined.then_some(certain);
        if subscription.joined {
            self.directory.remove_member(key, id.slot);
        }
        self.directory.release(key);
        let identity = self.identity(slot);
        let (user, anonymous) = (Arc::clone(&identity.user), identity.is_anonymous());
        if subscription.told {
            self.tell_moved(&user, &name, false, lost);
        }
        if !lost && local(&name) == GLOBAL_ROOM {
            self.unwatch(slot, &Target::Everybody);
        }
        let number = subscription.number;
        // A session keeps the rooms of a connection that is lost, but not one that it has not been let into yet.
        let keeps = lost && self.connections[slot].log.as_ref().is_some_and(|log| log.follows(number));
        let session_user = if keeps { None } else { self.stored_session(slot) };
        let session = session_user.map(|user| Box::new((user, self.connections[slot].session)));
        self.ask(caller, name, Operation::Leave { user, number, lost, seen, anonymous, session });
    }

    /// The owner let the connection in: from here on it receives the room's messages. Whether the connection is there
    /// and did not have it before.
    pub(super) fn complete_join(
        &mut self,
        caller: &Caller,
        room: &str,
        (sequence, base, resync): (u32, Offset, bool),
        joined: &reply::Joined,
    ) -> bool {
        let slot = caller.connection.slot as usize;
        let (Some(key), Some(_)) = (self.directory.find(room), self.client(caller.connection)) else {
            return false;
        };
        let place = self.directory.get_mut(key);
        if place.epoch != joined.epoch {
            (place.epoch, place.offset) = (joined.epoch, 0);
        }
        place.offset = place.offset.max(joined.offset);
        place.users = joined.members;
        let (class, name) = (place.class, Arc::clone(&place.name));
        let client = &mut self.connections[slot];
        let Some(subscription) = client.subscription_mut(key) else { return false };
        if subscription.sequence != sequence {
            return false;
        }
        let gap = joined.recovered == Some(false);
        let number = subscription.number;
        if std::mem::replace(&mut subscription.joined, true) {
            if let (Some(log), true) = (&mut client.log, gap) {
                log.enter_anew(number, &name, joined.epoch, base);
            }
            return false;
        }
        // What was kept is given now: only what was before it can have been missed, unless some of it is gone.
        let given = class == RoomClass::Queued && !resync;
        subscription.since = if given { base } else { joined.offset };
        let told = std::mem::replace(&mut subscription.told, !is_forced(&name));
        // What was kept for the user is about to be given: if the connection ends before, it is kept again.
        let owes = class == RoomClass::Queued && base < joined.offset;
        if owes {
            client.log.get_or_insert_default();
        }
        if let Some(log) = client.log.as_mut().filter(|log| follows(log.is_session, class)) {
            if gap {
                log.enter_anew(number, &name, joined.epoch, base);
            } else {
                log.enter(number, &name, joined.epoch, base);
            }
            if owes {
                log.owe(number);
            }
        }
        self.directory.add_member(key, caller.connection.slot);
        if !told && !is_forced(&name) {
            let user = Arc::clone(&self.identity(slot).user);
            self.tell_moved(&user, &name, true, false);
            self.look_around(caller.connection, &name);
        }
        if local(&name) == GLOBAL_ROOM {
            self.watch(slot, Target::Everybody);
        }
        true
    }

    /// The owner did not let the connection in.
    pub(super) fn drop_subscription(&mut self, caller: &Caller, room: &str, sequence: u32) {
        let slot = caller.connection.slot as usize;
        let (Some(key), Some(_)) = (self.directory.find(room), self.client(caller.connection)) else {
            return;
        };
        let client = &mut self.connections[slot];
        let refused = client.subscriptions.iter().position(|subscription| {
            subscription.room == key && subscription.sequence == sequence && !subscription.joined
        });
        if let Some(at) = refused {
            let subscription = client.subscriptions.swap_remove(at);
            if let Some(log) = &mut client.log {
                log.leave(subscription.number);
            }
            if let (true, Some(identity)) = (subscription.told, &client.identity) {
                let (user, name) = (Arc::clone(&identity.user), Arc::clone(&self.directory.get(key).name));
                self.tell_moved(&user, &name, false, false);
            }
            self.directory.release(key);
        }
    }

    /// Tells a user's owner that one of its connections entered a room, or left it.
    fn tell_moved(&mut self, user: &Arc<str>, room: &Arc<str>, entered: bool, lost: bool) {
        let connection = crate::id::ConnectionId { slot: 0, generation: 0 };
        let caller = Caller { connection, reply: ReplyTo::Nobody };
        let moved = UserOperation::Moved { room: Arc::clone(room), entered, lost };
        self.ask(caller, user_room(user).into(), Operation::User(moved));
    }

    /// The names of a connection's rooms.
    pub(super) fn rooms_of(&self, slot: usize) -> Vec<Arc<str>> {
        let subscriptions = self.connections[slot].subscriptions.iter();
        subscriptions.map(|subscription| Arc::clone(&self.directory.get(subscription.room).name)).collect()
    }
}

/// Whether a client's progress in a room of that class is followed: a session has all of its rooms, be it only to say
/// that of an ephemeral one nothing can be recovered.
pub(super) fn follows(is_session: bool, class: RoomClass) -> bool {
    match class {
        RoomClass::Ephemeral | RoomClass::Reliable => is_session,
        RoomClass::Queued => true,
    }
}

/// A room of that name is there already.
pub(super) fn exists() -> CommandError {
    CommandError::new(ErrorCode::ClientError, "there is a room of this name already")
}

pub(super) fn limit_reached(message: &'static str, limit: usize) -> CommandError {
    CommandError::new(ErrorCode::ClientError, message).with("limit", Detail::Number(limit as u64))
}
