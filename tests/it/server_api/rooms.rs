//! Rooms: described, paged, created, closed; users put into them and taken out.

use serde_json::json;

use super::Gateway;
use crate::support::reply::{column, sorted_column};
use crate::support::{Server, SocketIo, Token, eventually};

#[test]
fn a_room_is_created_described_and_closed() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    let wanted = json!({"roomId": "team.a", "visibility": "private", "members": ["ana"], "metadata": {"t": 1},
                        "maxMembers": 5, "ownerId": "boss"});
    let room = backend.call("POST", "/v1/rooms", &wanted);
    assert_eq!((&room["ownerId"], &room["visibility"]), (&"boss".into(), &"private".into()), "{room}");
    assert_eq!(backend.ask("POST", "/v1/rooms", r#"{"roomId":"team.a"}"#).status, 409);
    let mut ana = gateway.server.employee("ana");
    ana.join("team.a");
    gateway.server.employee("ben").fail("room:join", json!({"roomId": "team.a"}), "ROOM_ACCESS_DENIED");
    let info = backend.get("/v1/rooms/team.a");
    assert_eq!((&info["members"], &info["metadata"]), (&1.into(), &json!({"t": 1})), "{info}");
    assert_eq!(backend.call("DELETE", "/v1/rooms/team.a", &json!({}))["roomId"], "team.a");
    ana.expect_event("room:closed");
    backend.fail("GET", "/v1/rooms/team.a", "", 404, "CHANNEL_ERROR");
    backend.fail("DELETE", "/v1/rooms/team.a", "", 404, "CHANNEL_ERROR");
    let named = backend.call("POST", "/v1/rooms", &json!({}));
    assert!(named["roomId"].as_str().is_some_and(|name| name.starts_with("room:")), "{named}");
    for (method, path) in [("POST", "/v1/rooms"), ("DELETE", "/v1/rooms/user:ana")] {
        backend.fail(method, path, r#"{"roomId":"user:ana"}"#, 403, "ROOM_ACCESS_DENIED");
    }
    backend.fail("POST", "/v1/rooms", r#"{"visibility":"secret"}"#, 400, "INVALID_PAYLOAD");
}

#[test]
fn users_of_a_room_and_its_messages_come_in_pages() {
    let gateway = Gateway::start();
    let (server, mut backend) = (&gateway.server, gateway.backend());
    let members: Vec<_> = ["ana", "ben", "eve"].map(|name| server.member(name, "lobby")).into();
    let page = backend.get("/v1/rooms/lobby/members?limit=2");
    assert_eq!(
        (column(&page, "users", "userId"), &page["total"]),
        (vec!["ana".into(), "ben".into()], &3.into())
    );
    let next = page["next"].as_str().expect("there are more");
    let page = backend.get(&format!("/v1/rooms/lobby/members?limit=2&cursor={next}"));
    assert_eq!(column(&page, "users", "userId"), ["eve"], "{page}");
    assert!(page["next"].is_null());
    drop(members);
    for n in 1..=5 {
        backend.call("POST", "/v1/rooms/lobby/messages", &json!({"content": n}));
    }
    let page = backend.get("/v1/rooms/lobby/messages?limit=2");
    assert_eq!(
        (column(&page, "messages", "content"), &page["hasMore"]),
        (vec![4.into(), 5.into()], &true.into())
    );
    let page = backend.get("/v1/rooms/lobby/messages?limit=2&before=4");
    assert_eq!(column(&page, "messages", "content"), [2, 3]);
    let page = backend.get("/v1/rooms/lobby/messages?after=3");
    assert_eq!(
        (column(&page, "messages", "content"), &page["hasMore"]),
        (vec![4.into(), 5.into()], &false.into())
    );
    for query in ["limit=0", "limit=x", "before=-1", "after=1.5"] {
        backend.fail("GET", &format!("/v1/rooms/lobby/messages?{query}"), "", 400, "INVALID_PAYLOAD");
    }
    backend.fail("GET", "/v1/rooms/nowhere/messages", "", 404, "CHANNEL_ERROR");
}

#[test]
fn a_user_is_put_into_a_room_and_taken_out_on_all_its_connections() {
    for shards in [1, 2, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        let mut native = server.employee("ana");
        let mut phone = server.employee("ana");
        let mut socketio = SocketIo::employee(server, "ana");
        let mut topic = server.connect().token(&Token::employee("ana")).topic().open();
        topic.send(&json!({"type": "ping"}));
        topic.expect_event("pong");
        let path = "/v1/rooms/lobby/members/ana";
        assert_eq!(backend.call("PUT", path, &json!({})), json!({"connections": 4}));
        for client in [&mut native, &mut phone] {
            assert_eq!(client.expect_event("room:joined").data()["roomId"], "lobby");
        }
        assert_eq!(socketio.event("room:joined").data[1]["roomId"], "lobby");
        assert_eq!(topic.expect_event("subscribed").value["topic"], "lobby");
        backend.call("POST", "/v1/rooms/lobby/messages", &json!({"content": "hello"}));
        for client in [&mut native, &mut phone, &mut topic] {
            client.expect_message("lobby");
        }
        socketio.event("message:received");
        assert_eq!(sorted_column(&backend.get("/v1/rooms/lobby/members"), "users", "userId"), ["ana"]);
        assert_eq!(backend.call("DELETE", path, &json!({})), json!({"connections": 4}));
        assert_eq!(native.expect_event("room:left").data()["roomId"], "lobby");
        assert_eq!(socketio.event("room:left").data[1]["roomId"], "lobby");
        assert_eq!(topic.expect_event("unsubscribed").value["topic"], "lobby");
        // The owner hears of it from the connections' shards.
        eventually("the room is empty", || {
            (backend.get("/v1/rooms/lobby/members")["total"] == 0).then_some(())
        });
        assert_eq!(backend.call("DELETE", path, &json!({})), json!({"connections": 0}), "it is out already");
        assert_eq!(backend.call("PUT", "/v1/rooms/lobby/members/eve", &json!({})), json!({"connections": 0}));
        backend.fail("PUT", "/v1/rooms/user:ben/members/ana", "", 403, "ROOM_ACCESS_DENIED");
        backend.fail("DELETE", "/v1/rooms/user:ana/members/ana", "", 403, "ROOM_ACCESS_DENIED");
    }
}

#[test]
fn presence_is_told_of_one_and_of_several() {
    let gateway = Gateway::start();
    let mut backend = gateway.backend();
    let mut ana = gateway.server.employee("ana");
    ana.call("presence:update-status", json!({"status": "busy", "statusText": "on the phone"}));
    let presence = backend.get("/v1/users/ana/presence");
    assert_eq!((&presence["status"], &presence["devices"]), (&"busy".into(), &1.into()), "{presence}");
    assert_eq!(backend.get("/v1/users/nobody/presence")["status"], "offline");
    let several = backend.call("POST", "/v1/presence", &json!({"userIds": ["ana", "nobody"]}));
    assert_eq!(column(&several, "users", "status"), ["busy", "offline"], "{several}");
    for body in [r#"{"userIds":[]}"#, r#"{"userIds":[1]}"#, "{}"] {
        backend.fail("POST", "/v1/presence", body, 400, "INVALID_PAYLOAD");
    }
}
