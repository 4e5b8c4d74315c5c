//! What replies are made of: the answers of a room's owner, and how they are written.

use std::sync::Arc;

use crate::id::{Epoch, MessageId, Offset};
use crate::protocol::message::Publication;
use crate::protocol::write::{self, display, key, list, name, quoted, string, time};

/// Where a room's stream stood when somebody entered, and what they missed.
#[derive(Debug)]
pub struct Joined {
    /// The room.
    pub room: Arc<str>,
    /// Its stream.
    pub epoch: Epoch,
    /// The stream's last offset.
    pub offset: Offset,
    /// Users in the room, this one included.
    pub members: usize,
    /// Whether recovery succeeded; `None` when it was not asked for.
    pub recovered: Option<bool>,
    /// What was missed or asked for, oldest first; `None` when neither was.
    pub messages: Option<Vec<Arc<Publication>>>,
}

/// A room described.
#[derive(Debug)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<str>,
    /// Who may enter: `public` or `private`.
    pub visibility: &'static str,
    /// When it was created.
    pub created_unix_ms: u64,
    /// Users in the room, those within the grace of a lost connection included.
    pub members: usize,
    /// Users in the room with a connection.
    pub online: usize,
    /// Its stream.
    pub epoch: Epoch,
    /// The stream's last offset.
    pub offset: Offset,
}

/// A page of a room's users.
#[derive(Debug)]
pub struct OnlinePage {
    /// The room.
    pub room: Arc<str>,
    /// Users of this page, in order.
    pub users: Vec<Arc<str>>,
    /// Users in all.
    pub total: usize,
    /// Whether there are more; then the last user is the cursor.
    pub more: bool,
}

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

fn write_stream(out: &mut Vec<u8>, epoch: Epoch, offset: Offset) {
    key(out, "epoch");
    quoted(out, epoch);
    key(out, "offset");
    display(out, offset);
}

impl Joined {
    pub(super) fn write_position(&self, out: &mut Vec<u8>) {
        write_stream(out, self.epoch, self.offset);
        if let Some(recovered) = self.recovered {
            key(out, "recovered");
            display(out, recovered);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        if let Some(recovered) = self.recovered {
            key(out, "recovered");
            display(out, recovered);
        }
        if let Some(messages) = &self.messages {
            key(out, "messages");
            list(out, messages, |out, message| write::message(out, message, true));
        }
    }

    /// Writes the room as one entry of a list.
    pub fn write_entry(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        key(out, "roomId");
        name(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        out.push(b'}');
    }
}

impl RoomInfo {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "visibility");
        name(out, self.visibility);
        key(out, "createdAt");
        time(out, self.created_unix_ms);
        key(out, "members");
        display(out, self.members);
        key(out, "online");
        display(out, self.online);
        write_stream(out, self.epoch, self.offset);
        key(out, "metadata");
        out.extend_from_slice(b"{}");
    }
}

impl OnlinePage {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "users");
        list(out, &self.users, |out, user| {
            out.push(b'{');
            key(out, "userId");
            name(out, user);
            key(out, "status");
            name(out, "online");
            out.push(b'}');
        });
        key(out, "total");
        display(out, self.total);
        if let Some(last) = self.users.last().filter(|_| self.more) {
            key(out, "next");
            name(out, last);
        }
    }
}

impl HistoryPage {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "roomId");
        name(out, &self.room);
        key(out, "epoch");
        quoted(out, self.epoch);
        key(out, "messages");
        list(out, &self.messages, |out, message| write::message(out, message, true));
        key(out, "hasMore");
        display(out, self.more);
    }
}

impl Sent {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "id");
        quoted(out, self.id);
        key(out, "roomId");
        name(out, &self.room);
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
