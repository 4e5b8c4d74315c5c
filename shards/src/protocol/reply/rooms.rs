//! What replies say of rooms: where a stream stands, who is there, how a subscription does.

use std::sync::Arc;

use bytes::Bytes;

use super::write_stream;
use crate::config::RoomClass;
use crate::id::{Epoch, Offset};
use crate::protocol::command::Status;
use crate::protocol::message::Publication;
use crate::protocol::write::{self, display, key, list, name, quoted, time};
use crate::room::name::local;

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

/// What a room's creator decided, and who it is.
#[derive(Debug)]
pub struct RoomCard {
    /// The room.
    pub room: Arc<str>,
    /// Who created it.
    pub owner: Arc<str>,
    /// Whether only those named may enter.
    pub private: bool,
    /// The application's own.
    pub metadata: Option<Bytes>,
    /// Users that it holds at most.
    pub members_max: Option<usize>,
    /// When it was created.
    pub created_unix_ms: u64,
    /// Its stream.
    pub epoch: Epoch,
    /// The stream's last offset then.
    pub offset: Offset,
}

/// A room described.
#[derive(Debug)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<str>,
    /// Whether only some may enter.
    pub private: bool,
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
    /// Its class.
    pub class: RoomClass,
    /// What its creator decided, if somebody created it.
    pub card: Option<Arc<RoomCard>>,
}

/// A page of a room's users.
#[derive(Debug)]
pub struct OnlinePage {
    /// The room.
    pub room: Arc<str>,
    /// Users of this page and what they say of themselves, in order.
    pub users: Vec<(Arc<str>, Status)>,
    /// Users in all.
    pub total: usize,
    /// Whether there are more; then the last user is the cursor.
    pub more: bool,
}

/// How one user's subscription to a room stands.
#[derive(Debug)]
pub struct Standing {
    /// The room, as its owner describes it.
    pub info: RoomInfo,
    /// Since when the user is in it; `None` when it is not.
    pub since_unix_ms: Option<u64>,
    /// Messages of others that it has not read, as far as they are kept.
    pub unread: u64,
    /// Up to where it has read.
    pub read: Offset,
    /// Whether the connection itself is in the room; the home shard knows.
    pub joined: bool,
    /// Whether the server put it there; the home shard knows.
    pub forced: bool,
}

fn visibility(private: bool) -> &'static str {
    if private { "private" } else { "public" }
}

impl Joined {
    pub(super) fn write_position(&self, out: &mut Vec<u8>) {
        write_stream(out, self.epoch, self.offset);
        self.write_recovered(out);
    }

    fn write_recovered(&self, out: &mut Vec<u8>) {
        if let Some(recovered) = self.recovered {
            key(out, "recovered");
            display(out, recovered);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        self.write_recovered(out);
        if let Some(messages) = &self.messages {
            write_messages(out, messages);
        }
    }

    /// Writes the room as one entry of a list.
    pub fn write_entry(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        write::room(out, &self.room);
        write_stream(out, self.epoch, self.offset);
        key(out, "members");
        display(out, self.members);
        out.push(b'}');
    }

    /// Writes the room as one of those of a resumed session.
    pub fn write_recovery(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        write::room(out, &self.room);
        key(out, "recovered");
        display(out, self.recovered == Some(true));
        write_stream(out, self.epoch, self.offset);
        write_messages(out, self.messages.as_deref().unwrap_or_default());
        out.push(b'}');
    }
}

pub(super) fn write_messages(out: &mut Vec<u8>, messages: &[Arc<Publication>]) {
    key(out, "messages");
    list(out, messages, |out, message| write::message(out, message, true));
}

impl RoomCard {
    /// Writes the members of `room:created`.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        key(out, "visibility");
        name(out, visibility(self.private));
        key(out, "createdAt");
        time(out, self.created_unix_ms);
        self.write_choices(out);
        write_stream(out, self.epoch, self.offset);
    }

    fn write_choices(&self, out: &mut Vec<u8>) {
        key(out, "ownerId");
        name(out, local(&self.owner));
        key(out, "metadata");
        out.extend_from_slice(self.metadata.as_deref().unwrap_or(b"{}"));
        if let Some(max) = self.members_max {
            key(out, "maxMembers");
            display(out, max);
        }
    }
}

impl RoomInfo {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        key(out, "visibility");
        name(out, visibility(self.private));
        key(out, "createdAt");
        time(out, self.created_unix_ms);
        key(out, "members");
        display(out, self.members);
        key(out, "online");
        display(out, self.online);
        write_stream(out, self.epoch, self.offset);
        key(out, "class");
        name(out, self.class.name());
        match &self.card {
            Some(card) => card.write_choices(out),
            None => {
                key(out, "metadata");
                out.extend_from_slice(b"{}");
            }
        }
    }
}

impl OnlinePage {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::room(out, &self.room);
        key(out, "users");
        list(out, &self.users, |out, (user, status)| {
            out.push(b'{');
            write::user(out, user);
            key(out, "status");
            name(out, status.name());
            out.push(b'}');
        });
        key(out, "total");
        display(out, self.total);
        if let Some((last, _)) = self.users.last().filter(|_| self.more) {
            key(out, "next");
            name(out, local(last));
        }
    }
}

impl Standing {
    /// Writes the members of `room:subscription-status`, or with `details` of `room:subscription-details`.
    pub fn write(&self, out: &mut Vec<u8>, details: bool) {
        write::room(out, &self.info.room);
        key(out, "joined");
        display(out, self.joined);
        key(out, "since");
        match self.since_unix_ms.filter(|_| self.joined) {
            Some(since) => time(out, since),
            None => out.extend_from_slice(b"null"),
        }
        key(out, "offset");
        display(out, self.info.offset);
        key(out, "unread");
        display(out, if self.joined { self.unread } else { 0 });
        if details {
            key(out, "epoch");
            quoted(out, self.info.epoch);
            key(out, "members");
            display(out, self.info.members);
            key(out, "class");
            name(out, self.info.class.name());
            key(out, "visibility");
            name(out, visibility(self.info.private));
            key(out, "forced");
            display(out, self.forced);
            key(out, "readOffset");
            display(out, self.read);
        }
    }
}
