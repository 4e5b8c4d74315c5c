//! What replies say of messages: accepted, changed, delivered, read, counted.

use std::sync::Arc;

use super::rooms::write_messages;
use super::write_stream;
use crate::id::{Epoch, MessageId, Offset};
use crate::protocol::message::Publication;
use crate::protocol::write::{self, display, key, list, name, quoted, string, time};
use crate::room::name::local;

/// A page of a room's messages.
#[derive(Debug)]
pub struct HistoryPage {
    /// The room.
    pub room: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// Messages of this page, oldest first.
    pub messages: Vec<Arc<Publication>>,
    /// Whether the room has more in the direction that was asked for.
    pub more: bool,
}

/// An accepted message.
#[derive(Debug)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// The room.
    pub room: Arc<str>,
    /// The room's stream.
    pub epoch: Epoch,
    /// Its offset.
    pub offset: Offset,
    /// When it was accepted.
    pub unix_ms: u64,
    /// The sender's own name for it.
    pub client_id: Option<Box<str>>,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

/// That somebody got or read messages up to an offset.
#[derive(Debug, Clone)]
pub struct ReceiptStatus {
    /// The room.
    pub room: Arc<str>,
    /// Who.
    pub user: Arc<str>,
    /// Whether they were read, and not only delivered.
    pub read: bool,
    /// The message that the receipt named, if it named one.
    pub message: Option<MessageId>,
    /// Up to where.
    pub offset: Offset,
    /// When.
    pub unix_ms: u64,
}

/// Who got a message, and who read it.
#[derive(Debug)]
pub struct DeliveryStatus {
    /// The room.
    pub room: Arc<str>,
    /// The message.
    pub message: MessageId,
    /// Each user with the time of delivery and that of reading.
    pub users: Vec<(Arc<str>, u64, Option<u64>)>,
}

/// A room's messages, counted since its stream began.
#[derive(Debug, Clone)]
pub struct MessageStats {
    /// The room.
    pub room: Arc<str>,
    /// Messages.
    pub messages: u64,
    /// Edits.
    pub edits: u64,
    /// Deletions.
    pub deletes: u64,
    /// Entries that the history keeps.
    pub kept: usize,
    /// When the last message came.
    pub last_unix_ms: Option<u64>,
    /// Messages of the last minute.
    pub per_minute: u64,
}

impl HistoryPage {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        key(out, "epoch");
        quoted(out, self.epoch);
        write_messages(out, &self.messages);
        key(out, "hasMore");
        display(out, self.more);
    }
}

impl Sent {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "id");
        quoted(out, self.id);
        write::room(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "timestamp");
        time(out, self.unix_ms);
        if let Some(client_id) = &self.client_id {
            key(out, "clientId");
            string(out, client_id);
        }
        if self.duplicate {
            key(out, "duplicate");
            out.extend_from_slice(b"true");
        }
    }

    /// Writes the message as one result of a batch.
    pub fn write_result(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        key(out, "ok");
        out.extend_from_slice(b"true");
        self.write(out);
        out.push(b'}');
    }
}

impl ReceiptStatus {
    /// Writes the members of `message:status`.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        write::user(out, &self.user);
        key(out, "status");
        name(out, if self.read { "read" } else { "delivered" });
        if let Some(message) = self.message {
            key(out, "messageId");
            quoted(out, message);
        }
        key(out, "upToOffset");
        display(out, self.offset);
        key(out, "timestamp");
        time(out, self.unix_ms);
    }
}

impl DeliveryStatus {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        key(out, "messageId");
        quoted(out, self.message);
        key(out, "users");
        list(out, &self.users, |out, (user, delivered, read)| {
            out.push(b'{');
            key(out, "userId");
            name(out, local(user));
            key(out, "deliveredAt");
            time(out, *delivered);
            key(out, "readAt");
            match read {
                Some(read) => time(out, *read),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
        });
    }
}

impl MessageStats {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        for (field, count) in [("messages", self.messages), ("edits", self.edits), ("deletes", self.deletes)]
        {
            key(out, field);
            display(out, count);
        }
        key(out, "kept");
        display(out, self.kept);
        key(out, "lastMessageAt");
        match self.last_unix_ms {
            Some(last) => time(out, last),
            None => out.extend_from_slice(b"null"),
        }
        key(out, "rates");
        out.push(b'{');
        key(out, "perMinute");
        display(out, self.per_minute);
        key(out, "perSecond");
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = self.per_minute as f64 / 60.0;
        display(out, format_args!("{per_second:.3}"));
        out.push(b'}');
    }
}
