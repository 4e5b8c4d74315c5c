//! What the rooms of a shard keep, together: the account of all histories and its bound.

use std::sync::Arc;

use super::Shard;
use crate::config::Config;
use crate::mesh::outcome::Outcome;
use crate::protocol::message::Publication;
use crate::room::history_budget::Kept;
use crate::room::owned::OwnedRoom;

impl Shard {
    /// Changes a room whose history may change by that, and keeps the account.
    pub(super) fn change_room<R>(
        &mut self,
        key: usize,
        change: impl FnOnce(&mut OwnedRoom, &Config) -> R,
    ) -> R {
        let room = &mut self.owned[key];
        let before = room.history_size();
        let result = change(room, &self.config);
        self.history_budget.change(before, room.history_size());
        result
    }

    /// Notes a message that a room has kept, and forgets the oldest of all rooms while there are too many.
    pub(super) fn note_kept(&mut self, key: usize, publication: &Publication) {
        let Publication { room, epoch, offset, .. } = publication;
        if !self.owned[key].keeps(*epoch, *offset) {
            return;
        }
        self.history_budget.push(Kept { room: Arc::clone(room), epoch: *epoch, offset: *offset });
        self.bound_histories();
        let Self { history_budget, owned, owned_by_name, .. } = self;
        history_budget.compact(|kept| {
            let key = owned_by_name.find(&kept.room, |key| owned[key as usize].name());
            key.is_some_and(|key| owned[key as usize].keeps(kept.epoch, kept.offset))
        });
    }

    /// Forgets the oldest messages of all rooms while there are too many.
    pub(super) fn bound_histories(&mut self) {
        let bytes_max = self.config.history.total_bytes_max / self.config.shards;
        while let Some(kept) = self.history_budget.next_to_forget(bytes_max) {
            if let Some(key) = self.known(&kept.room) {
                let dropped = self.change_room(key, |room, _| room.evict(kept.epoch, kept.offset));
                self.metrics.history_dropped += dropped as u64;
            }
        }
    }

    /// Forgets a room.
    pub(super) fn forget_room(&mut self, key: usize) {
        let Some(room) = self.owned.remove(key) else { return };
        self.owned_by_name.remove(room.name(), u32::try_from(key).expect("keys of rooms are so wide"));
        self.history_budget.change(room.history_size(), (0, 0));
        self.forget_elsewhere(&room);
        self.release_room(room.name());
        if let Some(card) = room.card() {
            self.created.remove(&card.owner, room.created_bytes());
        }
        // Whoever was sent out of a closed room must not take the next of its name for it.
        if room.has_stream() || room.is_closing() {
            let ended = self.epochs.stream_ended(room.name());
            self.store_gone(room.name(), ended);
        }
        for (shard, caller) in self.closers.remove(room.name()).into_iter().flatten() {
            self.answer(shard, caller, Ok(Outcome::Left { room: Arc::clone(room.name()) }));
        }
    }
}
