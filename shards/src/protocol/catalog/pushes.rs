//! What clients are pushed: what comes unasked, and to whom.

use super::{RECEIPT, RECOVERED, ROOM_CARD};

/// A push that answers nothing.
#[derive(Debug)]
pub struct PushSpec {
    /// Its canonical name.
    pub name: &'static str,
    /// Members of `data`.
    pub data: &'static str,
    /// Who gets it, and when.
    pub when: &'static str,
}

const fn push(name: &'static str, data: &'static str, when: &'static str) -> PushSpec {
    PushSpec { name, data, when }
}

/// Every push of the event dialect.
pub static PUSHES: &[PushSpec] = &[
    push(
        "message:received",
        "id, roomId, epoch, offset, senderId, type, content, timestamp, deliveryStatus, metadata?, clientId?, \
         ackRequested?, editedAt?, deletedAt?",
        "the room, the sender included unless excludeSender",
    ),
    push("message:edited", "roomId, messageId, epoch, offset, content, editedAt, editorId", "the room"),
    push("message:deleted", "roomId, messageId, epoch, offset, deletedAt, editorId", "the room"),
    push("message:status", RECEIPT, "the senders' sockets, within a second; the reader's other sockets"),
    push("user:typing", "roomId, userId, isTyping", "the room less the user, when it begins and ends"),
    push("room:member-joined", "roomId, userId", "the other members, at the user's first socket"),
    push("room:member-left", "roomId, userId", "the other members, at the user's last socket"),
    push("room:count", "roomId, members", "the members of a large room, at most once a second"),
    push("room:created", ROOM_CARD, "the creator's account, or the members named"),
    push("room:closed", "roomId", "the members"),
    push("room:left", "roomId, reason", "a connection whose new token does not allow the room"),
    push("room:error", "roomId, code, reason", "members: reason resync after an offline queue overflowed"),
    push(
        "presence:changed",
        "userId, status, statusText?, lastSeen?",
        "watchers who share a room or an account",
    ),
    push("user:online", "userId", "in place of presence:changed where the profile wants edges"),
    push("user:offline", "userId", "in place of presence:changed where the profile wants edges"),
    push("connection:recovered", RECOVERED, "a connection that came with ?session="),
    push("auth:expiring", "expiresAt", "a connection whose token ends soon"),
    push("server:draining", "reconnectMs", "every connection when the server restarts"),
];
