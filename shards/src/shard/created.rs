//! Rooms that somebody creates, on their owner shard: made, announced, closed.

use std::sync::Arc;

use super::Shard;
use super::commands::unavailable;
use super::sequencing::Pending;
use super::subscriptions::{exists, limit_reached};
use crate::clock::Now;
use crate::engine::{Request, Table, Unavailable, codec};
use crate::id::{SessionId, ShardId};
use crate::mesh::item::{Ask, Caller, ReplyTo};
use crate::mesh::operation::{Joining, Operation};
use crate::mesh::outcome::Outcome;
use crate::protocol::command::Creation;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::push::{Except, News, Notice};
use crate::protocol::reply::RoomCard;
use crate::room::created::Full;
use crate::room::name::{account_room, user_room};
use crate::room::owned::OwnedRoom;

impl Shard {
    pub(super) fn own_create(
        &mut self,
        from: ShardId,
        caller: Caller,
        name: &Arc<str>,
        joining: Joining,
        creation: Creation,
        now: Now,
    ) {
        let admitted = match self.known(name) {
            Some(_) => Err(exists()),
            None => self
                .created
                .admit(&joining.reader.user, self.config.shards)
                .map_err(|full| limit_reached(full.message, full.limit)),
        };
        if let Err(error) = admitted {
            let sequence = joining.sequence;
            return self.answer(
                from,
                caller,
                Ok(Outcome::Refused { room: Arc::clone(name), sequence, error }),
            );
        }
        if self.is_shared(name) {
            let owner = Arc::clone(&joining.reader.user);
            let (joining, creation) = (Box::new(joining), Box::new(creation));
            let card = Creation::clone(&creation);
            let ask =
                Ask { caller, room: Arc::clone(name), operation: Operation::Create { joining, creation } };
            return self.reserve_room(from, ask, (&owner, card), now);
        }
        self.create_here(from, caller, name, joining, creation, now);
    }

    /// On a room that several nodes share: whoever is first creates it.
    fn reserve_room(&mut self, from: ShardId, ask: Ask, (owner, creation): (&Arc<str>, Creation), now: Now) {
        let name = Arc::clone(&ask.room);
        let class = self.classes.of(&name);
        let mut room = OwnedRoom::new(Arc::clone(&name), class, 0, self.first_epoch(&name, class), now);
        let card = room.create(creation, owner, now);
        let value = codec::card(&card, room.audience());
        // Made here first, so that the room is not let go before the engine has answered.
        let key = self.own(&name, now);
        self.schedule_room(key, now);
        let Some(links) = &mut self.links else { return };
        let ticket = links.wait_for(Pending::Creation { from, ask: Box::new(ask), asked: now });
        self.request(Request::Take {
            room: name,
            ticket,
            table: Table::Card,
            name: String::new(),
            value,
            only_new: true,
            word: None,
        });
    }

    /// The engine says whether there was a room of that name.
    pub(super) fn on_reserved(
        &mut self,
        from: ShardId,
        ask: Ask,
        existed: Result<bool, Unavailable>,
        now: Now,
    ) {
        let Ask { caller, room, operation } = ask;
        let refusal = match existed {
            Ok(false) => None,
            Ok(true) => Some(exists()),
            Err(_) => Some(unavailable("engine")),
        };
        match (operation, refusal) {
            (Operation::Create { joining, creation }, None) => {
                self.create_here(from, caller, &room, *joining, *creation, now);
            }
            (Operation::Create { joining, .. }, Some(error)) => {
                let sequence = joining.sequence;
                self.answer(from, caller, Ok(Outcome::Refused { room, sequence, error }));
            }
            (Operation::Found { owner, account, creation }, None) => {
                let card = self.found_here(&room, (&owner, account.as_deref()), *creation, now);
                self.answer(from, caller, Ok(Outcome::Created(card)));
            }
            (_, Some(error)) => self.answer(from, caller, Err(error)),
            _ => {}
        }
    }

    fn create_here(
        &mut self,
        from: ShardId,
        caller: Caller,
        name: &Arc<str>,
        joining: Joining,
        creation: Creation,
        now: Now,
    ) {
        if creation.private && self.known(name).is_none() {
            // An empty room of the name may have had its epoch, and others were told of that.
            let ended = self.epochs.stream_ended(name);
            self.store_gone(name, ended);
        }
        let key = self.own(name, now);
        let (owner, account) = (Arc::clone(&joining.reader.user), joining.account.clone());
        let session = joining.session;
        let named = creation.members.clone();
        let card = self.owned[key].create(creation, &owner, now);
        self.created.add(&owner, self.owned[key].created_bytes());
        self.store_room(key, now);
        let nobody = Caller { reply: ReplyTo::Nobody, ..caller.clone() };
        let entry = self.own_join(from, name, joining, now);
        self.answer(from, nobody, Ok(entry));
        self.announce_room(&card, account.as_deref(), named, session);
        self.note_room_created(&card);
        self.answer(from, caller, Ok(Outcome::Created(card)));
    }

    /// A room is created for somebody who is not here; the application may have as many as there is room for.
    pub(super) fn own_found(
        &mut self,
        from: ShardId,
        caller: Caller,
        name: &Arc<str>,
        (owner, account): (Arc<str>, Option<Arc<str>>),
        creation: Box<Creation>,
        now: Now,
    ) {
        let full = |full: Full| limit_reached(full.message, full.limit);
        let admitted = match self.known(name) {
            Some(_) => Err(exists()),
            None => self.created.admit_any(self.config.shards).map_err(full),
        };
        if let Err(error) = admitted {
            return self.answer(from, caller, Err(error));
        }
        if self.is_shared(name) {
            let card = Creation::clone(&creation);
            let operation = Operation::Found { owner: Arc::clone(&owner), account, creation };
            let ask = Ask { caller, room: Arc::clone(name), operation };
            return self.reserve_room(from, ask, (&owner, card), now);
        }
        let card = self.found_here(name, (&owner, account.as_deref()), *creation, now);
        self.answer(from, caller, Ok(Outcome::Created(card)));
    }

    fn found_here(
        &mut self,
        name: &Arc<str>,
        (owner, account): (&Arc<str>, Option<&str>),
        creation: Creation,
        now: Now,
    ) -> Arc<RoomCard> {
        let key = self.own(name, now);
        let named = creation.members.clone();
        let card = self.owned[key].create(creation, owner, now);
        self.created.add(owner, self.owned[key].created_bytes());
        self.store_room(key, now);
        self.announce_room(&card, account, named, SessionId(0));
        self.note_room_created(&card);
        card
    }

    /// Those who may want to enter a new room hear of it.
    fn announce_room(
        &mut self,
        card: &Arc<RoomCard>,
        account: Option<&str>,
        named: Vec<String>,
        session: SessionId,
    ) {
        let rooms: Vec<String> = if card.private {
            named.iter().filter(|user| ***user != *card.owner).map(|user| user_room(user)).collect()
        } else {
            account.iter().map(|account| account_room(&card.owner, account)).collect()
        };
        for room in rooms {
            let news = News::Created(Arc::clone(card));
            self.relay(Notice { room: room.into(), except: Except::Session(session), news });
        }
    }

    /// Whoever closes a room is answered once everybody is out of it, and its name free.
    pub(super) fn own_close(
        &mut self,
        (from, caller): (ShardId, &Caller),
        name: &Arc<str>,
        user: &str,
        supervisor: bool,
        now: Now,
    ) -> Result<(), CommandError> {
        let readable = |key: &usize| supervisor || self.owned[*key].is_open_to(user, false);
        let key = match self.known(name) {
            Some(key) if !readable(&key) => return Err(CommandError::room_denied()),
            _ => self.open_room(name)?,
        };
        let owner = self.owned[key].card().is_some_and(|card| *card.owner == *user);
        if !owner && !supervisor {
            return Err(CommandError::new(ErrorCode::PermissionDenied, "only its owner may close a room"));
        }
        let room = Arc::clone(self.owned[key].name());
        // Whoever hears of it must not find the room there again; the same is said once more when it is forgotten.
        self.store_gone(&room, self.epochs.next_end(&room));
        self.note_room_closed(&room, user);
        self.share_closed(&room);
        self.closers.entry(room).or_default().push((from, caller.clone()));
        self.close_owned(key, now);
        Ok(())
    }

    /// Lets nobody into a room any more, and everybody out.
    pub(super) fn close_owned(&mut self, key: usize, now: Now) {
        let room = Arc::clone(self.owned[key].name());
        self.change_room(key, |room, _| room.close());
        self.flush_receipts(key, now);
        self.notify(key, &Notice { room, except: Except::Nobody, news: News::Closed });
        self.forget_if_over(key, now);
    }
}
