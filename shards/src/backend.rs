//! What backends have a say in, as far as shards know of it: which events are for them, and what goes to them and comes
//! back through the control plane, which alone speaks with them.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::permission::Identity;
use crate::id::{Epoch, Offset, SessionId};
use crate::protocol::catalog;
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
