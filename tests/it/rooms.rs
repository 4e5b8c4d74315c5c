//! Joining, leaving and asking about rooms (protocol §4, §5).

use serde_json::{Value, json};

use crate::support::{Client, Server, Token};

fn employee(server: &Server, name: &str) -> Client {
    server.connect().token(&Token::employee(name)).open()
}

/// The entry of `room` in the answer to `room:list`.
fn listed(client: &mut Client, room: &str) -> Option<Value> {
    let list = client.call("room:list", json!({}));
    let rooms = list["rooms"].as_array().expect("rooms is an array");
    rooms.iter().find(|entry| entry["roomId"] == room).cloned()
}

#[test]
fn a_join_tells_epoch_offset_and_the_number_of_users() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = employee(&server, "ana");
        let joined = ana.join("lobby");
        assert_eq!(joined["roomId"], "lobby");
        assert!(joined["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()), "{joined}");
        assert_eq!(joined["offset"], 0);
        assert_eq!(joined["members"], 1);
        ana.say("lobby", 1);
        let mut again = employee(&server, "ana");
        let second = again.join("lobby");
        assert_eq!(second["members"], 1, "users are counted, not sockets");
        assert_eq!(second["offset"], 1);
        assert_eq!(second["epoch"], joined["epoch"]);
        assert_eq!(employee(&server, "ben").join("lobby")["members"], 2);
    }
}

#[test]
fn a_second_join_gives_the_same_reply_and_no_push() {
    let server = Server::start();
    let (mut ana, mut ben) = (employee(&server, "ana"), employee(&server, "ben"));
    ana.join("lobby");
    let first = ben.join("lobby");
    assert_eq!(ben.join("lobby"), first);
    ana.expect_event("room:member-joined");
    ben.say("lobby", "fence");
    ana.expect_message("lobby");
    assert!(ana.arrived("room:member-joined").is_empty(), "a second edge");
    ben.expect_message("lobby");
    ben.ping();
    assert!(ben.arrived("message:received").is_empty(), "joined twice, delivered once");
}

#[test]
fn whoever_left_receives_nothing_more() {
    let server = Server::start();
    let (mut ana, mut ben) = (employee(&server, "ana"), employee(&server, "ben"));
    ana.join("lobby");
    ben.join("lobby");
    let left = ben.request("room:leave", &json!({"roomId": "lobby"}));
    assert_eq!(left.name, "room:left");
    assert_eq!(left.data()["roomId"], "lobby");
    ana.say("lobby", "missed");
    assert_eq!(ben.join("lobby")["offset"], 1);
    ana.say("lobby", "seen");
    assert_eq!(ben.expect_message("lobby").data()["content"], "seen");
    ben.call("room:leave", json!({"roomId": "lobby"}));
    ben.fail("room:leave", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
    ben.fail("room:leave", json!({"roomId": "never.joined"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn rooms_that_a_token_names_and_forced_rooms_are_joined_on_connect() {
    let server = Server::builder().shards(2).start();
    let mut ana =
        server.connect().token(&Token::employee("ana").account("acme").rooms(&["lobby", "desk"])).open();
    for room in ["lobby", "desk", "user:ana", "account:acme"] {
        assert!(listed(&mut ana, room).is_some(), "{room}");
    }
    for room in ["user:ana", "account:acme"] {
        ana.fail("room:leave", json!({"roomId": room}), "CLIENT_ERROR");
    }
    ana.call("room:leave", json!({"roomId": "desk"}));
    assert_eq!(listed(&mut ana, "desk"), None);
}

#[test]
fn the_list_tells_position_and_members_of_each_room() {
    let server = Server::builder().shards(4).start();
    let mut ana = employee(&server, "ana");
    for n in 0..8 {
        let joined = ana.join(&format!("room.{n}"));
        let mut ben = employee(&server, "ben");
        ben.join(&format!("room.{n}"));
        ben.say(&format!("room.{n}"), "hello");
        let entry = listed(&mut ana, &format!("room.{n}")).expect("joined");
        assert_eq!(entry["epoch"], joined["epoch"]);
        assert_eq!(entry["offset"], 1);
        assert_eq!(entry["members"], 2);
    }
}

#[test]
fn info_describes_a_room_and_an_unknown_one_is_a_channel_error() {
    let server = Server::builder().shards(2).start();
    let mut ana = employee(&server, "ana");
    let joined = ana.join("lobby");
    ana.say("lobby", 1);
    let info = ana.call("room:info", json!({"roomId": "lobby"}));
    assert_eq!(info["roomId"], "lobby");
    assert_eq!(info["visibility"], "public");
    assert!(!info["createdAt"].is_null(), "{info}");
    assert_eq!(info["members"], 1);
    assert_eq!(info["online"], 1);
    assert_eq!(info["epoch"], joined["epoch"]);
    assert_eq!(info["offset"], 1);
    ana.fail("room:info", json!({"roomId": "never.seen"}), "CHANNEL_ERROR");
    ana.fail("room:history", json!({"roomId": "never.seen", "limit": 1}), "CHANNEL_ERROR");
    ana.fail("room:info", json!({"roomId": "user:ben"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn online_lists_users_in_pages() {
    let server = Server::builder().shards(2).start();
    let mut clients: Vec<Client> = ["ana", "ben", "cid"].iter().map(|name| employee(&server, name)).collect();
    for client in &mut clients {
        client.join("lobby");
    }
    let all = clients[0].call("room:online", json!({"roomId": "lobby"}));
    assert_eq!(all["roomId"], "lobby");
    assert_eq!(all["total"], 3);
    let names = |page: &Value| -> Vec<String> {
        let users = page["users"].as_array().expect("users is an array");
        users.iter().map(|user| user["userId"].as_str().expect("a string").to_owned()).collect()
    };
    assert!(
        all["users"].as_array().is_some_and(|users| users.iter().all(|user| user["status"] == "online")),
        "{all}"
    );
    let mut paged = Vec::new();
    let mut request = json!({"roomId": "lobby", "limit": 2});
    loop {
        let page = clients[1].call("room:online", request.clone());
        assert!(names(&page).len() <= 2, "{page}");
        paged.extend(names(&page));
        match page.get("next").filter(|next| !next.is_null()) {
            Some(next) => request["cursor"] = next.clone(),
            None => break,
        }
        assert!(paged.len() <= 3, "the cursor does not advance");
    }
    paged.sort();
    assert_eq!(paged, ["ana", "ben", "cid"]);
}

#[test]
fn several_rooms_are_joined_and_left_at_once_each_with_its_own_result() {
    let server = Server::builder().shards(2).start();
    let mut ana = employee(&server, "ana");
    let request = json!({"rooms": ["one", "user:ben", "two"], "patterns": ["orders.*", "no*pattern"]});
    let reply = ana.call("room:subscribe-multiple", request);
    let results = reply["results"].as_array().expect("results is an array");
    let ok = |key: &str, name: &str| {
        let result = results.iter().find(|result| result[key] == name);
        let result = result.unwrap_or_else(|| panic!("{name} is not in {reply}"));
        assert_eq!(
            result.get("error").is_some_and(|error| !error.is_null()),
            result["ok"] == false,
            "{result}"
        );
        result["ok"].clone()
    };
    assert_eq!(results.len(), 5);
    assert_eq!(ok("roomId", "one"), true);
    assert_eq!(ok("roomId", "user:ben"), false);
    assert_eq!(ok("roomId", "two"), true);
    assert_eq!(ok("pattern", "orders.*"), true);
    assert_eq!(ok("pattern", "no*pattern"), false);
    assert!(listed(&mut ana, "one").is_some() && listed(&mut ana, "two").is_some());
    let reply =
        ana.call("room:unsubscribe-multiple", json!({"rooms": ["one", "three"], "patterns": ["orders.*"]}));
    let results = reply["results"].as_array().expect("results is an array");
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["ok"], true);
    assert_eq!(results[1]["ok"], false, "not in it");
    assert_eq!(listed(&mut ana, "one"), None);
}

#[test]
fn names_of_rooms_are_checked() {
    let server = Server::start();
    let mut ana = employee(&server, "ana");
    let longest = "r".repeat(128);
    for name in ["a", "a:b", "auth0|7", "a@b.c", "!#$%&'()+,-./:;<=>?[]^_`{|}~", &longest] {
        ana.join(name);
    }
    let long = "r".repeat(129);
    for name in ["", "a b", "a*", "*", "a\"b", "a\\b", "ä", "a\n", "\u{7f}", &long] {
        let error = ana.fail("room:join", json!({"roomId": name}), "INVALID_PAYLOAD");
        assert_eq!(error["details"]["field"], "roomId", "{name:?}: {error}");
        assert!(error["details"]["reason"].is_string(), "{error}");
    }
    for data in [json!({}), json!({"roomId": 7}), json!({"roomId": null}), json!({"roomId": ["a"]})] {
        for event in ["room:join", "room:leave", "room:info", "room:history", "room:online", "message:send"] {
            let error = ana.fail(event, data.clone(), "INVALID_PAYLOAD");
            assert_eq!(error["details"]["field"], "roomId", "{event}: {error}");
        }
    }
}

#[test]
fn rooms_and_patterns_of_a_connection_are_bounded() {
    let server = Server::builder().shards(1).with(&["--max-rooms", "3", "--max-patterns", "2"]).start();
    let mut ana = employee(&server, "ana");
    for n in 0..3 {
        ana.join(&format!("room.{n}"));
    }
    let reply = ana.request("room:join", &json!({"roomId": "room.3"}));
    assert_eq!(reply.name, "error", "{}", reply.raw);
    ana.call("room:leave", json!({"roomId": "room.0"}));
    ana.join("room.3");
    let patterns = json!({"patterns": ["a.*", "b.*", "c.*"]});
    let reply = ana.call("room:subscribe-multiple", patterns);
    let ok: Vec<bool> = (0..3).map(|n| reply["results"][n]["ok"] == true).collect();
    assert_eq!(ok, [true, true, false], "{reply}");
}
