//! The stock `socket.io-client` in Node: over websocket only, over polling only, and with its default options.
//!
//! The scenarios are in `tests/clients/socketio`; each prints a line for every step, and this module compares the
//! lines. A server of two shards has the connections of one polling session arrive on either.

use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::foreign::{self, Script};
use crate::support::server::ServerBuilder;
use crate::support::{Server, Token};

const TRANSPORTS: [&str; 3] = ["websocket", "polling", "upgrade"];

/// `pooled` polls over connections that all sessions of a script share.
const WITH_POOLED: [&str; 4] = ["websocket", "polling", "pooled", "upgrade"];

/// How long a lost user is still shown, so that the scenarios need not wait long for an edge.
const GRACE: [&str; 2] = ["--presence-grace", "200ms"];

/// So that the gateway soon knows of any loss, even of a polling session that is cut between two requests.
const QUICK_PINGS: [&str; 4] = ["--socketio-ping-interval", "200ms", "--socketio-ping-timeout", "2s"];

fn script(url: &str, scenario: &str, transport: &str) -> Script {
    let mut command = foreign::node("socketio.mjs");
    command.env("URL", url).env("SCENARIO", scenario).env("TRANSPORT", transport);
    Script::start(with_tokens(command))
}

fn with_tokens(mut command: Command) -> Command {
    for user in ["ana", "ben", "cid", "dan"] {
        let token = Token::employee(user).permissions(&["user:send"]);
        command.env(format!("TOKEN_{}", user.to_uppercase()), token.mint());
    }
    command.env("TOKEN_SHORT", Token::employee("short").expires_in(4).mint());
    command.env("TOKEN_LONG", Token::employee("short").mint());
    command.env("TOKEN_LATE", Token::employee("late").expires_in(-60).mint());
    command.env("TOKEN_DOOR", Token::employee("door").rooms(&["door"]).mint());
    command
}

/// Runs a scenario over each transport on servers of so many shards, all at once: most of the time they wait.
fn assert_tells(
    scenario: &str,
    transports: &[&str],
    shards: &[usize],
    build: impl Fn() -> ServerBuilder,
    steps: &[&str],
) {
    for &shards in shards {
        std::thread::scope(|scope| {
            for &transport in transports {
                let builder = build().shards(shards);
                let told =
                    steps.iter().filter(move |step| transport == "upgrade" || !step.contains("upgrade"));
                scope.spawn(move || {
                    let server = builder.start();
                    let mut script = script(&format!("http://{}", server.address), scenario, transport);
                    told.for_each(|step| script.expect(step));
                    script.expect_end();
                });
            }
        });
    }
}

#[test]
fn it_connects_chats_and_reconnects() {
    let build = || Server::builder().with(&GRACE).with(&["--socketio-namespaces", "/chat,/admin"]);
    assert_tells(
        "talk",
        &WITH_POOLED,
        &[1, 2],
        build,
        &[
            "connected",
            "token in auth, query or header",
            "bad token: connect_error with AUTH_FAILED, then a good one",
            "expired token: connect_error with AUTH_FAILED",
            "joined",
            "sent with an ack, received by both",
            "without an ack: sends are silent, queries answered as events",
            "errors come in the ack, or as an event without one",
            "bytes both ways",
            "bytes in a reply are base64",
            "ten attachments",
            "acks that the server asks for mark a message delivered",
            "unknown namespace: Invalid namespace",
            "namespaces are apart",
            "a namespace can be left and entered again",
            "disconnected and connected again, fresh",
            "reconnected by itself",
        ],
    );
}

#[test]
fn its_state_is_recovered_when_the_network_is_cut() {
    assert_tells(
        "recovery",
        &TRANSPORTS,
        &[1, 2],
        || Server::builder().with(&GRACE).with(&["--socketio-namespaces", "/chat"]),
        &[
            "cut three times: recovered, all in order, none twice",
            "a member still, without joining again",
            "recovered before any event was received",
            "recovered when nothing was missed",
            "recovered what the network had swallowed",
            "recovered before the gateway knew of the loss",
            "two namespaces of one connection recovered, each its own",
            "messages with bytes of two rooms recovered",
            "what asked for an ack is neither lost nor doubled",
            "nothing is recovered after a goodbye",
            "sends that the client repeats after a cut are published once",
        ],
    );
}

#[test]
fn its_state_is_recovered_wherever_the_network_breaks() {
    let steps = ["12 cuts at any byte: all in order, none twice"];
    assert_tells("flapping", &TRANSPORTS, &[2], Server::builder, &steps);
}

#[test]
fn its_state_is_gone_after_the_window() {
    assert_tells(
        "expiry",
        &TRANSPORTS,
        &[2],
        || Server::builder().with(&QUICK_PINGS).with(&["--session-ttl", "1s"]),
        &[
            "after the window: not recovered, and nothing came",
            "an offset of an earlier session does no harm",
            "the room itself recovers what was missed",
        ],
    );
}

#[test]
fn it_lives_with_large_messages_absence_and_the_end_of_a_token() {
    assert_tells(
        "life",
        &TRANSPORTS,
        &[2],
        || Server::builder().with(&GRACE).with(&["--auth-expiring-lead", "3s"]),
        &[
            "large messages both ways",
            "messages for an absent user come once when it is back",
            "a token ends: disconnected for good, unless it was refreshed",
        ],
    );
}

#[test]
fn it_is_pinged_and_notices_a_silent_network() {
    assert_tells(
        "heartbeat",
        &TRANSPORTS,
        &[2],
        || Server::builder().with(&QUICK_PINGS),
        &["pinged in traffic and in silence", "a silent network is noticed, and the state recovered"],
    );
}

#[test]
fn nothing_is_lost_when_it_does_much_at_once() {
    assert_tells(
        "load",
        &WITH_POOLED,
        &[2],
        Server::builder,
        &[
            "300 connects: no first event lost",
            "1000 acks at once: complete and in order",
            "10 upgrades under load: nothing lost, nothing doubled",
        ],
    );
}

#[test]
fn it_shares_a_room_with_native_and_topic_clients() {
    assert_tells(
        "mixed",
        &TRANSPORTS,
        &[1, 2],
        Server::builder,
        &[
            "four clients in three dialects see the same",
            "each sender's messages in the order sent",
            "bytes are bytes here and base64 there",
            "an edit is seen by all",
        ],
    );
}

const SEED: [&str; 6] = [
    "a bad token: the seed's error in connect_error",
    "a room created and joined",
    "typing started and stopped",
    "sent and received",
    "what no route takes is refused with the seed's error",
    "a room left",
];

#[test]
fn the_client_of_seed_000_needs_no_change_with_the_profile_of_the_server() {
    let build = || Server::builder().with(&["--profile", "chat"]);
    assert_tells("seed", &TRANSPORTS, &[1, 2], build, &SEED);
}

#[test]
fn the_client_of_seed_000_needs_no_change_with_the_profile_of_its_query() {
    assert_tells("seedByQuery", &TRANSPORTS, &[2], Server::builder, &SEED);
}

/// A port to come back on: below those that the kernel gives away meanwhile, and another for each caller.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 1_000).expect("less than 1,000");
    20_000 + process * 10 + NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn it_comes_back_by_itself_when_the_server_does() {
    std::thread::scope(|scope| {
        for transport in TRANSPORTS {
            scope.spawn(move || {
                let port = own_port();
                let start =
                    || Server::builder().shards(2).with(&["--drain-timeout", "2s"]).port(port).start();
                let mut server = start();
                let mut script = script(&format!("http://{}", server.address), "restart", transport);
                script.expect("ready for a drain");
                server.terminate();
                assert_eq!(server.wait_for_exit().code(), Some(0));
                let crashing = start();
                script.expect("drained: announced, and nothing acknowledged was lost");
                script.expect("back by itself, and chatting");
                script.expect("ready for a crash");
                drop(crashing);
                let _server = start();
                script.expect("back by itself, and chatting");
                script.expect_end();
            });
        }
    });
}
