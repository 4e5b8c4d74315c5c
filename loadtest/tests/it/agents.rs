//! Several generators as one: what they find together, and what becomes of them when one is gone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::stand_in::{Fault, StandIn};
use crate::{CONNECTIONS, DELIVERIES, MESSAGES, ROOMS, command, faults, report_file, run};

/// An agent that waits on the network; ended when dropped.
struct Agent {
    child: Child,
    address: SocketAddr,
}

impl Agent {
    fn start(secret_file: &PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
        command.args(["agent", "--listen", "127.0.0.1:0", "--secret-file"]).arg(secret_file);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("it was asked for");
        let mut line = String::new();
        let mut lines = BufReader::new(stderr);
        lines.read_line(&mut line).expect("it says where it waits");
        // Whoever does not read would stop it in the end.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let address = line.trim().rsplit_once(' ').and_then(|(_, address)| address.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address: {line}")) }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret_file(secret: &str) -> PathBuf {
    let file = report_file().with_extension("secret");
    std::fs::write(&file, secret).expect("the directory is ours");
    file
}

/// Children of a process.
fn children(of: &Child) -> Vec<Pid> {
    let file = format!("/proc/{0}/task/{0}/children", of.id());
    let ids = std::fs::read_to_string(file).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

fn is_gone(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    state.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// Begins a run of two local agents that is long, and waits until all of it is connected.
fn begin_long(server: &StandIn, file: &PathBuf) -> Child {
    let mut command = command(server);
    command.args(["--agents", "2", "--duration", "60s", "--json"]).arg(file);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let begun = Instant::now();
    while server.requests().len() < 6 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody connects");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(700));
    child
}

#[test]
fn two_agents_find_what_one_would() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--agents", "2"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((&report["agents"], &report["connects"]["ready"]), (&json!(2), &json!(CONNECTIONS)), "{text}");
    let traffic = &report["traffic"];
    assert_eq!(
        (&traffic["messages_sent"], &traffic["deliveries"]),
        (&json!(MESSAGES), &json!(DELIVERIES)),
        "{text}"
    );
    assert_eq!((&traffic["faults"], &traffic["messages_unseen"]), (&faults(0, 0, 0), &json!(0)), "{text}");
    // Of each room's three members, two or one are on the sender's agent.
    let latencies = traffic["latencies"].as_u64().expect("a number");
    assert!(latencies > DELIVERIES / 4 && latencies < DELIVERIES * 5 / 7, "{text}");
    assert_eq!(report["settings"]["rate"], json!(200.0), "the whole, not a share");
}

#[test]
fn faults_are_found_across_agents() {
    for (fault, expected) in [
        (Fault::Drop, faults(ROOMS, 0, 0)),
        (Fault::Duplicate, faults(0, ROOMS, 0)),
        (Fault::Swap, faults(0, 0, ROOMS)),
    ] {
        let (code, report, text) = run(&StandIn::start(fault), &["--agents", "2"]);
        assert_eq!(report["traffic"]["faults"], expected, "{fault:?}: {text}");
        assert_eq!(code, Some(1), "{fault:?}: {text}");
    }
}

#[test]
fn an_order_that_only_agents_together_can_see_is_compared() {
    // Each agent has one member in each room, so none of them sees a disagreement itself.
    let flags = ["--agents", "2", "--connections", "4"];
    let (code, report, text) = run(&StandIn::start(Fault::Renumber), &flags);
    assert_eq!(code, Some(1), "{text}");
    assert!(report["traffic"]["faults"]["order"].as_u64() >= Some(ROOMS), "{text}");
}

#[test]
fn a_loss_of_the_last_message_is_one() {
    // Nothing follows by whose offset its lack would show, and no agent alone knows that it was sent.
    let (code, report, text) = run(&StandIn::start(Fault::LoseAfter(60)), &["--agents", "2"]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(report["traffic"]["faults"], faults(ROOMS * (MESSAGES / ROOMS - 60), 0, 0), "{text}");
}

#[test]
fn connects_and_idle_connections_are_shared_too() {
    let server = StandIn::start(Fault::None);
    let (code, report, text) = run(&server, &["--agents", "2", "--churn", "51"]);
    assert_eq!((code, &report["connects"]["ready"]), (Some(0), &json!(51)), "{text}");
    let (code, report, text) = run(&StandIn::start(Fault::None), &["--agents", "2", "--idle"]);
    assert_eq!((code, &report["connects"]["ready"]), (Some(0), &json!(6)), "{text}");
    assert_eq!(report["traffic"], Value::Null);
}

#[test]
fn an_agent_that_dies_is_named_and_ends_the_others() {
    let server = StandIn::start(Fault::None);
    let file = report_file();
    let mut child = begin_long(&server, &file);
    let agents = children(&child);
    assert_eq!(agents.len(), 2);
    kill_process(agents[1], Signal::KILL).expect("it runs");
    let begun = Instant::now();
    let status = child.wait().expect("it is our child");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let mut text = String::new();
    child.stderr.take().expect("asked for").read_to_string(&mut text).expect("text");
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("agent 1 is gone"), "{text}");
    assert!(agents.into_iter().all(is_gone) && !file.exists());
}

#[test]
fn an_interruption_ends_all_and_reports() {
    let server = StandIn::start(Fault::None);
    let file = report_file();
    let mut child = begin_long(&server, &file);
    let agents = children(&child);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let status = child.wait().expect("it is our child");
    let report: Value = serde_json::from_slice(&std::fs::read(&file).expect("a report")).expect("JSON");
    let _ = std::fs::remove_file(&file);
    assert_eq!((status.code(), &report["interrupted"]), (Some(1), &json!(true)));
    assert_eq!(report["failures"], json!(["interrupted before its end"]));
    assert_eq!(report["traffic"]["faults"], faults(0, 0, 0));
    assert!(report["traffic"]["messages_sent"].as_u64() > Some(0));
    assert!(agents.len() == 2 && agents.into_iter().all(is_gone));
}

#[test]
fn agents_elsewhere_serve_who_knows_their_secret_and_nobody_else() {
    let secret = secret_file("0123456789abcdef\n");
    let agents = [Agent::start(&secret), Agent::start(&secret)];
    let addresses = agents.iter().map(|agent| agent.address.to_string()).collect::<Vec<_>>().join(",");
    let server = StandIn::start(Fault::None);
    let share = |file: &PathBuf| {
        let file = file.to_str().expect("ASCII");
        run(&server, &["--agents", &addresses, "--agents-secret-file", file, "--secret", "of the server"])
    };
    let wrong = secret_file("another one, as long");
    let (code, _, text) = share(&wrong);
    assert!(code == Some(1) && text.contains("the secret is another one"), "{text}");
    assert!(server.requests().is_empty());
    // Whatever else comes by is refused, and the agent goes on.
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 64], &[0, 0, 0, 2, b'{', b'}']] {
        let mut socket = TcpStream::connect(agents[0].address).expect("it waits");
        socket.write_all(noise).expect("a new socket takes it");
        let _ = socket.read_to_end(&mut Vec::new());
    }
    for _ in 0..2 {
        let (code, report, text) = share(&secret);
        assert_eq!((code, &report["connects"]["ready"]), (Some(0), &json!(6)), "{text}");
        assert_eq!(report["traffic"]["faults"], faults(0, 0, 0), "{text}");
    }
    assert!(server.requests().iter().all(|head| head.contains("\r\nAuthorization: Bearer ey")));
    for file in [secret, wrong] {
        let _ = std::fs::remove_file(file);
    }
}

#[test]
fn wrong_settings_exit_64_before_anything_starts() {
    let server = StandIn::start(Fault::None);
    for flags in [
        &["--agents", "0"][..],
        &["--agents", "host"],
        &["--agents", "4"],
        &["--agents", "2", "--stop-fraction", "0.5"],
        &["--agents", "127.0.0.1:1"],
        &["--agents", "127.0.0.1:1", "--agents-secret-file", "/nonexistent"],
    ] {
        let (code, _, text) = run(&server, flags);
        assert_eq!(code, Some(64), "{flags:?}: {text}");
    }
    assert!(server.requests().is_empty());
    let file = secret_file("0123456789abcdef");
    let path = file.to_str().expect("ASCII");
    let (code, _, text) = run(&server, &["--agents", "127.0.0.1:1", "--agents-secret-file", path]);
    assert!(code == Some(1) && text.contains("agent 127.0.0.1:1"), "{text}");
    let _ = std::fs::remove_file(file);
}
