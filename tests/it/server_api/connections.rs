//! Connections: listed, and closed.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Backend, Gateway};
use crate::support::{Server, SocketIo, Token};

fn all(backend: &mut Backend, filter: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = backend.get(&format!("/v1/connections?limit=3{filter}{cursor}"));
        let connections = page["connections"].as_array().expect("a list");
        assert!(connections.len() <= 3);
        found.extend(connections.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn connections_are_listed_in_pages_and_by_filters() {
    for shards in [1, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        let mut clients: Vec<_> = (0..8).map(|n| server.member(&format!("user-{n}"), "lobby")).collect();
        clients.push(server.connect().token(&Token::guest("ana").account("7")).topic().open());
        clients.push(server.connect().token(&Token::employee("ana")).query("profile", "chat").open());
        let _socketio = SocketIo::employee(server, "eve");
        let listed = all(&mut backend, "");
        let ids: HashSet<_> = listed.iter().map(|it| it["connectionId"].to_string()).collect();
        assert_eq!((listed.len(), ids.len()), (11, 11), "{listed:#?}");
        for (filter, count) in [
            ("&userId=ana", 2),
            ("&accountId=7", 1),
            ("&roomId=lobby", 8),
            ("&roomId=nowhere", 0),
            ("&dialect=socketio", 1),
            ("&dialect=topic", 1),
            ("&profile=chat", 1),
            ("&ip=127.0.0.1", 11),
            ("&ip=10.0.0.1", 0),
            ("&userId=ana&dialect=topic", 1),
        ] {
            assert_eq!(all(&mut backend, filter).len(), count, "{filter}");
        }
        let ana = &all(&mut backend, "&accountId=7")[0];
        assert_eq!((&ana["userId"], &ana["userType"]), (&"ana".into(), &"guest".into()), "{ana}");
        for query in ["dialect=x", "ip=x", "cursor=x", "limit=0", "userId=a%20b"] {
            backend.fail("GET", &format!("/v1/connections?{query}"), "", 400, "INVALID_PAYLOAD");
        }
    }
}

#[test]
fn a_user_and_a_single_connection_are_closed_with_code_and_reason() {
    for shards in [1, 2] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        let mut ana = server.employee("ana");
        let mut phone = server.employee("ana");
        let mut socketio = SocketIo::employee(server, "ana");
        let body = json!({"code": 4401, "reason": "bye"});
        let closed = backend.call("POST", "/v1/users/ana/disconnect", &body);
        assert_eq!(closed, json!({"connections": 3}));
        for client in [&mut ana, &mut phone] {
            assert_eq!(client.expect_close(), (4401, "bye".to_owned()));
        }
        socketio.expect_end();
        let mut one = server.employee("ben");
        let mut two = server.employee("ben");
        let session = one.call("connection:session-info", json!({}))["sessionId"].clone();
        let listed = all(&mut backend, "&userId=ben");
        let id = listed.iter().find(|it| it["sessionId"] == session).expect("it is listed")["connectionId"]
            .clone();
        let path = format!("/v1/connections/{}/disconnect", id.as_str().expect("text"));
        assert_eq!(backend.call("POST", &path, &json!({})), json!({"connections": 1}));
        assert_eq!(one.expect_close(), (1008, "disconnected by the application".to_owned()));
        two.ping();
        backend.fail("POST", &path, "", 404, "CHANNEL_ERROR");
        for id in ["9-0-1", "x", "0-0", "0-99-1"] {
            backend.fail("POST", &format!("/v1/connections/{id}/disconnect"), "", 404, "CHANNEL_ERROR");
        }
        backend.fail("POST", "/v1/users/ben/disconnect", r#"{"code":1006}"#, 400, "INVALID_PAYLOAD");
        two.ping();
    }
}
