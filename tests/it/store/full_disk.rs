//! A disk that takes no more: the gateway says so, serves on, and has everything on disk again when there is room.
//!
//! The kernel is made to refuse writes by a limit on the size of files, which needs no privilege, and can be lifted.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::{End, Home, place};
use crate::support::reply::{entry, list};
use crate::support::{Client, Server, Token, eventually, http};

/// What the file `state` needs, and no more.
const STATE_BYTES: u64 = 8192;

fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    let limit = prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None });
    limit.expect("the server is ours");
}

fn health(client: &mut Client) -> Value {
    client.call("monitoring:health", json!({}))
}

#[test]
fn the_gateway_serves_on_without_a_disk_and_is_whole_again_with_one() {
    let home = Home::new(&[]);
    let server = home.start(2);
    let mut ana = server.open(&Token::supervisor("ana"));
    let filler = "x".repeat(1_000);
    ana.join("lobby");
    for _ in 0..20 {
        ana.say("lobby", filler.clone());
    }
    assert_eq!(health(&mut ana)["status"], "ok");
    limit_files(&server, Some(STATE_BYTES));
    // Whether this one is the first that is refused: it is answered all the same.
    let during = ana.say("lobby", "during");
    let sick = eventually("health is red", || {
        ana.say("lobby", "more");
        Some(health(&mut ana)).filter(|health| health["status"] == "degraded")
    });
    assert_eq!(entry(&sick, "checks", "name", "storeFailed")["value"], 1, "{sick}");
    assert_eq!(http::get(server.address, "/readyz").status, 200, "it serves");
    server.wait_for_log(|line| {
        line.contains("store_failed").then(|| assert!(line.contains("too large"), "{line}"))
    });
    let history = ana.call("room:history", json!({"roomId": "lobby", "limit": 1000}));
    assert!(list(&history, "messages").iter().any(|message| place(message) == place(&during)));
    assert!(server.metric("roomcast_store_lost_records_total") > 0.0);
    limit_files(&server, None);
    eventually("health is green", || (health(&mut ana)["status"] == "ok").then_some(()));
    let last = ana.say("lobby", "after");
    let before = ana.call("room:history", json!({"roomId": "lobby", "limit": 1000}));
    let server = home.restart(server, End::Killed, 3);
    let mut ana = server.employee("ana");
    ana.join("lobby");
    let after = ana.call("room:history", json!({"roomId": "lobby", "limit": 1000}));
    assert_eq!(after, before, "nothing is missing, and nothing else is there");
    assert_eq!(after["epoch"], last["epoch"]);
}

#[test]
fn a_kill_without_a_disk_begins_new_epochs() {
    let home = Home::new(&[]);
    let server = home.start(1);
    let mut ana = server.open(&Token::supervisor("ana"));
    ana.join("lobby");
    let filler = "x".repeat(1_000);
    for _ in 0..20 {
        ana.say("lobby", filler.clone());
    }
    limit_files(&server, Some(STATE_BYTES));
    let lost = eventually("health is red", || {
        let lost = ana.say("lobby", "lost");
        (health(&mut ana)["status"] == "degraded").then_some(lost)
    });
    let server = home.restart(server, End::Killed, 1);
    let mut ana = server.employee("ana");
    let recover = json!({"epoch": lost["epoch"], "offset": lost["offset"]});
    let joined = ana.call("room:join", json!({"roomId": "lobby", "recover": recover}));
    assert_eq!(joined["recovered"], false, "{joined}");
    assert_ne!(joined["epoch"], lost["epoch"], "no offset that anybody saw is another message's");
    let history = ana.call("room:history", json!({"roomId": "lobby", "limit": 1000}));
    assert!(list(&history, "messages").len() >= 20, "what was on disk is there");
}
