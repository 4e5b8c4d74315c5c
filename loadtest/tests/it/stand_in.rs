//! A server that does just enough to be load-tested, and does one thing wrong when asked: so that the load
//! generator's checks are themselves checked. Threads and blocking sockets; nothing here is fast. `chat` is what it
//! does beside messages, `frame` the framing, `cluster` several of them as one.

mod chat;
mod cluster;
mod frame;
mod nats;
mod recovery;
mod socketio;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::frame::{CLOSE, PING, PONG, TEXT, close, decode, encode, write_frame};

/// A room's first message gets the offset after this, as if the room had a past.
const PAST: u64 = 1000;
/// Connections from this number on are those of clients that come back, since every test has six clients.
const FIRST_RETURN: u64 = 6;
/// The message of each room that the fault concerns, counted from 1.
const FAULTY: u64 = 20;

/// Time over which a rate of messages is counted.
const RATE_WINDOW: Duration = Duration::from_millis(200);

/// What goes wrong: with messages once in each room, for its first member; with all else always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A message is not delivered.
    Drop,
    /// A message is delivered twice.
    Duplicate,
    /// A message is delivered after the one that follows it.
    Swap,
    /// Two messages are delivered with each other's offsets.
    Renumber,
    /// The member is closed with this code instead.
    Close(u16),
    /// Not the first member, but every one that never sent, is closed with this code.
    CloseSilent(u16),
    /// Joining is refused with `RATE_LIMITED`.
    RefuseJoin,
    /// Changes of presence arrive so many milliseconds late.
    SlowPresence(u64),
    /// Changes of presence arrive at those only who are in another room.
    MisroutePresence,
    /// Nobody hears of changes of presence.
    MutePresence,
    /// Joins, but for everybody's first, are answered so many milliseconds late.
    SlowJoin(u64),
    /// Joins, but for everybody's first, are not answered.
    MuteJoin,
    /// Events beside messages, joins and leaves are unknown.
    RefuseChat,
    /// A Socket.IO server refuses instead of greeting.
    RefuseGreeting,
    /// Nothing is wrong, but every frame arrives in pieces of a few bytes.
    Trickle,
    /// The first member misses what exceeds so many messages a second over all rooms.
    LoseAbove(usize),
    /// After so many messages of a room the first member gets nothing more.
    LoseAfter(u64),
    /// The upgrade of whoever comes back is answered 100 ms late.
    LateReturn,
    /// As late, and the first message of each recovery is missing.
    LoseRecovery,
    /// As late, and each recovery begins with a message that the member has.
    RepeatRecovery,
    /// Nobody is let in again.
    RefuseReturn,
    /// The message sends everybody away, and the server forgets all that was.
    Restart,
    /// Joining is refused beyond so many open connections.
    RefuseAbove(usize),
}

/// The server; its threads end with the process.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    fault: Fault,
    /// Its number among those that share the state.
    node: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rooms: HashMap<String, Room>,
    pongs: usize,
    /// Connections that have joined and are open.
    joined: usize,
    /// When the messages of the last [`RATE_WINDOW`] came.
    recent: VecDeque<Instant>,
    requests: Vec<String>,
    heard: Vec<Heard>,
    /// Connections that a restart has sent away.
    gone: HashSet<u64>,
    /// Connections so far.
    connections: u64,
    /// All open sockets.
    sockets: HashMap<u64, (usize, TcpStream)>,
    /// Servers that are no more.
    dead: HashSet<usize>,
}

/// An event beside messages and first joins.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    /// Number of the connection.
    pub(crate) id: u64,
    pub(crate) frame: Value,
}

#[derive(Default)]
struct Room {
    messages: u64,
    /// The frames of all messages.
    history: Vec<String>,
    members: Vec<Member>,
    /// What the faulty member will be sent after the next message.
    held: Option<String>,
}

struct Member {
    id: u64,
    /// That of its server.
    fault: Fault,
    socket: TcpStream,
    has_sent: bool,
    watches: bool,
    types: bool,
}

impl StandIn {
    pub(crate) fn start(fault: Fault) -> Self {
        Self::start_node(fault, 0, Arc::default())
    }

    fn start_node(fault: Fault, node: usize, state: Arc<Mutex<State>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { fault, node, state });
        let sharing = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.expect("accepts");
                let Some(id) = sharing.lock().enter(node, &socket) else { return };
                let shared = Arc::clone(&sharing);
                thread::spawn(move || {
                    serve(&shared, id, socket);
                    shared.lock().leave(id);
                });
            }
        });
        Self { address, shared }
    }

    /// Pongs received.
    pub(crate) fn pongs(&self) -> usize {
        self.shared.lock().pongs
    }

    /// Heads of the upgrade requests received.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }

    /// Events of this name that were received beside messages and first joins.
    pub(crate) fn heard(&self, event: &str) -> Vec<Heard> {
        self.shared.lock().heard.iter().filter(|heard| heard.frame["event"] == event).cloned().collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_text(self: &Arc<Self>, id: u64, socket: &TcpStream, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("the generator writes JSON");
        let data = &frame["data"];
        if self.lock().gone.contains(&id) {
            return;
        }
        match frame["event"].as_str().or(frame["type"].as_str()) {
            Some("room:join") if self.fault == Fault::RefuseJoin => {
                self.write(socket, r#"{"event":"error","data":{"code":"RATE_LIMITED"},"requestId":"j"}"#);
            }
            Some("room:join") if matches!(self.fault, Fault::RefuseAbove(max) if self.lock().joined >= max) => {
                self.write(socket, r#"{"event":"error","data":{"code":"FULL"},"requestId":"j"}"#);
            }
            Some("room:join") if self.fault == Fault::RefuseReturn && id >= FIRST_RETURN => {
                self.write(socket, r#"{"event":"error","data":{"code":"FULL"},"requestId":"j"}"#);
            }
            Some("room:join" | "subscribe")
                if [data, &frame].iter().any(|part| part["recover"].is_object()) =>
            {
                self.come_back(id, socket, &frame);
            }
            Some("room:join") if frame["requestId"] == "j" => self.join(id, socket, &data["roomId"], |room, offset| {
                format!(r#"{{"event":"room:joined","data":{{"roomId":{room},"epoch":"e","offset":{offset}}},"requestId":"j"}}"#)
            }),
            Some("subscribe") => self.join(id, socket, &frame["topic"], |room, offset| {
                format!(r#"{{"type":"subscribed","topic":{room},"epoch":"e","offset":{offset}}}"#)
            }),
            Some("message:send") => self.publish(id, &data["roomId"], |room, offset| {
                let content = &data["content"];
                format!(r#"{{"event":"message:received","data":{{"roomId":{room},"offset":{offset},"content":{content}}},"version":"1"}}"#)
            }),
            Some("message") => self.publish(id, &frame["topic"], |room, offset| {
                format!(r#"{{"type":"message","topic":{room},"data":{data},"metadata":{{"epoch":"e","offset":{offset}}}}}"#)
            }),
            Some(_) => self.on_chat(id, socket, &frame),
            None => panic!("no request: {text}"),
        }
    }

    fn join(&self, id: u64, socket: &TcpStream, room: &Value, answer: impl Fn(&Value, u64) -> String) {
        let mut state = self.lock();
        state.joined += 1;
        let Room { members, messages, .. } = state.rooms.entry(room.to_string()).or_default();
        for member in &*members {
            self.write(
                &member.socket,
                r#"{"event":"room:member-joined","data":{"userId":"u"},"version":"1"}"#,
            );
        }
        members.push(Member::new(id, self.fault, socket));
        write_frame(socket, PING, b"are you there?");
        self.write(socket, &answer(room, PAST + *messages));
    }

    fn publish(&self, sender: u64, room_name: &Value, frame: impl Fn(&Value, u64) -> String) {
        let mut state = self.lock();
        let exceeds = state.exceeds(self.fault);
        let is_last = |room: &Room| room.messages + 1 == FAULTY;
        if self.fault == Fault::Restart
            && state.gone.is_empty()
            && state.rooms.get(&room_name.to_string()).is_some_and(is_last)
        {
            return state.restart();
        }
        let room = state.rooms.get_mut(&room_name.to_string()).expect("senders are members");
        room.messages += 1;
        let faulty = room.messages == FAULTY;
        let text = frame(room_name, PAST + room.messages);
        room.history.push(text.clone());
        let held = room.held.take();
        let mut hold = None;
        let first = room.members.iter().position(|member| member.fault != Fault::None);
        for (place, member) in room.members.iter_mut().enumerate() {
            member.has_sent |= member.id == sender;
            let is_first = first == Some(place);
            match member.fault {
                Fault::Close(code) if faulty && is_first => close(&member.socket, code),
                Fault::CloseSilent(code) if faulty && !member.has_sent => close(&member.socket, code),
                Fault::Drop if faulty && is_first => {}
                Fault::LoseAbove(_) if exceeds && is_first => {}
                Fault::LoseAfter(count) if room.messages > count && is_first => {}
                Fault::Duplicate if faulty && is_first => {
                    [(); 2].iter().for_each(|()| self.write(&member.socket, &text))
                }
                Fault::Swap if faulty && is_first => hold = Some(text.clone()),
                Fault::Renumber if faulty && is_first => {
                    // Its content under the next offset; the next one's under this.
                    hold = Some(frame(room_name, PAST + FAULTY + 1));
                }
                Fault::Renumber if held.is_some() && is_first => {
                    self.write(&member.socket, &frame(room_name, PAST + FAULTY));
                    self.write(&member.socket, held.as_deref().unwrap_or_default());
                }
                _ => {
                    self.write(&member.socket, &text);
                    if let Some(held) = held.as_deref().filter(|_| is_first) {
                        self.write(&member.socket, held);
                    }
                }
            }
        }
        room.held = hold;
    }

    fn write(&self, socket: &TcpStream, text: &str) {
        let mut bytes = Vec::new();
        let opcode = if nats::is_line(text) { nats::BINARY } else { TEXT };
        encode(&mut bytes, opcode, text.as_bytes());
        let piece = if self.fault == Fault::Trickle { 7 } else { bytes.len() };
        for piece in bytes.chunks(piece) {
            // A client may be gone at the end of a run.
            let _ = { socket }.write_all(piece);
        }
    }
}

impl State {
    /// A connection to a server; its number, unless that server is dead.
    fn enter(&mut self, node: usize, socket: &TcpStream) -> Option<u64> {
        if self.dead.contains(&node) {
            return None;
        }
        let id = self.connections;
        self.connections += 1;
        self.sockets.insert(id, (node, socket.try_clone().expect("clones")));
        Some(id)
    }

    /// The connection is gone.
    fn leave(&mut self, id: u64) {
        self.sockets.remove(&id);
        let members = |state: &Self| state.rooms.values().map(|room| room.members.len()).sum::<usize>();
        let before = members(self);
        for room in self.rooms.values_mut() {
            room.members.retain(|member| member.id != id);
        }
        // Side rooms are joined without being counted.
        self.joined = self.joined.saturating_sub(before - members(self));
    }

    /// Whether the message that comes now exceeds a rate.
    fn exceeds(&mut self, fault: Fault) -> bool {
        let Fault::LoseAbove(rate) = fault else { return false };
        let now = Instant::now();
        while self.recent.front().is_some_and(|then| now.duration_since(*then) > RATE_WINDOW) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() as f64 > rate as f64 * RATE_WINDOW.as_secs_f64()
    }
}

impl Member {
    fn new(id: u64, fault: Fault, socket: &TcpStream) -> Self {
        let socket = socket.try_clone().expect("clones");
        Self { id, fault, socket, has_sent: false, watches: false, types: false }
    }
}

fn serve(shared: &Arc<Shared>, id: u64, mut socket: TcpStream) {
    socket.set_nodelay(true).expect("a socket takes the option");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes the option");
    let mut received = Vec::new();
    let head_len = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !receive(&mut socket, &mut received) {
            return;
        }
    };
    let head = String::from_utf8(received.drain(..head_len).collect()).expect("the request is ASCII");
    // The accept value belongs to the one key that the generator sends: RFC 6455's example.
    assert!(head.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "{head}");
    let is_socketio = head.starts_with(socketio::PATH);
    let is_nats = head.starts_with(nats::PATH);
    shared.lock().requests.push(head);
    let is_late = matches!(shared.fault, Fault::LateReturn | Fault::LoseRecovery | Fault::RepeatRecovery);
    if is_late && id >= FIRST_RETURN {
        thread::sleep(Duration::from_millis(100));
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    socket.write_all(answer.as_bytes()).expect("a new socket takes the answer");
    if is_socketio {
        shared.open_engine(&socket);
    } else if is_nats {
        shared.open_nats(&socket);
    }
    loop {
        while let Some((opcode, payload)) = decode(&mut received) {
            match opcode {
                nats::BINARY if is_nats => {
                    shared.on_lines(id, &socket, std::str::from_utf8(&payload).expect("UTF-8"));
                }
                TEXT if is_socketio => {
                    shared.on_packet(id, &socket, std::str::from_utf8(&payload).expect("UTF-8"));
                }
                TEXT => shared.on_text(id, &socket, std::str::from_utf8(&payload).expect("UTF-8")),
                PONG => {
                    assert_eq!(payload, b"are you there?");
                    shared.lock().pongs += 1;
                }
                CLOSE => {
                    write_frame(&socket, CLOSE, &payload);
                    return;
                }
                other => panic!("unexpected opcode {other}"),
            }
        }
        if !receive(&mut socket, &mut received) {
            return;
        }
    }
}

fn receive(socket: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    match socket.read(&mut chunk) {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            received.extend_from_slice(&chunk[..length]);
            true
        }
    }
}
