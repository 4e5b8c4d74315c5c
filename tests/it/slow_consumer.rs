//! A client that does not read is closed with 4409, and nobody else notices (protocol §2, architecture §5).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Server, Token};

/// Bytes of one message; together they outgrow what kernels buffer for a loopback connection.
const PAYLOAD: usize = 64 * 1024;
const MESSAGES_MAX: u64 = 1000;

fn join(server: &Server, name: &str) -> Client {
    let mut client = server.connect().token(&Token::employee(name)).open();
    client.join("busy");
    client
}

/// Publishes until `slow` was announced to have left, and checks that `ana` sees every message meanwhile.
fn publish_until_closed(publisher: &mut Client, ana: &mut Client) -> Vec<Duration> {
    let content = "x".repeat(PAYLOAD);
    let mut delays = Vec::new();
    for offset in 1..=MESSAGES_MAX {
        let start = Instant::now();
        publisher.say("busy", content.as_str());
        publisher.expect_message("busy");
        assert_eq!(ana.expect_message("busy").offset(), offset);
        delays.push(start.elapsed());
        if !ana.arrived("room:member-left").is_empty() {
            return delays;
        }
    }
    panic!("{MESSAGES_MAX} messages of {PAYLOAD} bytes waited for a client that does not read");
}

#[test]
fn a_slow_consumer_is_closed_with_4409_and_does_not_delay_others() {
    for shards in [1, 2] {
        let settings = ["--max-outbound-queue", "262144", "--presence-grace", "50ms"];
        let server = Server::builder().shards(shards).with(&settings).start();
        let (mut publisher, mut ana) = (join(&server, "publisher"), join(&server, "ana"));
        let mut slow = join(&server, "slow");
        ana.ping();
        ana.arrived("room:member-joined");
        let mut delays = publish_until_closed(&mut publisher, &mut ana);
        delays.sort();
        assert!(delays[delays.len() / 2] < Duration::from_millis(250), "{delays:?}");

        let epoch = ana.call("room:info", json!({"roomId": "busy"}))["epoch"].clone();
        let (code, _) = slow.expect_close();
        assert_eq!(code, 4409);
        let seen: Vec<u64> =
            slow.arrived("message:received").iter().map(|message| message.offset()).collect();
        assert!(seen.iter().copied().eq(1..=seen.len() as u64), "what arrived before the close has no gap");

        let last = publisher.say("busy", "small")["offset"].as_u64().expect("a number");
        let mut again = server.connect().token(&Token::employee("slow")).open();
        let recover = json!({"roomId": "busy", "recover": {"epoch": epoch, "offset": last - 1}});
        let joined = again.call("room:join", recover);
        assert_eq!(joined["recovered"], true, "the client recovers by offset");
        assert_eq!(joined["messages"][0]["offset"], last);
    }
}

#[test]
fn a_client_that_asks_but_does_not_read_is_not_read_either() {
    let server = Server::builder().shards(1).with(&["--max-outbound-queue", "65536"]).start();
    let mut ana = join(&server, "ana");
    ana.call("message:send", json!({"roomId": "busy", "content": "x".repeat(32 * 1024)}));
    let mut greedy = server.connect().token(&Token::employee("greedy")).open();
    greedy.join("busy");
    greedy.give_up_writing_after(Duration::from_secs(1));
    // Each request of a few bytes asks for 32 KiB; a server that went on reading would hold all the answers.
    let request = json!({"event": "room:history", "data": {"roomId": "busy", "limit": 1}, "requestId": "h"});
    let mut sent = 0;
    while sent < 50_000 && greedy.send_message(request.to_string().into()) {
        sent += 1;
    }
    ana.ping();
    let resident = resident_kib(&server);
    assert!(resident < 512 * 1024, "{resident} KiB resident after {sent} unread requests");
}

/// Resident memory of the server in KiB.
fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
