//! What a room remembers, and how a client catches up exactly (protocol §4).

use serde_json::{Value, json};

use crate::support::{Client, Server, Token};

fn join(server: &Server, name: &str, room: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join(room);
    client
}

/// Offsets of `messages` in a reply; an absent list is empty.
fn offsets(reply: &Value) -> Vec<u64> {
    let messages = reply["messages"].as_array().map_or(&[][..], Vec::as_slice);
    messages.iter().map(|message| message["offset"].as_u64().expect("a number")).collect()
}

fn fill(client: &mut Client, room: &str, count: u64) {
    for n in 1..=count {
        assert_eq!(client.say(room, n)["offset"], n);
    }
}

#[test]
fn a_join_with_history_gives_the_newest_ascending() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = join(&server, "ana", "lobby");
        fill(&mut ana, "lobby", 10);
        let mut ben = server.connect().token(&Token::employee("ben")).open();
        let joined = ben.call("room:join", json!({"roomId": "lobby", "history": 3}));
        assert_eq!(offsets(&joined), [8, 9, 10]);
        assert_eq!(joined["offset"], 10);
        let message = &joined["messages"][0];
        assert_eq!(message["deliveryStatus"], "delivered");
        assert_eq!(message["senderId"], "ana");
        assert_eq!(message["content"], 8);
        assert_eq!(message["roomId"], "lobby");
        assert_eq!(message["epoch"], joined["epoch"]);
        let again = ben.call("room:join", json!({"roomId": "lobby", "history": 1000}));
        assert_eq!(offsets(&again).len(), 10);
    }
}

#[test]
fn history_pages_in_both_directions() {
    let server = Server::builder().shards(2).start();
    let mut ana = join(&server, "ana", "lobby");
    fill(&mut ana, "lobby", 10);
    let mut page = |request: Value| {
        let mut data = json!({"roomId": "lobby"});
        data.as_object_mut().expect("an object").extend(request.as_object().expect("an object").clone());
        let reply = ana.call("room:history", data);
        assert_eq!(reply["roomId"], "lobby");
        assert!(reply["epoch"].is_string(), "{reply}");
        (offsets(&reply), reply["hasMore"] == true)
    };
    assert_eq!(page(json!({"limit": 3})), (vec![8, 9, 10], true));
    assert_eq!(page(json!({"limit": 3, "before": 8})), (vec![5, 6, 7], true));
    assert_eq!(page(json!({"limit": 10, "before": 4})), (vec![1, 2, 3], false));
    assert_eq!(page(json!({"limit": 3, "after": 0})), (vec![1, 2, 3], true));
    assert_eq!(page(json!({"limit": 3, "after": 7})), (vec![8, 9, 10], false));
    assert_eq!(page(json!({"limit": 3, "after": 10})), (vec![], false));
    assert_eq!(page(json!({"limit": 10, "after": 2, "before": 6})), (vec![3, 4, 5], false));
    assert_eq!(page(json!({"limit": 100})), ((1..=10).collect(), false));
}

#[test]
fn a_client_recovers_exactly_what_it_missed() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).start();
        let mut ana = join(&server, "ana", "lobby");
        let mut ben = server.connect().token(&Token::employee("ben")).open();
        let epoch = ben.join("lobby")["epoch"].clone();
        fill(&mut ana, "lobby", 3);
        for _ in 0..3 {
            ben.expect_message("lobby");
        }
        ben.close();
        for n in 4..=8 {
            ana.say("lobby", n);
        }
        let mut ben = server.connect().token(&Token::employee("ben")).open();
        let request = json!({"roomId": "lobby", "history": 2, "recover": {"epoch": epoch, "offset": 3}});
        let joined = ben.call("room:join", request);
        assert_eq!(joined["recovered"], true);
        assert_eq!(offsets(&joined), [4, 5, 6, 7, 8], "history is ignored when recovered");
        ana.say("lobby", 9);
        assert_eq!(ben.expect_message("lobby").offset(), 9);
        let nothing = json!({"roomId": "lobby", "recover": {"epoch": epoch, "offset": 9}});
        let mut cid = server.connect().token(&Token::employee("cid")).open();
        let joined = cid.call("room:join", nothing);
        assert_eq!(joined["recovered"], true);
        assert_eq!(offsets(&joined), [0_u64; 0]);
    }
}

#[test]
fn a_recovery_that_would_have_a_gap_is_refused_whole() {
    let settings = ["--history-size", "5", "--replay-max-bytes", "8192"];
    let server = Server::builder().shards(2).with(&settings).start();
    let mut ana = join(&server, "ana", "lobby");
    let epoch = ana.join("lobby")["epoch"].clone();
    fill(&mut ana, "lobby", 10);
    let recover = |recover: Value| {
        let mut client = server.connect().token(&Token::employee("ben")).open();
        let joined = client.call("room:join", json!({"roomId": "lobby", "recover": recover}));
        (joined["recovered"].clone(), offsets(&joined))
    };
    let refused = (json!(false), vec![]);
    assert_eq!(recover(json!({"epoch": epoch, "offset": 5})), (json!(true), vec![6, 7, 8, 9, 10]));
    assert_eq!(recover(json!({"epoch": epoch, "offset": 4})), refused, "older than the history");
    assert_eq!(recover(json!({"epoch": epoch, "offset": 11})), refused, "ahead");
    assert_eq!(recover(json!({"epoch": "another", "offset": 9})), refused, "another epoch");
    for _ in 0..3 {
        ana.say("lobby", "x".repeat(4096));
    }
    assert_eq!(recover(json!({"epoch": epoch, "offset": 12})), (json!(true), vec![13]));
    assert_eq!(recover(json!({"epoch": epoch, "offset": 10})), refused, "above --replay-max-bytes");
}

#[test]
fn the_order_of_a_room_starts_anew_with_another_epoch() {
    let first = Server::start();
    let second = Server::start();
    let epoch = join(&first, "ana", "lobby").join("lobby")["epoch"].clone();
    assert_ne!(join(&second, "ana", "lobby").join("lobby")["epoch"], epoch);
    assert_ne!(join(&first, "ana", "lobby").join("desk")["epoch"], epoch);
}

#[test]
fn history_is_bounded_by_count() {
    let server = Server::builder().shards(1).with(&["--history-size", "5"]).start();
    let mut ana = join(&server, "ana", "lobby");
    fill(&mut ana, "lobby", 20);
    let reply = ana.call("room:history", json!({"roomId": "lobby", "limit": 100}));
    assert_eq!(offsets(&reply), [16, 17, 18, 19, 20]);
}

#[test]
fn history_is_bounded_by_age() {
    let server = Server::builder().shards(1).with(&["--history-ttl", "300ms"]).start();
    let mut ana = join(&server, "ana", "lobby");
    let epoch = ana.join("lobby")["epoch"].clone();
    ana.say("lobby", "old");
    crate::support::eventually("the message is dropped", || {
        let reply = ana.call("room:history", json!({"roomId": "lobby", "limit": 10}));
        assert_eq!(reply["epoch"], epoch, "a room with members keeps its order");
        offsets(&reply).is_empty().then_some(())
    });
    assert_eq!(ana.say("lobby", "new")["offset"], 2);
}

#[test]
fn an_empty_room_keeps_its_history() {
    let server = Server::builder().shards(2).with(&["--presence-grace", "50ms"]).start();
    let mut ana = join(&server, "ana", "lobby");
    let epoch = ana.join("lobby")["epoch"].clone();
    fill(&mut ana, "lobby", 3);
    ana.call("room:leave", json!({"roomId": "lobby"}));
    ana.close();
    let mut ben = server.connect().token(&Token::employee("ben")).open();
    let joined = ben.call("room:join", json!({"roomId": "lobby", "history": 10}));
    assert_eq!(joined["epoch"], epoch);
    assert_eq!(offsets(&joined), [1, 2, 3]);
}
