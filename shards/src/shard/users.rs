//! The owner's side of users: their sockets come and go, their presence is told.

use std::sync::Arc;

use super::Shard;
use super::sends::rate_limited;
use super::timers::Timer;
use crate::access::limits::SharedBucket;
use crate::clock::Now;
use crate::id::ShardId;
use crate::mesh::item::{Caller, Item, MemberStatus};
use crate::mesh::operation::{Joining, ShardQuestion, UserOperation};
use crate::mesh::outcome::Outcome;
use crate::protocol::command::{Status, StatusUpdate};
use crate::protocol::error_code::CommandError;
use crate::protocol::push::PresenceChange;
use crate::protocol::reply::{Presence, RecoveryStats};
use crate::room::name::{account_room, is_forced, user_of};
use crate::room::roster::Seat;
use crate::user::presence::Change;
use crate::user::users::{ABSENT_MAX, User};

impl Shard {
    /// One of a user's connections entered the user's own room: it is there.
    pub(super) fn user_connected(
        &mut self,
        name: &Arc<str>,
        seat: Seat,
        seated: bool,
        joining: &Joining,
        now: Now,
    ) -> Arc<SharedBucket> {
        let user = self.users.entry(name);
        user.account.clone_from(&joining.account);
        user.anonymous = joining.anonymous;
        let bucket = Arc::clone(&user.messages);
        if !seated {
            let change = user.presence.connect(seat, now);
            if change.is_some() {
                self.note_presence(name, true);
            }
            self.store_seen(name, now);
            self.tell_presence(name, change, now);
        }
        bucket
    }

    /// One of a user's connections is gone.
    pub(super) fn user_disconnected(&mut self, name: &Arc<str>, seat: Seat, now: Now) {
        let grace_ms = self.config.presence_grace_ms;
        let Some(user) = self.users.get_mut(name) else { return };
        let was_there = user.presence.is_there();
        user.went_elsewhere = !seat.is_here();
        let change = user.presence.disconnect(seat, grace_ms, now);
        if was_there && !user.presence.is_there() && !user.went_elsewhere {
            self.note_presence(name, false);
        }
        self.store_seen(name, now);
        self.tell_presence(name, change, now);
        self.settle_user(name, now);
    }

    /// Perhaps nothing is left of a user but when it was last seen.
    pub(super) fn settle_user(&mut self, name: &Arc<str>, now: Now) {
        let Some(user) = self.users.get(name) else { return };
        let rate_ms = self.config.limits.messages.map_or(0, |rate| rate.interval_ms);
        let touched_ms = if user.messages.is_untouched() { 0 } else { rate_ms };
        let ttl_ms = if user.anonymous { touched_ms } else { self.config.queue_ttl_ms.max(touched_ms) };
        self.users.note_idle(name, ttl_ms, ABSENT_MAX / self.config.shards, now);
        self.schedule_user(name, now);
    }

    pub(super) fn schedule_user(&mut self, name: &Arc<str>, _now: Now) {
        let Some(user) = self.users.get_mut(name) else { return };
        let Some(due) = user.next_due_ms() else { return };
        if user.alarm.set(due) {
            self.timers.schedule(due, Timer::User(Arc::clone(name)));
        }
    }

    /// A user's timer fired.
    pub(super) fn on_user_due(&mut self, name: &Arc<str>, now: Now) {
        let Some(user) = self.users.get_mut(name) else { return };
        if !user.alarm.fire(now.ms) {
            return;
        }
        let (was_idle, was_there) = (user.is_idle(), user.presence.is_there());
        user.expire_sessions(now);
        // Those who share a room with the user hear that it is gone before the room is forgotten.
        let change = user.presence.tick(now);
        if was_there && !user.presence.is_there() && !user.went_elsewhere {
            self.note_presence(name, false);
        }
        self.tell_presence(name, change, now);
        let Some(user) = self.users.get_mut(name) else { return };
        user.expire_rooms(now);
        if !was_idle && user.is_idle() {
            return self.settle_user(name, now);
        }
        self.users.forget(name, now);
        self.schedule_user(name, now);
    }

    /// Tells every shard with watchers how a user's presence has changed.
    fn tell_presence(&mut self, name: &Arc<str>, change: Option<Change>, now: Now) {
        let (Some(change), Some(user)) = (change, self.users.get(name)) else { return };
        self.metrics.presence_changes += 1;
        let change = user.change(change, now);
        self.distribute_presence(change);
    }

    fn distribute_presence(&mut self, change: PresenceChange) {
        if self.watching == 0 {
            return;
        }
        let change = Arc::new(change);
        for shard in self.router.all() {
            if self.watching & (1 << shard.index()) != 0 {
                self.dispatch(shard, Item::Presence(Arc::clone(&change)));
            }
        }
    }

    /// A shard has, or has no more, watchers.
    pub(super) fn on_watching(&mut self, from: ShardId, watching: bool) {
        let bit = 1 << from.index();
        if watching { self.watching |= bit } else { self.watching &= !bit }
    }

    /// Something of the user whose room it is; `None` when it is answered later, or never.
    pub(super) fn on_user_operation(
        &mut self,
        from: ShardId,
        caller: &Caller,
        room: &Arc<str>,
        operation: UserOperation,
        now: Now,
    ) -> Option<Result<Outcome, CommandError>> {
        let name: Arc<str> = user_of(room)?.into();
        match operation {
            UserOperation::Moved { room, entered, lost } => {
                self.user_moved(&name, &room, entered, lost, now);
                if entered {
                    self.spread_status_to(&name, &room);
                }
                None
            }
            UserOperation::UpdateStatus { update, rate } => {
                let Some(user) = self.users.get_mut(&name) else {
                    // None of its connections is in the user's own room, so that there is nobody to have a status.
                    return Some(Err(CommandError::not_a_member()));
                };
                // Of the user, wherever it is connected: this node's share of it.
                let rate = rate.map(|rate| user.messages.share(rate));
                if let Some(Err(retry)) = rate.map(|rate| user.updates.take(rate, now.ms, 1)) {
                    return Some(Err(rate_limited(retry)));
                }
                let change = user.presence.update(update, now);
                let shown = user.shown(now);
                if change.is_some() {
                    self.tell_rooms(&name);
                    self.spread_status(&name);
                }
                self.tell_presence(&name, change, now);
                Some(Ok(Outcome::StatusUpdated(shown)))
            }
            UserOperation::Elsewhere { seat, room, account, said, there, lost } => {
                self.user_elsewhere(&name, (seat, room), (account, said), (there, lost), now);
                None
            }
            UserOperation::Presence(viewer) => {
                let user = self.users.get(&name).filter(|user| user.is_visible_to(&viewer));
                let unknown = || Presence::unknown(Arc::clone(&name));
                Some(Ok(Outcome::Presence(user.map_or_else(unknown, |user| user.shown(now)))))
            }
            UserOperation::Appear { viewer, room } => {
                let hidden = |user: &&mut User| !user.is_visible_to(&viewer) && user.is_in(&room);
                let user = self.users.get_mut(&name).filter(hidden)?;
                let appearance = user.appearance(&room, now)?;
                Some(Ok(Outcome::Appeared(Arc::new(appearance))))
            }
            UserOperation::OpenSession { session, progress } => {
                Some(Ok(self.on_open_session(from, caller, &name, (session, progress), now)))
            }
            UserOperation::Checkpoint { session, progress } => {
                self.on_checkpoint((from, caller.connection), &name, session, progress, now);
                None
            }
            UserOperation::Resume { session } => self.on_resume(from, caller, &name, session, now),
            UserOperation::CloseSession { session } => {
                self.on_close_session(from, caller, &name, session, now);
                None
            }
        }
    }

    /// A user is in a room by another node, or not any more: as if it had a socket there for each room.
    fn user_elsewhere(
        &mut self,
        name: &Arc<str>,
        (seat, room): (Seat, Arc<str>),
        (account, said): (Option<Arc<str>>, StatusUpdate),
        (there, lost): (bool, bool),
        now: Now,
    ) {
        if !there {
            self.user_moved(name, &room, false, lost, now);
            return self.user_disconnected(name, seat, now);
        }
        let user = self.users.entry(name);
        if account.is_some() {
            user.account = account;
        }
        let connected = if user.presence.has(seat) { None } else { user.presence.connect(seat, now) };
        let updated = user.presence.update(said, now);
        self.tell_presence(name, connected.or(updated), now);
        if !is_forced(&room) {
            self.user_moved(name, &room, true, false, now);
        }
    }

    fn user_moved(&mut self, name: &Arc<str>, room: &Arc<str>, entered: bool, lost: bool, now: Now) {
        let grace_ms = lost.then_some(self.config.presence_grace_ms);
        let Some(user) = self.users.get_mut(name) else { return };
        if !entered {
            user.leave(room, grace_ms, now);
            return self.schedule_user(name, now);
        }
        let is_new = user.enter(room);
        let status = user.presence.status();
        if status != Status::Online {
            self.tell_status(name, Arc::clone(room), status);
        }
        if !is_new || self.watching == 0 {
            return;
        }
        let appearance = self.users.get(name).and_then(|user| user.appearance(room, now));
        if let Some(change) = appearance {
            self.distribute_presence(change);
        }
    }

    /// The owners of a user's rooms show what it says of itself.
    fn tell_rooms(&mut self, name: &Arc<str>) {
        let Some(user) = self.users.get(name) else { return };
        let status = user.presence.status();
        let account = user.account.iter().map(|account| Arc::from(account_room(name, account)));
        let rooms: Vec<Arc<str>> = user.rooms().cloned().chain(account).collect();
        for room in rooms {
            self.tell_status(name, room, status);
        }
    }

    fn tell_status(&mut self, user: &Arc<str>, room: Arc<str>, status: Status) {
        let owner = self.router.owner(&room);
        let status = MemberStatus { room, user: Arc::clone(user), status };
        self.dispatch(owner, Item::Status(Box::new(status)));
    }

    /// On a room's owner: a member says something else of itself.
    pub(super) fn on_member_status(&mut self, status: &MemberStatus) {
        if let Some(key) = self.known(&status.room) {
            self.owned[key].set_status(&status.user, status.status);
        }
    }

    /// This shard's part of what every shard knows a part of.
    pub(super) fn on_shard_question(&mut self, question: ShardQuestion, now: Now) -> Outcome {
        match question {
            ShardQuestion::OnlineUsers { viewer, limit, cursor } => {
                let (users, total) = self.users.page(&viewer, cursor.as_deref(), limit, now);
                Outcome::OnlineUsers(users, total)
            }
            ShardQuestion::PresenceStats(viewer) => Outcome::PresenceStats(self.users.counts(&viewer)),
            ShardQuestion::RecoveryStats => {
                let (sessions, parked) = self.users.sessions();
                Outcome::RecoveryStats(RecoveryStats {
                    tried: self.metrics.session_recoveries,
                    full: self.metrics.session_recoveries_full,
                    partial: self.metrics.session_recoveries_partial,
                    refused: self.metrics.session_refusals,
                    sessions,
                    parked,
                })
            }
            ShardQuestion::ConnectionEvents { limit } => {
                Outcome::ConnectionEvents(self.connection_events.latest(limit))
            }
        }
    }
}
