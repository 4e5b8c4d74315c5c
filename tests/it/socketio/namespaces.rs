//! Namespaces: rooms, users and presence of one are not those of another, over the same transport.

use serde_json::json;

use super::{auth, gateway, pid};
use crate::support::engine::Endpoint;
use crate::support::reply::sorted_column;
use crate::support::{Server, SocketIo, Token};

const NAMESPACES: [&str; 2] = ["--socketio-namespaces", "/admin,/chat"];

/// A gateway with `/admin` and `/chat`.
fn stage(shards: usize) -> (Server, Endpoint) {
    gateway(shards, &NAMESPACES)
}

/// An employee of that name in a room of each of these namespaces.
fn everywhere(endpoint: &Endpoint, name: &str, namespaces: &[&str]) -> SocketIo {
    let mut client = SocketIo::open(endpoint, false);
    for namespace in namespaces {
        client.within(namespace).connect(&auth(name));
        client.call("room:join", json!({"roomId": "lobby"}));
    }
    client
}

#[test]
fn only_namespaces_that_were_named_exist() {
    let (_server, endpoint) = stage(2);
    let mut ana = SocketIo::open(&endpoint, false);
    for namespace in ["/nope", "/admin/", "/Admin", "/adm"] {
        ana.send(&format!("40{namespace},{}", auth("ana")));
        assert_eq!(ana.next().raw, format!("44{namespace},{{\"message\":\"Invalid namespace\"}}"));
    }
    let first = ana.within("/admin").connect(&auth("ana"));
    let second = ana.within("/").connect(&auth("ana"));
    assert_ne!(first["sid"], second["sid"]);
    assert_ne!(pid(&first), pid(&second));
}

#[test]
fn a_room_of_one_namespace_is_not_that_of_another() {
    for shards in [1, 4] {
        let (server, endpoint) = stage(shards);
        let all = ["/", "/admin", "/chat"];
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| everywhere(&endpoint, name, &all));
        for (n, namespace) in all.iter().enumerate() {
            for count in 1..=n + 1 {
                let sent = ana.within(namespace).say("lobby", format!("{count} in {namespace}"));
                assert_eq!(sent["offset"], count, "each room has an order of its own");
            }
        }
        for (n, namespace) in all.iter().enumerate() {
            for count in 1..=n + 1 {
                let received = ben.within(namespace).event("message:received");
                assert_eq!(received.data[1]["content"], format!("{count} in {namespace}"));
                assert_eq!(received.data[1]["roomId"], "lobby", "names do not show their namespace");
            }
            ben.assert_no("message:received");
        }
        let mut native = server.member("cid", "lobby");
        ana.within("/admin").say("lobby", "not for cid");
        ana.within("/").say("lobby", "for cid");
        assert_eq!(native.expect_message("lobby").data()["content"], "for cid");
    }
}

#[test]
fn presence_of_one_namespace_is_not_that_of_another() {
    let (_server, endpoint) = stage(3);
    let mut ana = everywhere(&endpoint, "ana", &["/", "/admin"]);
    let _ben = everywhere(&endpoint, "ben", &["/admin"]);
    let _cid = everywhere(&endpoint, "cid", &["/"]);
    for (namespace, users) in [("/", ["ana", "cid"]), ("/admin", ["ana", "ben"])] {
        let online = ana.within(namespace).call("room:online", json!({"roomId": "lobby"}));
        assert_eq!(sorted_column(&online, "users", "userId"), users, "{namespace}");
        let online = ana.call("presence:online-users", json!({}));
        assert_eq!(sorted_column(&online, "users", "userId"), users, "{namespace}");
    }
}

#[test]
fn each_namespace_has_an_identity_of_its_own() {
    let (_server, endpoint) = stage(2);
    let mut client = SocketIo::open(&endpoint, false);
    client.connect(&json!({"token": Token::guest("gil").mint()}));
    let refusal = client.within("/admin").try_connect(&json!({"token": "nonsense"})).expect_err("bad");
    assert_eq!(refusal["data"]["code"], "AUTH_FAILED", "{refusal}");
    client.connect(&json!({"token": Token::supervisor("sue").mint()}));
    for (namespace, user, role) in [("/", "gil", "guest"), ("/admin", "sue", "supervisor")] {
        let info = client.within(namespace).call("connection:session-info", json!({}));
        assert_eq!((&info["userId"], &info["userType"]), (&json!(user), &json!(role)), "{info}");
    }
    client.within("/").fail("room:join", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
    client.within("/admin").call("room:join", json!({"roomId": "lobby"}));
}

#[test]
fn a_disconnect_of_one_namespace_leaves_the_others() {
    for polling in [false, true] {
        let (_server, endpoint) = gateway(2, &[&NAMESPACES[..], &["--presence-grace", "10ms"]].concat());
        let mut ben = everywhere(&endpoint, "ben", &["/", "/admin"]);
        let mut ana = SocketIo::open(&endpoint, polling);
        for namespace in ["/", "/admin"] {
            ana.within(namespace).connect(&auth("ana"));
            ana.call("room:join", json!({"roomId": "lobby"}));
        }
        ana.send("41/admin,");
        let left = ben.within("/admin").event("room:member-left");
        assert_eq!(left.data[1]["userId"], "ana", "{}", left.raw);
        ben.within("/").assert_no("room:member-left");
        ana.within("/").say("lobby", "still here");
        ben.within("/admin").say("lobby", "not for ana");
        ana.within("/admin").assert_no("message:received");
        ana.connect(&auth("ana"));
        ana.call("room:join", json!({"roomId": "lobby"}));
        ana.send("41");
        ana.say("lobby", "the other way round");
    }
}

#[test]
fn a_bad_packet_in_one_namespace_closes_all_of_them_without_a_disconnect() {
    let (_server, endpoint) = stage(2);
    let mut ana = everywhere(&endpoint, "ana", &["/", "/admin", "/chat"]);
    ana.try_send("42/admin,{}");
    let last = ana.expect_end();
    assert!(last.iter().all(|message| message.kind != '1'), "{last:?}");
}
