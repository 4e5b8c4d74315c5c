//! Messages on their way in: may this client send this, here, now?

use std::sync::Arc;

use super::Shard;
use super::gather::{Kind, Part};
use super::hooks::Wants;
use crate::access::limits::{RetryAfter, scaled};
use crate::access::token::UserType;
use crate::clock::Now;
use crate::config::{Limits, Rate, Sanitize};
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::operation::Operation;
use crate::protocol::catalog::Event;
use crate::protocol::command::Draft;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::json::escape_strings;
use crate::protocol::profile::Dialect;
use crate::protocol::reply;

impl Shard {
    pub(super) fn send_message(
        &mut self,
        slot: usize,
        caller: Caller,
        draft: Draft,
        now: Now,
    ) -> Result<(), CommandError> {
        self.check_draft(slot, &draft)?;
        if self.publish_needs_leave(Event::MessageSend, &draft.room) {
            self.check_sender(slot, &draft.room)?;
            self.take_message(slot, now)?;
            self.hold(slot, caller.reply, Wants::Send(Box::new(draft)));
            return Ok(());
        }
        let outside = self.check_sender(slot, &draft.room)?;
        self.take_message(slot, now)?;
        self.publish_draft(slot, caller, draft, outside);
        Ok(())
    }

    /// The same with leave.
    pub(super) fn send_with_leave(
        &mut self,
        slot: usize,
        caller: Caller,
        draft: Draft,
    ) -> Result<(), CommandError> {
        let outside = self.check_sender(slot, &draft.room)?;
        self.publish_draft(slot, caller, draft, outside);
        Ok(())
    }

    fn publish_draft(&mut self, slot: usize, caller: Caller, draft: Draft, outside: Option<bool>) {
        let room: Arc<str> = match self.directory.find(&draft.room) {
            Some(key) => Arc::clone(&self.directory.get(key).name),
            None => draft.room.as_str().into(),
        };
        let confirm = wants_confirmation(&caller);
        let session = self.connections[slot].session;
        let sender = Arc::clone(&self.identity(slot).user);
        let draft = self.sanitized(draft);
        self.ask(caller, room, Operation::Publish { sender, session, draft, confirm, outside });
    }

    /// Whether a connection may send to a room. For one that is not in it: whether it may do so whoever else may.
    pub(super) fn check_sender(&self, slot: usize, room: &str) -> Result<Option<bool>, CommandError> {
        if self.is_in(slot, room) {
            return Ok(None);
        }
        if self.subscribed(slot, room).is_some() {
            return Ok(Some(self.identity(slot).is_entitled(room)));
        }
        let topic = self.connections[slot].variant.dialect == Dialect::Topic;
        let identity = self.identity(slot);
        if !identity.may_send_from_outside(room, topic) {
            return Err(CommandError::not_a_member());
        }
        Ok(Some(identity.is_granted_sending(room) || identity.is_entitled(room)))
    }

    fn sanitized(&self, draft: Draft) -> Draft {
        match self.config.sanitize {
            Sanitize::Off => draft,
            Sanitize::Escape => Draft { content: escape_strings(draft.content), ..draft },
        }
    }

    pub(super) fn send_batch(
        &mut self,
        slot: usize,
        caller: Caller,
        drafts: Vec<Result<Draft, CommandError>>,
        now: Now,
    ) {
        if !wants_confirmation(&caller) {
            for draft in drafts {
                // Too many refusals end a connection.
                if !self.connections[slot].is_active() {
                    return;
                }
                let result = draft.and_then(|draft| self.send_message(slot, caller.clone(), draft, now));
                if let Err(error) = result {
                    self.fail(&caller, &error, now);
                }
            }
            return;
        }
        let connection = caller.connection;
        let gather = self.gather(caller, drafts.len(), Kind::Results(vec![Vec::new(); drafts.len()]));
        for (index, draft) in (0u32..).zip(drafts) {
            let caller = Caller { connection, reply: ReplyTo::Part { gather, index } };
            if let Err(error) = draft.and_then(|draft| self.send_message(slot, caller, draft, now)) {
                self.metrics.count_error(error.code);
                let mut out = Vec::new();
                reply::write_failure(&mut out, self.connections[slot].variant, None, &error);
                self.on_part(gather, index, Part::Written(out), now);
            }
        }
    }

    pub(super) fn send_to_user(
        &mut self,
        slot: usize,
        caller: Caller,
        user: &str,
        draft: Draft,
        now: Now,
    ) -> Result<(), CommandError> {
        self.check_draft(slot, &draft)?;
        self.take_message(slot, now)?;
        if self.publish_needs_leave(Event::UserSend, &draft.room) {
            self.hold(slot, caller.reply, Wants::UserSend(user.to_owned(), Box::new(draft)));
        } else {
            self.publish_to_user(slot, caller, user, draft);
        }
        Ok(())
    }

    /// The same with leave.
    pub(super) fn publish_to_user(&mut self, slot: usize, caller: Caller, user: &str, draft: Draft) {
        let allowed = self.identity(slot).may_send_to_any(user);
        let confirm = wants_confirmation(&caller);
        let draft = self.sanitized(draft);
        self.ask_user_send(caller, draft, allowed, confirm);
    }

    /// Asks the owner of a user's room to accept a message there.
    pub(super) fn ask_user_send(&mut self, caller: Caller, draft: Draft, allowed: bool, confirm: bool) {
        let Some(client) = self.client(caller.connection) else { return };
        let Some(identity) = client.identity.clone() else { return };
        let (sender, account) = (Arc::clone(&identity.user), identity.account.clone());
        let session = client.session;
        let room: Arc<str> = draft.room.as_str().into();
        self.ask(caller, room, Operation::UserSend { sender, session, account, allowed, draft, confirm });
    }

    fn check_draft(&self, slot: usize, draft: &Draft) -> Result<(), CommandError> {
        if draft.kind.is_reserved() && !self.identity(slot).has_right("message:send-as", &draft.room) {
            return Err(CommandError::new(
                ErrorCode::PermissionDenied,
                "not allowed to send messages of this type",
            ));
        }
        Ok(())
    }

    /// Takes one message from the user's bucket, which all of its connections share.
    fn take_message(&mut self, slot: usize, now: Now) -> Result<(), CommandError> {
        let client = &self.connections[slot];
        let profile = client.variant.profile.messages;
        let rate = rate_of(self.config.limits.messages, Limits::default().messages, profile);
        let (Some(rate), Some(bucket)) = (rate, &client.messages) else { return Ok(()) };
        let guest = self.identity(slot).user_type == UserType::Guest;
        bucket.take(scaled(rate, guest), now.ms, 1).map_err(rate_limited)
    }
}

/// Without a `requestId` a send is silent: only errors are answered.
pub(super) fn wants_confirmation(caller: &Caller) -> bool {
    !matches!(&caller.reply, ReplyTo::Client { id: None, .. })
}

/// The limit that counts: the profile's replaces the default, not one that was set.
pub(super) fn rate_of(
    configured: Option<Rate>,
    default: Option<Rate>,
    profile: Option<Rate>,
) -> Option<Rate> {
    let configured = configured?;
    Some(profile.filter(|_| Some(configured) == default).unwrap_or(configured))
}

pub(super) fn rate_limited(retry: RetryAfter) -> CommandError {
    match retry {
        RetryAfter::Ms(ms) => CommandError::rate_limited(ms),
        RetryAfter::Never => CommandError::rate_limited(u64::from(u32::MAX)),
    }
}
