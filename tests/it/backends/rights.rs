//! Who may send events to backends, and about which rooms.

use serde_json::json;

use super::{echo, server};
use crate::support::backend::{Backend, Does};
use crate::support::{Server, Token};

#[test]
fn a_guest_needs_a_permission_and_anybody_the_room() {
    let backend = echo();
    let server = server(&backend, "['order:*', 'robot:*']", "");
    let mut gil = server.open(&Token::guest("gil").rooms(&["desk"]));
    for event in ["order:create", "robot:interact"] {
        gil.fail(event, json!({"roomId": "desk"}), "PERMISSION_DENIED");
    }
    for permission in ["*", "forward", "order:create", "order:*", "shop", "order:create:desk"] {
        let mut gus = server.open(&Token::guest("gus").rooms(&["desk"]).permissions(&[permission]));
        gus.call("order:create", json!({"roomId": "desk"}));
    }
    let token = Token::guest("gus").rooms(&["desk", "bar"]).permissions(&["robot:interact:desk"]);
    let mut gus = server.open(&token);
    gus.call("chat:robot:interact", json!({"chatId": "desk"}));
    gus.fail("robot:interact", json!({"roomId": "bar"}), "PERMISSION_DENIED");
    gus.fail("order:create", json!({"roomId": "desk"}), "PERMISSION_DENIED");

    let mut ana = server.employee("ana");
    ana.call("order:create", json!({}));
    ana.fail("order:create", json!({"roomId": "desk"}), "ROOM_ACCESS_DENIED");
    ana.fail("order:create", json!({"conversationId": 7}), "ROOM_ACCESS_DENIED");
    ana.join("conversation:7");
    ana.call("order:create", json!({"conversationId": 7}));
    assert_eq!(backend.request(backend.count() - 1).body["roomId"], "conversation:7");
    let mut bot = server.open(&Token::employee("bot").permissions(&["message:send:desk"]));
    bot.call("order:create", json!({"roomId": "desk"}));
}

#[test]
fn a_role_may_be_given_events_that_only_a_route_knows() {
    let backend = echo();
    let file = format!(
        "role-events = ['guest=room:join,forward', 'employee=room:join']\n[[routes]]\nevents='*'\nurl='{}'\n",
        backend.url()
    );
    let server = super::configured(&file);
    server.open(&Token::guest("gil")).call("order:create", json!({}));
    server.employee("ana").fail("order:create", json!({}), "PERMISSION_DENIED");
}

#[test]
fn events_for_backends_count_as_any_other() {
    let backend = echo();
    let file = format!("limit-events = '2/1h'\n[[routes]]\nevents='*'\nurl='{}'\n", backend.url());
    let server = super::configured(&file);
    let mut ana = server.employee("ana");
    ana.call("order:create", json!({}));
    ana.call("order:create", json!({}));
    ana.fail("order:create", json!({}), "RATE_LIMITED");
}

#[test]
fn one_client_has_a_bounded_number_of_events_on_their_way() {
    let backend = Backend::that(Does::Hangs);
    let server: Server = server(&backend, "'*'", "concurrency = 64\ntimeout = '3s'\nbreaker-failures = 1000");
    let mut ana = server.employee("ana");
    let ids: Vec<String> = (0..33).map(|number| ana.post("order:create", &json!({"n": number}))).collect();
    let refused = ana.reply(&ids[32]);
    refused.assert_error("RATE_LIMITED");
    assert_eq!(refused.data()["details"]["limit"], 32, "{}", refused.raw);
    for id in &ids[..32] {
        ana.reply(id).assert_error("SERVER_ERROR");
    }
    backend.becomes(Does::say(json!({})));
    ana.call("order:create", json!({}));
    assert_eq!(server.metric("roomcast_inquiries_open"), 0.0);
}
