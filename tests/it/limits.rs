//! Rates of users and connections, admission of addresses, sustained abuse (protocol §8).

use serde_json::{Value, json};

use crate::support::{Client, Server, Token, eventually};

fn server(settings: &[&str]) -> Server {
    Server::builder().shards(2).with(settings).start()
}

fn join(server: &Server, token: &Token, room: &str) -> Client {
    let mut client = server.connect().token(token).open();
    client.join(room);
    client
}

fn say(client: &mut Client) -> Result<Value, Value> {
    let reply = client.request("message:send", &json!({"roomId": "lobby", "content": 1}));
    if reply.name == "error" {
        reply.assert_error("RATE_LIMITED");
        return Err(reply.data()["details"].clone());
    }
    Ok(reply.data().clone())
}

fn retry_after_ms(details: &Value) -> u64 {
    details["retryAfterMs"].as_u64().unwrap_or_else(|| panic!("no retryAfterMs in {details}"))
}

#[test]
fn messages_are_counted_for_the_user_over_all_its_connections() {
    for shards in [1, 2, 4] {
        let server = Server::builder().shards(shards).with(&["--limit-messages", "4/1h"]).start();
        let ana = Token::employee("ana");
        let mut connections: Vec<Client> = (0..4).map(|_| join(&server, &ana, "lobby")).collect();
        for client in &mut connections {
            say(client).expect("the burst is four");
        }
        for client in &mut connections {
            let details = say(client).expect_err("the bucket is empty");
            let wait = retry_after_ms(&details);
            assert!((1..=900_000).contains(&wait), "one token takes a quarter of an hour: {details}");
        }
        say(&mut join(&server, &Token::employee("ben"), "lobby")).expect("another user has its own bucket");
    }
}

#[test]
fn a_bucket_fills_again_when_it_said_so() {
    let server = server(&["--limit-messages", "2/1s"]);
    let mut ana = join(&server, &Token::employee("ana"), "lobby");
    let wait = loop {
        if let Err(details) = say(&mut ana) {
            break retry_after_ms(&details);
        }
    };
    assert!((1..=1000).contains(&wait), "{wait} ms");
    ana.stays_open_for(std::time::Duration::from_millis(wait + 20));
    say(&mut ana).expect("the wait was as long as told");
}

#[test]
fn each_message_of_a_batch_to_a_user_or_to_a_topic_counts() {
    let server = server(&["--limit-messages", "3/1h"]);
    let mut ana = join(&server, &Token::employee("ana"), "lobby");
    let message = json!({"roomId": "lobby", "content": 1});
    let reply = ana.request("message:send-batch", &json!({"messages": [message, message, message, message]}));
    assert!(reply.raw.contains("RATE_LIMITED"), "{}", reply.raw);

    let mut ben = join(&server, &Token::employee("ben"), "lobby");
    for _ in 0..3 {
        ben.call("user:send", json!({"userId": "ben", "content": 1}));
    }
    say(&mut ben).expect_err("three to a user were sent");

    let mut cid = server.connect().token(&Token::employee("cid")).topic().open();
    for _ in 0..4 {
        cid.send(&json!({"type": "message", "topic": "lobby", "data": 1}));
    }
    let error = cid.expect_event("error");
    assert_eq!(error.value["code"], 429);
    retry_after_ms(&error.value["details"]);
}

#[test]
fn a_repeated_client_id_does_not_publish_even_when_limited() {
    let server = server(&["--limit-messages", "2/1h"]);
    let mut ana = join(&server, &Token::employee("ana"), "lobby");
    let data = json!({"roomId": "lobby", "content": 1, "clientId": "c1"});
    let first = ana.call("message:send", data.clone());
    let again = ana.call("message:send", data);
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["duplicate"], true);
}

#[test]
fn a_guest_has_a_quarter_of_the_rates() {
    let server = server(&["--limit-messages", "8/1h"]);
    let mut gil = join(&server, &Token::guest("gil").rooms(&["lobby"]), "lobby");
    let mut ana = join(&server, &Token::employee("ana"), "lobby");
    let allowed = |client: &mut Client| (0..20).filter(|_| say(client).is_ok()).count();
    assert_eq!(allowed(&mut gil), 2);
    assert_eq!(allowed(&mut ana), 8);
}

#[test]
fn all_events_of_a_connection_are_counted() {
    let server = server(&["--limit-events", "5/1h"]);
    let ana = Token::employee("ana");
    for _ in 0..2 {
        let mut client = server.connect().token(&ana).open();
        let ids: Vec<String> = (0..8).map(|_| client.post("ping", &json!({}))).collect();
        let ok = ids.iter().filter(|id| client.reply(id).name == "pong").count();
        assert_eq!(ok, 5, "each connection has its own bucket");
        let id = client.post("room:list", &json!({}));
        let error = client.reply(&id);
        error.assert_error("RATE_LIMITED");
        retry_after_ms(&error.data()["details"]);
    }
}

#[test]
fn the_default_rates_hold_unless_switched_off() {
    let server = Server::builder().shards(1).default_limits().start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let ids: Vec<String> = (0..70).map(|_| ana.post("ping", &json!({}))).collect();
    let ok = ids.iter().filter(|id| ana.reply(id).name == "pong").count();
    assert!((50..70).contains(&ok), "50 events a second: {ok} of 70 passed");

    let server = Server::builder().shards(1).start();
    let mut ana = join(&server, &Token::employee("ana"), "lobby");
    for _ in 0..200 {
        say(&mut ana).expect("--limits off");
    }
}

#[test]
fn a_hundred_refusals_in_ten_seconds_close_with_4429() {
    let server = server(&["--limit-events", "1/1h"]);
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    for _ in 0..130 {
        if !ana.send_message(r#"{"event":"ping"}"#.into()) {
            break;
        }
    }
    assert_eq!(ana.expect_close().0, 4429);
    let refusals = ana.arrived("error").len();
    assert!((90..=101).contains(&refusals), "{refusals} refusals");
}

#[test]
fn connections_of_one_address_are_bounded_and_a_closed_one_makes_room() {
    let server = server(&["--max-connections-per-ip", "3"]);
    let connect = server.connect().token(&Token::employee("ana"));
    let mut open: Vec<Client> = (0..3).map(|_| connect.open()).collect();
    let refused = connect.refused();
    assert_eq!(refused.status, 429);
    assert!(refused.retry_after() >= 1);
    open.pop().expect("three are open").close();
    eventually("a place is free", || connect.try_open().ok()).ping();
    for client in &mut open {
        client.ping();
    }
}

#[test]
fn pending_connections_of_one_address_are_bounded() {
    let server = server(&["--max-pending-per-ip", "2"]);
    let mut pending: Vec<Client> = (0..2).map(|_| server.connect().open()).collect();
    let refused = server.connect().refused();
    assert_eq!(refused.status, 429);
    assert!(refused.retry_after() >= 1);
    let token = Token::employee("ana").mint();
    pending[0].call("auth", json!({"token": token}));
    eventually("the authenticated one is no longer pending", || server.connect().try_open().ok());
}

#[test]
fn failed_attempts_of_one_address_are_bounded_and_good_ones_are_not() {
    let server = server(&["--limit-connects", "3/1h"]);
    for _ in 0..10 {
        server.connect().token(&Token::employee("ana")).open().ping();
    }
    for _ in 0..3 {
        assert_eq!(server.connect().bearer("nonsense").refused().status, 401);
    }
    let refused = server.connect().bearer("nonsense").refused();
    assert_eq!(refused.status, 429);
    assert!(refused.retry_after() >= 1);
}

#[test]
fn connections_of_the_process_are_bounded_with_503() {
    let server = server(&["--max-connections", "3"]);
    let connect = server.connect().token(&Token::employee("ana"));
    let mut open: Vec<Client> = (0..3).map(|_| connect.open()).collect();
    let refused = connect.refused();
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after() >= 1);
    open.pop().expect("three are open").close();
    eventually("a place is free", || connect.try_open().ok()).ping();
}

#[test]
fn a_batch_that_ends_its_own_connection_harms_nobody_else() {
    let server = Server::builder().shards(2).default_limits().start();
    let mut bystanders: Vec<Client> =
        (0..4).map(|n| join(&server, &Token::employee(&format!("b{n}")), "lobby")).collect();
    for token in [Token::employee("ana"), Token::guest("gus")] {
        let mut client = server.connect().token(&token).open();
        let messages = vec![json!({"roomId": "elsewhere", "content": 1}); 256];
        client.send(&json!({"event": "message:send-batch", "data": {"messages": messages}}));
        assert_eq!(client.expect_close().0, 4429);
    }
    for client in &mut bystanders {
        client.ping();
    }
    server.connect().token(&Token::employee("new")).open().ping();
}
