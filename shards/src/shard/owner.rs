//! The owner's side: what only the shard that sequences a room can do (step 6 of the path of a message).

use std::sync::Arc;

use super::Shard;
use super::timers::Timer;
use crate::clock::Now;
use crate::config::Config;
use crate::id::{SessionId, ShardId};
use crate::mesh::item::{Answer, Ask, Caller, Interest, Item, Operation, Outcome, ReplyTo};
use crate::protocol::command::Draft;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::Publication;
use crate::protocol::push::Notice;
use crate::protocol::reply::OnlinePage;
use crate::room::owned::{Change, OwnedRoom};

impl Shard {
    /// A home shard asks something of a room that this shard owns.
    pub(super) fn on_ask(&mut self, from: ShardId, ask: Ask, now: Now) {
        let Ask { caller, room, operation } = ask;
        let outcome = match operation {
            Operation::Join { .. } => Some(Ok(self.own_join(from, &room, operation, now))),
            Operation::Leave { user, lost } => {
                self.own_leave(from, &room, &user, lost, now);
                Some(Ok(Outcome::Left { room }))
            }
            Operation::Publish { sender, session, draft, confirm } => {
                let key = self.own(&room, now);
                return self.own_publish(from, caller, key, (sender, session), draft, confirm, now);
            }
            Operation::UserSend { sender, session, account, allowed, draft, confirm } => {
                let key = self.own(&room, now);
                if allowed
                    || *room == *format!("user:{sender}")
                    || self.owned[key].owner_has_account(account.as_deref())
                {
                    return self.own_publish(from, caller, key, (sender, session), draft, confirm, now);
                }
                Some(Ok(Outcome::Unacquainted { draft: Box::new(draft), confirm }))
            }
            Operation::Contains { user } => {
                let contains = self.known(&room).is_some_and(|key| self.owned[key].contains(&user));
                Some(Ok(Outcome::Contains(contains)))
            }
            Operation::Online { limit, cursor } => {
                let page = match self.known(&room) {
                    Some(key) => self.owned[key].online(cursor.as_deref(), limit),
                    None => OnlinePage { room, users: Vec::new(), total: 0, more: false },
                };
                Some(Ok(Outcome::Online(page)))
            }
            Operation::Info | Operation::Entry | Operation::History { .. } => {
                Some(self.describe(&room, operation, now))
            }
        };
        if let Some(outcome) = outcome {
            self.answer(from, caller, outcome);
        }
    }

    fn answer(&mut self, to: ShardId, caller: Caller, outcome: Result<Outcome, CommandError>) {
        // A join is answered even if nobody asked to be told: the answer lets the room's messages through.
        if !matches!(caller.reply, ReplyTo::Nobody) || matches!(outcome, Ok(Outcome::Joined { .. })) {
            self.dispatch(to, Item::Answer(Box::new(Answer { caller, outcome })));
        }
    }

    pub(super) fn known(&self, room: &str) -> Option<usize> {
        self.owned_by_name.get(room).map(|key| *key as usize)
    }

    /// The room, created if there is none.
    fn own(&mut self, name: &Arc<str>, now: Now) -> usize {
        if let Some(key) = self.known(name) {
            return key;
        }
        let class = self.classes.of(name);
        let room = OwnedRoom::new(Arc::clone(name), class, self.config.shards, self.epochs.of(name), now);
        let key = self.owned.insert(room);
        self.owned_by_name
            .insert(Arc::clone(name), u32::try_from(key).expect("a shard owns fewer than 2^32 rooms"));
        self.schedule_room(key, now);
        key
    }

    /// Makes sure that the room's timer fires when something is due there.
    pub(super) fn schedule_room(&mut self, key: usize, now: Now) {
        let room = &mut self.owned[key];
        let Some(due) = room.next_due_ms(now, &self.config) else { return };
        if room.timer_ms.is_none_or(|at| due < at) {
            room.timer_ms = Some(due);
            self.timers.schedule(due, Timer::Room(Arc::clone(room.name())));
        }
    }

    fn own_join(&mut self, from: ShardId, name: &Arc<str>, operation: Operation, now: Now) -> Outcome {
        let Operation::Join { user, session, sequence, again, history, recover, account } = operation else {
            unreachable!("only joins come here");
        };
        let key = self.own(name, now);
        let room = &mut self.owned[key];
        let change = if again { Change::Quiet } else { room.join(from, &user, now, &self.config) };
        let is_own = name.strip_prefix("user:") == Some(&*user);
        let bucket = is_own.then(|| room.attach_owner(account));
        let joined =
            self.change_room(key, |room, config| room.joined(session, history, recover, now, config));
        if let Some(recovered) = joined.recovered {
            self.metrics.recoveries += 1;
            self.metrics.recoveries_complete += u64::from(recovered);
        }
        self.announce(key, change, now);
        Outcome::Joined { joined, sequence, bucket }
    }

    fn own_leave(&mut self, from: ShardId, name: &Arc<str>, user: &Arc<str>, lost: bool, now: Now) {
        let Some(key) = self.known(name) else { return };
        let change = self.owned[key].leave(from, user, lost, now, &self.config);
        self.announce(key, change, now);
    }

    /// Tells the other members of an edge; large rooms are told a count by their timer instead.
    fn announce(&mut self, key: usize, change: Change, now: Now) {
        if let Change::Edge { user, joined } = change {
            let room = Arc::clone(self.owned[key].name());
            self.notify(key, &Notice::Edge { room, user, joined });
        }
        self.schedule_room(key, now);
    }

    fn notify(&mut self, key: usize, notice: &Notice) {
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
        let accepting =
            self.change_room(key, |room, config| room.publish(&sender, session, draft, now, config, id));
        self.metrics.history_dropped += accepting.forgotten as u64;
        if confirm {
            self.answer(from, caller, Ok(Outcome::Sent(accepting.sent)));
        }
        match accepting.publication {
            None => self.metrics.publications_duplicate += 1,
            Some(publication) => {
                self.metrics.publications += 1;
                self.note_kept(key, &publication);
                self.distribute(key, &publication);
                self.schedule_room(key, now);
            }
        }
    }

    /// One item for each shard with members or pattern subscribers, whatever their number there.
    fn distribute(&mut self, key: usize, publication: &Arc<Publication>) {
        let mut shards = 0u64;
        for shard in self.owned[key].interested() {
            shards |= 1 << shard.index();
        }
        if !self.patterns.is_empty() {
            self.patterns.for_each_match(&publication.room, |entry| shards |= entry.shards);
        }
        for shard in self.router.all() {
            if shards & (1 << shard.index()) != 0 {
                self.dispatch(shard, Item::Publish(Arc::clone(publication)));
            }
        }
    }

    fn describe(&mut self, name: &Arc<str>, operation: Operation, now: Now) -> Result<Outcome, CommandError> {
        let unknown = || CommandError::new(ErrorCode::ChannelError, "no such room");
        let key = self.known(name).ok_or_else(unknown)?;
        Ok(match operation {
            Operation::Entry => Outcome::Entry(self.owned[key].position()),
            Operation::History { session, before, after, limit } => {
                let page = |room: &mut OwnedRoom, config: &Config| {
                    room.history(session, (before, after), limit, now, config)
                };
                Outcome::History(self.change_room(key, page))
            }
            _ => Outcome::Info(self.owned[key].info()),
        })
    }

    /// A room's timer fired.
    pub(super) fn on_room_due(&mut self, name: &Arc<str>, now: Now) {
        let Some(key) = self.known(name) else { return };
        let room = &mut self.owned[key];
        if room.timer_ms.is_some_and(|at| at > now.ms) {
            return;
        }
        room.timer_ms = None;
        let mut left = Vec::new();
        let count = self.change_room(key, |room, config| room.tick(now, config, |user| left.push(user)));
        if self.owned[key].is_forgotten(now, &self.config) {
            return self.forget_room(key);
        }
        for user in left {
            self.announce(key, Change::Edge { user, joined: false }, now);
        }
        if let Some(members) = count {
            self.notify(key, &Notice::Count { room: Arc::clone(name), members });
        }
        self.schedule_room(key, now);
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
