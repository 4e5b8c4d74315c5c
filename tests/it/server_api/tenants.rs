//! `--tenancy account`: the API names the account, and a token of one is bound to it.

use serde_json::json;

use super::{Backend, Gateway};
use crate::support::reply::column;
use crate::support::{Server, Token};

#[test]
fn every_request_is_within_one_account() {
    let gateway = Gateway::on(Server::builder().shards(2).with(&["--tenancy", "account"]));
    let (server, mut backend) = (&gateway.server, gateway.backend());
    let open = |account: &str| server.open(&Token::employee("ana").account(account));
    let (mut acme, mut other) = (open("acme"), open("other"));
    acme.join("lobby");
    other.join("lobby");
    backend.fail("POST", "/v1/rooms/lobby/messages", r#"{"content":1}"#, 400, "INVALID_PAYLOAD");
    let path = "/v1/rooms/lobby/messages?accountId=acme";
    backend.call("POST", path, &json!({"content": "for acme", "senderId": "shop"}));
    let got = acme.expect_message("lobby");
    assert_eq!((&got.data()["content"], &got.data()["senderId"]), (&"for acme".into(), &"shop".into()));
    assert!(!got.raw.contains("acme shop"), "{}", got.raw);
    other.assert_no("message:received", "acme's message");
    let listed = backend.get("/v1/connections?accountId=acme");
    assert_eq!(column(&listed, "connections", "userId"), ["ana"], "{listed}");
    assert_eq!(backend.call("PUT", "/v1/rooms/den/members/ana?accountId=acme", &json!({}))["connections"], 1);
    acme.expect_event("room:joined");
    let members = backend.get("/v1/rooms/lobby/members?accountId=other");
    assert_eq!(column(&members, "users", "userId"), ["ana"], "{members}");
    backend.call("PUT", "/v1/users/ana/block?accountId=acme", &json!({}));
    assert_eq!(acme.expect_close().0, 4401);
    other.ping();
    assert!(server.connect().token(&Token::employee("ana").account("acme")).try_open().is_err());
    open("other").ping();
}

#[test]
fn a_token_of_an_account_is_bound_to_it() {
    let gateway = Gateway::on(Server::builder().with(&["--tenancy", "account"]));
    let token = Token::employee("shop").account("acme").permissions(&["server"]);
    let mut backend = Backend::new(&gateway.server, &format!("Authorization: Bearer {}", token.mint()));
    let mut ana = gateway.server.open(&Token::employee("ana").account("acme"));
    ana.join("lobby");
    backend.call("POST", "/v1/rooms/lobby/messages", &json!({"content": 1}));
    ana.expect_message("lobby");
    backend.call("POST", "/v1/rooms/lobby/messages?accountId=acme", &json!({"content": 2}));
    for path in ["/v1/rooms/lobby?accountId=other", "/v1/stats", "/v1/node", "/v1/cluster"] {
        backend.fail("GET", path, "", 403, "PERMISSION_DENIED");
    }
    let id =
        gateway.backend().get("/v1/connections?accountId=acme")["connections"][0]["connectionId"].clone();
    let path = format!("/v1/connections/{}/disconnect?accountId=other", id.as_str().expect("text"));
    gateway.backend().fail("POST", &path, "", 404, "CHANNEL_ERROR");
    ana.ping();
}
