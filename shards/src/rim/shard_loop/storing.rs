//! What a turn leaves behind for the store, and what the store says.

use super::{ShardLoop, ShardStore};

impl ShardLoop {
    /// What is on disk by now, and what the store wants.
    pub(super) fn hear_of_store(&mut self) {
        let Self { shard, store, .. } = self;
        let Some(store) = store else { return };
        let (committed, round) = (store.link.committed(), store.link.round());
        if committed != store.heard.0 {
            shard.on_stored(committed, self.now);
        }
        if round != store.heard.1 {
            shard.tell_anew(round, self.now);
        }
        store.heard = (committed, round);
        shard.set_store_full(store.sink.is_full());
    }

    /// Whether the store has said something that was not heard.
    pub(super) fn store_has_news(&self) -> bool {
        let news = |store: &ShardStore| (store.link.committed(), store.link.round()) != store.heard;
        self.store.as_ref().is_some_and(news)
    }

    /// Gives the store what the shard leaves behind.
    pub(super) fn leave_behind(&mut self) {
        let Self { shard, store, .. } = self;
        let Some(store) = store else { return };
        shard.tell_on(self.now);
        if let Some(batch) = shard.take_batch() {
            store.sink.write(shard.id(), batch);
        }
    }
}
