//! Rooms that somebody creates, on their owner shard: made, announced, closed.

use std::sync::Arc;

use super::Shard;
use super::subscriptions::{exists, limit_reached};
use crate::clock::Now;
use crate::id::{SessionId, ShardId};
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::Joining;
use crate::mesh::outcome::Outcome;
use crate::protocol::command::Creation;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::push::{Except, News, Notice};
use crate::protocol::reply::RoomCard;
use crate::room::name::{account_room, user_room};

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
        self.note_room_closed(&room, user);
        self.change_room(key, |room, _| room.close());
        // Whoever hears of it must not find the room there again; the same is said once more when it is forgotten.
        self.store_gone(&room, self.epochs.next_end(&room));
        self.closers.entry(Arc::clone(&room)).or_default().push((from, caller.clone()));
        self.notify(key, &Notice { room, except: Except::Nobody, news: News::Closed });
        self.forget_if_over(key, now);
        Ok(())
    }
}
