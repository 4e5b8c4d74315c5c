//! What entries, fields and words of an engine mean: as bytes, and back. Whatever the bytes are, nothing panics.
//!
//! Entries, receipts, sessions and cards are the records of [`crate::durable`], since they are what outlives a
//! process there too. Words are JSON, so that who watches the engine can read what nodes say to each other.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::NodeId;
use crate::durable::codec::{Reader, encode};
use crate::durable::{Card, Record, RoomRecord, SessionRecord};
use crate::id::{Epoch, MessageId, Offset, SessionId};
use crate::protocol::command::{Status, StatusUpdate};
use crate::protocol::message::{Audience, Publication};
use crate::protocol::reply::RoomCard;
use crate::room::dedupe::Accepted;
use crate::user::progress::Progress;

/// What nodes say to each other about a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Word {
    /// A user came into the room by its first connection here.
    Joined {
        /// The user.
        user: Arc<str>,
        /// What is known of it.
        #[serde(flatten)]
        member: Member,
    },
    /// A user's last connection here left the room.
    Left {
        /// The user.
        user: Arc<str>,
        /// Whether it was lost, so that the user stays for a while.
        lost: bool,
        /// In a queued room: up to where the user has got it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Offset>,
    },
    /// A user says something else of itself.
    Status {
        /// The user.
        user: Arc<str>,
        /// What is known of it.
        #[serde(flatten)]
        member: Member,
    },
    /// A user writes, or no longer does.
    Typing {
        /// The user.
        user: Arc<str>,
        /// Which of the two.
        typing: bool,
    },
    /// A user got or read messages.
    Receipt {
        /// The user.
        user: Arc<str>,
        /// Whether it read them.
        read: bool,
        /// Up to where.
        offset: Offset,
        /// The message that it named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Up to where a user who is in a queued room certainly has it.
    Cursor {
        /// The user.
        user: Arc<str>,
        /// Up to where.
        offset: Offset,
    },
    /// The room is closed.
    Closed,
    /// Another room was created, of which this one's members are to hear.
    Created {
        /// That room.
        room: Arc<str>,
        /// Its card, as a record.
        card: Vec<u8>,
        /// The session that knows it already.
        except: u64,
    },
    /// The members are to be told something of the application's.
    Push {
        /// The event.
        event: Arc<str>,
        /// Its data: JSON.
        data: String,
        /// Who is not told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        except_user: Option<Arc<str>>,
        /// The session that is not told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        except_session: Option<u64>,
    },
    /// The session is wanted on another node: whoever has it leaves it behind.
    Evict {
        /// The session.
        session: u64,
    },
    /// The session was left behind.
    Parked {
        /// The session.
        session: u64,
    },
    /// The session is another node's from now on.
    Taken {
        /// The session.
        session: u64,
    },
}

/// What is known of a user who is in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Arc<str>>,
    /// What it says of itself; nothing means online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its own words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<str>>,
}

impl Member {
    /// A user of an account, with what it says of itself.
    #[must_use]
    pub fn new(account: Option<&Arc<str>>, said: &StatusUpdate) -> Self {
        let status = (said.status != Status::Online).then(|| said.status.name().to_owned());
        Self { account: account.cloned(), status, text: said.text.clone() }
    }

    /// What it says of itself.
    #[must_use]
    pub fn said(&self) -> StatusUpdate {
        let status = self.status.as_deref().and_then(Status::find).unwrap_or_default();
        StatusUpdate { status, text: self.text.clone() }
    }
}

/// A value as JSON.
#[must_use]
pub fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("words and members are made of texts and numbers").into()
}

/// A word or a member that is JSON.
#[must_use]
pub fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// The name of a user's field among the members: by node, since each tells of its own.
#[must_use]
pub fn member_name(node: NodeId, user: &str) -> String {
    format!("{:016x}/{user}", node.0)
}

/// The node and the user that such a name names.
#[must_use]
pub fn read_member_name(name: &str) -> Option<(NodeId, &str)> {
    let (node, user) = name.split_once('/')?;
    Some((NodeId(u64::from_str_radix(node, 16).ok()?), user))
}

fn record(record: &Record) -> Bytes {
    let mut out = Vec::new();
    encode(record, &mut out);
    out.into()
}

fn read(bytes: &[u8]) -> Option<Record> {
    let mut found = None;
    Reader::default().read(bytes, |record| found = Some(record)).ok()?;
    found
}

/// An entry of a stream.
#[must_use]
pub fn entry(publication: &Arc<Publication>) -> Bytes {
    record(&Record::Entry(Arc::clone(publication)))
}

/// An entry that the engine gave a place.
#[must_use]
pub fn read_entry(bytes: &[u8], room: &Arc<str>, epoch: Epoch, offset: Offset) -> Option<Publication> {
    let Some(Record::Entry(entry)) = read(bytes) else { return None };
    let mut entry = Arc::unwrap_or_clone(entry);
    entry.room = Arc::clone(room);
    (entry.epoch, entry.offset) = (epoch, offset);
    if let Some(revision) = &mut entry.revision {
        revision.offset = offset;
    }
    Some(entry)
}

/// What a repeat of a message is answered.
#[must_use]
pub fn accepted(id: MessageId, unix_ms: u64) -> Bytes {
    Bytes::from(format!("{id} {unix_ms}"))
}

/// What the first message of a name was.
#[must_use]
pub fn read_accepted(bytes: &[u8], offset: Offset) -> Option<Accepted> {
    let (id, unix_ms) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some(Accepted { id: MessageId::parse(id)?, offset, unix_ms: unix_ms.parse().ok()? })
}

/// Up to where a user has got and read a room, and when it got there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Up to where messages arrived, and when.
    pub delivered: (Offset, u64),
    /// Up to where they were read, and when.
    pub read: (Offset, u64),
}

/// A session as the nodes share it.
#[derive(Debug)]
pub struct SharedSession {
    /// The node that has it, or had it last.
    pub node: NodeId,
    /// Until when it can be resumed; `None` while it has a connection.
    pub until_unix_ms: Option<u64>,
    /// How far its client has certainly got.
    pub progress: Progress,
}

/// A session.
#[must_use]
pub fn session(
    node: NodeId,
    user: &Arc<str>,
    id: SessionId,
    until_unix_ms: Option<u64>,
    progress: &Progress,
) -> Bytes {
    let mut out = node.0.to_be_bytes().to_vec();
    let session =
        SessionRecord { user: Arc::clone(user), session: id, until_unix_ms, progress: progress.clone() };
    encode(&Record::Session(Box::new(session)), &mut out);
    out.into()
}

/// A session.
#[must_use]
pub fn read_session(bytes: &[u8]) -> Option<SharedSession> {
    let (node, bytes) = bytes.split_first_chunk()?;
    let Record::Session(session) = read(bytes)? else { return None };
    let SessionRecord { until_unix_ms, progress, .. } = *session;
    Some(SharedSession { node: NodeId(u64::from_be_bytes(*node)), until_unix_ms, progress })
}

/// What a room's creator decided.
#[must_use]
pub fn card(card: &RoomCard, audience: Option<&Arc<Audience>>) -> Bytes {
    let audience = audience.map(|audience| audience.0.iter().cloned().collect());
    let kept = Card {
        owner: Arc::clone(&card.owner),
        audience,
        metadata: card.metadata.clone(),
        members_max: card.members_max,
    };
    record(&Record::Room(Box::new(RoomRecord {
        name: Arc::clone(&card.room),
        epoch: card.epoch,
        offset: card.offset,
        created_unix_ms: card.created_unix_ms,
        counts: (0, 0, 0),
        active_unix_ms: card.created_unix_ms,
        card: Some(kept),
    })))
}

/// What a room's creator decided, and who may enter if not everybody may.
#[must_use]
pub fn read_card(bytes: &[u8]) -> Option<(RoomCard, Option<Audience>)> {
    let Record::Room(room) = read(bytes)? else { return None };
    let RoomRecord { name, epoch, offset, created_unix_ms, card, .. } = *room;
    let Card { owner, audience, metadata, members_max } = card?;
    let private = audience.is_some();
    let audience = audience.map(|users| Audience(users.into_iter().collect()));
    let card = RoomCard { room: name, owner, private, metadata, members_max, created_unix_ms, epoch, offset };
    Some((card, audience))
}
