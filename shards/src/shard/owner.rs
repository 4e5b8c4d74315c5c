//! The owner's side: what only the shard that sequences a room can do (step 6 of the path of a message).

use std::sync::Arc;

use super::Shard;
use super::timers::Timer;
use crate::clock::Now;
use crate::gateway_event::{GatewayEvent, kind_of};
use crate::id::{Offset, SessionId, ShardId};
use crate::mesh::item::{Answer, Ask, Caller, Interest, Item, ReplyTo};
use crate::mesh::operation::{Joining, Operation};
use crate::mesh::outcome::{Entry, Outcome};
use crate::protocol::command::Draft;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::Publication;
use crate::protocol::push::{Except, News, Notice};
use crate::room::name::{is_room_of, local, user_of};
use crate::room::owned::{Change, OwnedRoom, Wanted};
use crate::room::roster::Seat;

impl Shard {
    /// A home shard asks something of a room that this shard owns.
    pub(super) fn on_ask(&mut self, from: ShardId, ask: Ask, now: Now) {
        let Some(ask) = self.await_room(from, ask) else { return };
        let Ask { caller, room, operation } = ask;
        let outcome = match operation {
            Operation::Join(joining) => Ok(self.own_join(from, &room, *joining, now)),
            Operation::Leave { user, number, lost, seen, anonymous, session } => {
                let seat = Seat { shard: from, number };
                self.own_leave(&room, seat, &user, (lost, anonymous, seen), now);
                self.store_left(&room, session);
                Ok(Outcome::Left { room })
            }
            Operation::Settle { user, epoch, offset } => {
                return self.own_settle(&room, &user, (epoch, offset), now);
            }
            Operation::Create { joining, creation } => {
                return self.own_create(from, caller, &room, *joining, *creation, now);
            }
            Operation::Close { user, supervisor } => {
                match self.own_close((from, &caller), &room, &user, supervisor, now) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Operation::Publish { sender, session, draft, confirm, outside } => {
                match self.own_open(&room, &sender, outside, now) {
                    Ok(key) => {
                        return self.own_publish(from, caller, key, (sender, session), draft, confirm, now);
                    }
                    Err(error) => Err(error),
                }
            }
            Operation::UserSend { sender, session, account, allowed, draft, confirm } => {
                let key = self.own(&room, now);
                if allowed || is_room_of(&room, &sender) || self.is_of_account(&room, account.as_deref()) {
                    return self.own_publish(from, caller, key, (sender, session), draft, confirm, now);
                }
                self.forget_if_over(key, now);
                Ok(Outcome::Unacquainted { draft: Box::new(draft), confirm })
            }
            Operation::Push { event, except } => Ok(self.own_push(&room, event, except)),
            Operation::Revise { user, moderator, message, content, binary } => {
                let by = (&user, moderator);
                match self.own_revise((from, &caller), &room, by, message, (content, binary), now) {
                    Some(outcome) => outcome,
                    None => return,
                }
            }
            Operation::Receipt { user, session, upto, read } => {
                self.own_receipt(&room, (&user, session), upto, read, now)
            }
            Operation::Typing { user, typing } => self.own_typing(&room, &user, typing, now),
            Operation::Contains { user } => {
                let contains = self.known(&room).is_some_and(|key| self.owned[key].contains(&user));
                Ok(Outcome::Contains(contains))
            }
            Operation::Tell { reader, question } => self.tell(&room, &reader, question, now),
            Operation::User(operation) => {
                match self.on_user_operation(from, &caller, &room, operation, now) {
                    Some(outcome) => outcome,
                    None => return,
                }
            }
            Operation::Park { session, connection, progress } => {
                return self.on_park(from, &room, (session, connection), progress, now);
            }
            Operation::Administer(administration) => self.administer(administration, now),
            Operation::Found { owner, account, creation } => {
                return self.own_found(from, caller, &room, (owner, account), creation, now);
            }
            Operation::Everywhere(question) => Ok(self.on_shard_question(question, now)),
            Operation::Emit(emission) => Ok(self.on_emission(&emission, now)),
        };
        self.answer(from, caller, outcome);
    }

    pub(super) fn answer(&mut self, to: ShardId, caller: Caller, outcome: Result<Outcome, CommandError>) {
        // A join is answered even if nobody asked to be told: the answer lets the room's messages through.
        let lets_through = matches!(outcome, Ok(Outcome::Joined(_) | Outcome::Refused { .. }));
        if lets_through || !matches!(caller.reply, ReplyTo::Nobody) {
            self.dispatch(to, Item::Answer(Box::new(Answer { caller, outcome })));
        }
    }

    pub(super) fn known(&self, room: &str) -> Option<usize> {
        let name_of = |key| &**self.owned[key as usize].name();
        self.owned_by_name.find(room, name_of).map(|key| key as usize)
    }

    /// The room, created if there is none.
    pub(super) fn own(&mut self, name: &Arc<str>, now: Now) -> usize {
        if let Some(key) = self.known(name) {
            return key;
        }
        let class = self.classes.of(name);
        let epoch = self.first_epoch(name, class);
        let room = OwnedRoom::new(Arc::clone(name), class, self.config.shards, epoch, now);
        let key = self.owned.insert(room);
        let owned = &self.owned;
        self.owned_by_name.insert(name, key, |key| owned[key as usize].name());
        self.schedule_room(key as usize, now);
        key as usize
    }

    /// The room to send to, created if there is none; `outside` as in [`Operation::Publish`].
    fn own_open(
        &mut self,
        name: &Arc<str>,
        sender: &str,
        outside: Option<bool>,
        now: Now,
    ) -> Result<usize, CommandError> {
        let key = self.own(name, now);
        let room = &self.owned[key];
        match outside {
            Some(entitled) if !room.is_open_to(sender, entitled) => Err(CommandError::room_denied()),
            _ if room.is_closing() => Err(CommandError::new(ErrorCode::ChannelError, "the room is closing")),
            _ => Ok(key),
        }
    }

    /// Makes sure that the room's timer fires when something is due there.
    pub(super) fn schedule_room(&mut self, key: usize, now: Now) {
        let room = &mut self.owned[key];
        let Some(due) = room.next_due_ms(now, &self.config) else { return };
        if room.alarm.set(due) {
            self.timers.schedule(due, Timer::Room(Arc::clone(room.name())));
        }
    }

    pub(super) fn own_join(&mut self, from: ShardId, name: &Arc<str>, joining: Joining, now: Now) -> Outcome {
        let seat = Seat { shard: from, number: joining.number };
        let known = self.known(name);
        let user = Arc::clone(&joining.reader.user);
        let seated = known.is_some_and(|key| self.owned[key].has_seat(&user, seat));
        let admitted = match known {
            Some(key) if !seated => self.owned[key].admit(&user, joining.reader.entitled),
            _ => Ok(()),
        };
        let closing = known.filter(|key| seated && self.owned[*key].is_closing());
        if let Some(key) = closing {
            // It asked again before it heard that the room is closed, and is out of it by this answer.
            self.owned[key].leave(seat, &user, (false, false, None), now, &self.config);
        }
        let refused = match admitted {
            Ok(()) if closing.is_some() => Some(CommandError::not_a_member()),
            // It had asked before and was refused.
            Ok(()) if joining.again && !seated => Some(CommandError::not_a_member()),
            Ok(()) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = refused {
            if let Some(key) = closing {
                self.forget_if_over(key, now);
            }
            return Outcome::Refused { room: Arc::clone(name), sequence: joining.sequence, error };
        }
        let key = self.own(name, now);
        let own = is_room_of(name, &user);
        let bucket = own.then(|| self.user_connected(&user, seat, seated, &joining, now));
        let change =
            if seated { Change::Quiet } else { self.owned[key].join(seat, &user, now, &self.config) };
        let wanted = Wanted {
            session: joining.session,
            history: joining.history,
            recover: joining.recover,
            until: joining.until,
            elsewhere: !seated
                && self.owned[key].seats_here(&user) == 1
                && self.owned[key].nodes_of(&user) > 0,
        };
        let arrival = self.change_room(key, |room, config| room.arrive(&user, wanted, now, config));
        if let Some(recovered) = arrival.joined.recovered {
            self.metrics.recoveries += 1;
            self.metrics.recoveries_complete += u64::from(recovered);
        }
        if !seated {
            let gap = arrival.resync || arrival.joined.recovered == Some(false);
            self.store_entering(key, &joining, (arrival.base, gap), now);
        }
        self.metrics.queued_delivered += arrival.kept.len() as u64;
        self.metrics.queue_overflows += u64::from(arrival.resync);
        self.announce(key, change, now);
        if !seated {
            self.share_member(key, &user, joining.account.as_ref());
        }
        Outcome::Joined(Box::new(Entry {
            joined: arrival.joined,
            kept: arrival.kept,
            resync: arrival.resync,
            base: arrival.base,
            sequence: joining.sequence,
            bucket,
        }))
    }

    fn own_leave(
        &mut self,
        name: &Arc<str>,
        seat: Seat,
        user: &Arc<str>,
        (lost, anonymous, seen): (bool, bool, Option<Offset>),
        now: Now,
    ) {
        if is_room_of(name, user) {
            self.user_disconnected(user, seat, now);
        }
        let Some(key) = self.known(name) else { return };
        let was_known = self.storing.is_on && self.owned[key].knows_member(user);
        let change = self
            .change_room(key, |room, config| room.leave(seat, user, (lost, !anonymous, seen), now, config));
        if !self.owned[key].is_present(user) {
            self.store_member(key, user, was_known, now);
            self.stop_typing(key, user, true);
        }
        self.share_left(key, user, lost);
        self.announce(key, change, now);
        self.forget_if_over(key, now);
    }

    /// A closed room goes with the last who is in it, and one that was made for nothing at once.
    pub(super) fn forget_if_over(&mut self, key: usize, now: Now) {
        if self.owned[key].is_forgotten(now, &self.config) {
            self.forget_room(key);
        }
    }

    /// Tells the other members of an edge; large rooms are told a count by their timer instead.
    pub(super) fn announce(&mut self, key: usize, change: Change, now: Now) {
        self.note_membership(key, &change);
        self.tell_edge(key, change, now);
    }

    /// As [`Shard::announce`], of a user of another node, which notes it there.
    pub(super) fn tell_edge(&mut self, key: usize, change: Change, now: Now) {
        if let Change::Edge { user, joined } = change {
            let room = Arc::clone(self.owned[key].name());
            let except = Except::User(Arc::clone(&user));
            self.notify(key, &Notice { room, except, news: News::Edge { user, joined } });
        }
        self.schedule_room(key, now);
    }

    pub(super) fn notify(&mut self, key: usize, notice: &Notice) {
        let shards: smallvec::SmallVec<[ShardId; 8]> = self.owned[key].interested().collect();
        for shard in shards {
            self.dispatch(shard, Item::Notice(Box::new(notice.clone())));
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one message, and this is its only way in"
    )]
    fn own_publish(
        &mut self,
        from: ShardId,
        caller: Caller,
        key: usize,
        (sender, session): (Arc<str>, SessionId),
        draft: Draft,
        confirm: bool,
        now: Now,
    ) {
        let id = self.message_ids.next(now.unix_ms, &mut self.random);
        if self.links.is_some() {
            if self.is_shared(&Arc::clone(self.owned[key].name())) {
                return self.append_message((from, caller), key, (&sender, session), draft, (now, id));
            }
            self.begin_alone(key, now);
        }
        let accepting =
            self.change_room(key, |room, config| room.publish(&sender, session, draft, now, config, id));
        self.metrics.history_dropped += accepting.forgotten as u64;
        if let Some(publication) = &accepting.publication {
            self.store_publication(key, publication, now);
        }
        if confirm {
            self.answer(from, caller, Ok(Outcome::Sent(accepting.sent)));
        }
        match accepting.publication {
            None => self.metrics.publications_duplicate += 1,
            Some(publication) => {
                self.metrics.publications += 1;
                self.note_kept(key, &publication);
                self.distribute(key, &publication);
                self.stop_typing(key, &sender, true);
                self.schedule_room(key, now);
            }
        }
    }

    /// One item for each shard with members or pattern subscribers, whatever their number there.
    pub(super) fn distribute(&mut self, key: usize, publication: &Arc<Publication>) {
        if self.listens(kind_of(publication)) && self.is_ours(publication) {
            self.note(GatewayEvent::Message(Arc::clone(publication)));
        }
        let mut shards = 0u64;
        for shard in self.owned[key].interested() {
            shards |= 1 << shard.index();
        }
        if !self.patterns.is_empty() {
            self.patterns.for_each_match(local(&publication.room), |entry| shards |= entry.shards);
        }
        for shard in self.router.all() {
            if shards & (1 << shard.index()) != 0 {
                self.dispatch(shard, Item::Publish(Arc::clone(publication)));
            }
        }
    }

    /// A room's timer fired.
    pub(super) fn on_room_due(&mut self, name: &Arc<str>, now: Now) {
        let Some(key) = self.known(name) else { return };
        if !self.owned[key].alarm.fire(now.ms) {
            return;
        }
        let due = self.change_room(key, |room, config| room.tick(now, config));
        self.flush_receipts(key, now);
        for user in due.stopped {
            let here = self.owned[key].seats_here(&user) > 0;
            self.tell_typing(key, &user, false, here);
        }
        for (change, elsewhere) in due.left {
            if elsewhere {
                self.tell_edge(key, change, now);
            } else {
                self.announce(key, change, now);
            }
        }
        if let Some(members) = due.count {
            let room = Arc::clone(name);
            self.notify(key, &Notice { room, except: Except::Nobody, news: News::Count { members } });
        }
        if self.owned[key].is_forgotten(now, &self.config) {
            return self.forget_room(key);
        }
        self.schedule_room(key, now);
    }

    /// Whether the user whose own room it is belongs to an account.
    fn is_of_account(&self, room: &str, account: Option<&str>) -> bool {
        let user = user_of(room).and_then(|user| self.users.get(&user));
        account.is_some() && user.is_some_and(|user| user.account.as_deref() == account)
    }

    /// A shard has, or has no more, subscribers of a pattern.
    pub(super) fn on_interest(&mut self, from: ShardId, interest: Interest) {
        let Interest { pattern, subscribed, caller } = interest;
        let pattern = &pattern;
        let bit = 1 << from.index();
        if subscribed {
            self.patterns.entry(pattern).shards |= bit;
        } else if let Some(entry) = self.patterns.get_mut(pattern) {
            entry.shards &= !bit;
            if entry.shards == 0 && entry.subscribers.is_empty() {
                self.patterns.remove(pattern);
            }
        }
        if let Some(caller) = caller {
            self.answer(from, caller, Ok(Outcome::Interested));
        }
    }
}
