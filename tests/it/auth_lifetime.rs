//! A token's end on a live connection: the warning, the close, and the refresh that prevents it (protocol §3).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Server, Token};

#[test]
fn an_expiring_token_is_announced_and_its_end_closes_with_4401() {
    let server = Server::builder().with(&["--auth-expiring-lead", "1s"]).start();
    let mut client = server.connect().token(&Token::employee("ana").expires_in(3)).open();
    client.ping();
    assert!(client.arrived("auth:expiring").is_empty(), "the lead is one second");
    let expiring = client.expect_event("auth:expiring");
    assert!(!expiring.data()["expiresAt"].is_null(), "{}", expiring.raw);
    assert_eq!(client.expect_close().0, 4401);
}

#[test]
fn a_token_that_ends_within_the_lead_is_announced_at_once() {
    let server = Server::start();
    let token = Token::employee("ana").expires_in(30);
    server.connect().token(&token).open().expect_event("auth:expiring");
    let mut by_message = server.connect().open();
    by_message.call("auth", json!({"token": token.mint()}));
    by_message.expect_event("auth:expiring");
}

#[test]
fn a_topic_client_is_closed_at_its_tokens_end_too() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana").expires_in(2)).topic().open();
    assert_eq!(client.expect_close().0, 4401);
}

#[test]
fn a_refresh_keeps_the_connection_and_its_rooms_beyond_the_first_tokens_end() {
    let server = Server::start();
    let mut ana = server.connect().token(&Token::employee("ana").expires_in(2)).open();
    ana.join("lobby");
    let ok = ana.request("auth:refresh", &json!({"token": Token::employee("ana").mint()}));
    assert_eq!(ok.name, "auth:ok");
    assert_eq!(ok.data()["userId"], "ana");
    ana.stays_open_for(Duration::from_millis(2500));
    let mut ben = server.connect().token(&Token::employee("ben")).open();
    ben.join("lobby");
    ben.say("lobby", "still there?");
    ana.expect_message("lobby");
}

#[test]
fn auth_on_an_authenticated_connection_is_a_refresh() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana").expires_in(2)).open();
    let ok = client.request("auth", &json!({"token": Token::employee("ana").mint()}));
    assert_eq!(ok.name, "auth:ok");
    client.stays_open_for(Duration::from_millis(2500));
}

#[test]
fn another_users_token_does_not_refresh() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana")).open();
    client.fail("auth:refresh", json!({"token": Token::employee("ben").mint()}), "CLIENT_ERROR");
    client.join("user:ana");
}

#[test]
fn a_bad_refresh_is_an_error_and_the_old_token_stays() {
    let server = Server::start();
    let mut client = server.connect().token(&Token::employee("ana")).open();
    for _ in 0..4 {
        client.fail("auth:refresh", json!({"token": "nonsense"}), "AUTH_FAILED");
    }
    let expired = Token::employee("ana").expires_in(-5).mint();
    client.fail("auth:refresh", json!({"token": expired}), "AUTH_FAILED");
    client.join("lobby");
}

#[test]
fn a_refresh_without_a_room_leaves_that_room() {
    let server = Server::start();
    let mut guest = server.connect().token(&Token::guest("gil").rooms(&["desk", "hall"])).open();
    let mut ben = server.connect().token(&Token::employee("ben")).open();
    ben.join("desk");
    ben.join("hall");
    guest.call("auth:refresh", json!({"token": Token::guest("gil").rooms(&["hall"]).mint()}));
    let left = guest.expect_event("room:left");
    assert_eq!(left.data()["roomId"], "desk");
    assert!(left.data()["reason"].is_string(), "{}", left.raw);
    ben.say("desk", "not for gil");
    ben.say("hall", "for gil");
    guest.expect_message("hall");
    guest.ping();
    assert!(guest.arrived("message:received").is_empty(), "desk is lost");
    guest.fail("room:join", json!({"roomId": "desk"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn the_answer_to_auth_tells_type_and_permissions_of_the_token() {
    let server = Server::start();
    let mut client = server.connect().open();
    let token = Token::supervisor("sue").permissions(&["room:join:support.*"]).mint();
    let ok = client.call("auth", json!({"token": token}));
    assert_eq!(ok["userType"], "supervisor");
    assert!(
        ok["permissions"].as_array().is_some_and(|list| list.contains(&json!("room:join:support.*"))),
        "{ok}"
    );
    let mut unknown = server.connect().open();
    let token = Token::employee("eve").claim("userType", json!("root")).mint();
    assert_eq!(
        unknown.call("auth", json!({"token": token}))["userType"],
        "guest",
        "an unknown type is a guest"
    );
    let mut absent = server.connect().open();
    let token = Token::employee("eve").claim("userType", Value::Null).mint();
    assert_eq!(absent.call("auth", json!({"token": token}))["userType"], "guest");
}
