//! The events that clients may name: canonical names, the seeds' other names, and how each is answered.
//!
//! One table; decoding, permissions and replies all read it (protocol §5).

/// A command of the event dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Presents a token.
    Auth,
    /// Presents a later token.
    AuthRefresh,
    /// Asks for a `pong`.
    Ping,
    /// Enters a room.
    RoomJoin,
    /// Leaves a room.
    RoomLeave,
    /// Lists the connection's rooms.
    RoomList,
    /// Describes a room.
    RoomInfo,
    /// Pages through a room's users.
    RoomOnline,
    /// Enters several rooms and patterns.
    RoomSubscribeMultiple,
    /// Leaves several rooms and patterns.
    RoomUnsubscribeMultiple,
    /// Pages through a room's messages.
    RoomHistory,
    /// Sends a message.
    MessageSend,
    /// Sends several messages.
    MessageSendBatch,
    /// Sends a message into a user's own room.
    UserSend,
}

/// What the gateway knows of an [`Event`].
#[derive(Debug)]
pub struct EventSpec {
    /// The event.
    pub event: Event,
    /// Canonical name; also the name of the permission.
    pub name: &'static str,
    /// Name of the reply.
    pub reply: &'static str,
    /// Names in the seeds; accepted whatever the profile.
    pub aliases: &'static [&'static str],
    /// Whether it is answered without a `requestId` too.
    pub answered: bool,
    /// Whether a guest may do it in rooms that it may enter.
    pub guest: bool,
}

const fn spec(event: Event, name: &'static str, reply: &'static str) -> EventSpec {
    EventSpec { event, name, reply, aliases: &[], answered: true, guest: false }
}

/// Every event, by canonical name.
pub static EVENTS: [EventSpec; 14] = [
    EventSpec { guest: true, ..spec(Event::Auth, "auth", "auth:ok") },
    EventSpec { guest: true, ..spec(Event::AuthRefresh, "auth:refresh", "auth:ok") },
    EventSpec { guest: true, ..spec(Event::Ping, "ping", "pong") },
    EventSpec {
        aliases: &["chat:room:join", "join:chat"],
        guest: true,
        ..spec(Event::RoomJoin, "room:join", "room:joined")
    },
    EventSpec {
        aliases: &["chat:room:leave", "leave:chat"],
        guest: true,
        ..spec(Event::RoomLeave, "room:leave", "room:left")
    },
    spec(Event::RoomList, "room:list", "room:list"),
    spec(Event::RoomInfo, "room:info", "room:info"),
    spec(Event::RoomOnline, "room:online", "room:online"),
    EventSpec {
        guest: true,
        ..spec(Event::RoomSubscribeMultiple, "room:subscribe-multiple", "room:subscribe-multiple")
    },
    EventSpec {
        guest: true,
        ..spec(Event::RoomUnsubscribeMultiple, "room:unsubscribe-multiple", "room:unsubscribe-multiple")
    },
    spec(Event::RoomHistory, "room:history", "room:history"),
    EventSpec {
        aliases: &["chat:message:send"],
        answered: false,
        guest: true,
        ..spec(Event::MessageSend, "message:send", "message:sent")
    },
    EventSpec {
        answered: false,
        guest: true,
        ..spec(Event::MessageSendBatch, "message:send-batch", "message:send-batch")
    },
    EventSpec { answered: false, ..spec(Event::UserSend, "user:send", "message:sent") },
];

/// Rights that are no events but can be granted all the same.
pub const RIGHTS: [&str; 5] = ["message:send-as", "message:moderate", "monitoring:read", "admin", "server"];

impl Event {
    /// What the gateway knows of the event.
    #[must_use]
    pub fn spec(self) -> &'static EventSpec {
        &EVENTS[self as usize]
    }

    /// The event of a name, canonical or other.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let of = |spec: &&EventSpec| spec.name == name || spec.aliases.contains(&name);
        EVENTS.iter().find(of).map(|spec| spec.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_events() {
        for spec in &EVENTS {
            assert_eq!(spec.event.spec().name, spec.name);
            assert_eq!(Event::find(spec.name), Some(spec.event));
            for alias in spec.aliases {
                assert_eq!(Event::find(alias), Some(spec.event));
            }
        }
        assert_eq!(Event::find("room:unknown"), None);
    }
}
