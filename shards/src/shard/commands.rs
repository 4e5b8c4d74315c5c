//! Commands of authenticated clients, on their home shard: allowed, then on to the room's owner.

use std::sync::Arc;

use super::Shard;
use super::gather::{Kind, Part};
use crate::clock::Now;
use crate::connection::Subscription;
use crate::mesh::item::{Ask, Caller, Interest, Item, Operation, ReplyTo};
use crate::protocol::command::{Command, Invalid, Position, Request};
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::profile::Dialect;
use crate::protocol::reply::{self, Reply};
use crate::room::directory::RoomKey;
use crate::room::pattern::Pattern;

impl Shard {
    /// Executes a command of an authenticated client.
    pub(super) fn execute(&mut self, slot: usize, request: Request, now: Now) {
        let Request { event, id, command } = request;
        let caller = Caller { connection: self.connections[slot].id, reply: ReplyTo::Client { event, id } };
        if !self.identity(slot).may(event) {
            let error = CommandError::new(ErrorCode::PermissionDenied, "not allowed to do this");
            return self.fail(&caller, &error, now);
        }
        let result = match command {
            Command::Auth { token } => self.refresh(slot, &caller, &token, now),
            Command::Ping => {
                self.answer_client(&caller, &Reply::Pong, now);
                Ok(())
            }
            Command::Join { room, history, recover } => {
                self.join(slot, caller.clone(), &room, history, recover)
            }
            Command::Leave { room } => self.leave(slot, caller.clone(), &room, now),
            Command::SubscribePattern(pattern) => self.subscribe_pattern(slot, caller.clone(), pattern),
            Command::UnsubscribePattern(pattern) => {
                self.unsubscribe_pattern(slot, &pattern);
                self.answer_pattern(&caller, &pattern, false, now);
                Ok(())
            }
            Command::List => {
                self.list(slot, caller.clone(), now);
                Ok(())
            }
            Command::Info { room } => self.ask_about(slot, caller.clone(), &room, Operation::Info),
            Command::Online { room, limit, cursor } => {
                self.ask_about(slot, caller.clone(), &room, Operation::Online { limit, cursor })
            }
            Command::History { room, before, after, limit } => {
                let session = self.connections[slot].session;
                self.ask_about(
                    slot,
                    caller.clone(),
                    &room,
                    Operation::History { session, before, after, limit },
                )
            }
            Command::Multiple { subscribe, rooms, patterns } => {
                self.multiple(slot, caller.clone(), subscribe, rooms, patterns, now);
                Ok(())
            }
            Command::Send(draft) => self.send_message(slot, caller.clone(), draft, now),
            Command::SendBatch(drafts) => {
                self.send_batch(slot, caller.clone(), drafts, now);
                Ok(())
            }
            Command::UserSend { user, draft } => self.send_to_user(slot, caller.clone(), &user, draft, now),
        };
        if let Err(error) = result {
            self.fail(&caller, &error, now);
        }
    }

    /// Asks a room's owner.
    pub(super) fn ask(&mut self, caller: Caller, room: Arc<str>, operation: Operation) {
        let owner = self.router.owner(&room);
        self.dispatch(owner, Item::Ask(Box::new(Ask { caller, room, operation })));
    }

    /// The key of a room that the connection subscribes to.
    pub(super) fn subscribed(&self, slot: usize, room: &str) -> Option<RoomKey> {
        let key = self.directory.find(room)?;
        self.connections[slot].subscription(key).map(|subscription| subscription.room)
    }

    fn join(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        history: usize,
        recover: Option<Position>,
    ) -> Result<(), CommandError> {
        if !self.identity(slot).may_enter(room) {
            return Err(CommandError::room_denied());
        }
        let client = &self.connections[slot];
        let chosen = client.subscriptions.iter().filter(|subscription| !subscription.forced).count();
        if self.subscribed(slot, room).is_none() && chosen >= self.config.limits.rooms_max {
            return Err(limit_reached("too many rooms", self.config.limits.rooms_max));
        }
        self.subscribe(slot, caller, room, false, (history, recover));
        Ok(())
    }

    /// Subscribes a connection to a room; the owner's answer lets its messages through.
    pub(super) fn subscribe(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        forced: bool,
        (history, recover): (usize, Option<Position>),
    ) {
        let existing = self.subscribed(slot, room);
        let key = existing.unwrap_or_else(|| self.directory.acquire(room, &self.classes));
        let name = Arc::clone(&self.directory.get(key).name);
        let client = &mut self.connections[slot];
        let id = client.id;
        let sequence = match client.subscription_mut(key) {
            Some(subscription) => {
                subscription.forced |= forced;
                if recover.is_some() && subscription.joined {
                    // What comes from here on is in the answer, or behind it; not both.
                    self.sequence = self.sequence.wrapping_add(1);
                    subscription.sequence = self.sequence;
                    subscription.joined = false;
                    self.directory.remove_member(key, id.slot);
                }
                subscription.sequence
            }
            None => {
                self.sequence = self.sequence.wrapping_add(1);
                let subscription = Subscription { room: key, sequence: self.sequence, joined: false, forced };
                client.subscriptions.push(subscription);
                self.sequence
            }
        };
        let session = client.session;
        let identity = Arc::clone(self.identity(slot));
        let operation = Operation::Join {
            user: Arc::clone(&identity.user),
            session,
            sequence,
            again: existing.is_some(),
            history,
            recover,
            account: identity.account.clone(),
        };
        self.ask(caller, name, operation);
    }

    fn leave(&mut self, slot: usize, caller: Caller, room: &str, now: Now) -> Result<(), CommandError> {
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
        Ok(())
    }

    /// Takes a connection out of a room at once, and tells the owner.
    pub(super) fn unsubscribe(&mut self, slot: usize, caller: Caller, key: RoomKey, lost: bool) {
        let client = &mut self.connections[slot];
        let Some(at) = client.subscriptions.iter().position(|subscription| subscription.room == key) else {
            return;
        };
        let subscription = client.subscriptions.swap_remove(at);
        let name = Arc::clone(&self.directory.get(key).name);
        if subscription.joined {
            self.directory.remove_member(key, u32::try_from(slot).expect("slots fit 32 bits"));
        }
        self.directory.release(key);
        let user = Arc::clone(&self.identity(slot).user);
        self.ask(caller, name, Operation::Leave { user, lost });
    }

    fn subscribe_pattern(
        &mut self,
        slot: usize,
        caller: Caller,
        pattern: Pattern,
    ) -> Result<(), CommandError> {
        let client = &mut self.connections[slot];
        if !client.patterns.contains(&pattern) {
            if client.patterns.len() >= self.config.limits.patterns_max {
                return Err(limit_reached("too many patterns", self.config.limits.patterns_max));
            }
            client.patterns.push(pattern.clone());
            self.patterns.entry(&pattern).subscribers.push(client.id.slot);
        }
        let connection = client.id;
        let gather = self.gather(caller, self.config.shards, Kind::Pattern(pattern.clone()));
        for shard in self.router.all() {
            let caller = Some(Caller { connection, reply: ReplyTo::Part { gather, index: 0 } });
            self.dispatch(
                shard,
                Item::Interest(Box::new(Interest { pattern: pattern.clone(), subscribed: true, caller })),
            );
        }
        Ok(())
    }

    /// Gives a pattern up; other shards hear of it when nobody here wants it any more.
    pub(super) fn unsubscribe_pattern(&mut self, slot: usize, pattern: &Pattern) {
        let client = &mut self.connections[slot];
        let Some(at) = client.patterns.iter().position(|known| known == pattern) else { return };
        client.patterns.swap_remove(at);
        let own = client.id.slot;
        let Some(entry) = self.patterns.get_mut(pattern) else { return };
        entry.subscribers.retain(|subscriber| *subscriber != own);
        if entry.subscribers.is_empty() {
            for shard in self.router.all() {
                self.dispatch(
                    shard,
                    Item::Interest(Box::new(Interest {
                        pattern: pattern.clone(),
                        subscribed: false,
                        caller: None,
                    })),
                );
            }
        }
    }

    fn list(&mut self, slot: usize, caller: Caller, now: Now) {
        let client = &self.connections[slot];
        let connection = client.id;
        let names = client
            .subscriptions
            .iter()
            .map(|subscription| Arc::clone(&self.directory.get(subscription.room).name));
        let names: Vec<_> = names.collect();
        let gather = self.gather(caller, names.len(), Kind::List(vec![Vec::new(); names.len()]));
        if names.is_empty() {
            return self.finish_gather(gather, now);
        }
        for (index, name) in (0u32..).zip(names) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            self.ask(caller, name, Operation::Entry);
        }
    }

    /// Asks about a room that the client is in or may enter.
    fn ask_about(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        operation: Operation,
    ) -> Result<(), CommandError> {
        if self.subscribed(slot, room).is_none() && !self.identity(slot).may_enter(room) {
            return Err(CommandError::room_denied());
        }
        self.ask(caller, room.into(), operation);
        Ok(())
    }

    fn multiple(
        &mut self,
        slot: usize,
        caller: Caller,
        subscribe: bool,
        rooms: Vec<Result<String, Invalid>>,
        patterns: Vec<Result<Pattern, Invalid>>,
        now: Now,
    ) {
        let connection = caller.connection;
        let total = rooms.len() + patterns.len();
        let gather = self.gather(caller, total, Kind::Results(vec![Vec::new(); total]));
        let part = |index| Caller { connection, reply: ReplyTo::Part { gather, index } };
        let mut index = 0u32;
        for room in rooms {
            let result = match &room {
                Err(invalid) => Err(invalid.error.clone()),
                Ok(room) if subscribe => self.join(slot, part(index), room, 0, None),
                Ok(room) => self.leave(slot, part(index), room, now),
            };
            if let Err(error) = result {
                let text = room.unwrap_or_else(|invalid| invalid.text);
                self.fail_part(slot, (gather, index), ("roomId", &text), &error, now);
            }
            index += 1;
        }
        for pattern in patterns {
            let result = match &pattern {
                Err(invalid) => Err(invalid.error.clone()),
                Ok(pattern) if subscribe => self.subscribe_pattern(slot, part(index), pattern.clone()),
                Ok(pattern) => {
                    self.unsubscribe_pattern(slot, pattern);
                    self.answer_pattern(&part(index), pattern, false, now);
                    Ok(())
                }
            };
            if let Err(error) = result {
                let text = pattern.map_or_else(|invalid| invalid.text, |pattern| pattern.as_str().to_owned());
                self.fail_part(slot, (gather, index), ("pattern", &text), &error, now);
            }
            index += 1;
        }
    }

    fn fail_part(
        &mut self,
        slot: usize,
        (gather, index): (u32, u32),
        subject: (&str, &str),
        error: &CommandError,
        now: Now,
    ) {
        let mut out = Vec::new();
        reply::write_failure(&mut out, self.connections[slot].variant, Some(subject), error);
        self.on_part(gather, index, Part::Written(out), now);
    }
}

fn limit_reached(message: &'static str, limit: usize) -> CommandError {
    CommandError::new(ErrorCode::ClientError, message).with("limit", Detail::Number(limit as u64))
}
