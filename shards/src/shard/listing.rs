//! Commands about several rooms of a connection at once: lists, states, many entered or left.

use std::sync::Arc;

use super::Shard;
use super::gather::{Kind, Part};
use crate::clock::Now;
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::{Operation, Question, Reader};
use crate::protocol::command::Invalid;
use crate::protocol::error_code::CommandError;
use crate::protocol::reply;
use crate::room::name::local;
use crate::room::pattern::Pattern;

impl Shard {
    pub(super) fn list(&mut self, slot: usize, caller: Caller, now: Now) {
        let names = self.rooms_of(slot);
        self.ask_each(slot, caller, names, Kind::List, || Question::Entry, now);
    }

    pub(super) fn describe_subscriptions(
        &mut self,
        slot: usize,
        caller: Caller,
        room: Option<String>,
        details: bool,
        now: Now,
    ) -> Result<(), CommandError> {
        match room {
            Some(room) => {
                if self.subscribed(slot, &room).is_none() && !self.identity(slot).may_enter(&room) {
                    return Err(CommandError::room_denied());
                }
                let kind = |parts| Kind::Standing { parts, details, single: true };
                self.ask_each(slot, caller, vec![room.into()], kind, || Question::Standing, now);
            }
            None => {
                let names = self.rooms_of(slot);
                let kind = |parts| Kind::Standing { parts, details, single: false };
                self.ask_each(slot, caller, names, kind, || Question::Standing, now);
            }
        }
        Ok(())
    }

    /// Asks the owner of each room, and gathers what they say.
    fn ask_each(
        &mut self,
        slot: usize,
        caller: Caller,
        names: Vec<Arc<str>>,
        kind: impl FnOnce(Vec<Vec<u8>>) -> Kind,
        question: impl Fn() -> Question,
        now: Now,
    ) {
        let connection = caller.connection;
        let gather = self.gather(caller, names.len(), kind(vec![Vec::new(); names.len()]));
        if names.is_empty() {
            return self.finish_gather(gather, now);
        }
        for (index, name) in (0u32..).zip(names) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            let entitled = self.is_in(slot, &name) || self.identity(slot).is_entitled(&name);
            let reader = Reader { user: Arc::clone(&self.identity(slot).user), entitled };
            self.ask(caller, name, Operation::Tell { reader, question: question() });
        }
    }

    pub(super) fn multiple(
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
                self.fail_part(slot, (gather, index), ("roomId", local(&text)), &error, now);
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
