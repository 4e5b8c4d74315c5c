//! Presence on the home shard: what clients ask about users, and which of them hear of a change.

use std::sync::Arc;

use super::Shard;
use super::gather::{Gathered, Kind};
use super::sends::rate_of;
use super::subscriptions::limit_reached;
use crate::access::limits::scaled;
use crate::access::token::UserType;
use crate::clock::Now;
use crate::config::Limits;
use crate::connection::Connection;
use crate::connection::outbound_queue::FrameClass;
use crate::id::{ConnectionId, ShardId};
use crate::mesh::item::{Caller, Item, ReplyTo};
use crate::mesh::operation::{Operation, ShardQuestion, UserOperation};
use crate::protocol::command::StatusUpdate;
use crate::protocol::error_code::CommandError;
use crate::protocol::profile::Watching;
use crate::protocol::push::{PresenceChange, Push};
use crate::protocol::reply::Reply;
use crate::room::directory::Directory;
use crate::room::name::{account_room, is_forced, is_room_of, namespace, user_room};
use crate::user::users::Viewer;
use crate::user::watch::{Target, WATCHES_MAX};

impl Shard {
    pub(super) fn update_status(&mut self, slot: usize, caller: Caller, update: StatusUpdate) {
        let identity = self.identity(slot);
        let guest = identity.user_type == UserType::Guest;
        let room: Arc<str> = user_room(&identity.user).into();
        let profile = self.connections[slot].variant.profile.presence;
        let rate = rate_of(self.config.limits.presence, Limits::default().presence, profile);
        let rate = rate.map(|rate| scaled(rate, guest));
        self.ask(caller, room, Operation::User(UserOperation::UpdateStatus { update, rate }));
    }

    /// Who looks, for those who decide what it may see.
    fn viewer(&self, slot: usize) -> Viewer {
        let identity = self.identity(slot);
        let client = &self.connections[slot];
        let chosen = client.subscriptions.iter().filter(|subscription| subscription.told);
        let mut rooms: Vec<_> =
            chosen.map(|subscription| Arc::clone(&self.directory.get(subscription.room).name)).collect();
        rooms.sort_unstable();
        Viewer { user: Arc::clone(&identity.user), account: identity.account.clone(), rooms: rooms.into() }
    }

    pub(super) fn user_status(&mut self, slot: usize, caller: Caller, user: &str) {
        let viewer = self.viewer(slot);
        self.ask(caller, user_room(user).into(), Operation::User(UserOperation::Presence(viewer)));
    }

    pub(super) fn online_users(&mut self, slot: usize, caller: Caller, limit: usize, cursor: Option<String>) {
        let cursor = cursor.map(Arc::<str>::from);
        // One more than a page holds tells whether there is another.
        let question = ShardQuestion::OnlineUsers { viewer: self.viewer(slot), limit: limit + 1, cursor };
        self.ask_all(caller, question, Gathered::OnlineUsers { users: Vec::new(), total: 0, limit });
    }

    pub(super) fn presence_stats(&mut self, slot: usize, caller: Caller) {
        let question = ShardQuestion::PresenceStats(self.viewer(slot));
        self.ask_all(caller, question, Gathered::PresenceStats(Default::default()));
    }

    pub(super) fn recovery_stats(&mut self, caller: Caller) {
        let none = Gathered::RecoveryStats(Default::default());
        self.ask_all(caller, ShardQuestion::RecoveryStats, none);
    }

    pub(super) fn latest_events(&mut self, caller: Caller, limit: usize) {
        let none = Gathered::ConnectionEvents(Vec::new(), limit);
        self.ask_all(caller, ShardQuestion::ConnectionEvents { limit }, none);
    }

    /// Asks every shard, and gathers what they know.
    fn ask_all(&mut self, caller: Caller, question: ShardQuestion, none: Gathered) {
        let connection = caller.connection;
        let gather = self.gather(caller, self.config.shards, Kind::All(none));
        for shard in self.router.all() {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index: 0 } };
            self.ask_shard(caller, shard, question.clone());
        }
    }

    pub(super) fn watch_users(
        &mut self,
        slot: usize,
        caller: Caller,
        users: Vec<String>,
        room: Option<String>,
        now: Now,
    ) -> Result<(), CommandError> {
        if room.as_ref().is_some_and(|room| !self.is_in(slot, room)) {
            return Err(CommandError::not_a_member());
        }
        let added = users.len() + usize::from(room.is_some());
        if self.connections[slot].rare().watches.len() + added > WATCHES_MAX {
            return Err(limit_reached("too many watches", WATCHES_MAX));
        }
        let viewer = self.viewer(slot);
        let connection = caller.connection;
        let users: Vec<Arc<str>> = users.into_iter().map(Into::into).collect();
        for user in &users {
            self.watch(slot, Target::User(Arc::clone(user)));
        }
        if let Some(room) = room {
            let target = self.target_of(slot, &room);
            self.watch(slot, target.clone());
            if users.is_empty() {
                self.watch_room(slot, caller, &target);
                return Ok(());
            }
        }
        let gather = self.gather(caller, users.len(), Kind::Users(vec![None; users.len()]));
        if users.is_empty() {
            self.finish_gather(gather, now);
        }
        for (index, user) in (0u32..).zip(users) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            let operation = Operation::User(UserOperation::Presence(viewer.clone()));
            self.ask(caller, user_room(&user).into(), operation);
        }
        Ok(())
    }

    /// A connection has entered a room: of those whom it watches by name, some may be there whom it did not see before.
    pub(super) fn look_around(&mut self, connection: ConnectionId, room: &Arc<str>) {
        let slot = connection.slot as usize;
        let Some(client) = self.client(connection).filter(|_| !is_forced(room)) else { return };
        let watched: Vec<_> = client.rare().watches.iter().filter_map(Target::user).cloned().collect();
        if watched.is_empty() {
            return;
        }
        let mut before = self.viewer(slot);
        before.rooms = before.rooms.iter().filter(|known| *known != room).cloned().collect();
        for user in watched {
            let appear = UserOperation::Appear { viewer: before.clone(), room: Arc::clone(room) };
            let caller = Caller { connection, reply: ReplyTo::Sight };
            self.ask(caller, user_room(&user).into(), Operation::User(appear));
        }
    }

    /// Somebody who is watched has come into the connection's sight.
    pub(super) fn on_appeared(&mut self, connection: ConnectionId, change: Arc<PresenceChange>, now: Now) {
        if self.client(connection).is_some_and(|client| client.identity.is_some()) {
            self.metrics.presence_deliveries += 1;
            self.push(connection.slot as usize, &Push::Presence(change), FrameClass::Ephemeral, now);
        }
    }

    /// Whom a connection means by a room: an account's is that account's users, a user's own that user.
    fn target_of(&self, slot: usize, room: &str) -> Target {
        let identity = self.identity(slot);
        let account = identity.account.as_ref();
        match account.filter(|account| account_room(&identity.user, account) == room) {
            Some(account) => Target::Account(Arc::clone(account)),
            None if is_room_of(room, &identity.user) => Target::User(Arc::clone(&identity.user)),
            None => Target::Room(room.into()),
        }
    }

    /// The users meant who are online are asked of every shard: whoever is in the room shares it.
    fn watch_room(&mut self, slot: usize, caller: Caller, target: &Target) {
        let user = Arc::clone(&self.identity(slot).user);
        let (account, rooms) = match target {
            Target::Account(account) => (Some(Arc::clone(account)), [].into()),
            Target::Room(room) => (None, [Arc::clone(room)].into()),
            Target::User(_) | Target::Everybody => (None, [].into()),
        };
        let viewer = Viewer { user, account, rooms };
        let limit = self.config.presence_room_max.max(1);
        let question = ShardQuestion::OnlineUsers { viewer, limit, cursor: None };
        self.ask_all(caller, question, Gathered::RoomUsers { users: Vec::new(), limit });
    }

    pub(super) fn unwatch_users(
        &mut self,
        slot: usize,
        caller: &Caller,
        users: Vec<String>,
        room: Option<String>,
        now: Now,
    ) {
        for user in users {
            self.unwatch(slot, &Target::User(user.into()));
        }
        if let Some(room) = room {
            let target = self.target_of(slot, &room);
            self.unwatch(slot, &target);
        }
        self.answer_client(caller, &Reply::Parts("users", Vec::new()), now);
    }

    /// Watches what its profile says, for a connection that was authenticated just now.
    pub(super) fn watch_by_profile(&mut self, slot: usize) {
        match self.connections[slot].variant.profile.watching {
            Watching::Nobody => {}
            Watching::Everybody => self.watch(slot, Target::Everybody),
            Watching::Account => {
                if let Some(account) = self.identity(slot).account.clone() {
                    self.watch(slot, Target::Account(account));
                }
            }
        }
    }

    pub(super) fn watch(&mut self, slot: usize, target: Target) {
        let client = &mut self.connections[slot];
        if client.rare().watches.contains(&target) {
            return;
        }
        client.rare_mut().watches.push(target.clone());
        if self.watches.add(target, client.id.slot) {
            self.tell_watching(true);
        }
        self.checkpoint(slot);
    }

    /// Gives a watch up, unless the profile wants it.
    pub(super) fn unwatch(&mut self, slot: usize, target: &Target) {
        let client = &mut self.connections[slot];
        let by_profile = *target == Target::Everybody
            && client.variant.profile.watching == Watching::Everybody
            && client.is_active();
        let Some(at) = client.rare().watches.iter().position(|known| known == target).filter(|_| !by_profile)
        else {
            return;
        };
        client.rare_mut().watches.swap_remove(at);
        let slot = client.id.slot;
        if self.watches.remove(target, slot) {
            self.tell_watching(false);
        }
    }

    pub(super) fn unwatch_everything(&mut self, slot: usize) {
        let own = self.connections[slot].id.slot;
        for target in self.connections[slot].take_watches() {
            if self.watches.remove(&target, own) {
                self.tell_watching(false);
            }
        }
    }

    fn tell_watching(&mut self, watching: bool) {
        for shard in self.router.all() {
            let shard: ShardId = shard;
            self.dispatch(shard, Item::Watching(watching));
        }
    }

    /// A user's presence has changed, for whoever here may know.
    pub(super) fn on_presence(&mut self, change: &Arc<PresenceChange>, now: Now) {
        let max = self.config.presence_room_max;
        let directory = &self.directory;
        let is_large = |room: &str| directory.find(room).is_some_and(|key| directory.get(key).users > max);
        let slots = self.watches.concerned(change, is_large);
        let large_account =
            change.account.as_ref().is_some_and(|account| is_large(&account_room(&change.user, account)));
        let sees = |client: &Connection| sees(client, directory, change, large_account, is_large);
        let slots: Vec<u32> =
            slots.into_iter().filter(|slot| sees(&self.connections[*slot as usize])).collect();
        for (_, gather) in &mut self.gathers {
            if slots.binary_search(&gather.slot()).is_ok() {
                gather.note_presence(change);
            }
        }
        let push = Push::Presence(Arc::clone(change));
        self.metrics.presence_deliveries += slots.len() as u64;
        self.push_to(&slots, &push, FrameClass::Ephemeral, now);
    }
}

/// Whether a watcher hears of a change: it shares a room or an account with the user, and did not before, where that
/// would have told it already. What is shared with very many does not count, unless the user is watched by name.
fn sees(
    client: &Connection,
    directory: &Directory,
    change: &PresenceChange,
    large_account: bool,
    is_large: impl Fn(&str) -> bool,
) -> bool {
    let Some(identity) = client.identity.as_ref() else { return false };
    let by_name = client
        .rare()
        .watches
        .iter()
        .any(|target| matches!(target, Target::User(user) if *user == change.user));
    if identity.user == change.user && !by_name {
        return false;
    }
    // The same account has other users in another namespace.
    let own_account = identity.account.as_ref().filter(|_| identity.namespace() == namespace(&change.user));
    let shares = |rooms: &[Arc<str>], counts_large: bool| {
        client.subscriptions.iter().filter(|subscription| subscription.told).any(|subscription| {
            let name = &directory.get(subscription.room).name;
            rooms.contains(name) && (counts_large || !is_large(name))
        })
    };
    let account = own_account.is_some() && own_account == change.account.as_ref();
    let sees = (account && (by_name || !large_account)) || shares(&change.rooms, by_name);
    let told = change.told.as_ref().is_some_and(|told| {
        let account = own_account.is_some() && own_account == told.account.as_ref();
        account || shares(&told.rooms, by_name)
    });
    sees && !told
}
