//! Rooms made on purpose: who is told, who may enter, how many fit, how they end (protocol §3, §4, §5).

use serde_json::{Value, json};

use crate::support::reply::{column, entry, sorted_column};
use crate::support::{Client, Server, Token};

fn create(client: &mut Client, data: Value) -> Value {
    let reply = client.request("room:create", &data);
    assert_eq!(reply.name, "room:created", "{}", reply.raw);
    reply.data().clone()
}

/// A private room `deal` of ana, with ben as its member, who has not entered yet.
fn create_deal(server: &Server) -> (Client, Client) {
    let [mut ana, ben] = ["ana", "ben"].map(|name| server.employee(name));
    create(&mut ana, json!({"roomId": "deal", "visibility": "private", "members": ["ben"]}));
    (ana, ben)
}

fn assert_full(client: &mut Client, room: &str) {
    let error = client.fail("room:join", json!({"roomId": room}), "CHANNEL_ERROR");
    assert_eq!(error["details"]["reason"], "full", "{error}");
}

#[test]
fn a_created_room_is_as_described_and_its_creator_is_in_it() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = server.employee("ana");
        let request = json!({"roomId": "sales", "visibility": "public", "metadata": {"colour": "red"}, "maxMembers": 5});
        let created = create(&mut ana, request);
        let told = [&created["roomId"], &created["visibility"], &created["ownerId"]];
        assert_eq!(told, ["sales", "public", "ana"], "{created}");
        assert_eq!((&created["metadata"], &created["maxMembers"]), (&json!({"colour": "red"}), &json!(5)));
        assert!(created["createdAt"].is_string() && created["epoch"].is_string(), "{created}");
        assert_eq!(created["offset"], 0);
        let rooms = ana.call("room:list", json!({}));
        assert_eq!(entry(&rooms, "rooms", "roomId", "sales")["members"], 1, "{rooms}");
        assert_eq!(ana.say("sales", "first")["offset"], 1);
        let info = server.employee("ben").call("room:info", json!({"roomId": "sales"}));
        for key in ["visibility", "metadata", "ownerId", "maxMembers", "createdAt", "epoch"] {
            assert_eq!(info[key], created[key], "{key} of {info}");
        }
        assert_eq!([&info["members"], &info["online"], &info["offset"]], [1, 1, 1], "{info}");
        assert_eq!(info["class"], "reliable");
    }
}

#[test]
fn a_room_without_a_name_gets_one_and_a_name_is_given_once() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.employee(name));
    let names = [&mut ana, &mut ben].map(|client| create(client, json!({}))["roomId"].clone());
    for name in &names {
        let uuid = name.as_str().and_then(|name| name.strip_prefix("room:"));
        assert!(uuid.is_some_and(|uuid| uuid.len() == 36), "{name}");
    }
    assert_ne!(names[0], names[1]);
    create(&mut ana, json!({"roomId": "sales"}));
    ben.join("joined");
    for taken in ["sales", "joined"] {
        ben.fail("room:create", json!({"roomId": taken}), "CLIENT_ERROR");
    }
    for reserved in ["user:ana", "user:new", "account:acme"] {
        ana.fail("room:create", json!({"roomId": reserved}), "ROOM_ACCESS_DENIED");
    }
    let mut gil = server.open(&Token::guest("gil"));
    gil.fail("room:create", json!({"roomId": "guests"}), "PERMISSION_DENIED");
    let invalid = [
        ("visibility", json!("secret")),
        ("members", json!("ben")),
        ("members", json!([7])),
        ("metadata", json!(1)),
        ("maxMembers", json!(0)),
        ("maxMembers", json!("two")),
        ("roomId", json!("a b")),
    ];
    for (field, value) in invalid {
        let error = ana.fail("room:create", json!({field: value}), "INVALID_PAYLOAD");
        let named = error["details"]["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{field}: {error}");
    }
}

#[test]
fn a_public_room_is_announced_to_the_creators_account_and_a_private_one_to_its_members() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let of = |name: &str, account: &str| {
            let mut client = server.open(&Token::employee(name).account(account));
            client.join(&format!("account:{account}"));
            client
        };
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| of(name, "acme"));
        let mut eve = of("eve", "other");
        let public = create(&mut ana, json!({"roomId": "sales"}));
        assert_eq!(ben.expect_event("room:created").data(), &public);
        let private = json!({"roomId": "deal", "visibility": "private", "members": ["eve"]});
        let private = create(&mut ana, private);
        assert_eq!(eve.expect_event("room:created").data(), &private);
        for client in [&mut ana, &mut ben, &mut eve] {
            client.assert_no("room:created", "neither told twice nor to others");
        }
    }
}

#[test]
fn outsiders_of_a_private_room_learn_nothing_of_it() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut ben) = create_deal(&server);
        let mut eve = server.employee("eve");
        eve.call("room:subscribe-multiple", json!({"patterns": ["*", "**"]}));
        ben.join("deal");
        ana.say("deal", "secret");
        ben.expect_message("deal");
        ben.call("message:typing", json!({"roomId": "deal", "isTyping": true}));
        let room = json!({"roomId": "deal"});
        let events =
            ["join", "info", "history", "online", "close", "leave"].map(|action| format!("room:{action}"));
        for event in events.iter().map(String::as_str).chain(["message:typing-users", "message:stats"]) {
            let error = eve.fail(event, room.clone(), "ROOM_ACCESS_DENIED");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        eve.fail("message:send", json!({"roomId": "deal", "content": 1}), "ROOM_ACCESS_DENIED");
        let reply = eve.call("room:subscribe-multiple", json!({"rooms": ["deal"]}));
        assert_eq!(reply["results"][0]["ok"], false, "{reply}");
        for push in ["message:received", "user:typing", "room:member-joined", "room:created"] {
            eve.assert_no(push, "a pattern opens no private room");
        }
        let mut topic = server.connect().token(&Token::employee("eve")).topic().open();
        topic.send(&json!({"type": "message", "topic": "deal", "data": "from outside"}));
        assert_eq!(topic.expect_event("error").value["code"], 403);
        ana.say("deal", "last");
        assert_eq!(ana.call("room:history", room)["messages"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn members_the_tokens_rooms_a_permission_and_supervisors_enter_a_private_room() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut ben) = create_deal(&server);
        assert_eq!(ben.join("deal")["members"], 2);
        for token in [
            Token::employee("cid").rooms(&["deal"]),
            Token::employee("dan").permissions(&["room:join:deal"]),
            Token::guest("gil").rooms(&["deal"]),
            Token::supervisor("sue"),
        ] {
            server.open(&token).join("deal");
        }
        ben.call("room:leave", json!({"roomId": "deal"}));
        ben.join("deal");
        ana.call("room:leave", json!({"roomId": "deal"}));
        ana.join("deal");
        let info = ana.call("room:info", json!({"roomId": "deal"}));
        assert_eq!([&info["visibility"], &info["ownerId"]], ["private", "ana"], "{info}");
        let unnamed = Token::employee("eve").permissions(&["room:join:other"]);
        server.open(&unnamed).fail("room:join", json!({"roomId": "deal"}), "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn a_full_room_takes_no_further_user_until_one_leaves() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.employee(name));
        create(&mut ana, json!({"roomId": "pair", "maxMembers": 2}));
        ben.join("pair");
        assert_full(&mut cid, "pair");
        server.member("ben", "pair").close();
        ben.join("pair");
        assert_full(&mut cid, "pair");
        ben.call("room:leave", json!({"roomId": "pair"}));
        assert_eq!(cid.join("pair")["members"], 2);
        assert_full(&mut ben, "pair");
        let online = cid.call("room:online", json!({"roomId": "pair"}));
        assert_eq!(sorted_column(&online, "users", "userId"), ["ana", "cid"]);
    }
}

#[test]
fn a_closed_room_is_left_by_all_and_unknown_afterwards() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let (mut ana, mut ben) = create_deal(&server);
        ben.join("deal");
        ana.say("deal", "last words");
        let mut eve = server.employee("eve");
        let room = json!({"roomId": "deal"});
        ben.fail("room:close", room.clone(), "PERMISSION_DENIED");
        eve.fail("room:close", room.clone(), "ROOM_ACCESS_DENIED");
        ana.fail("room:close", json!({"roomId": "never.seen"}), "CHANNEL_ERROR");
        let closed = ana.request("room:close", &room);
        assert_eq!((closed.name.as_str(), closed.data()), ("room:closed", &room));
        assert_eq!(ben.expect_event("room:closed").data(), &room);
        for client in [&mut ana, &mut ben] {
            let rooms = client.call("room:list", json!({}));
            assert!(!column(&rooms, "rooms", "roomId").contains(&json!("deal")), "{rooms}");
            client.fail("message:send", json!({"roomId": "deal", "content": 1}), "ROOM_ACCESS_DENIED");
        }
        ana.fail("room:info", room.clone(), "CHANNEL_ERROR");
        ana.fail("room:close", room.clone(), "CHANNEL_ERROR");
        let again = create(&mut eve, json!({"roomId": "deal", "visibility": "public"}));
        assert_eq!((&again["ownerId"], &again["offset"]), (&json!("eve"), &json!(0)), "a room of its own");
        let history = eve.call("room:history", room);
        assert_eq!(history["messages"], json!([]), "nothing of the closed one");
    }
}

#[test]
fn a_supervisor_closes_any_room() {
    let server = Server::builder().shards(3).start();
    let (_ana, mut ben) = create_deal(&server);
    ben.join("deal");
    let mut sue = server.open(&Token::supervisor("sue"));
    sue.call("room:close", json!({"roomId": "deal"}));
    ben.expect_event("room:closed");
}

#[test]
fn the_failure_of_the_only_room_asked_about_is_an_error() {
    let server = Server::builder().shards(3).start();
    let mut ben = server.member("ben", "lobby");
    ben.call("room:create", json!({"roomId": "deal", "visibility": "private"}));
    let mut ana = server.employee("ana");
    for event in ["room:subscription-status", "room:subscription-details", "room:info"] {
        ana.fail(event, json!({"roomId": "deal"}), "ROOM_ACCESS_DENIED");
    }
    let several = ana.call("room:subscribe-multiple", json!({"rooms": ["deal", "lobby"]}));
    let refused = entry(&several, "results", "roomId", "deal");
    assert_eq!(refused["error"]["code"], "ROOM_ACCESS_DENIED", "{several}");
}
