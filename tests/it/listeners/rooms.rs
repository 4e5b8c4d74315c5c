//! Rooms as listeners: templates of their names, what they are told, and what they are not.

use serde_json::json;

use super::{Desk, series};
use crate::support::{SocketIo, eventually};

const LISTENERS: &str = r##"
[[listeners]]
name = "Conversations"
on = "message.*"
unless = { "data.private" = true }
sink = "rooms"
rooms = ["conversation:{data.conversationId}", "user:{data.assignee.id}"]

[[listeners]]
name = "Inboxes"
on = "inbox.updated"
sink = "rooms"
rooms = "inbox:{data.inboxIds[]}"
event = "inbox.changed"
payload = { inboxes = "{data.inboxIds[]}", text = "by {data.by}", kind = "update" }

[[listeners]]
name = "Notes"
on = "note.added"
sink = "rooms"
rooms = "conversation:{data.conversationId}"
as = "message"
"##;

#[test]
fn an_event_is_pushed_to_the_rooms_that_it_names() {
    let desk = Desk::start("push", LISTENERS);
    let mut native = desk.server.member("ana", "conversation:7");
    let mut socketio = SocketIo::member(&desk.server, "ben", "conversation:7");
    let mut assignee = desk.server.employee("cid");
    let mut elsewhere = desk.server.member("dan", "conversation:8");
    let data = json!({"conversationId": 7, "assignee": {"id": "cid"}, "content": "hi"});
    desk.emit("message.created", &data);
    for client in [&mut native, &mut assignee] {
        assert_eq!(*client.expect_event("message.created").data(), data);
    }
    assert_eq!(socketio.event("message.created").data[1], data);
    // Nobody is assigned: the conversation is told all the same, and that one template found nothing is counted.
    desk.emit("message.updated", &json!({"conversationId": 7}));
    native.expect_event("message.updated");
    eventually("the missing field is counted", || {
        let skipped = r#"listener_events_total{listener="Conversations",outcome="skipped"}"#;
        (series(&desk.server, skipped) == 1.0).then_some(())
    });
    desk.emit("message.created", &json!({"conversationId": 7, "private": true}));
    desk.emit("message.deleted", &json!({"conversationId": 7}));
    native.expect_event("message.deleted");
    native.assert_no("message.created", "private ones are for nobody here");
    elsewhere.assert_no("message.created", "of another conversation");
}

#[test]
fn a_list_names_many_rooms_and_the_payload_is_made_of_fields() {
    let desk = Desk::start("lists", LISTENERS);
    let [mut one, mut two, mut three] = [("ana", "1"), ("ben", "2"), ("cid", "3")]
        .map(|(name, id)| desk.server.member(name, &format!("inbox:{id}")));
    desk.emit("inbox.updated", &json!({"inboxIds": [1, 2], "by": "dan"}));
    let expected = json!({"inboxes": [1, 2], "text": "by dan", "kind": "update"});
    for client in [&mut one, &mut two] {
        assert_eq!(*client.expect_event("inbox.changed").data(), expected);
    }
    three.assert_no("inbox.changed", "of inbox 3");
}

#[test]
fn no_value_makes_it_another_room() {
    let desk = Desk::start("injection", LISTENERS);
    let mut victim = desk.server.member("ana", "conversation:7:private");
    for id in [json!("7:private"), json!("*"), json!("7 x"), json!({"a": 1}), json!(7.5), json!("")] {
        desk.emit("message.created", &json!({"conversationId": id, "assignee": {"id": "nobody"}}));
    }
    eventually("all of them are skipped", || {
        let skipped = r#"listener_events_total{listener="Conversations",outcome="skipped"}"#;
        (series(&desk.server, skipped) == 6.0).then_some(())
    });
    victim.assert_no("message.created", "for a room that no template names");
}

#[test]
fn as_a_message_it_is_in_the_history_once() {
    let desk = Desk::start("message", LISTENERS);
    let mut ana = desk.server.member("ana", "conversation:7");
    let data = json!({"conversationId": 7, "note": "call back"});
    for _ in 0..2 {
        let words = ["XADD", "events", "*", "id", "e-1", "name", "note.added", "data", &data.to_string()];
        desk.redis.command(&words);
    }
    let message = ana.expect_message("conversation:7");
    assert_eq!((&message.data()["content"], &message.data()["senderId"]), (&data, &json!("system")));
    assert_eq!(ana.say("conversation:7", "ok")["offset"], 2, "the same event is one message");
}
