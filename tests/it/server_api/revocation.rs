//! Users who are blocked and tokens that are revoked: what is open is closed, what comes is refused.

use serde_json::json;

use super::Gateway;
use crate::support::{Server, SocketIo, Token};

#[test]
fn a_blocked_user_is_closed_in_all_dialects_and_let_in_again_later() {
    for shards in [1, 4] {
        let gateway = Gateway::on(Server::builder().shards(shards));
        let (server, mut backend) = (&gateway.server, gateway.backend());
        let mut native = server.employee("ana");
        let mut topic = server.connect().token(&Token::employee("ana")).topic().open();
        let mut socketio = SocketIo::employee(server, "ana");
        let mut other = server.employee("ben");
        let blocked = backend.call("PUT", "/v1/users/ana/block", &json!({}));
        assert_eq!(blocked["connections"], 3, "{blocked}");
        assert_eq!(native.expect_close(), (4401, "revoked".to_owned()));
        assert_eq!(topic.expect_close().0, 4401);
        socketio.expect_end();
        assert_eq!(server.connect().token(&Token::employee("ana")).refused().status, 401);
        let mut late = server.connect().open();
        let refused = late.request("auth", &json!({"token": Token::employee("ana").mint()}));
        refused.assert_error("AUTH_FAILED");
        other.ping();
        backend.call("DELETE", "/v1/users/ana/block", &json!({}));
        server.employee("ana").ping();
    }
}

#[test]
fn a_block_ends_at_its_time() {
    let gateway = Gateway::start();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    gateway.backend().call("PUT", "/v1/users/ana/block", &json!({"until": until.to_string()}));
    let connect = gateway.server.connect().token(&Token::employee("ana"));
    assert!(connect.try_open().is_err());
    crate::support::eventually("the block is over", || connect.try_open().ok());
    assert!(jiff::Timestamp::now() >= until);
}

#[test]
fn a_revoked_token_is_refused_and_others_of_its_user_are_not() {
    let gateway = Gateway::start();
    let (server, mut backend) = (&gateway.server, gateway.backend());
    let token = |id: &str| Token::employee("ana").claim("jti", id.into());
    let mut stolen = server.open(&token("stolen"));
    let mut own = server.open(&token("own"));
    assert_eq!(backend.call("PUT", "/v1/tokens/stolen/revocation", &json!({}))["connections"], 1);
    assert_eq!(stolen.expect_close().0, 4401);
    own.ping();
    assert_eq!(server.connect().token(&token("stolen")).refused().status, 401);
    let refreshed = own.request("auth:refresh", &json!({"token": token("stolen").mint()}));
    refreshed.assert_error("AUTH_FAILED");
    own.ping();
    backend.call("DELETE", "/v1/tokens/stolen/revocation", &json!({}));
    server.open(&token("stolen")).ping();
    let past = r#"{"until":"2020-01-01T00:00:00Z"}"#;
    backend.fail("PUT", "/v1/tokens/stolen/revocation", past, 400, "INVALID_PAYLOAD");
    assert!(server.metric("roomcast_auth_failures_total") >= 1.0);
}
