//! Roles grant actions, room rules grant rooms, and both must allow (protocol §3).

use serde_json::json;

use crate::support::{Client, Server, Token};

fn open(server: &Server, token: &Token) -> Client {
    server.connect().token(token).open()
}

fn assert_may_join(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        client.join(room);
    }
}

fn assert_may_not_join(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        client.fail("room:join", json!({"roomId": room}), "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn an_employee_enters_public_rooms_its_own_and_its_accounts() {
    let server = Server::start();
    let mut ana = open(&server, &Token::employee("ana").account("acme"));
    assert_may_join(&mut ana, &["lobby", "channel:7", "user:ana", "account:acme", "presence:global"]);
    assert_may_not_join(&mut ana, &["user:ben", "account:other"]);
}

#[test]
fn a_supervisor_enters_any_account_but_no_other_users_room() {
    let server = Server::start();
    let mut sue = open(&server, &Token::supervisor("sue"));
    assert_may_join(&mut sue, &["lobby", "account:acme", "user:sue"]);
    assert_may_not_join(&mut sue, &["user:ana"]);
}

#[test]
fn a_guest_enters_only_what_it_was_given() {
    let server = Server::start();
    let token = Token::guest("gil").account("acme").rooms(&["desk"]).permissions(&["room:join:support.*"]);
    let mut gil = open(&server, &token);
    assert_may_join(&mut gil, &["desk", "support.7", "user:gil", "account:acme"]);
    assert_may_not_join(
        &mut gil,
        &["lobby", "support.7.x", "support:7", "presence:global", "user:ana", "account:x"],
    );
}

#[test]
fn a_guests_star_opens_public_rooms_but_no_user_or_account() {
    let server = Server::start();
    let mut gil = open(&server, &Token::guest("gil").permissions(&["*"]));
    assert_may_join(&mut gil, &["lobby"]);
    assert_may_not_join(&mut gil, &["user:ana", "account:acme"]);
}

#[test]
fn a_guest_may_send_where_it_is_but_not_to_users() {
    let server = Server::start();
    let mut ana = open(&server, &Token::employee("ana"));
    ana.join("desk");
    let mut gil = open(&server, &Token::guest("gil").rooms(&["desk"]));
    gil.say("desk", "hello");
    assert_eq!(ana.expect_message("desk").data()["senderId"], "gil");
    gil.fail("user:send", json!({"userId": "ana", "content": 1}), "PERMISSION_DENIED");
}

#[test]
fn a_permission_adds_to_the_role() {
    let server = Server::start();
    let mut ana = open(&server, &Token::employee("ana"));
    ana.join("desk");
    let mut gil = open(&server, &Token::guest("gil").rooms(&["desk"]).permissions(&["user:send"]));
    gil.call("user:send", json!({"userId": "ana", "content": "hello"}));
    assert_eq!(ana.expect_message("user:ana").data()["senderId"], "gil");
}

#[test]
fn sending_needs_membership_or_an_explicit_permission_for_the_room() {
    let server = Server::builder().shards(2).start();
    let mut ana = open(&server, &Token::employee("ana"));
    ana.join("news.eu");
    let mut ben = open(&server, &Token::employee("ben"));
    ben.fail("message:send", json!({"roomId": "news.eu", "content": 1}), "ROOM_ACCESS_DENIED");
    let mut cid = open(&server, &Token::employee("cid").permissions(&["message:send:news.*"]));
    cid.say("news.eu", "from outside");
    assert_eq!(ana.expect_message("news.eu").data()["senderId"], "cid");
    cid.fail("message:send", json!({"roomId": "lobby", "content": 1}), "ROOM_ACCESS_DENIED");
}

#[test]
fn messages_of_the_system_need_a_permission_or_a_supervisor() {
    let server = Server::start();
    let message = |kind: &str| json!({"roomId": "lobby", "type": kind, "content": 1});
    let mut ana = open(&server, &Token::employee("ana"));
    let mut sue = open(&server, &Token::supervisor("sue"));
    let mut bot = open(&server, &Token::employee("bot").permissions(&["message:send-as"]));
    for client in [&mut ana, &mut sue, &mut bot] {
        client.join("lobby");
    }
    for kind in ["system", "robot"] {
        ana.fail("message:send", message(kind), "PERMISSION_DENIED");
        sue.call("message:send", message(kind));
        bot.call("message:send", message(kind));
        for _ in 0..2 {
            assert_eq!(ana.expect_message("lobby").data()["type"], kind);
        }
    }
}

#[test]
fn a_user_of_no_common_room_or_account_cannot_be_written_to() {
    let server = Server::builder().shards(2).start();
    let mut ana = open(&server, &Token::employee("ana").account("acme"));
    let mut ben = open(&server, &Token::employee("ben").account("acme"));
    let mut eve = open(&server, &Token::employee("eve").account("other"));
    ana.call("user:send", json!({"userId": "ben", "content": "same account"}));
    assert_eq!(ben.expect_message("user:ben").data()["content"], "same account");
    let denied = eve.request("user:send", &json!({"userId": "ben", "content": "stranger"}));
    assert!(
        ["PERMISSION_DENIED", "ROOM_ACCESS_DENIED"].iter().any(|code| denied.data()["code"] == *code),
        "{}",
        denied.raw
    );
    eve.join("lobby");
    ben.join("lobby");
    eve.call("user:send", json!({"userId": "ben", "content": "shared room"}));
    assert_eq!(ben.expect_message("user:ben").data()["content"], "shared room");
}

#[test]
fn access_is_checked_before_existence() {
    let server = Server::start();
    let mut gil = open(&server, &Token::guest("gil").permissions(&["room:info", "room:history"]));
    gil.fail("room:info", json!({"roomId": "never.seen"}), "ROOM_ACCESS_DENIED");
    gil.fail("room:history", json!({"roomId": "never.seen", "limit": 1}), "ROOM_ACCESS_DENIED");
}
