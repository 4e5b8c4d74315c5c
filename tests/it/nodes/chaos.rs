//! Three nodes, one Redis, and random faults from a seed: nodes are killed, the Redis stalls, forgets, and is cut off.
//! Whoever listens sees one order, and every gap.
//!
//! `ROOMCAST_CHAOS_SEED` and `ROOMCAST_CHAOS_SECONDS` repeat a run, or make it longer.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::start_node;
use crate::support::{DEADLINE, Redis, Server, Token};

const ROOM: &str = "storm";
const NODES: usize = 3;
/// Between two things that anybody says.
const BREATH: Duration = Duration::from_millis(10);
/// Why a lock is there: whoever fails ends the test.
const CALM: &str = "nobody has failed";

/// What anybody saw at a place of a stream: must be the same for all.
type Seen = HashMap<(String, u64), String>;

/// Everything that the threads share.
struct World {
    nodes: Mutex<Vec<Option<Server>>>,
    addresses: Mutex<Vec<SocketAddr>>,
    seen: Mutex<Seen>,
    over: AtomicBool,
    recoveries: AtomicUsize,
    gaps: AtomicUsize,
}

impl World {
    fn address(&self, node: usize) -> SocketAddr {
        self.addresses.lock().expect(CALM)[node % NODES]
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Fails if anybody saw another message at that place.
    fn note(&self, message: &Value) {
        let place = (message["epoch"].as_str().expect("an epoch").to_owned(), offset(message));
        let id = message["id"].as_str().expect("an id").to_owned();
        let mut seen = self.seen.lock().expect(CALM);
        let first = seen.entry(place.clone()).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "two messages at {place:?}");
    }
}

fn offset(of: &Value) -> u64 {
    of["offset"].as_u64().unwrap_or_else(|| panic!("no offset in {of}"))
}

/// A client that comes back, to whichever node, naming where it was.
struct Ear {
    world: Arc<World>,
    name: String,
    node: usize,
    socket: Option<WebSocket<TcpStream>>,
    /// The stream and the last offset of it, once it is in the room.
    position: Option<(Value, u64)>,
}

impl Ear {
    fn connect(&mut self) {
        self.node += 1;
        let address = self.world.address(self.node);
        let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) else {
            return thread::sleep(Duration::from_millis(50));
        };
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket takes the option");
        let url = format!("ws://{address}/ws?token={}", Token::employee(&self.name).mint());
        let Ok((mut socket, _)) = tungstenite::client(&url, stream) else { return };
        let mut data = json!({"roomId": ROOM});
        if let Some((epoch, offset)) = &self.position {
            data["recover"] = json!({"epoch": epoch, "offset": offset});
        }
        let join = json!({"event": "room:join", "data": data, "requestId": "j"});
        if socket.send(Message::text(join.to_string())).is_ok() {
            // Whoever listens speaks, too.
            let _ = socket.get_ref().set_read_timeout(Some(BREATH));
            self.socket = Some(socket);
        }
    }

    /// The next frame; `None` when there was none for a while, or the connection is gone.
    fn next(&mut self) -> Option<Value> {
        if self.socket.is_none() {
            self.connect();
        }
        match self.socket.as_mut()?.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
            Ok(_) => None,
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                None
            }
            Err(_) => {
                self.socket = None;
                None
            }
        }
    }

    /// Takes in a frame; the contents of messages in it.
    fn take(&mut self, frame: &Value) -> Vec<Value> {
        let data = &frame["data"];
        match frame["event"].as_str().unwrap_or_default() {
            "room:joined" => self.joined(data),
            "message:received" if data["roomId"] == ROOM => vec![self.received(data)],
            "room:error" if data["roomId"] == ROOM && data["reason"] == "resync" => {
                self.world.gaps.fetch_add(1, Ordering::Relaxed);
                self.position = Some((data["epoch"].clone(), offset(data)));
                Vec::new()
            }
            "error" if frame["requestId"] == "j" => {
                // The join was not answered by the engine: another attempt.
                self.socket = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn joined(&mut self, data: &Value) -> Vec<Value> {
        if data["recovered"] == true {
            self.world.recoveries.fetch_add(1, Ordering::Relaxed);
            let missed = data["messages"].as_array().cloned().unwrap_or_default();
            let contents = missed.iter().map(|message| self.received(message)).collect();
            let (epoch, last) = self.position.as_ref().expect("it named one");
            assert_eq!(
                (epoch, *last),
                (&data["epoch"], offset(data)),
                "{}: recovered, but not all: {data}",
                self.name
            );
            return contents;
        }
        if self.position.is_some() {
            self.world.gaps.fetch_add(1, Ordering::Relaxed);
            assert!(
                data["messages"].as_array().is_none_or(Vec::is_empty),
                "not recovered, but given: {data}"
            );
        }
        self.position = Some((data["epoch"].clone(), offset(data)));
        Vec::new()
    }

    fn received(&mut self, message: &Value) -> Value {
        self.world.note(message);
        let (epoch, last) =
            self.position.take().unwrap_or_else(|| panic!("{}: not in the room: {message}", self.name));
        let next = if message["epoch"] == epoch { last + 1 } else { 1 };
        assert_eq!(offset(message), next, "{}: behind {epoch} {last} comes {message}", self.name);
        self.position = Some((message["epoch"].clone(), next));
        message["content"].clone()
    }

    /// Listens, and speaks now and then, until the end is announced by all speakers.
    fn live(mut self) {
        let (mut sent, mut spoke) = (0, Instant::now());
        let mut farewells = BTreeSet::new();
        let mut deadline = None;
        while farewells.len() < NODES {
            if let Some(frame) = self.next() {
                let contents = self.take(&frame);
                farewells.extend(contents.iter().filter_map(|content| content["bye"].as_u64()));
            }
            if !self.world.is_over() {
                if spoke.elapsed() < BREATH {
                    continue;
                }
                spoke = Instant::now();
                sent += 1;
                let say = json!({"event": "message:send", "data": {"roomId": ROOM, "content": {"of": self.name, "n": sent}}});
                if let Some(socket) = &mut self.socket {
                    let _ = socket.send(Message::text(say.to_string()));
                }
            } else {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + 2 * DEADLINE);
                assert!(
                    Instant::now() < deadline,
                    "{}: only {farewells:?} of the last words came",
                    self.name
                );
            }
        }
    }
}

/// One fault, and time to feel it.
fn strike(world: &World, redis: &mut Redis, random: &mut StdRng) -> &'static str {
    match random.random_range(0..5) {
        0 | 1 => {
            let node = random.random_range(0..NODES);
            let mut nodes = world.nodes.lock().expect(CALM);
            // As by `kill -9`; another takes its place.
            nodes[node] = None;
            let server = start_node(redis, &[]);
            world.addresses.lock().expect(CALM)[node] = server.address;
            nodes[node] = Some(server);
            "a node is killed"
        }
        2 => {
            redis.pause();
            thread::sleep(Duration::from_millis(random.random_range(100..5_000)));
            redis.resume();
            "the Redis stalled"
        }
        3 => {
            redis.restart();
            "the Redis forgot everything"
        }
        _ => {
            redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            "connections to the Redis were cut"
        }
    }
}

#[test]
fn whatever_fails_there_is_one_order_and_every_gap_shows() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seed, seconds) = (setting("ROOMCAST_CHAOS_SEED", 6), setting("ROOMCAST_CHAOS_SECONDS", 15));
    let mut random = StdRng::seed_from_u64(seed);
    let mut redis = Redis::start();
    let nodes: Vec<Server> = (0..NODES).map(|_| start_node(&redis, &[])).collect();
    let world = Arc::new(World {
        addresses: Mutex::new(nodes.iter().map(|node| node.address).collect()),
        nodes: Mutex::new(nodes.into_iter().map(Some).collect()),
        seen: Mutex::default(),
        over: AtomicBool::new(false),
        recoveries: AtomicUsize::new(0),
        gaps: AtomicUsize::new(0),
    });
    let ears: Vec<_> = (0..6)
        .map(|number| {
            let world = Arc::clone(&world);
            let ear =
                Ear { world, name: format!("ear-{number}"), node: number, socket: None, position: None };
            thread::spawn(move || ear.live())
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut faults = Vec::new();
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(random.random_range(200..2_000)));
        faults.push(strike(&world, &mut redis, &mut random));
    }
    // All is well again: what is said now, by whichever node, comes to everybody.
    let guard = world.nodes.lock().expect(CALM);
    for node in guard.iter().flatten() {
        crate::support::eventually("the engine is up", || {
            (node.metric("roomcast_engine_up") == 1.0).then_some(())
        });
    }
    world.over.store(true, Ordering::Relaxed);
    let nodes = guard.iter().flatten();
    let mut speakers: Vec<_> =
        nodes.zip(0..).map(|(node, n)| node.member(&format!("speaker-{n}"), ROOM)).collect();
    // Whoever is just coming back may miss one.
    while !ears.iter().all(thread::JoinHandle::is_finished) {
        for (number, speaker) in speakers.iter_mut().enumerate() {
            speaker.try_say(ROOM, json!({"bye": number}));
        }
        thread::sleep(Duration::from_millis(200));
    }
    for ear in ears {
        let outcome = ear.join();
        assert!(outcome.is_ok(), "seed {seed}, after {faults:?}");
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (messages, recovered, gaps) =
        (world.seen.lock().expect(CALM).len(), count(&world.recoveries), count(&world.gaps));
    eprintln!("seed {seed}: {messages} messages, {recovered} recoveries, {gaps} gaps told, {faults:?}");
    assert!(
        messages > 100 && recovered > 0,
        "too little happened: {messages} messages, {recovered} recoveries"
    );
}
