//! What the end of a room, or of its stream, means to those who are in it here.

use std::sync::Arc;

use super::Shard;
use crate::id::{Epoch, Offset};
use crate::mesh::item::{Caller, ReplyTo};
use crate::room::directory::RoomKey;

impl Shard {
    /// Everybody is out of a room that was closed; those whose answer is yet to come enter another one.
    pub(super) fn leave_closed(&mut self, room: &str) {
        let Some(key) = self.directory.find(room) else { return };
        for slot in self.directory.get(key).members.clone() {
            let connection = self.connections[slot as usize].id;
            self.unsubscribe(slot as usize, Caller { connection, reply: ReplyTo::Nobody }, key, false);
        }
    }

    /// The members of a room are in another stream from now on: how far their clients had got the one before says nothing
    /// any more, and until they have certainly heard so, nothing can be resumed there.
    pub(super) fn change_stream(&mut self, key: RoomKey, epoch: Epoch, offset: Offset) {
        let Self { directory, connections, .. } = self;
        let room = directory.get_mut(key);
        if (room.epoch, room.offset) == (epoch, offset) {
            return;
        }
        (room.epoch, room.offset) = (epoch, offset);
        let name = Arc::clone(&room.name);
        for slot in &room.members {
            let client = &mut connections[*slot as usize];
            let number = client.subscription(key).map(|subscription| subscription.number);
            if let (Some(number), Some(log)) = (number, &mut client.log)
                && log.follows(number)
            {
                log.enter_anew(number, &name, epoch, offset);
            }
        }
    }

    /// That they are in another stream is on its way to them.
    pub(super) fn note_stream(&mut self, key: RoomKey, offset: Offset) {
        let Self { directory, connections, .. } = self;
        for slot in &directory.get(key).members {
            let client = &mut connections[*slot as usize];
            let (number, end) = (client.subscription(key).map(|it| it.number), client.queue.end());
            if let (Some(number), Some(log)) = (number, &mut client.log)
                && log.is_untold(number)
            {
                log.note_answer(number, offset, end);
            }
        }
    }
}
