//! Sessions after a restart: a client comes back to its rooms, in each dialect that has sessions.

use serde_json::json;

use super::{ENDS, End, Home};
use crate::support::engine::Endpoint;
use crate::support::reply::{column, entry};
use crate::support::socketio::PATH;
use crate::support::{SocketIo, Token};

#[test]
fn a_session_is_taken_up_by_command_and_as_the_client_comes() {
    for (end, by_query) in [(End::Killed, false), (End::Killed, true), (End::Stopped, false)] {
        let home = Home::new(&[]);
        let server = home.start(2);
        let mut ana = server.member("ana", "lobby");
        let session = ana.call("connection:create-session", json!({}))["token"].clone();
        ana.join("desk");
        let mut ben = server.member("ben", "lobby");
        ben.join("desk");
        ben.say("desk", 1);
        ana.expect_message("desk");
        ana.ping();
        let server = home.restart(server, end, 3);
        let mut ben = server.member("ben", "lobby");
        ben.say("lobby", "missed");
        let (mut ana, recovered) = if by_query {
            let token = session.as_str().expect("a token");
            let connect = server.connect().token(&Token::employee("ana"));
            let mut ana = connect.subprotocols("roomcast.event.v1").query("session", token).open();
            let recovered = ana.expect_event("connection:recovered").data().clone();
            (ana, recovered)
        } else {
            let mut ana = server.employee("ana");
            let recovered = ana.call("connection:recover", json!({"token": session}));
            (ana, recovered)
        };
        for room in ["lobby", "desk"] {
            assert_eq!(entry(&recovered, "rooms", "roomId", room)["recovered"], true, "{end:?}: {recovered}");
        }
        let lobby = entry(&recovered, "rooms", "roomId", "lobby");
        assert_eq!(column(lobby, "messages", "content"), ["missed"], "{end:?}");
        ben.say("lobby", "live");
        assert_eq!(ana.expect_message("lobby").data()["content"], "live", "{end:?}");
    }
}

#[test]
fn a_socket_io_client_recovers_by_its_pid_and_place() {
    for (end, polling) in [(End::Killed, false), (End::Killed, true), (End::Stopped, false)] {
        let home = Home::new(&[]);
        let server = home.start(2);
        let endpoint = Endpoint::new(server.address, PATH);
        let auth = json!({"token": Token::employee("ana").mint()});
        let mut ana = SocketIo::open(&endpoint, polling);
        let pid = ana.connect(&auth)["pid"].clone();
        ana.call("room:join", json!({"roomId": "lobby"}));
        let mut ben = server.member("ben", "lobby");
        for n in 1..=2 {
            ben.say("lobby", n);
        }
        let seen = ana.expect("the second", |message| {
            message.is_event("message:received") && message.data[1]["content"] == 2
        });
        let place = seen.position().to_owned();
        ben.say("lobby", 3);
        let server = home.restart(server, end, 3);
        let mut ben = server.member("ben", "lobby");
        ben.say("lobby", 4);
        let endpoint = Endpoint::new(server.address, PATH);
        let mut ana = SocketIo::open(&endpoint, polling);
        let connected = ana.connect(&json!({"token": auth["token"], "pid": pid, "offset": place}));
        assert_eq!(connected["pid"], pid, "{end:?}: it was not recovered");
        let missed = ana.arrived("message:received");
        let missed: Vec<_> = missed.iter().map(|message| message.data[1]["content"].clone()).collect();
        assert_eq!(missed, [3, 4], "{end:?}");
    }
}

#[test]
fn a_session_that_its_client_has_closed_is_not_taken_up() {
    for end in ENDS {
        let home = Home::new(&["--session-ttl", "1h"]);
        let server = home.start(2);
        let endpoint = Endpoint::new(server.address, PATH);
        let auth = json!({"token": Token::employee("ana").mint()});
        let mut ana = SocketIo::open(&endpoint, false);
        let pid = ana.connect(&auth)["pid"].clone();
        ana.send("41");
        // Whatever comes later is on disk later.
        server.member("ben", "lobby").say("lobby", 1);
        let server = home.restart(server, end, 2);
        let endpoint = Endpoint::new(server.address, PATH);
        let mut ana = SocketIo::open(&endpoint, false);
        let connected = ana.connect(&json!({"token": auth["token"], "pid": pid, "offset": "0"}));
        assert_ne!(connected["pid"], pid, "{end:?}");
    }
}
