//! What is said about a room and in it beside messages: descriptions, subscriptions, receipts.

use std::sync::Arc;

use super::OwnedRoom;
use super::revisions::unknown_message;
use crate::clock::Now;
use crate::id::{MessageId, Offset};
use crate::protocol::command::UpTo;
use crate::protocol::error_code::CommandError;
use crate::protocol::reply::{DeliveryStatus, OnlinePage, ReceiptStatus, RoomInfo, Standing};

/// Users in one delivery status.
const STATUS_USERS_MAX: usize = 1000;
/// Messages that one receipt looks through for their senders.
const SENDERS_LOOKED_AT_MAX: usize = 1000;

/// About what a created room's card takes beside the metadata.
const CARD_BYTES: usize = 256;
/// About what each of those who may enter a private room takes beside the name.
const NAMED_BYTES: usize = 64;

/// An accepted receipt.
#[derive(Debug)]
pub struct Receipting {
    /// The answer, and what the reader's other sockets are told.
    pub status: ReceiptStatus,
    /// Whether it was news.
    pub is_news: bool,
    /// Cursors and pushes that had to be given up to make room.
    pub forgotten: usize,
}

impl OwnedRoom {
    /// Describes the room.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        RoomInfo {
            room: Arc::clone(&self.name),
            created_unix_ms: self.created_unix_ms,
            members: self.roster.len(),
            online: self.roster.online(),
            epoch: self.epoch,
            offset: self.offset,
            private: self.contents().audience.is_some() || super::is_forced(&self.name),
            class: self.class,
            card: self.contents().card.clone(),
        }
    }

    /// Bytes that what its creator decided takes; the same for as long as the room lasts.
    #[must_use]
    pub fn created_bytes(&self) -> usize {
        let Some(card) = &self.contents().card else { return 0 };
        let metadata = card.metadata.as_ref().map_or(0, |metadata| metadata.len());
        let audience = self.contents().audience.iter().flat_map(|audience| &audience.0);
        CARD_BYTES + metadata + audience.map(|user| NAMED_BYTES + user.len()).sum::<usize>()
    }

    /// Says how a user's subscription stands.
    #[must_use]
    pub fn standing(&self, user: &str) -> Standing {
        let since = self.roster.since(user);
        let read = self.contents().receipts.as_ref().map_or(0, |receipts| receipts.offset(user, true));
        // Who has never read anything here has nothing to read but what came since.
        let from = if read > 0 { read } else { since.map_or(self.offset, |(_, offset)| offset) };
        let others = |message: &&Arc<crate::protocol::message::Publication>| {
            *message.sender != *user && !message.is_deleted()
        };
        Standing {
            info: self.info(),
            since_unix_ms: since.map(|(unix_ms, _)| unix_ms),
            unread: self.contents().history.between(from, self.offset).filter(others).count() as u64,
            read,
            joined: false,
            forced: false,
        }
    }

    /// A page of the users who are connected.
    #[must_use]
    pub fn online(&self, cursor: Option<&str>, limit: usize) -> OnlinePage {
        let (users, more) = self.roster.page(cursor, limit);
        OnlinePage { room: Arc::clone(&self.name), users, total: self.roster.seen(), more }
    }

    /// A user got or read messages: its cursor moves, and their senders will hear of it.
    ///
    /// # Errors
    /// The message is not known, or the offset lies ahead of the room.
    pub fn receipt(
        &mut self,
        user: &Arc<str>,
        upto: UpTo,
        read: bool,
        now: Now,
    ) -> Result<Receipting, CommandError> {
        let (message, offset) = match upto {
            UpTo::Message(id) => {
                (Some(id), self.contents().history.find(id).ok_or_else(unknown_message)?.offset)
            }
            UpTo::Offset(offset) if offset <= self.offset => (None, offset),
            UpTo::Offset(_) => {
                return Err(CommandError::invalid("upToOffset", "lies ahead of the room's last offset"));
            }
        };
        let receipts = self.contents_mut().receipts.get_or_insert_default();
        let (from, mut forgotten) = receipts.advance(user, read, offset, now.unix_ms);
        let reached = receipts.offset(user, read);
        let status = ReceiptStatus {
            room: Arc::clone(&self.name),
            user: Arc::clone(user),
            read,
            message,
            offset: reached,
            unix_ms: now.unix_ms,
        };
        if let Some(from) = from {
            for sender in self.senders(user, from, offset) {
                let receipts = self.contents_mut().receipts.get_or_insert_default();
                forgotten += usize::from(!receipts.tell(&sender, &status, now.ms));
            }
        }
        Ok(Receipting { status, is_news: from.is_some(), forgotten })
    }

    /// Who, beside the user, sent the messages between two offsets: each once.
    fn senders(&self, user: &Arc<str>, from: Offset, upto: Offset) -> Vec<Arc<str>> {
        let from = from.max(upto.saturating_sub(SENDERS_LOOKED_AT_MAX as u64));
        let mut senders: Vec<Arc<str>> = Vec::new();
        for message in self.contents().history.between(from, upto) {
            if message.sender != *user && !senders.contains(&message.sender) {
                senders.push(Arc::clone(&message.sender));
            }
        }
        senders
    }

    /// Who has got a message, and who has read it.
    ///
    /// # Errors
    /// The message is not known.
    pub fn delivery_status(&self, id: MessageId) -> Result<DeliveryStatus, CommandError> {
        let message = self.contents().history.find(id).ok_or_else(unknown_message)?;
        let receipts = self.contents().receipts.as_ref();
        let mut users =
            receipts.map_or(Vec::new(), |receipts| receipts.of_message(message.offset, STATUS_USERS_MAX));
        users.retain(|(user, ..)| *user != message.sender);
        Ok(DeliveryStatus { room: Arc::clone(&self.name), message: id, users })
    }
}
