//! Replies that several owners contribute to: parts are collected until none is missing.
//!
//! Every owner answers, so every gathering ends, even when its connection is gone by then.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::id::ConnectionId;
use crate::mesh::item::{Ask, Caller, Item, ReplyTo};
use crate::mesh::operation::Operation;
use crate::mesh::outcome::Outcome;
use crate::protocol::command::Draft;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::Publication;
use crate::protocol::push::PresenceChange;
use crate::protocol::reply::{self, Presence, PresenceCounts, RecoveryStats, Reply};
use crate::room::name::{is_user_room, user_of};
use crate::room::pattern::Pattern;

/// A reply that is not complete.
#[derive(Debug)]
pub(super) struct Gather {
    caller: Caller,
    missing: usize,
    pub(super) kind: Kind,
}

/// What is being gathered.
#[derive(Debug)]
pub(super) enum Kind {
    /// The rooms of `room:list`.
    List(Vec<Vec<u8>>),
    /// The results of a command with parts.
    Results(Vec<Vec<u8>>),
    /// How subscriptions stand.
    Standing {
        /// Each, written.
        parts: Vec<Vec<u8>>,
        /// Whether with details of the room.
        details: bool,
        /// Whether one was asked for, and not all.
        single: bool,
    },
    /// Users who are watched from now on.
    Users(Vec<Option<Presence>>),
    /// The rooms of a resumed session, and how many of them were lost.
    Recovery { rooms: Vec<Vec<u8>>, lost: usize },
    /// What a Socket.IO client has missed in the rooms of its session, and how many of them were lost.
    Missed { messages: Vec<Arc<Publication>>, lost: usize },
    /// Every shard's confirmation that it knows of a pattern.
    Pattern(Pattern),
    /// A room that sender and receiver share, so that the message may go.
    Acquaintance { shared: bool, draft: Box<Draft>, confirm: bool },
    /// What every shard knows a part of.
    All(Gathered),
}

/// The parts of all shards, put together as they come.
#[derive(Debug)]
pub(super) enum Gathered {
    OnlineUsers { users: Vec<Presence>, total: usize, limit: usize },
    RoomUsers { users: Vec<Presence>, limit: usize },
    PresenceStats(PresenceCounts),
    RecoveryStats(RecoveryStats),
    ConnectionEvents(Vec<(u64, Vec<u8>)>, usize),
}

/// What an owner contributed.
#[derive(Debug)]
pub(super) enum Part {
    /// Written JSON for its place.
    Written(Vec<u8>),
    /// A room of a resumed session, and whether it was recovered.
    Recovered(Vec<u8>, bool),
    /// What was missed in a room, unless that is lost.
    Missed(Option<Vec<Arc<Publication>>>),
    /// A shard's confirmation.
    Confirmed,
    /// Whether the user is in that room.
    Contains(bool),
    /// A shard's part.
    Shard(Outcome),
}

impl Gathered {
    fn add(&mut self, outcome: Outcome) {
        match (self, outcome) {
            (Self::OnlineUsers { users, total, .. }, Outcome::OnlineUsers(more, count)) => {
                users.extend(more);
                *total += count;
            }
            (Self::RoomUsers { users, .. }, Outcome::OnlineUsers(more, _)) => users.extend(more),
            (Self::PresenceStats(counts), Outcome::PresenceStats(more)) => counts.add(&more),
            (Self::RecoveryStats(stats), Outcome::RecoveryStats(more)) => stats.add(&more),
            (Self::ConnectionEvents(events, _), Outcome::ConnectionEvents(more)) => events.extend(more),
            _ => {}
        }
    }

    fn into_reply(self) -> Reply {
        match self {
            Self::OnlineUsers { mut users, total, limit } => {
                users.sort_by(|a, b| a.user.cmp(&b.user));
                let more = users.len() > limit;
                users.truncate(limit);
                Reply::OnlineUsers { users, total, more }
            }
            Self::RoomUsers { mut users, limit } => {
                users.sort_by(|a, b| a.user.cmp(&b.user));
                users.truncate(limit);
                Reply::Parts("users", users.iter().map(entry).collect())
            }
            Self::PresenceStats(counts) => Reply::PresenceStats(counts),
            Self::RecoveryStats(stats) => Reply::RecoveryStats(stats),
            Self::ConnectionEvents(mut events, limit) => {
                events.sort_by_key(|(unix_ms, _)| *unix_ms);
                let skipped = events.len().saturating_sub(limit);
                let events = events.into_iter().skip(skipped).map(|(_, event)| event);
                Reply::Parts("events", events.collect())
            }
        }
    }
}

impl Gather {
    /// Somebody hears of a change of presence while an answer is being gathered in which the user may stand already: the
    /// answer comes later, and must not be older.
    pub(super) fn note_presence(&mut self, change: &PresenceChange) {
        let users: &mut dyn Iterator<Item = &mut Presence> = match &mut self.kind {
            Kind::Users(users) => &mut users.iter_mut().flatten(),
            Kind::All(Gathered::RoomUsers { users, .. }) => &mut users.iter_mut(),
            _ => return,
        };
        for user in users.filter(|user| user.user == change.user) {
            user.status = change.status;
            user.text.clone_from(&change.text);
            user.last_seen_unix_ms = Some(change.last_seen_unix_ms);
        }
    }

    /// The slot of the connection that asked.
    pub(super) fn slot(&self) -> u32 {
        self.caller.connection.slot
    }
}

impl Shard {
    /// Begins a gathering of `missing` parts; with none missing it must be finished by the caller.
    pub(super) fn gather(&mut self, caller: Caller, missing: usize, kind: Kind) -> u32 {
        u32::try_from(self.gathers.insert(Gather { caller, missing, kind })).expect("gatherings are few")
    }

    /// Adds a part, and answers when it was the last.
    pub(super) fn on_part(&mut self, key: u32, index: u32, part: Part, now: Now) {
        let Some(gather) = self.gathers.get_mut(key as usize) else { return };
        match (&mut gather.kind, part) {
            (
                Kind::List(parts)
                | Kind::Results(parts)
                | Kind::Standing { parts, .. }
                | Kind::Recovery { rooms: parts, .. },
                Part::Written(written),
            ) => place(parts, index, written),
            (Kind::Recovery { rooms, lost }, Part::Recovered(written, recovered)) => {
                *lost += usize::from(!recovered);
                place(rooms, index, written);
            }
            (Kind::Missed { messages, .. }, Part::Missed(Some(missed))) => messages.extend(missed),
            (Kind::Missed { lost, .. }, _) => *lost += 1,
            (Kind::Users(users), Part::Shard(Outcome::Presence(presence))) => {
                if let Some(place) = users.get_mut(index as usize) {
                    *place = Some(presence);
                }
            }
            (Kind::Acquaintance { shared, .. }, Part::Contains(contains)) => *shared |= contains,
            (Kind::All(gathered), Part::Shard(outcome)) => gathered.add(outcome),
            _ => {}
        }
        gather.missing = gather.missing.saturating_sub(1);
        if gather.missing == 0 {
            self.finish_gather(key, now);
        }
    }

    /// Answers with what was gathered.
    pub(super) fn finish_gather(&mut self, key: u32, now: Now) {
        let Some(gather) = self.gathers.try_remove(key as usize) else { return };
        let caller = gather.caller;
        match gather.kind {
            Kind::List(rooms) => self.answer_client(&caller, &Reply::Parts("rooms", rooms), now),
            Kind::Results(results) => self.answer_client(&caller, &Reply::Parts("results", results), now),
            Kind::Users(users) => {
                let reply = Reply::Parts("users", users.iter().flatten().map(entry).collect());
                self.answer_client(&caller, &reply, now);
            }
            Kind::Standing { parts, single: false, .. } => {
                self.answer_client(&caller, &Reply::Parts("rooms", parts), now);
            }
            Kind::Standing { mut parts, .. } => {
                let members = parts.pop().unwrap_or_default();
                self.answer_client(&caller, &Reply::Written(inner(members)), now);
            }
            Kind::Recovery { rooms, lost } => self.finish_recovery(caller, rooms, lost, now),
            Kind::Missed { messages, lost } => self.finish_missed(&caller, messages, lost, now),
            Kind::Pattern(pattern) => self.answer_pattern(&caller, &pattern, true, now),
            Kind::Acquaintance { shared: true, draft, confirm } => {
                self.ask_user_send(caller, *draft, true, confirm);
            }
            Kind::Acquaintance { .. } => {
                let error = CommandError::new(
                    ErrorCode::PermissionDenied,
                    "this user is neither of your account nor in a room with you",
                );
                self.fail(&caller, &error, now);
            }
            Kind::All(gathered) => self.answer_client(&caller, &gathered.into_reply(), now),
        }
    }

    /// Ends a gathering that has one part only, which failed: who asked for it.
    pub(super) fn take_single(&mut self, key: u32) -> Option<Caller> {
        let gather = self.gathers.get(key as usize)?;
        matches!(gather.kind, Kind::Standing { single: true, .. })
            .then(|| self.gathers.remove(key as usize).caller)
    }

    /// Whether a gathering is that of a resumed session's rooms.
    pub(super) fn is_recovery(&self, caller: &Caller) -> bool {
        let ReplyTo::Part { gather, .. } = caller.reply else { return false };
        let gather = self.gathers.get(gather as usize);
        gather.is_some_and(|gather| matches!(gather.kind, Kind::Recovery { .. }))
    }

    /// Whether a gathering is that of what a Socket.IO client has missed.
    pub(super) fn is_missed(&self, gather: u32) -> bool {
        let gather = self.gathers.get(gather as usize);
        gather.is_some_and(|gather| matches!(gather.kind, Kind::Missed { .. }))
    }

    /// Whether what one more room missed has a place in the answer, which is bounded as a whole: a client that was told
    /// of all of it would never take so much.
    pub(super) fn fits_recovery(&self, gather: u32, bytes: usize) -> bool {
        let Some(Gather { kind: Kind::Recovery { rooms, .. }, .. }) = self.gathers.get(gather as usize)
        else {
            return true;
        };
        let written: usize = rooms.iter().map(Vec::len).sum();
        written + bytes <= self.config.history.replay_bytes_max
    }

    /// Tells that a pattern was subscribed or given up, whoever asked.
    pub(super) fn answer_pattern(&mut self, caller: &Caller, pattern: &Pattern, subscribed: bool, now: Now) {
        match caller.reply {
            ReplyTo::Part { gather, index } => {
                let mut out = Vec::new();
                reply::write_success(&mut out, "pattern", pattern.as_str());
                self.on_part(gather, index, Part::Written(out), now);
            }
            _ => {
                let reply = Reply::Pattern { pattern: pattern.as_str().into(), subscribed };
                self.answer_client(caller, &reply, now);
            }
        }
    }

    /// Looks for a room that the connection shares with the user to whom it wants to send.
    pub(super) fn seek_acquaintance(&mut self, caller: Caller, draft: Box<Draft>, confirm: bool, now: Now) {
        let rooms = self.shared_room_candidates(caller.connection);
        let Some(user) = user_of(&draft.room).map(Arc::<str>::from) else { return };
        let connection = caller.connection;
        let key = self.gather(caller, rooms.len(), Kind::Acquaintance { shared: false, draft, confirm });
        if rooms.is_empty() {
            return self.finish_gather(key, now);
        }
        for (index, room) in (0u32..).zip(rooms) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather: key, index } };
            let ask = Ask {
                caller,
                room: Arc::clone(&room),
                operation: Operation::Contains { user: Arc::clone(&user) },
            };
            let owner = self.router.owner(&room);
            self.dispatch(owner, Item::Ask(Box::new(ask)));
        }
    }

    fn shared_room_candidates(&self, id: ConnectionId) -> Vec<Arc<str>> {
        let Some(client) = self.client(id) else { return Vec::new() };
        let names =
            client.subscriptions.iter().map(|subscription| &self.directory.get(subscription.room).name);
        names.filter(|name| !is_user_room(name)).cloned().collect()
    }
}

/// A user as one of those that are watched.
fn entry(user: &Presence) -> Vec<u8> {
    let mut out = Vec::new();
    user.write_entry(&mut out);
    out
}

fn place(parts: &mut [Vec<u8>], index: u32, written: Vec<u8>) {
    if let Some(place) = parts.get_mut(index as usize) {
        *place = written;
    }
}

/// The members of a written object.
fn inner(object: Vec<u8>) -> Vec<u8> {
    let end = object.len().saturating_sub(1);
    object.get(1..end).unwrap_or_default().to_vec()
}
