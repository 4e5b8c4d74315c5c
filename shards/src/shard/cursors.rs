//! Up to where the members of a queued room certainly have it, told among the nodes that share it; on the owner shard.
//!
//! The cursor of a member who is away says what waits for it. That of one who is there says what is to wait for it if its
//! node is lost with all that was on its way; so whoever comes back by another node gets that, and perhaps once more what
//! it had got since the node last told.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::engine::Table;
use crate::engine::codec::{self, Word};
use crate::id::Offset;
use crate::room::name::user_of;

impl Shard {
    /// Up to where a member of a queued room certainly has it, if that is known. While it is there, the other nodes are to
    /// know in case that this one is lost.
    pub(super) fn share_cursor(&mut self, key: usize, user: &str) {
        let owned = &self.owned[key];
        let room = Arc::clone(owned.name());
        if !owned.is_queued() || !self.is_shared(&room) {
            return;
        }
        let certain = owned.certain(user);
        let word = certain.filter(|_| owned.is_present(user));
        let word = word.map(|offset| Word::Cursor { user: user.into(), offset });
        let value = certain.map(|offset| codec::json(&offset));
        self.share(&room, Some((Table::Cursors, user.to_owned(), value)), word.as_ref());
    }

    /// What comes into the own room of somebody who is not there waits for that user.
    pub(super) fn share_cursor_of_owner(&mut self, key: usize) {
        let owned = &self.owned[key];
        let Some(owner) = user_of(owned.name()).filter(|_| owned.is_queued()) else { return };
        if owned.cursor(&owner).is_some_and(|cursor| cursor + 1 == self.offset_of(key)) {
            let owner = owner.into_owned();
            self.share_cursor(key, &owner);
        }
    }

    /// Up to where a user has a queued room, by what another node says.
    pub(super) fn adopt_cursor(&mut self, key: usize, user: &Arc<str>, offset: Offset, now: Now) {
        let owned = &mut self.owned[key];
        if !owned.is_present(user) {
            owned.adopt_cursor(user, offset, now);
        } else if owned.is_queued() {
            owned.advance_member(user, offset);
        }
    }
}
