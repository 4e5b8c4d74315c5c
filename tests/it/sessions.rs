//! Sessions: a cut connection is resumed by its token, in every room, exactly (protocol §4, §5).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::foreign::{self, Script};
use crate::support::reply::{column, entry, list};
use crate::support::{Client, Server, Token, eventually};

fn create_session(client: &mut Client) -> String {
    let session = client.call("connection:create-session", json!({}));
    assert!(session["expiresAt"].is_string(), "{session}");
    session["token"].as_str().unwrap_or_else(|| panic!("no token in {session}")).to_owned()
}

fn recover(client: &mut Client, session: &str) -> Value {
    client.call("connection:recover", json!({"token": session}))
}

/// Connects with the session in the query; the push that tells of it comes first.
fn reconnect(server: &Server, token: &Token, session: &str) -> (Client, Value) {
    let connect = server.connect().token(token).subprotocols("roomcast.event.v1").query("session", session);
    let mut client = connect.open();
    let first = client.expect("anything", |_| true);
    assert_eq!(first.name, "connection:recovered", "{}", first.raw);
    (client, first.data().clone())
}

/// Fails unless `room` was recovered with messages of these contents, and only with them.
fn assert_recovered(recovered: &Value, room: &str, contents: &[u64]) {
    let room = entry(recovered, "rooms", "roomId", room);
    assert_eq!(room["recovered"], true, "{recovered}");
    assert!(room["epoch"].is_string(), "{room}");
    assert_eq!(column(room, "messages", "content"), contents, "{room}");
}

/// Says each number in the room; members who have read them all are up to date.
fn fill(client: &mut Client, room: &str, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        assert_eq!(client.say(room, n)["offset"], n);
    }
}

#[test]
fn a_cut_connection_gets_exactly_what_it_missed_in_every_room_and_goes_on() {
    for (shards, by_query) in [(1, false), (1, true), (3, false), (3, true)] {
        let server = Server::builder().shards(shards).start();
        let rooms = ["lobby", "desk", "hall"];
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for room in &rooms[1..] {
            ana.join(room);
            ben.join(room);
        }
        let session = create_session(&mut ana);
        for room in ["lobby", "desk"] {
            fill(&mut ben, room, 1..=1);
            ana.expect_message(room);
        }
        // With this answer it has read all that came before, and has spoken since.
        ana.ping();
        ana.cut(&mut ben);
        fill(&mut ben, "lobby", 2..=4);
        fill(&mut ben, "desk", 2..=3);
        let (mut ana, recovered) = if by_query {
            reconnect(&server, &Token::employee("ana"), &session)
        } else {
            let mut ana = server.employee("ana");
            let recovered = recover(&mut ana, &session);
            (ana, recovered)
        };
        assert_recovered(&recovered, "lobby", &[2, 3, 4]);
        assert_recovered(&recovered, "desk", &[2, 3]);
        assert_recovered(&recovered, "hall", &[]);
        assert_eq!(entry(&recovered, "rooms", "roomId", "lobby")["offset"], 4);
        let lobby = entry(&recovered, "rooms", "roomId", "lobby");
        assert_eq!(column(lobby, "messages", "deliveryStatus"), ["delivered"; 3]);
        for (room, next) in [("lobby", 5), ("desk", 4), ("hall", 1)] {
            fill(&mut ben, room, next..=next);
            assert_eq!(ana.expect_message(room).offset(), next, "it is in the room again");
        }
        ana.assert_no("message:received", "nothing comes twice");
        assert_eq!(ana.call("connection:session-info", json!({}))["recovered"], true);
    }
}

#[test]
fn a_session_is_resumed_as_often_as_it_is_needed() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let session = create_session(&mut ana);
        for round in 0..3 {
            let next = 2 * round + 1;
            ana.cut(&mut ben);
            fill(&mut ben, "lobby", next..=next);
            ana = server.employee("ana");
            assert_recovered(&recover(&mut ana, &session), "lobby", &[next]);
            fill(&mut ben, "lobby", next + 1..=next + 1);
            assert_eq!(ana.expect_message("lobby").offset(), next + 1);
            ana.ping();
        }
    }
}

#[test]
fn a_recovery_whose_answer_was_lost_is_tried_again_without_a_silent_gap() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let session = create_session(&mut ana);
        ana.cut(&mut ben);
        fill(&mut ben, "lobby", 1..=3);
        for _ in 0..3 {
            // Resumed, but nothing of it is ever read.
            let first_try = server.connect().token(&Token::employee("ana")).query("session", &session);
            drop(first_try.open());
        }
        let mut ana = server.employee("ana");
        let recovered = recover(&mut ana, &session);
        let lobby = entry(&recovered, "rooms", "roomId", "lobby");
        if lobby["recovered"] == true {
            assert_recovered(&recovered, "lobby", &[1, 2, 3]);
        } else {
            assert!(list(lobby, "messages").is_empty(), "{lobby}");
        }
    }
}

#[test]
fn a_client_may_name_how_far_it_read() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let epoch = ana.join("lobby")["epoch"].clone();
        let session = create_session(&mut ana);
        fill(&mut ben, "lobby", 1..=4);
        // All of it was written to the first socket; the client knows that it got one.
        let mut again = server.employee("ana");
        let positions = json!([{"roomId": "lobby", "epoch": epoch, "offset": 1}]);
        let recovered = again.call("connection:recover", json!({"token": session, "positions": positions}));
        assert_recovered(&recovered, "lobby", &[2, 3, 4]);
        let positions = json!([{"roomId": "lobby", "epoch": "another", "offset": 1}]);
        let mut third = server.employee("ana");
        let recovered = third.call("connection:recover", json!({"token": session, "positions": positions}));
        let lobby = entry(&recovered, "rooms", "roomId", "lobby");
        assert_eq!((&lobby["recovered"], &lobby["messages"]), (&json!(false), &json!([])), "{lobby}");
        assert_eq!((&lobby["epoch"], &lobby["offset"]), (&epoch, &json!(4)), "where the room is now");
    }
}

#[test]
fn the_replaced_connection_is_closed_with_4410_and_nobody_sees_a_leave() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--presence-grace", "100ms"]).start();
        let [mut ben, mut ana] = ["ben", "ana"].map(|name| server.member(name, "lobby"));
        ben.expect_event("room:member-joined");
        let session = create_session(&mut ana);
        let (mut again, _) = reconnect(&server, &Token::employee("ana"), &session);
        assert_eq!(ana.expect_close().0, 4410);
        again.say("lobby", "here");
        for edge in ["room:member-left", "room:member-joined"] {
            ben.assert_no(edge, "she was there all the time");
        }
    }
}

#[test]
fn a_token_that_cannot_be_used_says_why_and_the_connection_goes_on_fresh() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--session-ttl", "1s"]).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let expired = create_session(&mut ana);
        drop(ana);
        ben.stays_open_for(Duration::from_millis(2500));
        let foreign = create_session(&mut ben);
        let unusable =
            [("nonsense", "invalid"), (foreign.as_str(), "foreign"), (expired.as_str(), "expired")];
        for (token, reason) in unusable {
            let mut by_request = server.employee("ana");
            let error = by_request.fail("connection:recover", json!({"token": token}), "CONNECTION_LOST");
            assert_eq!(error["details"]["reason"], reason, "{error}");
            let mut by_query = server.connect().token(&Token::employee("ana")).query("session", token).open();
            let error = by_query.expect_event("error");
            error.assert_error("CONNECTION_LOST");
            assert_eq!(error.data()["details"]["reason"], reason, "{}", error.raw);
            for mut fresh in [by_request, by_query] {
                assert_eq!(fresh.call("connection:session-info", json!({}))["recovered"], false);
                let rooms = column(&fresh.call("room:list", json!({})), "rooms", "roomId");
                assert_eq!(rooms, ["user:ana"], "nothing was restored");
                fresh.join("lobby");
            }
        }
        ben.ping();
        ben.fail("connection:recover", json!({}), "INVALID_PAYLOAD");
    }
}

#[test]
fn a_room_that_the_new_token_may_not_enter_is_not_recovered() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ben = server.member("ben", "lobby");
        ben.call("room:create", json!({"roomId": "deal", "visibility": "private"}));
        let mut ana = server.open(&Token::employee("ana").rooms(&["deal", "lobby"]));
        ana.join("deal");
        let session = create_session(&mut ana);
        ana.cut(&mut ben);
        ben.say("deal", "secret");
        fill(&mut ben, "lobby", 1..=1);
        let mut ana = server.employee("ana");
        let recovered = recover(&mut ana, &session);
        assert_recovered(&recovered, "lobby", &[1]);
        let deal = entry(&recovered, "rooms", "roomId", "deal");
        assert_eq!((&deal["recovered"], &deal["messages"]), (&json!(false), &json!([])), "{deal}");
        assert!(!recovered.to_string().contains("secret"), "{recovered}");
        ben.say("deal", "secret too");
        ana.assert_no("message:received", "she is not in it");
    }
}

#[test]
fn more_than_the_history_holds_is_not_recovered_but_the_room_is_entered() {
    let server = Server::builder().shards(3).with(&["--history-size", "2"]).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let session = create_session(&mut ana);
    ana.cut(&mut ben);
    fill(&mut ben, "lobby", 1..=3);
    let (mut ana, recovered) = reconnect(&server, &Token::employee("ana"), &session);
    let lobby = entry(&recovered, "rooms", "roomId", "lobby");
    assert_eq!((&lobby["recovered"], &lobby["messages"]), (&json!(false), &json!([])), "{lobby}");
    assert_eq!(lobby["offset"], 3);
    fill(&mut ben, "lobby", 4..=4);
    assert_eq!(ana.expect_message("lobby").offset(), 4);
}

#[test]
fn what_a_session_excluded_from_itself_stays_excluded_when_resumed() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let epoch = ana.join("lobby")["epoch"].clone();
    let session = create_session(&mut ana);
    ana.call("message:send", json!({"roomId": "lobby", "content": 1, "excludeSender": true}));
    fill(&mut ben, "lobby", 2..=2);
    ana.expect_message("lobby");
    ana.cut(&mut ben);
    let positions = json!([{"roomId": "lobby", "epoch": epoch, "offset": 0}]);
    let mut ana = server.employee("ana");
    let recovered = ana.call("connection:recover", json!({"token": session, "positions": positions}));
    assert_recovered(&recovered, "lobby", &[2]);
}

#[test]
fn a_connection_tells_about_itself_and_recoveries_are_counted() {
    let server = Server::builder().shards(3).start();
    let mut ana = server.member("ana", "lobby");
    let info = ana.call("connection:session-info", json!({}));
    assert_eq!([&info["userId"], &info["userType"]], ["ana", "employee"], "{info}");
    for key in ["sessionId", "connectedAt", "lastActivity"] {
        assert!(info[key].is_string(), "{key} in {info}");
    }
    assert!(list(&info, "rooms").contains(&json!("lobby")), "{info}");
    assert_eq!(info["recovered"], false);
    let session = create_session(&mut ana);
    assert!(session.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{session}");
    let mut again = server.employee("ana");
    recover(&mut again, &session);
    again.fail("connection:recover", json!({"token": "nonsense"}), "CONNECTION_LOST");
    let stats = again.call("connection:stats", json!({}));
    assert_eq!([&stats["tried"], &stats["full"], &stats["refused"]], [2, 1, 1], "{stats}");
    assert_eq!((&stats["partial"], &stats["reasons"]["invalid"]), (&json!(0), &json!(1)), "{stats}");
}

#[test]
fn what_a_dead_connection_had_on_its_way_comes_again() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let session = create_session(&mut ana);
        fill(&mut ben, "lobby", 1..=1);
        ana.expect_message("lobby");
        ana.ping();
        // Her kernel takes these, and so would a proxy that is about to die. She reads none of them.
        fill(&mut ben, "lobby", 2..=9);
        ana.cut(&mut ben);
        let mut ana = server.employee("ana");
        assert_recovered(&recover(&mut ana, &session), "lobby", &[2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn a_connection_that_takes_another_session_leaves_its_own_behind() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut first, mut second] = ["lobby", "desk"].map(|room| server.member("ana", room));
        let [one, two] = [&mut first, &mut second].map(create_session);
        assert_recovered(&recover(&mut first, &two), "desk", &[]);
        assert_eq!(second.expect_close().0, 4410);
        let mut third = server.employee("ana");
        assert_recovered(&recover(&mut third, &one), "lobby", &[]);
        assert_recovered(&recover(&mut first, &one), "lobby", &[]);
        assert_eq!(third.expect_close().0, 4410);
    }
}

#[test]
fn what_was_missed_in_many_rooms_is_bounded_as_a_whole() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).with(&["--replay-max-bytes", "64KiB"]).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let rooms = ["a", "b", "c", "d"];
        for room in rooms {
            ana.join(room);
            ben.join(room);
        }
        let session = create_session(&mut ana);
        ana.cut(&mut ben);
        for room in rooms {
            ben.say(room, "x".repeat(20_000));
        }
        let (mut ana, recovered) = reconnect(&server, &Token::employee("ana"), &session);
        assert!(recovered.to_string().len() < 80_000, "it fits");
        let whole =
            rooms.iter().filter(|room| entry(&recovered, "rooms", "roomId", room)["recovered"] == true);
        assert_eq!(whole.count(), 3, "and the client is told of what does not");
        for room in rooms {
            assert_eq!(entry(&recovered, "rooms", "roomId", room)["offset"], 1);
            ben.say(room, 2);
            assert_eq!(ana.expect_message(room).offset(), 2, "it is in all of them");
        }
    }
}

#[test]
fn a_session_survives_resets_amid_a_fan_out() {
    let server = Server::builder().shards(1).start();
    let mut command = foreign::node("resets.mjs");
    let tokens: Vec<_> = (0..60).map(|n| Token::employee(&format!("user-{n}")).mint()).collect();
    command.env("URL", format!("ws://{}/ws", server.address)).env("TOKENS", tokens.join(" "));
    command.env("TOKEN_SPEAKER", Token::employee("speaker").mint());
    let mut script = Script::start(command);
    script.expect("whoever came back was answered");
    script.expect_end();
    eventually("an end of all connections", || (server.metric("roomcast_connections") == 0.0).then_some(()));
    let (sessions, parked) = (server.metric("roomcast_sessions"), server.metric("roomcast_sessions_parked"));
    assert_eq!(sessions, parked, "some have no connection, and are not parked either");
}
