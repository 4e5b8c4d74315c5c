//! Who is refused stays refused, by the shards and by the server API.

use serde_json::json;

use super::{ENDS, Home};
use crate::server_api::Backend;
use crate::support::Token;

#[test]
fn who_is_refused_stays_refused_after_a_restart() {
    for end in ENDS {
        let home = Home::new(&[]);
        let server = home.start(2);
        let shop = Token::guest("shop").permissions(&["server"]).claim("jti", "old".into());
        let credentials = |token: &Token| format!("Authorization: Bearer {}", token.mint());
        let mut backend = Backend::new(&server, &credentials(&shop));
        for user in ["ana", "ben"] {
            backend.call("PUT", &format!("/v1/users/{user}/block"), &json!({}));
        }
        backend.call("DELETE", "/v1/users/ben/block", &json!({}));
        backend.call("PUT", "/v1/tokens/old/revocation", &json!({}));
        let server = home.restart(server, end, 3);
        Backend::new(&server, &credentials(&shop)).fail("GET", "/v1/node", "", 401, "AUTH_FAILED");
        assert_eq!(server.connect().token(&Token::employee("ana")).refused().status, 401, "{end:?}");
        server.employee("ben").ping();
        // It can be ended by the process after the one that began it, for good.
        let fresh = shop.claim("jti", "new".into());
        let mut backend = Backend::new(&server, &credentials(&fresh));
        backend.call("DELETE", "/v1/users/ana/block", &json!({}));
        backend.call("DELETE", "/v1/tokens/old/revocation", &json!({}));
        let server = home.restart(server, end, 1);
        server.employee("ana").ping();
        Backend::new(&server, &credentials(&fresh.claim("jti", "old".into()))).get("/v1/node");
    }
}
