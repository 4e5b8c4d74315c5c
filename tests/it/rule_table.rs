//! The rule table as the configuration changes it: what a role may do, and which rooms it may enter (protocol §3).

use serde_json::json;

use crate::support::server::roomcast;
use crate::support::{Client, ProcessEnd, SECRET, Server, TemporaryFile, Token};

fn server(arguments: &[&str]) -> Server {
    Server::builder().shards(2).with(arguments).start()
}

fn assert_enters(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        client.join(room);
    }
}

fn assert_kept_out(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        client.fail("room:join", json!({"roomId": room}), "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn a_role_may_what_it_is_given_and_nothing_else() {
    let server = server(&["--role-events", "guest=room:list,room:info", "--role-events", "employee=*"]);
    let guest = Token::guest("gil").rooms(&["desk"]);
    let mut gil = server.open(&guest);
    assert_eq!(gil.call("room:list", json!({}))["rooms"].as_array().map(Vec::len), Some(2));
    gil.fail("room:join", json!({"roomId": "desk"}), "PERMISSION_DENIED");
    gil.fail("message:send", json!({"roomId": "desk", "content": 1}), "PERMISSION_DENIED");
    gil.ping();
    gil.call("auth:refresh", json!({"token": guest.mint()}));

    let mut gus = server.open(&Token::guest("gus").rooms(&["desk"]).permissions(&["message:send"]));
    gus.say("desk", "a permission adds to the role");
    server.employee("ana").call("monitoring:stats", json!({}));
    // The roles that nothing was said of stay as they are.
    server.open(&Token::supervisor("sue")).call("monitoring:stats", json!({}));
}

#[test]
fn the_first_rule_that_matches_a_room_decides() {
    let file = TemporaryFile::with(
        "rules.toml",
        "room-access = ['lobby.vip=supervisor', 'lobby.*=guest,employee,supervisor', 'closed.**=']",
    );
    let server = server(&["--config", file.path()]);
    let token = Token::guest("gil").rooms(&["closed.desk"]).permissions(&["room:join:closed.by.name"]);
    let mut gil = server.open(&token);
    assert_enters(&mut gil, &["lobby.1", "closed.desk", "closed.by.name", "user:gil"]);
    assert_kept_out(&mut gil, &["lobby.vip", "lobby", "lobby.1.x", "closed.1", "news", "user:ana"]);
    let mut ana = server.employee("ana");
    assert_enters(&mut ana, &["lobby.1", "news", "presence:global", "user:ana"]);
    assert_kept_out(&mut ana, &["lobby.vip", "closed.1", "user:gil"]);
    let mut sue = server.open(&Token::supervisor("sue"));
    assert_enters(&mut sue, &["lobby.vip", "lobby.1", "news", "account:7"]);
    assert_kept_out(&mut sue, &["closed.1"]);
    gil.say("lobby.1", "a guest among them");
    assert_eq!(ana.expect_message("lobby.1").data()["senderId"], "gil");
}

#[test]
fn a_pattern_lets_nobody_hear_what_a_rule_closes() {
    let rules = ["--room-access", "news.open=guest,employee", "--room-access", "news.*=employee"];
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&rules).start();
        let mut gil = server.open(&Token::guest("gil"));
        gil.call("room:subscribe-multiple", json!({"patterns": ["news.*"]}));
        let mut ana = server.employee("ana");
        for room in ["news.closed", "news.open"] {
            ana.join(room);
            ana.say(room, room);
        }
        assert_eq!(gil.expect_message("news.open").data()["content"], "news.open");
        gil.assert_no("message:received", "of a room that guests may not enter");
    }
}

#[test]
fn the_rules_hold_in_the_topic_dialect_and_within_tenants() {
    let server = server(&["--tenancy", "account", "--room-access", "lobby=guest vip="]);
    let mut gil = server.connect().token(&Token::guest("gil").account("7")).topic().open();
    gil.send(&json!({"type": "subscribe", "topic": "lobby"}));
    gil.expect_event("subscribed");
    let mut ana = server.open(&Token::employee("ana").account("7"));
    assert_kept_out(&mut ana, &["lobby", "vip"]);
    gil.send(&json!({"type": "message", "topic": "lobby", "data": "guests only"}));
    assert_eq!(gil.expect_message("lobby").value["data"], "guests only");
}

#[test]
fn the_environment_sets_rules_too() {
    let mut command = roomcast();
    command.args(["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--jwt-secret", SECRET]);
    command.env("ROOMCAST_ROLE_EVENTS", "guest=room:join,room:list employee=room:join");
    command.env("ROOMCAST_ROOM_ACCESS", "a=guest b=");
    let server = Server::spawn(command);
    let mut gil = server.open(&Token::guest("gil"));
    assert_enters(&mut gil, &["a"]);
    assert_kept_out(&mut gil, &["c"]);
    let mut ana = server.employee("ana");
    assert_kept_out(&mut ana, &["a", "b"]);
    assert_enters(&mut ana, &["c"]);
    ana.fail("room:list", json!({}), "PERMISSION_DENIED");
}

#[test]
fn a_rule_that_makes_no_sense_ends_with_64_and_names_its_flag() {
    let bad = [
        ("--role-events", "guest"),
        ("--role-events", "visitor=ping"),
        ("--role-events", "guest=room:jion"),
        ("--role-events", "guest=ping guest=room:join"),
        ("--room-access", "lobby"),
        ("--room-access", "lobby=everybody"),
        ("--room-access", "lob*=guest"),
        ("--room-access", "user:*=guest"),
        ("--room-access", "account:7=guest"),
        ("--room-access", "a=guest a=employee"),
    ];
    for (flag, value) in bad {
        let end = ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET, flag, value]);
        assert_eq!(end.code, Some(64), "{flag} {value}: {end:?}");
        assert!(end.stderr.contains(flag), "{flag} {value}: {end:?}");
    }
}
