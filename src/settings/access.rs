//! `--role-events` and `--room-access`: the rule table (protocol §3).

use roomcast_shards::access::table::{AccessTable, EventSet, RoomRule};
use roomcast_shards::access::token::UserType;
use roomcast_shards::protocol::catalog::{EVENTS, Event, EventSpec};
use roomcast_shards::room::name::is_forced;
use roomcast_shards::room::pattern::Pattern;

use super::layers::{Layers, SettingError};
use super::nearest::did_you_mean;
use super::value;

const ROLES: &[(&str, UserType)] =
    &[("guest", UserType::Guest), ("employee", UserType::Employee), ("supervisor", UserType::Supervisor)];

/// What no rule takes away: without these no connection lasts.
const ALWAYS: [Event; 3] = [Event::Auth, Event::AuthRefresh, Event::Ping];

/// The default table as the settings change it.
///
/// # Errors
/// [`SettingError`] when a rule cannot be read, or another one stands in its way.
pub(super) fn table(layers: &Layers) -> Result<AccessTable, SettingError> {
    let mut table = AccessTable::default();
    let roles = layers.parse_list("role-events", role_events)?;
    for (at, (role, events)) in roles.iter().enumerate() {
        if roles[..at].iter().any(|(earlier, _)| earlier == role) {
            let (name, _) = ROLES.iter().find(|(_, known)| known == role).expect("it was read from there");
            return Err(layers.error("role-events", format!("{name} is there twice")));
        }
        table.set_role(*role, *events);
    }
    let rooms = layers.parse_list("room-access", room_rule)?;
    for (at, rule) in rooms.iter().enumerate() {
        if rooms[..at].iter().any(|earlier| earlier.pattern == rule.pattern) {
            let pattern = rule.pattern.as_str();
            return Err(layers.error("room-access", format!("{pattern} is there twice; the first decides")));
        }
    }
    table.add_rooms(rooms);
    Ok(table)
}

/// `ROLE=EVENT,EVENT`, or `ROLE=*`.
fn role_events(text: &str) -> Result<(UserType, EventSet), String> {
    let (role, events) =
        text.split_once('=').ok_or_else(|| format!("expected ROLE=EVENT,EVENT or ROLE=*, got {text:?}"))?;
    let role = value::word(ROLES)(role)?;
    let events = match events {
        "*" => specs().map(|spec| spec.event).collect(),
        events => names(events).map(event).chain(ALWAYS.map(Ok)).collect::<Result<_, _>>()?,
    };
    Ok((role, events))
}

/// All events; the last stands for those that only a route knows.
fn specs() -> impl Iterator<Item = &'static EventSpec> {
    EVENTS.iter().chain([Event::Custom.spec()])
}

/// An event by its canonical name, as in permissions.
fn event(name: &str) -> Result<Event, String> {
    let spec = specs().find(|spec| spec.name == name);
    spec.map(|spec| spec.event).ok_or_else(|| {
        let hint = did_you_mean(name, specs().map(|spec| spec.name));
        format!("expected the canonical name of an event, got {name:?}{hint}")
    })
}

/// `PATTERN=ROLE,ROLE`, or `PATTERN=` for nobody.
fn room_rule(text: &str) -> Result<RoomRule, String> {
    let (pattern, roles) =
        text.rsplit_once('=').ok_or_else(|| format!("expected PATTERN=ROLE,ROLE, got {text:?}"))?;
    if is_forced(pattern) {
        return Err(format!(
            "{pattern}: who enters rooms of users and accounts follows from who they belong to"
        ));
    }
    let roles = names(roles).map(value::word(ROLES)).collect::<Result<_, _>>()?;
    let pattern = Pattern::parse(pattern).map_err(|error| format!("pattern {pattern:?}: {error}"))?;
    Ok(RoomRule { pattern, roles })
}

/// The names of a list, which may be empty.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(move |_| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<AccessTable, String> {
        let layers = Layers::from_toml(toml).expect("known keys");
        table(&layers).map_err(|error| error.to_string().replace(" (from test.toml)", ""))
    }

    #[test]
    fn a_role_may_what_it_is_given_and_keeps_its_connection() {
        let table = read("role-events = ['guest=room:list,message:send', 'employee=*']").expect("good");
        for event in [Event::RoomList, Event::MessageSend, Event::Ping, Event::AuthRefresh] {
            assert!(table.role_may(UserType::Guest, event), "{event:?}");
        }
        assert!(!table.role_may(UserType::Guest, Event::RoomJoin));
        assert!(table.role_may(UserType::Employee, Event::MonitoringStats));
        let table = read("role-events = 'supervisor='").expect("good");
        assert!(!table.role_may(UserType::Supervisor, Event::RoomJoin));
        assert!(table.role_may(UserType::Guest, Event::RoomJoin), "others stay as they are");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let table = read("room-access = 'lobby.vip=supervisor lobby.*=guest,employee closed.**='");
        let table = table.expect("good");
        let roles = [UserType::Guest, UserType::Employee, UserType::Supervisor];
        let entering = |room: &str| roles.map(|role| table.role_may_enter(role, room));
        assert_eq!(entering("lobby.vip"), [false, false, true]);
        assert_eq!(entering("lobby.1"), [true, true, false]);
        assert_eq!(entering("closed.1"), [false; 3]);
        assert_eq!(entering("other"), [false, true, true]);
        assert!(read("room-access = 'a=b=guest'").expect("good").role_may_enter(UserType::Guest, "a=b"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |toml: &str, expected: &str| assert_eq!(read(toml).expect_err(toml), expected);
        refused("role-events = 'guest'", "--role-events: expected ROLE=EVENT,EVENT or ROLE=*, got \"guest\"");
        refused(
            "role-events = 'visitor=ping'",
            "--role-events: expected guest or employee or supervisor, got \"visitor\"",
        );
        refused(
            "role-events = 'guest=room:jion'",
            "--role-events: expected the canonical name of an event, got \"room:jion\" (did you mean \"room:join\"?)",
        );
        refused(
            "role-events = 'guest=ping,'",
            "--role-events: expected the canonical name of an event, got \"\"",
        );
        refused("role-events = 'guest=ping guest='", "--role-events: guest is there twice");
        refused("room-access = 'lobby'", "--room-access: expected PATTERN=ROLE,ROLE, got \"lobby\"");
        refused(
            "room-access = 'lobby=all'",
            "--room-access: expected guest or employee or supervisor, got \"all\"",
        );
        refused(
            "room-access = 'a*=guest'",
            "--room-access: pattern \"a*\": * and ** stand for whole segments only",
        );
        refused("room-access = 'a=guest a='", "--room-access: a is there twice; the first decides");
        for pattern in ["user:*", "account:7", "user:"] {
            refused(
                &format!("room-access = '{pattern}=guest'"),
                &format!(
                    "--room-access: {pattern}: who enters rooms of users and accounts follows from who they belong to"
                ),
            );
        }
    }
}
