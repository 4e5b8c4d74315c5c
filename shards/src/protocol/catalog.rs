//! The events that clients may name: canonical names, the seeds' other names, and how each is answered.
//!
//! One table; decoding, permissions, replies and the event catalogue (`roomcast events`) all read it (protocol §5).
//! The catalogue makes schemas of the texts too; their grammar is that of `src/events/members.rs`.

mod pushes;

use std::sync::LazyLock;

use ahash::HashMap;

use super::profile::{PROFILES, Profile};

pub use pushes::{PUSHES, PushSpec};

/// What the gateway knows of an [`Event`].
#[derive(Debug)]
pub struct EventSpec {
    /// The event.
    pub event: Event,
    /// Canonical name; also the name of the permission.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Name of the reply.
    pub reply: &'static str,
    /// Names in the seeds; accepted whatever the profile.
    pub aliases: &'static [Alias],
    /// Whether it is answered without a `requestId` too.
    pub answered: bool,
    /// Whether a guest may do it in rooms that it may enter.
    pub guest: bool,
    /// The right that it needs beside the role's; only supervisors have it without being granted it.
    pub right: Option<&'static str>,
    /// Members of `data`, for the catalogue.
    pub data: &'static str,
    /// Members of the reply's `data`, for the catalogue.
    pub answer: &'static str,
    /// What is pushed to whom, for the catalogue.
    pub pushes: &'static str,
}

/// Another name of an event, and members of `data` that it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// Members that are set by the name alone.
    pub constants: Constants,
}

/// Members of `data` that an alias stands for.
pub type Constants = &'static [(&'static str, bool)];

const fn alias(name: &'static str) -> Alias {
    Alias { name, constants: &[] }
}

const fn spec(event: Event, name: &'static str, reply: &'static str) -> EventSpec {
    EventSpec {
        event,
        name,
        summary: "",
        reply,
        aliases: &[],
        answered: true,
        guest: false,
        right: None,
        data: "",
        answer: "",
        pushes: "",
    }
}

const ROOM_CARD: &str = "roomId, visibility, createdAt, ownerId, metadata, maxMembers?, epoch, offset";
const RECEIPT: &str = "roomId, userId, status delivered | read, messageId?, upToOffset, timestamp";
const RECOVERED: &str = "rooms: [{roomId, recovered, epoch?, offset?, messages: [message], reason?}]";

/// Generates the enum and the table in one order, so that an event's position is its index.
macro_rules! events {
    ($(#[doc = $doc:literal] $event:ident = $name:literal => $reply:literal { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A command of the event dialect.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $(#[doc = $doc] $event,)*
            /// Any that only a route knows; it has no place in the table.
            Custom,
        }

        /// Every event, by canonical name.
        pub static EVENTS: &[EventSpec] = &[
            $(EventSpec { summary: $doc.trim_ascii(), $($field: $value,)* ..spec(Event::$event, $name, $reply) },)*
        ];
    };
}

events! {
    /// Presents a token.
    Auth = "auth" => "auth:ok" {
        guest: true,
        data: "token",
        answer: "userId, userType, permissions[], sessionId, expiresAt",
    }
    /// Presents a later token.
    AuthRefresh = "auth:refresh" => "auth:ok" {
        guest: true,
        data: "token",
        answer: "userId, userType, permissions[], sessionId, expiresAt",
        pushes: "`room:left` to this connection for each room that the new token does not allow",
    }
    /// Asks for a `pong`.
    Ping = "ping" => "pong" { guest: true, answer: "timestamp" }
    /// Enters a room.
    RoomJoin = "room:join" => "room:joined" {
        aliases: &[alias("chat:room:join"), alias("join:chat")],
        guest: true,
        data: "roomId, history?, recover? {epoch, offset}",
        answer: "roomId, epoch, offset, members, recovered?, messages?: [message]",
        pushes: "`room:member-joined` to the other members at the user's first socket; `room:count` in large rooms",
    }
    /// Leaves a room.
    RoomLeave = "room:leave" => "room:left" {
        aliases: &[alias("chat:room:leave"), alias("leave:chat")],
        guest: true,
        data: "roomId",
        answer: "roomId",
        pushes: "`room:member-left` to the other members at the user's last socket",
    }
    /// Creates a room with an owner.
    RoomCreate = "room:create" => "room:created" {
        aliases: &[alias("chat:room:create")],
        data: "roomId?, visibility? public | private, members?[], metadata?, maxMembers?",
        answer: ROOM_CARD,
        pushes: "`room:created` to the creator's account (public) or to the members named (private)",
    }
    /// Closes a room for good.
    RoomClose = "room:close" => "room:closed" {
        data: "roomId",
        answer: "roomId",
        pushes: "`room:closed` to the members, who are out of it",
    }
    /// Lists the connection's rooms.
    RoomList = "room:list" => "room:list" { answer: "rooms: [{roomId, epoch, offset, members}]" }
    /// Describes a room.
    RoomInfo = "room:info" => "room:info" {
        data: "roomId",
        answer: "roomId, visibility, createdAt, members, online, epoch, offset, metadata, class, ownerId?, maxMembers?",
    }
    /// Pages through a room's users.
    RoomOnline = "room:online" => "room:online" {
        data: "roomId, limit?, cursor?",
        answer: "roomId, users: [{userId, status}], total, next?",
    }
    /// Enters several rooms and patterns.
    RoomSubscribeMultiple = "room:subscribe-multiple" => "room:subscribe-multiple" {
        guest: true,
        data: "rooms[] | patterns[]",
        answer: "results: [{roomId | pattern, ok, error?}]",
        pushes: "as `room:join`",
    }
    /// Leaves several rooms and patterns.
    RoomUnsubscribeMultiple = "room:unsubscribe-multiple" => "room:unsubscribe-multiple" {
        guest: true,
        data: "rooms[] | patterns[]",
        answer: "results: [{roomId | pattern, ok, error?}]",
        pushes: "as `room:leave`",
    }
    /// Says how a subscription stands.
    RoomSubscriptionStatus = "room:subscription-status" => "room:subscription-status" {
        data: "roomId?",
        answer: "roomId, joined, since, offset, unread or rooms: [these]; the latter without roomId",
    }
    /// Says how a subscription stands, and how the room does.
    RoomSubscriptionDetails = "room:subscription-details" => "room:subscription-details" {
        data: "roomId?",
        answer: "roomId, joined, since, offset, unread, epoch, members, class, visibility, forced, readOffset or \
                 rooms: [these]; the latter without roomId",
    }
    /// Pages through a room's messages.
    RoomHistory = "room:history" => "room:history" {
        data: "roomId, before?, after?, limit?",
        answer: "roomId, epoch, messages: [message], hasMore",
    }
    /// Sends a message.
    MessageSend = "message:send" => "message:sent" {
        aliases: &[alias("chat:message:send")],
        answered: false,
        guest: true,
        data: "roomId, type? chat | robot | system | file | image | graph, content, metadata?, clientId?, \
               excludeSender?, ackRequested?, deliveryStatus? streaming | batch-delay",
        answer: "id, roomId, epoch, offset, timestamp, clientId?, duplicate?",
        pushes: "`message:received` to the room",
    }
    /// Sends several messages.
    MessageSendBatch = "message:send-batch" => "message:send-batch" {
        answered: false,
        guest: true,
        data: "messages: [{roomId, type?, content, metadata?, clientId?, excludeSender?, ackRequested?, \
               deliveryStatus?}]",
        answer: "results: [{ok, id, roomId, epoch, offset, timestamp, clientId?, duplicate? or ok, error}]",
        pushes: "`message:received` to the rooms",
    }
    /// Changes a message.
    MessageEdit = "message:edit" => "message:edited" {
        answered: false,
        data: "roomId, messageId, content",
        answer: "roomId, messageId, epoch, offset, content, editedAt, editorId",
        pushes: "`message:edited` to the room",
    }
    /// Deletes a message.
    MessageDelete = "message:delete" => "message:deleted" {
        answered: false,
        data: "roomId, messageId",
        answer: "roomId, messageId, epoch, offset, deletedAt, editorId",
        pushes: "`message:deleted` to the room",
    }
    /// Confirms that messages arrived.
    MessageDelivered = "message:delivered" => "message:status" {
        answered: false,
        guest: true,
        data: "roomId, messageId | upToOffset",
        answer: RECEIPT,
        pushes: "`message:status` to the sockets of the messages' senders and the reader's other sockets",
    }
    /// Confirms that messages were read.
    MessageRead = "message:read" => "message:status" {
        answered: false,
        guest: true,
        data: "roomId, messageId | upToOffset",
        answer: RECEIPT,
        pushes: "`message:status` to the sockets of the messages' senders and the reader's other sockets",
    }
    /// Says who got and read a message.
    MessageDeliveryStatus = "message:delivery-status" => "message:delivery-status" {
        data: "roomId, messageId",
        answer: "roomId, messageId, users: [{userId, deliveredAt, readAt}]",
    }
    /// Says that the user writes, or no longer does.
    MessageTyping = "message:typing" => "message:typing" {
        aliases: &[
            Alias { name: "chat:typing:start", constants: &[("isTyping", true)] },
            Alias { name: "chat:typing:stop", constants: &[("isTyping", false)] },
            alias("conversation:typing"),
            alias("user:typing"),
        ],
        answered: false,
        guest: true,
        data: "roomId, isTyping?",
        answer: "roomId, isTyping",
        pushes: "`user:typing` {roomId, userId, isTyping} to the room less the user, at edges; ends by itself after 6 s",
    }
    /// Lists who writes.
    MessageTypingUsers = "message:typing-users" => "message:typing-users" {
        data: "roomId",
        answer: "roomId, users[]",
    }
    /// Counts a room's messages.
    MessageStats = "message:stats" => "message:stats" {
        data: "roomId",
        answer: "roomId, messages, edits, deletes, kept, lastMessageAt, rates {perSecond, perMinute}",
    }
    /// Sends a message into a user's own room.
    UserSend = "user:send" => "message:sent" {
        answered: false,
        data: "userId, content, type?, metadata?, clientId?, excludeSender?, ackRequested?, deliveryStatus?",
        answer: "id, roomId, epoch, offset, timestamp, clientId?, duplicate?",
        pushes: "`message:received` in `user:{id}` to every socket of that user",
    }
    /// Changes the user's own status.
    PresenceUpdateStatus = "presence:update-status" => "presence:updated" {
        aliases: &[alias("presence:update")],
        answered: false,
        data: "status online | away | busy | offline, statusText?",
        answer: "userId, status, statusText?, lastSeen",
        pushes: "`presence:changed` {userId, status, statusText?, lastSeen?} to watchers",
    }
    /// Watches the statuses of users.
    PresenceWatch = "presence:watch" => "presence:watch" {
        data: "userIds[] | roomId",
        answer: "users: [{userId, status, statusText?, lastSeen}]",
        pushes: "`presence:changed` to this connection from now on",
    }
    /// Watches them no longer.
    PresenceUnwatch = "presence:unwatch" => "presence:unwatch" {
        data: "userIds[] | roomId",
        answer: "users: []",
    }
    /// Pages through the users who are online and visible.
    PresenceOnlineUsers = "presence:online-users" => "presence:online-users" {
        data: "limit?, cursor?",
        answer: "users: [{userId, status, statusText?}], total, next?",
    }
    /// Describes a user's presence.
    PresenceUserStatus = "presence:user-status" => "presence:user-status" {
        data: "userId",
        answer: "userId, status, statusText?, lastSeen, devices, availability",
    }
    /// Counts the visible users by status.
    PresenceStats = "presence:stats" => "presence:stats" {
        answer: "users, online, away, busy, offline, devices",
    }
    /// Makes the connection's session recoverable.
    ConnectionCreateSession = "connection:create-session" => "connection:create-session" {
        guest: true,
        answer: "token, expiresAt",
    }
    /// Resumes a session.
    ConnectionRecover = "connection:recover" => "connection:recover" {
        guest: true,
        data: "token, positions?: [{roomId, epoch, offset}]",
        answer: RECOVERED,
        pushes: "close 4410 to the session's old socket",
    }
    /// Describes the connection.
    ConnectionSessionInfo = "connection:session-info" => "connection:session-info" {
        guest: true,
        answer: "userId, userType, sessionId, connectedAt, lastActivity, rooms[], recovered",
    }
    /// Counts recoveries.
    ConnectionStats = "connection:stats" => "connection:stats" {
        answer: "tried, full, partial, refused, reasons {invalid, foreign, expired}, sessions, parked",
    }
    /// The gateway's metrics.
    MonitoringMetrics = "monitoring:metrics" => "monitoring:metrics" {
        right: Some("monitoring:read"),
        answer: "metrics {}; a number by name",
    }
    /// The latest events of connections.
    MonitoringEvents = "monitoring:events" => "monitoring:events" {
        right: Some("monitoring:read"),
        data: "limit?",
        answer: "events: [{timestamp, type, userId?, sessionId?, ip, userAgent?, code?, reason?, durationMs?}]",
    }
    /// Sums over all connections.
    MonitoringStats = "monitoring:stats" => "monitoring:stats" {
        right: Some("monitoring:read"),
        answer: "connections, authenticated, users, rooms, subscriptions, messages, deliveries, uptimeMs, …",
    }
    /// What is near a limit.
    MonitoringHealth = "monitoring:health" => "monitoring:health" {
        right: Some("monitoring:read"),
        answer: "status, checks: [{name, value, limit, ratio, flag}], recommendations[]",
    }
    /// Announces a file; its bytes never pass the socket.
    FileUpload = "file:upload" => "file:uploaded" {
        aliases: &[alias("chat:file:upload")],
        data: "as the backend says",
        answer: "as the backend says; without a route `SERVER_ERROR`",
    }
    /// Talks to a robot.
    RobotInteract = "robot:interact" => "robot:response" {
        aliases: &[alias("chat:robot:interact")],
        data: "as the backend says",
        answer: "as the backend says; without a route `SERVER_ERROR`",
    }
    /// Calls for a person.
    EscalationCreate = "escalation:create" => "escalation:created" {
        aliases: &[alias("chat:escalation:create")],
        data: "as the backend says",
        answer: "as the backend says; without a route `SERVER_ERROR`",
    }
}

/// The right to every event that only a route knows.
pub const FORWARD: &str = "forward";

/// Rights that are no events but can be granted all the same.
pub const RIGHTS: [&str; 6] =
    ["message:send-as", "message:moderate", "monitoring:read", FORWARD, "admin", "server"];

/// What is true of all events that only a route knows. Their replies bear their own names.
static CUSTOM: EventSpec = EventSpec { summary: "For a backend.", ..spec(Event::Custom, FORWARD, "") };

/// Every name, canonical or other, with what it stands for.
static NAMES: LazyLock<HashMap<&'static str, (Event, Constants)>> = LazyLock::new(|| {
    let of = |spec: &'static EventSpec| {
        let aliases = spec.aliases.iter().map(|alias| (alias.name, (spec.event, alias.constants)));
        aliases.chain([(spec.name, (spec.event, [].as_slice()))])
    };
    EVENTS.iter().flat_map(of).collect()
});

impl Event {
    /// What the gateway knows of the event.
    #[must_use]
    pub fn spec(self) -> &'static EventSpec {
        EVENTS.get(self as usize).unwrap_or(&CUSTOM)
    }

    /// Whether a backend answers it.
    #[must_use]
    pub fn is_forwarded(self) -> bool {
        matches!(self, Self::FileUpload | Self::RobotInteract | Self::EscalationCreate | Self::Custom)
    }

    /// The event of a name, canonical or other, and the members of `data` that the name stands for.
    #[must_use]
    pub fn find(name: &str) -> Option<(Self, Constants)> {
        NAMES.get(name).copied()
    }
}

/// Whether a name is the gateway's: of an event, a reply or a push, in whatever profile.
#[must_use]
pub fn is_own(name: &str) -> bool {
    let renamed = |profile: &Profile| profile.outbound.iter().any(|(_, other)| *other == name);
    NAMES.contains_key(name)
        || ["error", "chat:error", "system:notification"].contains(&name)
        || EVENTS.iter().any(|spec| spec.reply == name)
        || PUSHES.iter().any(|spec| spec.name == name)
        || PROFILES.iter().any(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_events() {
        for spec in EVENTS {
            assert_eq!(spec.event.spec().name, spec.name);
            assert_eq!(Event::find(spec.name).map(|(event, _)| event), Some(spec.event));
            for alias in spec.aliases {
                assert_eq!(Event::find(alias.name).map(|(event, _)| event), Some(spec.event));
            }
        }
        assert_eq!(Event::find("room:unknown"), None);
        assert!(EVENTS.len() < 64, "sets of events are one word");
        assert_eq!(Event::Custom as usize, EVENTS.len());
    }

    #[test]
    fn no_name_stands_for_two_events() {
        let names = EVENTS.iter().map(|spec| 1 + spec.aliases.len()).sum::<usize>();
        assert_eq!(NAMES.len(), names);
    }
}
