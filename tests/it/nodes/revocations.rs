//! Who is refused by one node is refused by all, and stays so.

use serde_json::{Value, json};

use super::{Nodes, backend, lasting, start_node};
use crate::server_api::Backend;
use crate::support::{Client, Redis, Server, SocketIo, Token, eventually};

fn is_refused(node: &Server, token: &Token) -> bool {
    node.connect().token(token).try_open().is_err()
}

/// A connection that has entered its rooms.
fn present(node: &Server, token: &Token) -> Client {
    let mut client = node.open(token);
    client.ping();
    client
}

fn expect_refused(node: &Server, token: &Token, wanted: bool) {
    eventually(&format!("the token is refused: {wanted}"), || {
        (is_refused(node, token) == wanted).then_some(())
    });
}

/// By every way in which a token can come.
fn assert_refused(node: &Server, token: &Token) {
    assert_eq!(node.connect().token(token).refused().status, 401);
    let minted = json!({"token": token.mint()});
    node.connect().open().request("auth", &minted).assert_error("AUTH_FAILED");
    let mut other = node.connect().token(&Token::employee("ana").claim("jti", "good".into())).open();
    other.request("auth:refresh", &minted).assert_error("AUTH_FAILED");
    let mut socketio =
        SocketIo::open(&crate::support::engine::Endpoint::new(node.address, "/socket.io/"), false);
    assert!(socketio.try_connect(&minted).is_err(), "Socket.IO lets it in");
}

fn block(node: &Server, user: &str) -> Value {
    backend(node).call("PUT", &format!("/v1/users/{user}/block"), &json!({}))
}

fn unblock(node: &Server, user: &str) -> Value {
    backend(node).call("DELETE", &format!("/v1/users/{user}/block"), &json!({}))
}

#[test]
fn a_revoked_token_is_closed_and_refused_on_all_nodes_and_after_their_restart() {
    let mut nodes = lasting(3);
    let stolen = Token::employee("ana").claim("jti", "stolen".into());
    let mut open: Vec<_> = nodes.nodes.iter().map(|node| present(node, &stolen)).collect();
    let mut others: Vec<_> = nodes.nodes.iter().map(|node| present(node, &Token::employee("ben"))).collect();
    let answer = backend(&nodes.nodes[0]).call("PUT", "/v1/tokens/stolen/revocation", &json!({}));
    assert_eq!(answer["connections"], 3, "those of all nodes: {answer}");
    assert!(answer["missing"].is_null() && answer["until"].is_string(), "{answer}");
    for client in &mut open {
        assert_eq!(client.expect_close(), (4401, "revoked".to_owned()));
    }
    for node in &nodes.nodes {
        assert_refused(node, &stolen);
    }
    others.iter_mut().for_each(Client::ping);
    // A node that comes later knows it before its first client.
    nodes.kill(1);
    let late = start_node(&nodes.redis, &[]);
    assert_refused(&late, &stolen);
    // It ends for all as well, whoever is asked.
    backend(&late).call("DELETE", "/v1/tokens/stolen/revocation", &json!({}));
    for node in nodes.nodes.iter().chain([&late]) {
        assert!(!is_refused(node, &stolen));
    }
    let late = start_node(&nodes.redis, &[]);
    assert!(!is_refused(&late, &stolen));
}

#[test]
fn a_blocked_user_is_out_of_all_nodes_and_in_again() {
    let old = ["--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", ""];
    for arguments in [&[][..], &old] {
        let redis = Redis::start_with(arguments);
        let nodes = [start_node(&redis, &[]), start_node(&redis, &[])];
        block_and_unblock(&Nodes { redis, nodes: nodes.into() });
    }
}

fn block_and_unblock(nodes: &Nodes) {
    let ana = Token::employee("ana");
    let mut clients: Vec<_> = nodes.nodes.iter().map(|node| present(node, &ana)).collect();
    let mut socketio = SocketIo::employee(&nodes.nodes[1], "ana");
    assert_eq!(block(&nodes.nodes[0], "ana")["connections"], 3);
    for client in &mut clients {
        assert_eq!(client.expect_close().0, 4401);
    }
    socketio.expect_end();
    // Whoever is asked first and next, the later counts, everywhere.
    for round in 0..4 {
        unblock(&nodes.nodes[(round + 1) % 2], "ana");
        assert!(nodes.nodes.iter().all(|node| !is_refused(node, &Token::employee("ana"))), "{round}");
        block(&nodes.nodes[round % 2], "ana");
        assert!(nodes.nodes.iter().all(|node| is_refused(node, &Token::employee("ana"))), "{round}");
    }
}

#[test]
fn a_session_of_a_blocked_user_is_resumed_by_no_node() {
    let nodes = lasting(2);
    let mut ana = nodes.nodes[0].member("ana", "lobby");
    let session = ana.call("connection:create-session", json!({}))["token"].clone();
    block(&nodes.nodes[1], "ana");
    assert_eq!(ana.expect_close().0, 4401);
    let resume = nodes.nodes[1].connect().token(&Token::employee("ana"));
    let resume = resume.query("session", session.as_str().expect("text"));
    assert_eq!(resume.refused().status, 401);
}

#[test]
fn a_backend_with_a_revoked_token_is_refused_by_all_nodes() {
    let nodes = lasting(2);
    let token = Token::guest("shop").permissions(&["server"]);
    let credentials = format!("Authorization: Bearer {}", token.mint());
    for node in &nodes.nodes {
        Backend::new(node, &credentials).get("/v1/node");
    }
    block(&nodes.nodes[0], "shop");
    for node in nodes.nodes.iter().chain([&start_node(&nodes.redis, &[])]) {
        Backend::new(node, &credentials).fail("GET", "/v1/node", "", 401, "AUTH_FAILED");
    }
}

#[test]
fn what_is_decided_without_the_redis_holds_here_at_once_and_everywhere_afterwards() {
    let mut nodes = lasting(2);
    let [ana, ben, cay] = ["ana", "ben", "cay"].map(Token::employee);
    block(&nodes.nodes[0], "ben");
    block(&nodes.nodes[0], "cay");
    nodes.redis.kill();
    for node in &nodes.nodes {
        super::expect_engine(node, false);
    }
    let mut open = present(&nodes.nodes[1], &ana);
    let answer = block(&nodes.nodes[0], "ana");
    assert_eq!(
        answer["missing"].as_array().map(Vec::len),
        Some(1),
        "it says whom it could not tell: {answer}"
    );
    unblock(&nodes.nodes[0], "ben");
    assert!(is_refused(&nodes.nodes[0], &ana) && !is_refused(&nodes.nodes[0], &ben));
    assert!(!is_refused(&nodes.nodes[1], &ana) && is_refused(&nodes.nodes[1], &ben));
    open.ping();
    // It comes back empty, and learns all of it from the nodes.
    nodes.redis.restart();
    assert_eq!(open.expect_close().0, 4401);
    expect_refused(&nodes.nodes[1], &ben, false);
    let late = start_node(&nodes.redis, &[]);
    for node in nodes.nodes.iter().chain([&late]) {
        let refused = [&ana, &ben, &cay].map(|token| is_refused(node, token));
        assert_eq!(refused, [true, false, true]);
    }
}

#[test]
fn a_node_that_was_cut_off_learns_what_it_missed() {
    let nodes = Nodes::start(1);
    let proxy = crate::support::Proxy::to(nodes.redis.address());
    let url = format!("redis://{}/", proxy.address);
    let apart = super::start_node_at(&url, &[]);
    let [ana, ben] = ["ana", "ben"].map(Token::employee);
    block(&apart, "ben");
    let mut open = present(&apart, &ana);
    proxy.cut();
    super::expect_engine(&apart, false);
    block(&nodes.nodes[0], "ana");
    unblock(&nodes.nodes[0], "ben");
    assert!(is_refused(&apart, &ben));
    open.ping();
    proxy.lead_to(nodes.redis.address());
    assert_eq!(open.expect_close().0, 4401);
    expect_refused(&apart, &ana, true);
    expect_refused(&apart, &ben, false);
}

#[test]
fn a_redis_keeps_no_more_than_matters() {
    let nodes = Nodes::start(1);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    let body = json!({"until": until.to_string()});
    backend(&nodes.nodes[0]).call("PUT", "/v1/users/ana/block", &body);
    assert_eq!(nodes.redis.command(&["HLEN", "{roomcast}:revocations"]), "1");
    eventually("it is gone", || {
        (nodes.redis.command(&["EXISTS", "{roomcast}:revocations", "{roomcast}:revocation-ends"]) == "0")
            .then_some(())
    });
    assert!(!is_refused(&nodes.nodes[0], &Token::employee("ana")));
}

#[test]
fn there_are_no_more_than_there_may_be_over_all_nodes() {
    const FILL: &str = "for n = 1, 65536 do redis.call('HSET', KEYS[1], 't:' .. n, '1 9000000000000 r') \
                        redis.call('ZADD', KEYS[2], 9000000000000, 't:' .. n) end";
    let redis = Redis::start();
    let keys = ["{roomcast}:revocations", "{roomcast}:revocation-ends"];
    redis.command(&["EVAL", FILL, "2", keys[0], keys[1]]);
    let node = start_node(&redis, &[]);
    let token = |id: &str| Token::employee("ana").claim("jti", id.into());
    assert!(is_refused(&node, &token("1")) && is_refused(&node, &token("65536")));
    let mut asked = backend(&node);
    let error = asked.fail("PUT", "/v1/users/ana/block", "{}", 409, "CLIENT_ERROR");
    assert_eq!(error["details"]["limit"], 65_536);
    assert_eq!(redis.command(&["HLEN", keys[0]]), "65536");
    // One that ends makes room for another, and is gone for good.
    asked.call("DELETE", "/v1/tokens/7/revocation", &json!({}));
    assert_eq!(redis.command(&["HLEN", keys[0]]), "65536");
    asked.call("PUT", "/v1/tokens/new/revocation", &json!({}));
    assert_eq!(redis.command(&["HLEN", keys[0]]), "65536");
    for node in [node, start_node(&redis, &[])] {
        assert!(is_refused(&node, &token("new")) && !is_refused(&node, &token("7")));
    }
}
