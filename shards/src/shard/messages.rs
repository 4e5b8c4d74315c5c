//! What clients do with messages that were sent: change them, confirm them, announce the next. Home side and owner's.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::hooks::Wants;
use super::sends::{rate_limited, rate_of};
use crate::access::limits::scaled;
use crate::access::token::UserType;
use crate::clock::Now;
use crate::config::{Limits, Sanitize};
use crate::id::{MessageId, SessionId, ShardId};
use crate::mesh::item::{Caller, Item};
use crate::mesh::operation::Operation;
use crate::mesh::outcome::Outcome;
use crate::protocol::catalog::Event;
use crate::protocol::command::UpTo;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::json::escape_strings;
use crate::protocol::push::{Except, News, Notice};
use crate::protocol::reply::ReceiptStatus;
use crate::room::name::{is_room_of, is_user_room, user_room};
use crate::room::owned::{Prepared, unknown_message};

impl Shard {
    pub(super) fn revise(
        &mut self,
        slot: usize,
        caller: Caller,
        room: String,
        message: MessageId,
        (content, binary): (Option<Bytes>, bool),
    ) -> Result<(), CommandError> {
        let identity = self.identity(slot);
        let moderator = identity.has_right("message:moderate", &room) && identity.may_enter(&room);
        // What somebody sent to another user remains the sender's, who is never in that room.
        if self.subscribed(slot, &room).is_none() && !moderator && !is_user_room(&room) {
            self.check_sender(slot, &room)?;
        }
        if let Some(content) =
            content.as_ref().filter(|_| self.publish_needs_leave(Event::MessageEdit, &room))
        {
            let wants = Wants::Edit { room, message, content: content.clone(), binary };
            self.hold(slot, caller.reply, wants);
            return Ok(());
        }
        self.change(slot, caller, room, message, (content, binary));
        Ok(())
    }

    /// The same with leave; the room's owner judges whose message it is.
    pub(super) fn change(
        &mut self,
        slot: usize,
        caller: Caller,
        room: String,
        message: MessageId,
        (content, binary): (Option<Bytes>, bool),
    ) {
        let identity = self.identity(slot);
        let moderator = identity.has_right("message:moderate", &room) && identity.may_enter(&room);
        let content = match self.config.sanitize {
            Sanitize::Off => content,
            Sanitize::Escape => content.map(escape_strings),
        };
        let user = Arc::clone(&self.identity(slot).user);
        self.ask(caller, room.into(), Operation::Revise { user, moderator, message, content, binary });
    }

    pub(super) fn receipt(
        &mut self,
        slot: usize,
        caller: Caller,
        room: String,
        upto: UpTo,
        read: bool,
    ) -> Result<(), CommandError> {
        if self.subscribed(slot, &room).is_none() {
            return Err(CommandError::not_a_member());
        }
        let session = self.connections[slot].session;
        let user = Arc::clone(&self.identity(slot).user);
        self.ask(caller, room.into(), Operation::Receipt { user, session, upto, read });
        Ok(())
    }

    pub(super) fn typing(
        &mut self,
        slot: usize,
        caller: Caller,
        room: String,
        typing: bool,
        now: Now,
    ) -> Result<(), CommandError> {
        let key = self.subscribed(slot, &room).ok_or_else(CommandError::not_a_member)?;
        let guest = self.identity(slot).user_type == UserType::Guest;
        let client = &mut self.connections[slot];
        let profile = client.variant.profile.typing;
        let rate = rate_of(self.config.limits.typing, Limits::default().typing, profile);
        let subscription = client.subscription_mut(key);
        if let (true, Some(rate), Some(subscription)) = (typing, rate, subscription) {
            subscription.typing.take(scaled(rate, guest), now.ms, 1).map_err(rate_limited)?;
        }
        let user = Arc::clone(&self.identity(slot).user);
        self.ask(caller, room.into(), Operation::Typing { user, typing });
        Ok(())
    }

    /// On the owner: a message is changed.
    pub(super) fn own_revise(
        &mut self,
        asked: (ShardId, &Caller),
        room: &Arc<str>,
        by: (&Arc<str>, bool),
        message: MessageId,
        change: (Option<Bytes>, bool),
        now: Now,
    ) -> Option<Result<Outcome, CommandError>> {
        self.try_revise(asked, room, by, message, change, now).transpose()
    }

    fn try_revise(
        &mut self,
        (from, caller): (ShardId, &Caller),
        room: &Arc<str>,
        (user, moderator): (&Arc<str>, bool),
        message: MessageId,
        (content, binary): (Option<Bytes>, bool),
        now: Now,
    ) -> Result<Option<Outcome>, CommandError> {
        if !moderator && !self.may_know(room, user, message) {
            return Err(unknown_message());
        }
        let key = self.open_room(room)?;
        if self.is_shared(room) {
            let prepared = self.change_room(key, |owned, config| {
                owned.prepare_revision((user, moderator), message, (content, binary), now, config)
            })?;
            return Ok(match prepared {
                Prepared::Already(answer) => Some(Outcome::Revised(answer)),
                Prepared::Change(change) => {
                    self.append_revision((from, caller.clone()), key, *change);
                    None
                }
            });
        }
        self.begin_alone(key, now);
        let revising = self.change_room(key, |owned, config| {
            owned.revise((user, moderator), message, (content, binary), now, config)
        })?;
        self.metrics.history_dropped += revising.forgotten as u64;
        if let Some(change) = &revising.publication {
            self.metrics.revisions += 1;
            self.store_entry(key, change);
            self.note_kept(key, change);
            self.distribute(key, change);
            self.schedule_room(key, now);
        }
        Ok(Some(Outcome::Revised(revising.answer)))
    }

    /// On the owner: messages arrived, or were read.
    pub(super) fn own_receipt(
        &mut self,
        room: &Arc<str>,
        (user, session): (&Arc<str>, SessionId),
        upto: UpTo,
        read: bool,
        now: Now,
    ) -> Result<Outcome, CommandError> {
        let key = self.open_room(room)?;
        if !self.owned[key].contains(user) {
            return Err(CommandError::not_a_member());
        }
        let receipting = self.owned[key].receipt(user, upto, read, now)?;
        self.metrics.receipts += 1;
        self.metrics.receipts_dropped += receipting.forgotten as u64;
        if receipting.is_news {
            self.store_receipt(key, user);
            self.note_receipt(&receipting.status);
            self.tell_receipt(user, Except::Session(session), receipting.status.clone());
            self.share_receipt(key, &receipting.status);
            self.flush_receipts(key, now);
            self.schedule_room(key, now);
        }
        Ok(Outcome::Receipt(receipting.status))
    }

    /// The senders of a room hear of the receipts that are due.
    pub(super) fn flush_receipts(&mut self, key: usize, now: Now) {
        let due = self.owned[key].take_receipts(now);
        for (sender, status) in due {
            self.tell_receipt(&sender, Except::Nobody, status);
        }
    }

    /// All connections of a user hear of a receipt.
    pub(super) fn tell_receipt(&mut self, user: &str, except: Except, status: ReceiptStatus) {
        let news = News::Receipt(Arc::new(status));
        self.relay(Notice { room: user_room(user).into(), except, news });
    }

    /// The members of a room that perhaps another shard owns are told something.
    pub(super) fn relay(&mut self, notice: Notice) {
        let owner: ShardId = self.router.owner(&notice.room);
        self.dispatch(owner, Item::Relay(Box::new(notice)));
    }

    /// On the owner: the members of a room are to be told something.
    pub(super) fn on_relay(&mut self, notice: Notice) {
        if let Some(key) = self.known(&notice.room) {
            self.notify(key, &notice);
        }
        self.share_created(&notice);
    }

    /// On the owner: a user writes, or no longer does.
    pub(super) fn own_typing(
        &mut self,
        room: &Arc<str>,
        user: &Arc<str>,
        typing: bool,
        now: Now,
    ) -> Result<Outcome, CommandError> {
        let key = self.open_room(room)?;
        if !self.owned[key].contains(user) {
            return Err(CommandError::not_a_member());
        }
        let state = self.owned[key].typing_mut();
        let is_news = if typing { state.start(user, now.ms) } else { state.stop(user) };
        if is_news {
            self.tell_typing(key, user, typing, true);
            self.share_typing(key, user, typing);
            self.schedule_room(key, now);
        }
        Ok(Outcome::Typing { room: Arc::clone(room), typing })
    }

    /// A user who sent, or left, no longer writes; `here` if it is this node's to tell listeners so.
    pub(super) fn stop_typing(&mut self, key: usize, user: &Arc<str>, here: bool) {
        if !self.owned[key].typing().is_empty() && self.owned[key].typing_mut().stop(user) {
            self.tell_typing(key, user, false, here);
        }
    }

    pub(super) fn tell_typing(&mut self, key: usize, user: &Arc<str>, typing: bool, here: bool) {
        self.metrics.typing_edges += 1;
        let room = Arc::clone(self.owned[key].name());
        if here {
            self.note_typing(&room, user, typing);
        }
        let news = News::Typing { user: Arc::clone(user), typing };
        self.notify(key, &Notice { room, except: Except::User(Arc::clone(user)), news });
    }

    /// Whether a user may know that a message is there: of another user's own room only its author does.
    pub(super) fn may_know(&self, room: &str, user: &str, message: MessageId) -> bool {
        let authored = || self.known(room).is_some_and(|key| self.owned[key].is_author(user, message));
        !is_user_room(room) || is_room_of(room, user) || authored()
    }

    /// A room that is there and not being closed.
    pub(super) fn open_room(&self, room: &str) -> Result<usize, CommandError> {
        let key = self.known(room).filter(|key| !self.owned[*key].is_closing());
        key.ok_or_else(|| CommandError::new(ErrorCode::ChannelError, "no such room"))
    }
}
