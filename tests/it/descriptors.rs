//! A process that runs out of descriptors refuses newcomers, keeps everybody, and recovers (architecture §1).

use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, Server, Token, eventually};

/// Lets this process, which holds the other ends, open as many as it may.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may rise to the hard one");
}

/// Opens connections until `refusals` of them were refused.
fn open_until_refused(server: &Server, refusals: usize) -> Vec<Client> {
    let connect = server.connect().token(&Token::employee("ana"));
    let mut open = Vec::new();
    let mut refused = 0;
    while refused < refusals {
        match connect.try_open() {
            Ok(client) => open.push(client),
            Err(_) => refused += 1,
        }
        assert!(open.len() <= 512, "more connections than descriptors");
    }
    open
}

#[test]
fn with_512_descriptors_newcomers_are_refused_nobody_is_lost_and_room_is_made_again() {
    raise_own_limit();
    let server = Server::builder().shards(2).descriptors_max(512).start();
    let mut open = open_until_refused(&server, 20);
    assert!(open.len() >= 350, "only {} connections fitted into 512 descriptors", open.len());
    for client in &mut open {
        client.ping();
    }
    let refused = server.connect().token(&Token::employee("ana")).refused();
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after() >= 1);
    for client in open.drain(..100) {
        client.close();
    }
    let connect = server.connect().token(&Token::employee("ben"));
    let mut newcomers: Vec<Client> =
        (0..50).map(|_| eventually("descriptors are free again", || connect.try_open().ok())).collect();
    for client in open.iter_mut().chain(&mut newcomers) {
        client.ping();
    }
}

#[test]
fn an_acceptor_without_descriptors_neither_spins_nor_dies() {
    raise_own_limit();
    // More connections are asked for than there are descriptors, so that accept itself fails.
    let server =
        Server::builder().shards(1).descriptors_max(96).with(&["--max-connections", "100000"]).start();
    let address = server.address;
    let waiting: Vec<std::net::TcpStream> =
        (0..150).map(|_| crate::support::http::connect(address)).collect();
    let before = cpu_ticks(&server);
    let since = Instant::now();
    std::thread::sleep(std::time::Duration::from_millis(1000));
    let ticks = cpu_ticks(&server) - before;
    // A hundred ticks are a second of one core.
    assert!(ticks < 50, "{ticks} ticks in {:?} without a descriptor", since.elapsed());
    drop(waiting);
    let connect = server.connect().token(&Token::employee("ana"));
    eventually("the acceptor goes on", || connect.try_open().ok()).ping();
    let complaints =
        server.log().iter().filter(|line| line.contains("descriptor") || line.contains("EMFILE")).count();
    assert!(complaints <= 10, "{complaints} log lines: once a second is enough");
}

/// User and system time of the server so far, in clock ticks.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("the server lives");
    let behind_name = stat.rsplit(')').next().expect("rsplit gives at least one");
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
