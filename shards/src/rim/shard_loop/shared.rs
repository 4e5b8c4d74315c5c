//! The part of a turn that deals with the engine that several nodes share.

use super::ShardLoop;
use crate::engine::Event;

/// Batches of events heard in one turn.
const BATCHES_MAX: usize = 64;

impl ShardLoop {
    /// Takes in what the engine says.
    pub(super) fn hear_engine(&mut self) {
        for _ in 0..BATCHES_MAX {
            let Ok(events) = self.inbox.events.try_recv() else { return };
            events.into_iter().for_each(|event: Event| self.shard.on_engine(event, self.now));
        }
    }

    /// Hands on what the engine is asked; what it cannot take now waits, and clients meanwhile are not read.
    pub(super) fn ask_engine(&mut self) {
        let shard = self.shard.id();
        let requests = &mut self.shard.effects.engine;
        if requests.is_empty() {
            return;
        }
        if let Some(engine) = &self.inbox.engine {
            // What does not fit stays where it is.
            let _ = engine.submit(shard, requests);
        }
    }
}
