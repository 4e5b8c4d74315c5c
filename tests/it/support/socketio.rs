//! Socket.IO by hand over either transport: packets, attachments, namespaces, and acks both ways.
//!
//! What arrives while a test waits for something else is kept in order and found by a later `expect`.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{Endpoint, EngineSocket, Packet, Polling};
use super::{QUIET, Server, Token, eventually};

/// The path of the gateway's Socket.IO endpoint.
pub(crate) const PATH: &str = "/socket.io/";

/// A client, in one namespace at a time.
pub(crate) struct SocketIo {
    wire: Wire,
    namespace: String,
    backlog: VecDeque<Message>,
    acks: u64,
}

enum Wire {
    Socket(EngineSocket),
    Polling(Box<Polling>, VecDeque<String>),
}

/// A packet of the server.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The digit that says what it is; those of binary packets are turned into the plain ones.
    pub(crate) kind: char,
    pub(crate) namespace: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
    pub(crate) attachments: Vec<Vec<u8>>,
    /// The text as it came.
    pub(crate) raw: String,
}

/// What one look at the wire brought.
enum Step {
    Packet(Packet),
    /// A heartbeat, which was answered, or nothing yet.
    Nothing,
    End,
}

fn step_of(socket: &mut EngineSocket) -> Step {
    match socket.read() {
        None => Step::End,
        Some(Packet::Text(text)) if text == "2" => {
            socket.try_send("3");
            Step::Nothing
        }
        Some(packet) => Step::Packet(packet),
    }
}

impl Message {
    /// Reads a text packet; also how many attachments follow it.
    fn parse(raw: &str) -> (Self, usize) {
        let mut rest = raw.strip_prefix('4').unwrap_or_else(|| panic!("no message: {raw}"));
        let mut kind = rest.chars().next().unwrap_or_else(|| panic!("no packet: {raw}"));
        rest = &rest[1..];
        let mut count = 0;
        if matches!(kind, '5' | '6') {
            let (digits, tail) = rest.split_once('-').unwrap_or_else(|| panic!("no count: {raw}"));
            count = digits.parse().unwrap_or_else(|_| panic!("no count: {raw}"));
            (kind, rest) = (if kind == '5' { '2' } else { '3' }, tail);
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let id = rest[..digits].parse().ok();
        let data = match &rest[digits..] {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {raw}")),
        };
        let message = Self {
            kind,
            namespace: namespace.to_owned(),
            id,
            data,
            attachments: Vec::new(),
            raw: raw.to_owned(),
        };
        (message, count)
    }

    /// Whether this is that event.
    pub(crate) fn is_event(&self, name: &str) -> bool {
        self.kind == '2' && self.data[0] == name
    }

    /// The opaque position at the end of an event without ack id.
    #[track_caller]
    pub(crate) fn position(&self) -> &str {
        assert_eq!((self.kind, self.id), ('2', None), "{}", self.raw);
        let last = self.data.as_array().and_then(|arguments| arguments.last());
        last.and_then(Value::as_str).unwrap_or_else(|| panic!("no position in {}", self.raw))
    }
}

impl SocketIo {
    /// A client over WebSocket from the start, or over polling alone, that is in no namespace yet.
    pub(crate) fn open(endpoint: &Endpoint, polling: bool) -> Self {
        let wire = if polling {
            Wire::Polling(Box::new(endpoint.polling()), VecDeque::new())
        } else {
            Wire::Socket(endpoint.websocket().0)
        };
        Self::over(wire)
    }

    fn over(wire: Wire) -> Self {
        Self { wire, namespace: "/".to_owned(), backlog: VecDeque::new(), acks: 0 }
    }

    /// A client on a WebSocket that is past its Engine.IO handshake.
    pub(crate) fn on_socket(socket: EngineSocket) -> Self {
        Self::over(Wire::Socket(socket))
    }

    /// An employee of that name over WebSocket, in `/`.
    pub(crate) fn employee(server: &Server, name: &str) -> Self {
        let mut client = Self::open(&Endpoint::new(server.address, PATH), false);
        client.connect(&json!({"token": Token::employee(name).mint()}));
        client
    }

    /// An employee of that name over WebSocket, in that room of `/`.
    pub(crate) fn member(server: &Server, name: &str, room: &str) -> Self {
        let mut client = Self::employee(server, name);
        client.call("room:join", json!({"roomId": room}));
        client
    }

    /// Makes this namespace the one that everything else is about.
    pub(crate) fn within(&mut self, namespace: &str) -> &mut Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// What stands before the rest of a packet of this namespace.
    fn prefix(&self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }

    /// Asks to be let into the namespace: what CONNECT said, or what CONNECT_ERROR said.
    pub(crate) fn try_connect(&mut self, auth: &Value) -> Result<Value, Value> {
        self.send(&format!("40{}{auth}", self.prefix()));
        let reply = self.expect("an answer to CONNECT", |message| matches!(message.kind, '0' | '4'));
        if reply.kind == '0' { Ok(reply.data) } else { Err(reply.data) }
    }

    /// Asks to be let into the namespace, and is.
    #[track_caller]
    pub(crate) fn connect(&mut self, auth: &Value) -> Value {
        self.try_connect(auth).unwrap_or_else(|error| panic!("refused: {error}"))
    }

    /// Sends a packet as it is.
    #[track_caller]
    pub(crate) fn send(&mut self, packet: &str) {
        match &mut self.wire {
            Wire::Socket(socket) => socket.send(packet),
            Wire::Polling(session, _) => session.send(packet),
        }
    }

    /// Sends a packet as it is to a server that may have closed.
    pub(crate) fn try_send(&mut self, packet: &str) {
        match &mut self.wire {
            Wire::Socket(socket) => _ = socket.try_send(packet),
            Wire::Polling(session, _) => _ = session.post(packet),
        }
    }

    /// Sends a binary frame to a server that may have closed; only over WebSocket.
    pub(crate) fn try_send_binary(&mut self, payload: &[u8]) {
        self.socket().try_send_binary(payload);
    }

    /// Sends an event without asking for an ack.
    pub(crate) fn emit(&mut self, event: &str, data: &Value) {
        self.send(&format!("42{}{}", self.prefix(), json!([event, data])));
    }

    /// Sends an event and does not wait for its ack, whose id is returned.
    pub(crate) fn post(&mut self, event: &str, data: &Value) -> u64 {
        self.acks += 1;
        self.send(&format!("42{}{}{}", self.prefix(), self.acks, json!([event, data])));
        self.acks
    }

    /// The only argument of the ack of that id.
    #[track_caller]
    pub(crate) fn ack(&mut self, id: u64) -> Value {
        let namespace = self.namespace.clone();
        let ack = self.expect("an ack", |message| {
            message.kind == '3' && message.id == Some(id) && message.namespace == namespace
        });
        let arguments = ack.data.as_array().unwrap_or_else(|| panic!("no array in {}", ack.raw));
        assert_eq!(arguments.len(), 1, "{}", ack.raw);
        arguments[0].clone()
    }

    /// Sends an event and returns what its ack says, success or error.
    #[track_caller]
    pub(crate) fn ask(&mut self, event: &str, data: &Value) -> Value {
        let id = self.post(event, data);
        self.ack(id)
    }

    /// Sends an event that must succeed; returns the reply's data.
    #[track_caller]
    pub(crate) fn call(&mut self, event: &str, data: Value) -> Value {
        let reply = self.ask(event, &data);
        assert!(reply["code"].is_null(), "{event} {data} was refused: {reply}");
        reply
    }

    /// Sends an event that must be refused with that code; returns the error.
    #[track_caller]
    pub(crate) fn fail(&mut self, event: &str, data: Value, code: &str) -> Value {
        let reply = self.ask(event, &data);
        assert_eq!(reply["code"], code, "{event} {data}: {reply}");
        reply
    }

    /// Sends `content` to a room, and returns what the server said of it.
    pub(crate) fn say(&mut self, room: &str, content: impl Into<Value>) -> Value {
        self.call("message:send", json!({"roomId": room, "content": content.into()}))
    }

    /// The next event of that name in the namespace.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str) -> Message {
        let namespace = self.namespace.clone();
        self.expect(name, |message| message.is_event(name) && message.namespace == namespace)
    }

    /// The next packet that `wanted` takes, skipping (but keeping) others.
    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        if let Some(at) = self.backlog.iter().position(&wanted) {
            return self.backlog.remove(at).expect("the position is inside");
        }
        loop {
            let message = self.read().unwrap_or_else(|| panic!("{} before {what}", self.end()));
            if wanted(&message) {
                return message;
            }
            self.backlog.push_back(message);
        }
    }

    /// The next packet, whatever it is.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Message {
        self.expect("anything", |_| true)
    }

    /// The next packet, or `None` when the server has closed.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        self.backlog.pop_front().or_else(|| self.read())
    }

    /// All events of that name in the namespace which have arrived so far.
    pub(crate) fn arrived(&mut self, name: &str) -> Vec<Message> {
        let taken = |message: &Message| message.is_event(name) && message.namespace == self.namespace;
        let (taken, kept) = self.backlog.drain(..).partition(taken);
        self.backlog = kept;
        Vec::from(taken)
    }

    /// Listens until it is quiet.
    #[track_caller]
    fn listen(&mut self) {
        while self.stirs_within(QUIET) {
            match self.step() {
                Step::Packet(packet) => {
                    let message = self.complete(packet);
                    self.backlog.push_back(message);
                }
                Step::Nothing => {}
                Step::End => panic!("{}", self.end()),
            }
        }
    }

    /// Listens until it is quiet, and fails if an event of that name is there.
    #[track_caller]
    pub(crate) fn assert_no(&mut self, name: &str) {
        self.listen();
        let arrived = self.arrived(name);
        assert!(arrived.is_empty(), "{arrived:?}");
    }

    /// Whether a packet comes within that time; a heartbeat counts as one.
    fn stirs_within(&mut self, time: Duration) -> bool {
        match &mut self.wire {
            Wire::Socket(socket) => socket.stirs_within(time),
            Wire::Polling(_, packets) if !packets.is_empty() => true,
            Wire::Polling(session, packets) => {
                // The GET has to be answered in either case, or the next would end the session.
                session.begin_get();
                let stirs = session.get_ends_within(time);
                if !stirs {
                    session.send("42[\"ping\",{}]");
                }
                packets.extend(session.finish_poll().split('\x1e').map(str::to_owned));
                stirs
            }
        }
    }

    /// The next packet of the server, with its attachments; `None` when it has closed.
    fn read(&mut self) -> Option<Message> {
        let packet = self.read_packet()?;
        Some(self.complete(packet))
    }

    /// The packet that begins with this one.
    fn complete(&mut self, first: Packet) -> Message {
        let Packet::Text(text) = first else { panic!("an attachment of nothing") };
        let (mut message, count) = Message::parse(&text);
        for _ in 0..count {
            let Some(Packet::Binary(payload)) = self.read_packet() else {
                panic!("an attachment is missing to {text}")
            };
            message.attachments.push(payload);
        }
        message
    }

    fn read_packet(&mut self) -> Option<Packet> {
        loop {
            match self.step() {
                Step::Packet(packet) => return Some(packet),
                Step::Nothing => {}
                Step::End => return None,
            }
        }
    }

    /// Waits for one packet, or for the answer to one GET.
    fn step(&mut self) -> Step {
        let (session, packets) = match &mut self.wire {
            Wire::Socket(socket) => return step_of(socket),
            Wire::Polling(session, packets) => (session, packets),
        };
        match packets.pop_front().as_deref() {
            Some("1") => return Step::End,
            Some("2") => _ = session.post("3"),
            Some("6") => {}
            Some(text) => return Step::Packet(Packet::Text(text.to_owned())),
            None => {
                let response = session.get();
                if response.status != 200 {
                    return Step::End;
                }
                packets.extend(response.body.split('\x1e').map(str::to_owned));
            }
        }
        Step::Nothing
    }

    /// How it ended.
    fn end(&self) -> String {
        let reason = match &self.wire {
            Wire::Socket(socket) => socket.reason.as_deref(),
            Wire::Polling(..) => None,
        };
        let packets: Vec<&str> = self.backlog.iter().map(|message| message.raw.as_str()).take(20).collect();
        format!("closed ({reason:?}) after {packets:#?}")
    }

    /// Expects the server to end the session; returns the packets before that.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) -> Vec<Message> {
        while let Some(message) = self.read() {
            self.backlog.push_back(message);
        }
        self.backlog.drain(..).collect()
    }

    /// The WebSocket below.
    pub(crate) fn socket(&mut self) -> &mut EngineSocket {
        match &mut self.wire {
            Wire::Socket(socket) => socket,
            Wire::Polling(..) => panic!("this client polls"),
        }
    }

    /// Goes away without a word, and waits until the gateway has noticed: by the end of a WebSocket, or of a GET.
    pub(crate) fn cut(mut self, server: &Server) {
        let before = server.metric("roomcast_sessions_parked");
        if let Wire::Polling(session, _) = &mut self.wire {
            session.begin_get();
        }
        drop(self);
        eventually("the session is parked", || {
            (server.metric("roomcast_sessions_parked") > before).then_some(())
        });
    }
}
