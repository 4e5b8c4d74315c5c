//! Editing and deleting: who may, what members see at once, in history, and when they recover (protocol §4, §5).

use serde_json::{Value, json};

use crate::support::reply::{column, keys, list};
use crate::support::{Client, Server, Token};

fn edit(message: &Value, content: impl Into<Value>) -> Value {
    json!({"roomId": "lobby", "messageId": message["id"], "content": content.into()})
}

fn delete(message: &Value) -> Value {
    json!({"roomId": "lobby", "messageId": message["id"]})
}

fn history(client: &mut Client) -> Value {
    client.call("room:history", json!({"roomId": "lobby"}))
}

fn assert_tombstone(message: &Value) {
    assert_eq!(message["content"], Value::Null, "{message}");
    assert!(message["deletedAt"].is_string(), "{message}");
    assert!(message.get("metadata").is_none_or(Value::is_null), "{message}");
}

#[test]
fn an_edit_and_a_deletion_reach_every_member_with_offsets_of_their_own() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut members = ["ana", "ana", "ben"].map(|name| server.member(name, "lobby"));
        let sent = members[0].say("lobby", "helo");
        let edited = members[0].request("message:edit", &edit(&sent, "hello"));
        assert_eq!(edited.name, "message:edited");
        let data = edited.data();
        assert_eq!((&data["messageId"], &data["epoch"]), (&sent["id"], &sent["epoch"]));
        assert_eq!((&data["roomId"], &data["offset"]), (&json!("lobby"), &json!(2)));
        assert_eq!([&data["content"], &data["editorId"]], ["hello", "ana"]);
        assert!(data["editedAt"].is_string(), "{data}");
        let deleted = members[0].request("message:delete", &delete(&sent));
        assert_eq!(deleted.name, "message:deleted");
        let data = deleted.data();
        assert_eq!((&data["messageId"], &data["offset"]), (&sent["id"], &json!(3)));
        assert_eq!((&data["roomId"], &data["editorId"]), (&json!("lobby"), &json!("ana")));
        assert!(data["deletedAt"].is_string(), "{data}");
        for member in &mut members {
            assert_eq!(member.expect_message("lobby").offset(), 1);
            assert_eq!(member.expect_event("message:edited").data(), edited.data());
            assert_eq!(member.expect_event("message:deleted").data(), deleted.data());
        }
        assert_eq!(members[2].say("lobby", "next")["offset"], 4);
    }
}

#[test]
fn the_author_a_moderator_and_a_supervisor_may_and_nobody_else() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = server.member("ana", "lobby");
        let moderator = |rooms: &str| {
            let token = Token::employee("mod").permissions(&[&format!("message:moderate{rooms}")]);
            let mut client = server.open(&token);
            client.join("lobby");
            client
        };
        let mut sue = server.open(&Token::supervisor("sue"));
        sue.join("lobby");
        let mut of_another_room = moderator(":desk");
        let mut ben = server.member("ben", "lobby");
        let (mut outsider, mut ana_elsewhere) = (server.employee("cid"), server.member("ana", "lobby"));
        for allowed in [&mut ana_elsewhere, &mut moderator(""), &mut moderator(":lobby"), &mut sue] {
            let sent = ana.say("lobby", "original");
            for client in [&mut ben, &mut of_another_room] {
                client.fail("message:edit", edit(&sent, "forged"), "PERMISSION_DENIED");
                client.fail("message:delete", delete(&sent), "PERMISSION_DENIED");
            }
            outsider.fail("message:edit", edit(&sent, "forged"), "ROOM_ACCESS_DENIED");
            outsider.fail("message:delete", delete(&sent), "ROOM_ACCESS_DENIED");
            allowed.call("message:edit", edit(&sent, "moderated"));
            let kept = list(&history(&mut ana), "messages").last().cloned().expect("one");
            assert_eq!([&kept["content"], &kept["senderId"]], ["moderated", "ana"], "{kept}");
            allowed.call("message:delete", delete(&sent));
        }
    }
}

#[test]
fn history_shows_the_final_state_and_a_deleted_message_as_a_tombstone() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = server.member("ana", "lobby");
        let data = |content: &str| json!({"roomId": "lobby", "content": content, "metadata": {"k": 1}});
        let [first, second, _] = ["first", "second", "third"].map(|n| ana.call("message:send", data(n)));
        for content in ["changed", "changed again"] {
            ana.call("message:edit", edit(&first, content));
        }
        ana.call("message:delete", delete(&second));
        let joined = server.employee("ben").call("room:join", json!({"roomId": "lobby", "history": 10}));
        for reply in [history(&mut ana), joined] {
            assert_eq!(column(&reply, "messages", "offset"), [1, 2, 3], "messages only: {reply}");
            let messages = list(&reply, "messages");
            assert_eq!(messages[0]["content"], "changed again");
            assert_eq!(messages[0]["metadata"], json!({"k": 1}));
            assert!(messages[0]["editedAt"].is_string(), "{reply}");
            assert_eq!((&messages[1]["id"], &messages[1]["senderId"]), (&second["id"], &json!("ana")));
            assert_tombstone(&messages[1]);
            assert!(messages[2].get("editedAt").is_none_or(Value::is_null), "{reply}");
            assert!(!reply.to_string().contains("second"), "what is deleted is gone: {reply}");
        }
    }
}

#[test]
fn a_recovery_brings_each_changed_message_once_in_its_final_state() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut ana = server.member("ana", "lobby");
        let [first, second] = ["first", "second"].map(|content| ana.say("lobby", content));
        ana.call("message:edit", edit(&first, "first, changed"));
        let third = ana.say("lobby", "third");
        ana.call("message:delete", delete(&second));
        ana.call("message:edit", edit(&third, "third, changed"));
        ana.call("message:edit", edit(&first, "first, final"));
        let recover = |offset: u64| {
            let recover = json!({"epoch": first["epoch"], "offset": offset});
            let mut ben = server.employee("ben");
            let joined = ben.call("room:join", json!({"roomId": "lobby", "recover": recover}));
            assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(true), &json!(7)), "{joined}");
            let messages = ["id", "offset", "content"].map(|key| column(&joined, "messages", key));
            let [ids, offsets, contents] = messages;
            (ids, offsets, contents)
        };
        let ids = [&first, &second, &third].map(|message| message["id"].clone());
        let [first, second, third] = ids;
        let changed = json!("third, changed");
        let last = json!("first, final");
        assert_eq!(
            recover(0),
            (
                vec![first.clone(), second.clone(), third.clone()],
                vec![json!(1), json!(2), json!(4)],
                vec![last.clone(), Value::Null, changed.clone()]
            ),
            "from the beginning"
        );
        assert_eq!(
            recover(2),
            (
                vec![third.clone(), second.clone(), first.clone()],
                vec![json!(4), json!(5), json!(7)],
                vec![changed.clone(), Value::Null, last.clone()]
            ),
            "behind the second"
        );
        assert_eq!(
            recover(5),
            (vec![third, first.clone()], vec![json!(6), json!(7)], vec![changed, last.clone()]),
            "behind the deletion"
        );
        assert_eq!(recover(6), (vec![first], vec![json!(7)], vec![last]), "behind the third's edit");
        assert_eq!(recover(7), (vec![], vec![], vec![]), "up to date");
    }
}

#[test]
fn what_is_deleted_stays_deleted() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let sent = ana.say("lobby", "oops");
        let deleted = ana.call("message:delete", delete(&sent));
        assert_eq!(ana.call("message:delete", delete(&sent)), deleted, "the same answer again");
        ana.fail("message:edit", edit(&sent, "back"), "CLIENT_ERROR");
        ben.expect_event("message:deleted");
        ben.assert_no("message:deleted", "deleted once");
        assert_eq!(ana.say("lobby", "next")["offset"], 3, "no new offset");
    }
}

#[test]
fn only_what_the_room_has_can_be_changed() {
    let server = Server::builder().shards(3).with(&["--history-size", "2"]).start();
    let mut ana = server.member("ana", "lobby");
    let elsewhere = server.member("ben", "desk").say("desk", 1);
    let old = ana.say("lobby", 1);
    for n in 2..=4 {
        ana.say("lobby", n);
    }
    let unknown = json!({"id": "0198c7a2-0000-7000-8000-000000000000"});
    for message in [&elsewhere, &old, &unknown, &json!({"id": "nonsense"}), &json!({"id": 7}), &json!({})] {
        for (event, data) in [("message:edit", edit(message, "x")), ("message:delete", delete(message))] {
            let error = ana.fail(event, data, "INVALID_PAYLOAD");
            assert_eq!(error["details"]["field"], "messageId", "{event} {message}: {error}");
        }
    }
    let sent = ana.say("lobby", 5);
    let error = ana.fail("message:edit", delete(&sent), "INVALID_PAYLOAD");
    assert_eq!(error["details"]["field"], "content");
    ana.fail(
        "message:edit",
        json!({"roomId": "desk", "messageId": elsewhere["id"], "content": 1}),
        "ROOM_ACCESS_DENIED",
    );
}

#[test]
fn an_edit_carries_its_content_byte_for_byte() {
    let server = Server::builder().shards(3).start();
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let id = ana.say("lobby", 1)["id"].clone();
    let content = r#"{ "n" : 1e400, "s":"\ud800" }"#;
    ana.request_text(
        "message:edit",
        &format!(r#"{{"roomId":"lobby","messageId":{id},"content":{content}}}"#),
    );
    assert_eq!(ben.expect_event("message:edited").payload(), content);
    let page = ben.request("room:history", &json!({"roomId": "lobby"}));
    assert!(page.raw.contains(content), "{}", page.raw);
}

#[test]
fn topic_subscribers_see_edits_and_deletions_too() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut tom = server.connect().token(&Token::employee("tom")).topic().open();
        tom.send(&json!({"type": "subscribe", "topic": "lobby"}));
        tom.expect_event("subscribed");
        let mut ana = server.member("ana", "lobby");
        let sent = ana.say("lobby", "helo");
        ana.call("message:edit", edit(&sent, "hello"));
        ana.call("message:delete", delete(&sent));
        let expected = [
            ("message.sent", json!("helo")),
            ("message.edited", json!("hello")),
            ("message.deleted", Value::Null),
        ];
        for (offset, (event_type, data)) in (1..).zip(expected) {
            let message = tom.expect_message("lobby");
            assert_eq!(message.value["eventType"], event_type, "{}", message.raw);
            assert_eq!(message.value["data"], data, "{}", message.raw);
            assert_eq!(message.value["metadata"]["id"], sent["id"], "of that message");
            assert_eq!(message.offset(), offset);
        }
    }
}

#[test]
fn a_rooms_statistics_count_what_happened_in_it() {
    let server = Server::builder().shards(3).start();
    let mut ana = server.member("ana", "lobby");
    let [first, second, _] = [1, 2, 3].map(|n| ana.say("lobby", n));
    ana.call("message:edit", edit(&first, "changed"));
    ana.call("message:delete", delete(&second));
    let stats = ana.call("message:stats", json!({"roomId": "lobby"}));
    assert_eq!([&stats["messages"], &stats["edits"], &stats["deletes"]], [3, 1, 1], "{stats}");
    assert_eq!(stats["roomId"], "lobby");
    assert!(stats["kept"].is_u64() && stats["lastMessageAt"].is_string(), "{stats}");
    assert_eq!(keys(&stats["rates"]), ["perMinute", "perSecond"]);
    server.employee("ben").fail("message:stats", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn what_was_sent_to_a_user_stays_its_authors() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        let mut sue = server.open(&Token::supervisor("sue"));
        let sent = ana.call("user:send", json!({"userId": "ben", "content": "helo"}));
        let message = json!({"roomId": "user:ben", "messageId": sent["id"]});
        ben.expect_message("user:ben");
        ben.call("message:read", json!({"roomId": "user:ben", "messageId": sent["id"]}));
        let status = ana.call("message:delivery-status", message.clone());
        assert_eq!(column(&status, "users", "userId"), ["ben"], "{status}");
        let edit = json!({"roomId": "user:ben", "messageId": sent["id"], "content": "hello"});
        assert_eq!(ana.call("message:edit", edit.clone())["content"], "hello");
        assert_eq!(ben.expect_event("message:edited").data()["content"], "hello");
        for outsider in [&mut sue, &mut server.employee("eve")] {
            let codes = ["message:edit", "message:delivery-status"]
                .map(|event| outsider.fail(event, edit.clone(), "INVALID_PAYLOAD")["details"].to_string());
            let unknown = json!({"roomId": "user:nobody", "messageId": sent["id"], "content": "hello"});
            for code in codes {
                assert_eq!(
                    outsider.fail("message:edit", unknown.clone(), "INVALID_PAYLOAD")["details"].to_string(),
                    code
                );
            }
        }
        ana.call("message:delete", message);
        ben.expect_event("message:deleted");
    }
}
