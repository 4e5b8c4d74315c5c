//! Roles, permissions and rooms, as claims state them.

use super::*;

fn identity(user_type: UserType, permissions: &[&str]) -> Identity {
    tenant(user_type, permissions, false)
}

fn tenant(user_type: UserType, permissions: &[&str], tenancy: bool) -> Identity {
    let claims = Claims {
        sub: "alice".to_owned(),
        expires_unix_ms: 0,
        user_type,
        account_id: Some("7".to_owned()),
        permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
        rooms: vec!["team.a".to_owned(), "user:bob".to_owned()],
        jti: None,
    };
    Identity::from_claims(claims, &Arc::default(), tenancy, "")
}

#[test]
fn nobody_enters_the_room_of_another_user() {
    for role in [UserType::Guest, UserType::Employee, UserType::Supervisor] {
        let identity = identity(role, &["*", "room:join:user:*"]);
        assert!(identity.may_enter("user:alice"));
        assert!(!identity.may_enter("user:bob"));
    }
}

#[test]
fn a_guest_enters_what_its_token_names() {
    let guest = identity(UserType::Guest, &["room:join:lobby.*"]);
    assert!(guest.may_enter("team.a") && guest.may_enter("lobby.1") && guest.may_enter("account:7"));
    assert!(!guest.may_enter("lobby:1") && !guest.may_enter("other") && !guest.may_enter("account:8"));
    assert!(!guest.may_enter("presence:global"));
    let guest = identity(UserType::Guest, &["*"]);
    assert!(guest.may_enter("other") && !guest.may_enter("account:8"));
}

#[test]
fn a_supervisor_enters_any_account() {
    assert!(identity(UserType::Supervisor, &[]).may_enter("account:8"));
    assert!(!identity(UserType::Employee, &[]).may_enter("account:8"));
    assert!(identity(UserType::Employee, &["room:join:account:*"]).may_enter("account:8"));
}

#[test]
fn the_longest_event_name_of_a_permission_counts() {
    let guest = identity(UserType::Guest, &["message:send-as"]);
    assert!(guest.has_right("message:send-as", "any"));
    let scoped = identity(UserType::Employee, &["message:send-as:bots.*"]);
    assert!(scoped.has_right("message:send-as", "bots.a") && !scoped.has_right("message:send-as", "team.a"));
    assert!(!guest.may(Event::RoomHistory));
    assert!(identity(UserType::Guest, &["room:history:team.*"]).may(Event::RoomHistory));
}

#[test]
fn nobody_leaves_its_namespace() {
    for role in [UserType::Guest, UserType::Employee, UserType::Supervisor] {
        let tenant = tenant(role, &["*", "room:join:**", "message:send:**"], true);
        assert!(tenant.may_enter("7 user:alice") && tenant.may_enter("7 account:7"));
        assert!(tenant.may_enter("7 team.a") && tenant.may_enter("7 other"));
        for room in ["other", "team.a", "8 other", "8 account:8", " other", "user:alice", "8 user:alice"] {
            assert!(!tenant.may_enter(room) && !tenant.is_entitled(room), "{room}");
            assert!(!tenant.may_send_from_outside(room, true), "{room}");
        }
    }
    assert!(!identity(UserType::Supervisor, &["*"]).may_enter("7 other"));
}

#[test]
fn a_right_of_its_own_opens_private_rooms() {
    assert!(!identity(UserType::Employee, &["room:info"]).is_entitled("other"));
    assert!(identity(UserType::Employee, &["room:join:other"]).is_entitled("other"));
    assert!(identity(UserType::Guest, &[]).is_entitled("team.a"));
    assert!(identity(UserType::Supervisor, &[]).is_entitled("other"));
}

#[test]
fn monitoring_needs_its_right() {
    assert!(!identity(UserType::Employee, &["room:list"]).may(Event::MonitoringHealth));
    assert!(identity(UserType::Guest, &["monitoring:read"]).may(Event::MonitoringHealth));
    assert!(identity(UserType::Supervisor, &[]).may(Event::MonitoringHealth));
    for event in [Event::MonitoringEvents, Event::ConnectionStats] {
        assert!(!tenant(UserType::Supervisor, &["*"], true).may(event), "it shows other accounts");
        assert!(tenant(UserType::Employee, &["monitoring:read"], true).may(event));
    }
}

#[test]
fn an_event_of_a_route_is_granted_by_name_pattern_or_route() {
    let may = |role, permissions: &[&str], room| {
        let called = ["order:create", "order:*", "shop"].into_iter();
        identity(role, permissions).may_forward(Event::Custom, called, room)
    };
    assert!(may(UserType::Employee, &[], None) && !may(UserType::Guest, &[], None));
    for permission in ["*", "forward", "order:create", "order:*", "shop", "shop:team.*"] {
        assert!(may(UserType::Guest, &[permission], Some("team.a")), "{permission}");
    }
    for permission in ["order", "order:created", "shop:team.*", "order:create:team.*", "robot:interact"] {
        assert!(!may(UserType::Guest, &[permission], Some("lobby")), "{permission}");
        assert!(!may(UserType::Guest, &[permission], None), "{permission}");
    }
    let robot = identity(UserType::Guest, &["robot:interact:team.*"]);
    let may = |room| robot.may_forward(Event::RobotInteract, std::iter::empty(), room);
    assert!(may(Some("team.a")) && !may(Some("lobby")) && !may(None));
}

#[test]
fn sending_from_outside_needs_a_pattern_or_the_dialect() {
    let employee = identity(UserType::Employee, &["message:send", "*"]);
    assert!(!employee.may_send_from_outside("lobby", false));
    assert!(employee.may_send_from_outside("lobby", true));
    assert!(!employee.may_send_from_outside("user:bob", true));
    let employee = identity(UserType::Employee, &["message:send:lobby"]);
    assert!(employee.may_send_from_outside("lobby", false));
    for role in [UserType::Guest, UserType::Employee] {
        assert!(!identity(role, &["message:send:**"]).may_send_from_outside("user:bob", false));
        assert!(identity(role, &["message:send:user:*"]).may_send_from_outside("user:bob", false));
    }
}
