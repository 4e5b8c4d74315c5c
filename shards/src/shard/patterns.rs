//! A connection's patterns, on its home shard.

use super::Shard;
use super::gather::Kind;
use super::hooks::Wants;
use super::subscriptions::limit_reached;
use crate::mesh::item::{Caller, Interest, Item, ReplyTo};
use crate::protocol::error_code::CommandError;
use crate::room::pattern::Pattern;

impl Shard {
    pub(super) fn subscribe_pattern(
        &mut self,
        slot: usize,
        caller: Caller,
        pattern: Pattern,
    ) -> Result<(), CommandError> {
        if self.pattern_needs_leave() {
            self.hold(slot, caller.reply, Wants::Subscribe(pattern));
            return Ok(());
        }
        self.add_pattern(slot, caller, pattern)
    }

    /// The same with leave.
    pub(super) fn add_pattern(
        &mut self,
        slot: usize,
        caller: Caller,
        pattern: Pattern,
    ) -> Result<(), CommandError> {
        let client = &mut self.connections[slot];
        if !client.rare().patterns.contains(&pattern) {
            if client.rare().patterns.len() >= self.config.limits.patterns_max {
                return Err(limit_reached("too many patterns", self.config.limits.patterns_max));
            }
            client.rare_mut().patterns.push(pattern.clone());
            self.patterns.entry(&pattern).subscribers.push(client.id.slot);
            self.checkpoint(slot);
        }
        let connection = self.connections[slot].id;
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
        let Some(at) = client.rare().patterns.iter().position(|known| known == pattern) else { return };
        client.rare_mut().patterns.swap_remove(at);
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
}
