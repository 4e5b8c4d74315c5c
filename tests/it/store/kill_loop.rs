//! `kill -9` again and again under load: what was acknowledged is there each time.
//!
//! `ROOMCAST_KILL_ROUNDS` rounds (10) of the binary `ROOMCAST_KILL_BINARY`; `scripts/kill-loop` has a hundred of an
//! optimised one.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::Home;
use crate::support::reply::list;
use crate::support::{Client, SECRET, Server};

/// Clients that send at the same time, each in a room of its own and one that all share.
const SENDERS: usize = 4;

fn start(home: &Home) -> Server {
    let binary = std::env::var("ROOMCAST_KILL_BINARY").ok();
    let mut command = Command::new(binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_roomcast")));
    command.args(["serve", "--listen", "127.0.0.1:0", "--limits", "off", "--shards", "2"]);
    command.args(["--jwt-secret", SECRET, "--store", home.path(), "--history-size", "1000000"]);
    command.args(["--history-bytes", "1GiB", "--history-total", "1GiB", "--store-max-bytes", "4GiB"]);
    Server::spawn(command)
}

/// Sends until the server is gone; what was acknowledged.
fn send_until_killed(client: &mut Client, rooms: &[String], killed: &AtomicBool) -> Vec<Value> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let room = &rooms[n % rooms.len()];
        match client.try_say(room, format!("message {n}")) {
            Some(sent) => acknowledged.push(sent),
            None => {
                assert!(killed.load(Ordering::Relaxed), "the server ended by itself");
                break;
            }
        }
    }
    acknowledged
}

fn whole_history(client: &mut Client, room: &str) -> BTreeMap<u64, Value> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(0, |(offset, _)| *offset);
        let page = json!({"roomId": room, "after": after, "limit": 1000});
        let page = client.call("room:history", page);
        for message in list(&page, "messages") {
            found.insert(message["offset"].as_u64().expect("an offset"), message.clone());
        }
        if page["hasMore"] != true {
            return found;
        }
    }
}

#[test]
fn everything_acknowledged_is_found_after_every_kill() {
    let rounds = std::env::var("ROOMCAST_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().expect("a number"));
    let home = Home::new(&[]);
    let mut all: BTreeMap<String, BTreeMap<u64, Value>> = BTreeMap::new();
    let (mut acknowledged, mut found) = (0, 0);
    for round in 0..rounds {
        let mut server = start(&home);
        let rooms = |number: usize| vec!["all".to_owned(), format!("room.{number}")];
        let mut clients: Vec<(Client, Vec<String>)> = (0..SENDERS)
            .map(|number| {
                let mut client = server.employee(&format!("sender{number}"));
                rooms(number).iter().for_each(|room| drop(client.join(room)));
                (client, rooms(number))
            })
            .collect();
        let killed = AtomicBool::new(false);
        let sent: Vec<Value> = std::thread::scope(|scope| {
            let killed = &killed;
            let senders = clients
                .iter_mut()
                .map(|(client, rooms)| scope.spawn(move || send_until_killed(client, rooms, killed)));
            let senders: Vec<_> = senders.collect();
            // At whichever moment: the rounds differ by a few milliseconds.
            std::thread::sleep(Duration::from_millis(100 + round * 7 % 150));
            killed.store(true, Ordering::Relaxed);
            server.kill();
            senders.into_iter().flat_map(|sender| sender.join().expect("it does not panic")).collect()
        });
        acknowledged += sent.len();
        for message in sent {
            let room = message["roomId"].as_str().expect("a room").to_owned();
            let offset = message["offset"].as_u64().expect("an offset");
            let before = all.entry(room).or_default().insert(offset, message.clone());
            assert!(before.is_none(), "offset {offset} was given twice: {before:?} and {message}");
        }
        drop(server);
        let server = start(&home);
        let mut reader = server.employee("reader");
        found = 0;
        for (room, sent) in &all {
            reader.join(room);
            let there = whole_history(&mut reader, room);
            for (offset, message) in sent {
                let same =
                    |found: &&Value| (&found["id"], &found["epoch"]) == (&message["id"], &message["epoch"]);
                assert!(there.get(offset).filter(same).is_some(), "round {round}: {message} is gone");
                found += 1;
            }
        }
    }
    let percent = 100.0 * found as f64 / acknowledged.max(1) as f64;
    eprintln!("{rounds} kills: {acknowledged} acknowledged, {found} found, {percent} %");
    assert_eq!(found, acknowledged);
}
