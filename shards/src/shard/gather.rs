//! Replies that several owners contribute to: parts are collected until none is missing.
//!
//! Every owner answers, so every gathering ends, even when its connection is gone by then.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::id::ConnectionId;
use crate::mesh::item::{Ask, Caller, Item, Operation, ReplyTo};
use crate::protocol::command::Draft;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::reply::{self, Reply};
use crate::room::pattern::Pattern;

/// A reply that is not complete.
#[derive(Debug)]
pub(super) struct Gather {
    caller: Caller,
    missing: usize,
    kind: Kind,
}

/// What is being gathered.
#[derive(Debug)]
pub(super) enum Kind {
    /// The rooms of `room:list`.
    List(Vec<Vec<u8>>),
    /// The results of a command with parts, under the name of their field.
    Results(Vec<Vec<u8>>),
    /// Every shard's confirmation that it knows of a pattern.
    Pattern(Pattern),
    /// A room that sender and receiver share, so that the message may go.
    Acquaintance { shared: bool, draft: Box<Draft>, confirm: bool },
}

/// What an owner contributed.
#[derive(Debug)]
pub(super) enum Part {
    /// Written JSON for its place.
    Written(Vec<u8>),
    /// A shard's confirmation.
    Confirmed,
    /// Whether the user is in that room.
    Contains(bool),
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
            (Kind::List(parts) | Kind::Results(parts), Part::Written(written)) => {
                if let Some(place) = parts.get_mut(index as usize) {
                    *place = written;
                }
            }
            (Kind::Acquaintance { shared, .. }, Part::Contains(contains)) => *shared |= contains,
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
            Kind::List(rooms) => self.answer_client(&caller, &Reply::List(rooms), now),
            Kind::Results(results) => self.answer_client(&caller, &Reply::Results("results", results), now),
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
        }
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
        let Some(user) = draft.room.strip_prefix("user:").map(Arc::<str>::from) else { return };
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
        names.filter(|name| !name.starts_with("user:")).cloned().collect()
    }
}
