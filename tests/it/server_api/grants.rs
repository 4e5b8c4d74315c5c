//! Rooms into which a backend puts a user who has no right of its own there: it stays, and comes back with its session,
//! until one of both takes it out.

use serde_json::{Value, json};

use super::{Backend, Gateway};
use crate::support::engine::Endpoint;
use crate::support::reply::{column, entry};
use crate::support::socketio::PATH;
use crate::support::{Client, Server, SocketIo, TemporaryDirectory, Token};

/// One that guests may not enter, and one that is private.
pub(crate) const ROOMS: [&str; 2] = ["staff", "vault"];

pub(crate) fn found_vault(backend: &mut Backend) {
    let vault = json!({"roomId": "vault", "visibility": "private", "members": ["ben"]});
    backend.call("POST", "/v1/rooms", &vault);
}

/// Puts ana into both rooms.
pub(crate) fn grant(backend: &mut Backend) {
    for room in ROOMS {
        let put = backend.call("PUT", &format!("/v1/rooms/{room}/members/ana"), &json!({}));
        assert!(put["connections"].as_u64() >= Some(1), "{put}");
    }
}

pub(crate) fn say(backend: &mut Backend, content: &str) {
    for room in ROOMS {
        backend.call("POST", &format!("/v1/rooms/{room}/messages"), &json!({"content": content}));
    }
}

/// A guest who is in both rooms by a backend's leave alone.
pub(crate) fn granted(server: &Server, backend: &mut Backend) -> Client {
    let mut ana = server.open(&Token::guest("ana"));
    ana.ping();
    for room in ROOMS {
        ana.fail("room:join", json!({"roomId": room}), "ROOM_ACCESS_DENIED");
    }
    grant(backend);
    for room in ROOMS {
        let joined = ana.expect_event("room:joined");
        assert_eq!(joined.data()["roomId"], room, "{}", joined.raw);
    }
    ana
}

fn hears(ana: &mut Client, content: &str) {
    for room in ROOMS {
        assert_eq!(ana.expect_message(room).data()["content"], content);
    }
}

fn session(client: &mut Client) -> String {
    let session = client.call("connection:create-session", json!({}));
    session["token"].as_str().unwrap_or_else(|| panic!("no token in {session}")).to_owned()
}

pub(crate) fn recover(server: &Server, session: &str) -> (Client, Value) {
    let mut ana = server.open(&Token::guest("ana"));
    let recovered = ana.call("connection:recover", json!({"token": session}));
    (ana, recovered)
}

#[test]
fn it_outlives_a_refreshed_token() {
    for shards in [1, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let mut backend = gateway.backend();
        found_vault(&mut backend);
        let mut ana = granted(&gateway.server, &mut backend);
        for _ in 0..2 {
            ana.call("auth:refresh", json!({"token": Token::guest("ana").mint()}));
            // Of a private room its owner is asked, which answers before it answers this.
            for room in ROOMS {
                ana.call("room:join", json!({"roomId": room}));
            }
            ana.assert_no("room:left", "it is still in both");
            say(&mut backend, "after");
            hears(&mut ana, "after");
        }
    }
}

#[test]
fn it_comes_back_with_the_session() {
    for (shards, by_query) in [(1, false), (1, true), (4, false), (4, true)] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        found_vault(&mut backend);
        let mut ana = granted(server, &mut backend);
        let token = session(&mut ana);
        let mut eve = server.employee("eve");
        // Twice, as it is handed on.
        for round in ["first", "second"] {
            ana.cut(&mut eve);
            say(&mut backend, round);
            let recovered;
            (ana, recovered) = if by_query {
                let connect = server.connect().token(&Token::guest("ana"));
                let mut ana = connect.subprotocols("roomcast.event.v1").query("session", &token).open();
                let recovered = ana.expect_event("connection:recovered").data().clone();
                (ana, recovered)
            } else {
                recover(server, &token)
            };
            for room in ROOMS {
                let room = entry(&recovered, "rooms", "roomId", room);
                assert_eq!(room["recovered"], true, "{recovered}");
                // What it perhaps had not got is given again.
                let missed = column(room, "messages", "content");
                assert_eq!(missed.last(), Some(&round.into()), "{recovered}");
            }
            ana.call("auth:refresh", json!({"token": Token::guest("ana").mint()}));
            say(&mut backend, "live");
            hears(&mut ana, "live");
        }
    }
}

#[test]
fn whoever_takes_the_user_out_ends_it() {
    let gateway = Gateway::start();
    let (server, mut backend) = (&gateway.server, gateway.backend());
    found_vault(&mut backend);
    let mut eve = server.employee("eve");
    let mut ana = granted(server, &mut backend);
    let token = session(&mut ana);
    ana.call("room:leave", json!({"roomId": "staff"}));
    ana.fail("room:join", json!({"roomId": "staff"}), "ROOM_ACCESS_DENIED");
    backend.call("DELETE", "/v1/rooms/vault/members/ana", &json!({}));
    ana.expect_event("room:left");
    ana.fail("room:join", json!({"roomId": "vault"}), "ROOM_ACCESS_DENIED");
    grant(&mut backend);
    ana.ping();
    ana.cut(&mut eve);
    backend.call("DELETE", "/v1/rooms/vault/members/ana", &json!({}));
    let (mut ana, recovered) = recover(server, &token);
    assert_eq!(entry(&recovered, "rooms", "roomId", "staff")["recovered"], true, "{recovered}");
    let vault = entry(&recovered, "rooms", "roomId", "vault");
    assert_eq!(
        (&vault["recovered"], &vault["reason"]),
        (&false.into(), &"ROOM_ACCESS_DENIED".into()),
        "{vault}"
    );
    ana.fail("room:join", json!({"roomId": "vault"}), "ROOM_ACCESS_DENIED");
}

#[test]
fn a_socketio_client_comes_back_into_it() {
    for polling in [false, true] {
        let gateway = Gateway::start();
        let (server, mut backend) = (&gateway.server, gateway.backend());
        found_vault(&mut backend);
        let endpoint = Endpoint::new(server.address, PATH);
        let mut ana = SocketIo::open(&endpoint, polling);
        let mut auth = json!({"token": Token::guest("ana").mint()});
        auth["pid"] = ana.connect(&auth)["pid"].clone();
        ana.fail("room:join", json!({"roomId": "vault"}), "ROOM_ACCESS_DENIED");
        grant(&mut backend);
        say(&mut backend, "before");
        for _ in ROOMS {
            auth["offset"] = ana.event("message:received").position().into();
        }
        ana.call("auth:refresh", auth.clone());
        ana.cut(server);
        say(&mut backend, "missed");
        let mut ana = SocketIo::open(&endpoint, polling);
        assert_eq!(ana.connect(&auth)["pid"], auth["pid"], "it was not recovered");
        say(&mut backend, "live");
        let heard = [(); 4].map(|()| ana.event("message:received").data[1]["content"].clone());
        assert_eq!(heard, ["missed", "missed", "live", "live"]);
    }
}

#[test]
fn it_outlives_the_process() {
    let directory = TemporaryDirectory::new();
    let store = ["--store", directory.path().to_str().expect("UTF-8")];
    for is_killed in [false, true] {
        let mut gateway = Gateway::on(Server::builder().shards(2).with(&store));
        let mut backend = gateway.backend();
        if !is_killed {
            found_vault(&mut backend);
        }
        let mut ana = granted(&gateway.server, &mut backend);
        // What a session has is written when it is opened.
        let token = session(&mut ana);
        if is_killed {
            gateway.server.kill();
        } else {
            gateway.server.terminate();
            ana.expect_close();
            gateway.server.wait_for_exit();
        }
        let again = Gateway::on(Server::builder().shards(3).with(&store));
        let (_ana, recovered) = recover(&again.server, &token);
        for room in ROOMS {
            assert_eq!(
                entry(&recovered, "rooms", "roomId", room)["recovered"],
                true,
                "{is_killed}: {recovered}"
            );
        }
        // The next round begins with a user who has nothing.
        for room in ROOMS {
            again.backend().call("DELETE", &format!("/v1/rooms/{room}/members/ana"), &json!({}));
        }
    }
}
