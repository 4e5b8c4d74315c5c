//! Every way in of protocol §3, and how each of them fails.

use serde_json::{Value, json};

use crate::support::{Client, Server, Token};

/// Fails unless `client` is authenticated as `user`.
fn assert_is(client: &mut Client, user: &str) {
    client.join(&format!("user:{user}"));
}

fn auth(client: &mut Client, token: &str) -> Value {
    client.call("auth", json!({"token": token}))
}

#[test]
fn a_token_in_the_header_the_query_or_a_first_message_lets_in() {
    let server = Server::start();
    let token = Token::employee("ana").mint();
    assert_is(&mut server.connect().bearer(&token).open(), "ana");
    assert_is(&mut server.connect().query("token", &token).open(), "ana");
    let mut client = server.connect().open();
    let ok = client.request("auth", &json!({"token": token}));
    assert_eq!(ok.name, "auth:ok");
    assert_eq!(ok.data()["userId"], "ana");
    assert_eq!(ok.data()["userType"], "employee");
    assert!(ok.data()["permissions"].is_array());
    assert!(ok.data()["sessionId"].is_string());
    assert!(!ok.data()["expiresAt"].is_null());
    assert_is(&mut client, "ana");
}

#[test]
fn of_several_tokens_header_precedes_subprotocol_precedes_query_precedes_message() {
    let server = Server::start();
    let token = |user: &str| Token::employee(user).mint();
    let subprotocol = format!("roomcast.bearer.{}", token("ben"));
    let all = server.connect().bearer(&token("ana")).subprotocols(&subprotocol).query("token", &token("cid"));
    assert_is(&mut all.open(), "ana");
    let two = server.connect().subprotocols(&subprotocol).query("token", &token("cid"));
    assert_is(&mut two.open(), "ben");
    let mut query = server.connect().query("token", &token("cid")).open();
    query.fail("auth", json!({"token": token("dan")}), "CLIENT_ERROR");
    assert_is(&mut query, "cid");
}

#[test]
fn an_unusable_token_in_the_header_is_401() {
    let server =
        Server::builder().with(&["--jwt-issuer", "https://id.example", "--jwt-audience", "rooms"]).start();
    let good = Token::employee("ana").claim("iss", json!("https://id.example")).claim("aud", json!("rooms"));
    assert_is(&mut server.connect().token(&good).open(), "ana");
    let with = |name: &str, value: Value| good.clone().claim(name, value).mint();
    let bad = [
        ("no JWT", "nonsense".to_owned()),
        ("another secret", good.mint_with("another-secret-of-at-least-32-bytes-")),
        ("expired", good.clone().expires_in(-1).mint()),
        ("without exp", with("exp", Value::Null)),
        ("not yet valid", with("nbf", json!(4_000_000_000_u32))),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("another audience", with("aud", json!("mail"))),
        ("without sub", with("sub", Value::Null)),
        ("an empty sub", with("sub", json!(""))),
        ("a sub with a space", with("sub", json!("a b"))),
        ("a sub with a star", with("sub", json!("*"))),
        ("a sub too long", with("sub", json!("a".repeat(121)))),
    ];
    for (why, token) in bad {
        let response = server.connect().bearer(&token).refused();
        assert_eq!(response.status, 401, "{why}");
    }
    let long = "a".repeat(120);
    let longest = good.claim("sub", json!(long));
    assert_is(&mut server.connect().token(&longest).open(), &long);
    assert_eq!(server.connect().header("Authorization", "Basic YTpi").refused().status, 401);
}

#[test]
fn an_unusable_token_in_query_or_subprotocol_upgrades_then_errs_and_closes() {
    let server = Server::start();
    let bad = Token::employee("ana").mint_with("another-secret-of-at-least-32-bytes-");
    let query = server.connect().query("token", &bad);
    let subprotocol = server.connect().subprotocols(&format!("roomcast.event.v1, roomcast.bearer.{bad}"));
    for connect in [query, subprotocol] {
        let mut client = connect.open();
        client.expect_event("error").assert_error("AUTH_FAILED");
        assert_eq!(client.expect_close().0, 4401);
    }
}

#[test]
fn the_token_does_not_choose_its_algorithm() {
    let server = Server::start();
    let signed = Token::employee("ana").mint();
    let claims = signed.split('.').nth(1).expect("three parts");
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    assert_eq!(server.connect().bearer(&none).refused().status, 401);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512);
    let key = jsonwebtoken::EncodingKey::from_secret(crate::support::SECRET.as_bytes());
    let claims = json!({"sub": "ana", "exp": 4_000_000_000_u32});
    let hs512 = jsonwebtoken::encode(&header, &claims, &key).expect("HS512 signs");
    assert_eq!(server.connect().bearer(&hs512).refused().status, 401, "HS256 is configured");
    let server = Server::builder().with(&["--jwt-algorithm", "HS512"]).start();
    assert_is(&mut server.connect().bearer(&hs512).open(), "ana");
    assert_eq!(server.connect().bearer(&signed).refused().status, 401, "HS512 is configured");
}

#[test]
fn whoever_does_not_authenticate_in_time_is_closed_with_4408() {
    let server = Server::builder().with(&["--auth-timeout", "500ms"]).start();
    let mut client = server.connect().open();
    client.ping();
    assert_eq!(client.expect_close().0, 4408);
    let mut topic = server.connect().topic().open();
    assert_eq!(topic.expect_close().0, 4408);
}

#[test]
fn a_pending_connection_may_only_authenticate_and_ping() {
    let server = Server::start();
    let mut client = server.connect().open();
    client.ping();
    client.fail("room:join", json!({"roomId": "lobby"}), "AUTH_FAILED");
    client.fail("message:send", json!({"roomId": "lobby", "content": 1}), "AUTH_FAILED");
    client.fail("room:list", json!({}), "AUTH_FAILED");
    client.ping();
    auth(&mut client, &Token::employee("ana").mint());
    client.join("lobby");
}

#[test]
fn a_pending_connection_may_not_send_much() {
    let server = Server::start();
    let mut client = server.connect().open();
    let fill = "a".repeat(17 * 1024);
    client.send_text(format!(r#"{{"event":"ping","requestId":"big","data":{{"fill":"{fill}"}}}}"#));
    let code = client.expect_close_or_error("AUTH_FAILED");
    assert!(code.is_none_or(|code| code == 1009), "closed with {code:?}");
}

#[test]
fn the_third_bad_first_message_closes_a_native_client_with_4401() {
    let server = Server::start();
    for profile in ["native", "t3"] {
        let mut client = server.connect().query("profile", profile).open();
        for _ in 0..3 {
            client.fail("auth", json!({"token": "nonsense"}), "AUTH_FAILED");
        }
        assert_eq!(client.expect_close().0, 4401, "{profile}");
    }
    let mut second_chance = server.connect().open();
    second_chance.fail("auth", json!({"token": "nonsense"}), "AUTH_FAILED");
    auth(&mut second_chance, &Token::employee("ana").mint());
    assert_is(&mut second_chance, "ana");
}

#[test]
fn the_first_bad_first_message_closes_clients_of_the_older_profiles() {
    let server = Server::start();
    for profile in ["chat", "channel", "support"] {
        let mut client = server.connect().query("profile", profile).open();
        client.send(&json!({"event": "auth", "data": {"token": "nonsense"}}));
        assert_eq!(client.expect_close().0, 4401, "{profile}");
    }
}

#[test]
fn a_topic_client_has_three_tries() {
    let server = Server::start();
    let mut client = server.connect().topic().open();
    for _ in 0..3 {
        client.send(&json!({"type": "auth", "token": "nonsense"}));
        let error = client.expect_event("auth_error");
        assert_eq!(error.value["code"], 401);
        assert!(error.value["message"].is_string() && !error.value["timestamp"].is_null(), "{}", error.raw);
    }
    assert_eq!(client.expect_close().0, 4401);
}

#[test]
fn without_authentication_everybody_is_an_employee_of_its_own_name() {
    let server = Server::builder().auth_off().start();
    server.wait_for_log(|line| (line.contains("\"warn\"") && line.contains("--auth")).then_some(()));
    let (mut one, mut two) = (server.connect().open(), server.connect().open());
    one.join("lobby");
    assert_eq!(two.join("lobby")["members"], 2);
    let sent = one.say("lobby", "hello");
    let message = two.expect_message("lobby");
    assert_eq!(message.data()["id"], sent["id"]);
    assert!(message.data()["senderId"].as_str().is_some_and(|id| id.starts_with("anon-")), "{}", message.raw);
}

#[test]
fn an_account_may_be_a_number() {
    let server = Server::start();
    let token = Token::employee("ana").claim("accountId", json!(42));
    server.connect().token(&token).open().join("account:42");
}
