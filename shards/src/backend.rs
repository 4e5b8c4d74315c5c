//! What backends have a say in, as far as shards know of it: which events are for them, and what goes to them and comes
//! back through the control plane, which alone speaks with them.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::permission::{Additions, Identity};
use crate::id::{Epoch, MessageId, Offset, SessionId};
use crate::protocol::catalog;
use crate::protocol::message::MessageType;
use crate::room::pattern::{Pattern, PatternError, validate_name};

/// Events of one connection that may be on their way to backends; further ones are `RATE_LIMITED`. So no client fills a
/// route's queue.
pub const FORWARDS_MAX: u8 = 32;

/// Names of events: a pattern as for rooms (protocol §4), or `*` alone for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(Option<Pattern>);

impl EventPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" { Ok(Self(None)) } else { Pattern::parse(text).map(|pattern| Self(Some(pattern))) }
    }

    /// Whether it stands for an event.
    #[must_use]
    pub fn matches(&self, event: &str) -> bool {
        self.0.as_ref().is_none_or(|pattern| pattern.matches(event))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("*", Pattern::as_str)
    }
}

/// Where the events of some patterns go.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in metrics, errors and permissions.
    pub name: Arc<str>,
    /// Which events.
    pub events: Vec<EventPattern>,
    /// Whether the backend is told how the event's room stands.
    pub describes_room: bool,
}

/// All routes; of several for an event the first counts.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// No routes.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Routes in their order.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The route of an event, with its number.
    #[must_use]
    pub fn find(&self, event: &str) -> Option<(usize, &Route)> {
        let takes = |route: &Route| route.events.iter().any(|pattern| pattern.matches(event));
        self.0.iter().enumerate().find(|(_, route)| takes(route))
    }

    /// Whether there is a route for an event that is none of the gateway's: then its name is one that can be repeated.
    #[must_use]
    pub fn takes(&self, event: &str) -> bool {
        !self.0.is_empty()
            && validate_name(event).is_ok()
            && !catalog::is_own(event)
            && self.find(event).is_some()
    }
}

/// An event for a backend, as its client sent it.
#[derive(Debug)]
pub struct Forwarded {
    /// Its name, when the gateway has none for it.
    pub name: Option<Box<str>>,
    /// The room that `data` names.
    pub room: Option<String>,
    /// `data`, byte for byte.
    pub data: Bytes,
}

/// The same with all that the backend is told.
#[derive(Debug)]
pub struct Forward {
    /// The route's number.
    pub route: usize,
    /// The canonical name.
    pub event: Box<str>,
    /// Who sent it.
    pub sender: Sender,
    /// The client's own name for the request, as JSON.
    pub request: Option<Box<str>>,
    /// The room that `data` names, as it is called inside the gateway.
    pub room: Option<Arc<str>>,
    /// How that room stands, if the route wants to know and the client is in it.
    pub standing: Option<RoomStanding>,
    /// `data`, byte for byte.
    pub data: Bytes,
}

/// Who wants something.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The user.
    pub identity: Arc<Identity>,
    /// The session.
    pub session: SessionId,
}

/// What needs leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// To connect.
    Connect,
    /// To enter a room.
    Join,
    /// To say something in a room.
    Publish,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Join, Self::Publish];

    /// Its name in the configuration and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Join => "join",
            Self::Publish => "publish",
        }
    }
}

/// What a hook is about.
#[derive(Debug, Clone, Default)]
pub struct Hook {
    /// Which events; none means all.
    pub events: Vec<EventPattern>,
    /// Which rooms; none means all.
    pub rooms: Vec<Pattern>,
    /// Whether what cannot be asked about is allowed.
    pub allows_on_failure: bool,
}

impl Hook {
    /// Whether it is about an event in a room, or in one that is not known.
    #[must_use]
    pub fn concerns(&self, event: &str, room: Option<&str>) -> bool {
        let in_room = |room: &str| self.rooms.iter().any(|pattern| pattern.matches(room));
        (self.events.is_empty() || self.events.iter().any(|pattern| pattern.matches(event)))
            && (self.rooms.is_empty() || room.is_none_or(in_room))
    }
}

/// The hooks that are configured.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// For connections.
    pub connect: Option<Hook>,
    /// For rooms that are entered.
    pub join: Option<Hook>,
    /// For what is said.
    pub publish: Option<Hook>,
}

impl Hooks {
    /// The hook of a kind.
    pub fn of(&mut self, kind: HookKind) -> &mut Option<Hook> {
        match kind {
            HookKind::Connect => &mut self.connect,
            HookKind::Join => &mut self.join,
            HookKind::Publish => &mut self.publish,
        }
    }
}

/// A question to a hook.
#[derive(Debug)]
pub struct HookCall {
    /// Who wants it.
    pub sender: Sender,
    /// What.
    pub asks: Asks,
}

/// What a hook is asked.
#[derive(Debug)]
pub enum Asks {
    /// May it connect?
    Connect {
        /// The namespace of Socket.IO, `/` for everybody else.
        namespace: &'static str,
    },
    /// May it enter?
    Join {
        /// The room, as it is called inside the gateway.
        room: Arc<str>,
    },
    /// May it subscribe?
    Subscribe {
        /// The pattern, as the client names it.
        pattern: Box<str>,
    },
    /// May it say that?
    Publish {
        /// The canonical event.
        event: &'static str,
        /// The room, as it is called inside the gateway.
        room: Arc<str>,
        /// The message's type; an edit has none.
        kind: Option<MessageType>,
        /// The content, byte for byte.
        content: Bytes,
        /// The application's own: an object.
        metadata: Option<Bytes>,
        /// The message that is edited.
        message: Option<MessageId>,
    },
}

impl Asks {
    /// Which hook is asked.
    #[must_use]
    pub fn kind(&self) -> HookKind {
        match self {
            Self::Connect { .. } => HookKind::Connect,
            Self::Join { .. } | Self::Subscribe { .. } => HookKind::Join,
            Self::Publish { .. } => HookKind::Publish,
        }
    }

    /// Bytes that it holds while it waits.
    #[must_use]
    pub fn cost(&self) -> usize {
        match self {
            Self::Publish { content, metadata, .. } => {
                content.len() + metadata.as_ref().map_or(0, Bytes::len)
            }
            _ => 0,
        }
    }
}

/// Leave, and what the hook changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is added to who connects.
    pub additions: Additions,
    /// Messages of history that who enters gets at most.
    pub history_max: Option<usize>,
    /// What is said instead.
    pub content: Option<Bytes>,
    /// The metadata instead: an object.
    pub metadata: Option<Bytes>,
}

/// How a room stands, as the sender's shard knows it.
#[derive(Debug, Clone, Copy)]
pub struct RoomStanding {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its latest offset.
    pub offset: Offset,
    /// Users in it.
    pub members: usize,
}

/// What the control plane answers.
#[derive(Debug)]
pub enum Answered {
    /// The members of the reply's `data`.
    Members(Vec<u8>),
    /// The same for an event that was forwarded, with the name of the reply if the catalogue has none.
    Forwarded(Option<Box<str>>, Vec<u8>),
    /// Leave.
    Leave(Box<Verdict>),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes(tables: &[(&str, &[&str])]) -> Routes {
        let route = |(name, events): &(&str, &[&str])| Route {
            name: (*name).into(),
            events: events.iter().map(|text| EventPattern::parse(text).expect("a pattern")).collect(),
            describes_room: false,
        };
        Routes::new(tables.iter().map(route).collect())
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let routes =
            routes(&[("files", &["file:upload", "file:delete"]), ("robot", &["robot:*"]), ("rest", &["*"])]);
        let found = |event: &str| routes.find(event).map(|(number, route)| (number, &*route.name));
        assert_eq!(found("file:delete"), Some((0, "files")));
        assert_eq!(found("robot:interact"), Some((1, "robot")));
        assert_eq!(found("robot:a:b"), Some((2, "rest")), "* is one segment");
        assert_eq!(found("x"), Some((2, "rest")));
        assert_eq!(Routes::NONE.find("x").map(|(number, _)| number), None);
    }

    #[test]
    fn a_hook_is_about_its_events_and_rooms() {
        assert!(Hook::default().concerns("message:send", Some("a")));
        let hook = Hook {
            events: vec![EventPattern::parse("message:send").expect("a pattern")],
            rooms: vec![Pattern::parse("a.*").expect("a pattern")],
            allows_on_failure: false,
        };
        assert!(hook.concerns("message:send", Some("a.b")) && hook.concerns("message:send", None));
        assert!(!hook.concerns("message:send", Some("b")) && !hook.concerns("user:send", Some("a.b")));
    }

    #[test]
    fn no_route_takes_what_is_the_gateways_own() {
        let routes = routes(&[("all", &["*"])]);
        for own in ["message:send", "chat:message:send", "message:received", "pong", "error", "user:online"] {
            assert!(!routes.takes(own), "{own}");
        }
        for other in ["order:create", "message:react", "x"] {
            assert!(routes.takes(other) && !Routes::NONE.takes(other), "{other}");
        }
        for unspeakable in ["", "a b", "a\"b", "ä", "a*"] {
            assert!(!routes.takes(unspeakable), "{unspeakable}");
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_one_segment_and_two_for_the_rest(
            segments in proptest::collection::vec("[a-z]{1,5}", 1..5),
            at in any::<proptest::sample::Index>(),
        ) {
            let name = segments.join(":");
            let at = at.index(segments.len());
            let matches = |pattern: &[&str]| {
                EventPattern::parse(&pattern.join(":")).expect("a pattern").matches(&name)
            };
            let mut pattern: Vec<&str> = segments.iter().map(String::as_str).collect();
            prop_assert!(matches(&pattern));
            pattern[at] = "*";
            prop_assert!(matches(&pattern));
            pattern.push("*");
            prop_assert!(!matches(&pattern));
            pattern.truncate(at);
            pattern.push("**");
            prop_assert!(matches(&pattern));
            prop_assert!(EventPattern::parse("*").expect("a pattern").matches(&name));
        }
    }
}
