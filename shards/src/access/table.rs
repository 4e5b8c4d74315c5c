//! What each role may do, and who may enter which rooms: data, which the configuration may replace (protocol §3).

use super::token::UserType;
use crate::protocol::catalog::{EVENTS, Event};
use crate::room::pattern::Pattern;

/// A set of events, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventSet(u64);

impl EventSet {
    /// Adds an event.
    pub fn insert(&mut self, event: Event) {
        self.0 |= 1 << event as u64;
    }

    fn contains(self, event: Event) -> bool {
        self.0 & (1 << event as u64) != 0
    }
}

impl FromIterator<Event> for EventSet {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut set = Self::default();
        events.into_iter().for_each(|event| set.insert(event));
        set
    }
}

/// Who may enter the rooms that match, beside those whom the token or a permission lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRule {
    /// The rooms.
    pub pattern: Pattern,
    /// The roles.
    pub roles: Vec<UserType>,
}

/// The rule table.
///
/// Rooms of users and accounts are not in it: who enters them follows from who they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTable {
    guest: EventSet,
    employee: EventSet,
    supervisor: EventSet,
    /// The first that matches decides; without a match only token and permissions count.
    rooms: Vec<RoomRule>,
}

impl Default for AccessTable {
    fn default() -> Self {
        let of = |wanted: fn(&crate::protocol::catalog::EventSpec) -> bool| -> EventSet {
            let specs = EVENTS.iter().chain([Event::Custom.spec()]);
            specs.filter(|spec| wanted(spec)).map(|spec| spec.event).collect()
        };
        let everything = Pattern::parse("**").expect("a pattern");
        Self {
            guest: of(|spec| spec.guest),
            employee: of(|spec| spec.right.is_none()),
            supervisor: of(|_| true),
            rooms: vec![RoomRule {
                pattern: everything,
                roles: vec![UserType::Employee, UserType::Supervisor],
            }],
        }
    }
}

impl AccessTable {
    /// Replaces what a role may do.
    pub fn set_role(&mut self, role: UserType, events: EventSet) {
        *match role {
            UserType::Guest => &mut self.guest,
            UserType::Employee => &mut self.employee,
            UserType::Supervisor => &mut self.supervisor,
        } = events;
    }

    /// Puts rules for rooms in front of the default one.
    pub fn add_rooms(&mut self, rules: Vec<RoomRule>) {
        self.rooms.splice(0..0, rules);
    }

    /// Whether a role grants an event.
    #[must_use]
    pub fn role_may(&self, role: UserType, event: Event) -> bool {
        let events = match role {
            UserType::Guest => self.guest,
            UserType::Employee => self.employee,
            UserType::Supervisor => self.supervisor,
        };
        events.contains(event)
    }

    /// Whether a role may enter a room, as clients know it.
    #[must_use]
    pub fn role_may_enter(&self, role: UserType, room: &str) -> bool {
        let rule = self.rooms.iter().find(|rule| rule.pattern.matches(room));
        rule.is_some_and(|rule| rule.roles.contains(&role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_protocols() {
        let table = AccessTable::default();
        assert!(table.role_may(UserType::Guest, Event::MessageTyping));
        assert!(!table.role_may(UserType::Guest, Event::RoomCreate));
        assert!(table.role_may(UserType::Employee, Event::RoomCreate));
        assert!(!table.role_may(UserType::Employee, Event::MonitoringEvents));
        assert!(table.role_may(UserType::Supervisor, Event::MonitoringEvents));
        assert!(!table.role_may_enter(UserType::Guest, "lobby"));
        assert!(table.role_may_enter(UserType::Employee, "presence:global"));
    }

    #[test]
    fn the_configuration_may_replace_it() {
        let mut table = AccessTable::default();
        table.set_role(UserType::Guest, [Event::RoomCreate].into_iter().collect());
        let pattern = Pattern::parse("vip.**").expect("a pattern");
        table.add_rooms(vec![RoomRule { pattern, roles: vec![UserType::Supervisor] }]);
        assert!(table.role_may(UserType::Guest, Event::RoomCreate));
        assert!(!table.role_may(UserType::Guest, Event::RoomJoin));
        assert!(!table.role_may_enter(UserType::Employee, "vip.a"));
        assert!(table.role_may_enter(UserType::Employee, "lobby"));
    }
}
