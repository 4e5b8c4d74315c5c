//! A client of `/ws`: tungstenite for the frames, plain JSON for the rest.
//!
//! What arrives while a test waits for something else is kept in order and found by a later `expect_*`.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::{DEADLINE, Frame, QUIET, eventually};

/// An open WebSocket.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    backlog: VecDeque<Frame>,
    requests: u32,
    /// Pings of the server's own that were read while something else was waited for.
    pub(crate) pings: u32,
    /// Whose frames are printed, if they are.
    transcript: Option<&'static str>,
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
}

impl Client {
    /// A client on an upgraded socket.
    pub(crate) fn new(socket: WebSocket<TcpStream>, subprotocol: Option<String>) -> Self {
        Self { socket, backlog: VecDeque::new(), requests: 0, pings: 0, transcript: None, subprotocol }
    }

    /// Prints every text frame from now on under that name: `>` what is sent, `<` what arrives.
    pub(crate) fn transcribed(mut self, name: &'static str) -> Self {
        self.transcript = Some(name);
        self
    }

    /// Sends a JSON value.
    pub(crate) fn send(&mut self, value: &Value) {
        self.send_text(value.to_string());
    }

    /// Sends text as it is.
    pub(crate) fn send_text(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.transcribe('>', &text);
        self.socket.send(Message::text(text)).expect("the server reads");
    }

    /// Sends any message; says whether that was still possible.
    pub(crate) fn send_message(&mut self, message: Message) -> bool {
        self.socket.send(message).is_ok()
    }

    /// Lets a send fail when the server has not taken it for that long.
    pub(crate) fn give_up_writing_after(&mut self, time: Duration) {
        self.socket.get_ref().set_write_timeout(Some(time)).expect("settable");
    }

    /// Sends an event with a fresh `requestId` and returns the reply, whether success or error.
    pub(crate) fn request(&mut self, event: &str, data: &Value) -> Frame {
        self.request_text(event, &data.to_string())
    }

    /// As [`Client::request`], with `data` as it is.
    pub(crate) fn request_text(&mut self, event: &str, data: &str) -> Frame {
        let id = self.post_text(event, data);
        self.reply(&id)
    }

    /// Sends an event with a fresh `requestId`, which is returned, and does not wait.
    pub(crate) fn post(&mut self, event: &str, data: &Value) -> String {
        self.post_text(event, &data.to_string())
    }

    fn post_text(&mut self, event: &str, data: &str) -> String {
        self.requests += 1;
        let id = format!("\"r{}\"", self.requests);
        self.send_text(format!(r#"{{"event":"{event}","data":{data},"requestId":{id},"version":"1"}}"#));
        id
    }

    /// The reply to that `requestId`.
    pub(crate) fn reply(&mut self, id: &str) -> Frame {
        self.expect(id, |frame| frame.request_id.as_deref() == Some(id))
    }

    /// A request that must succeed; returns `data` of the reply.
    pub(crate) fn call(&mut self, event: &str, data: Value) -> Value {
        let reply = self.request(event, &data);
        assert!(!reply.is_error(), "{event} {data} was refused: {}", reply.raw);
        assert_eq!(reply.value["version"], "1", "{}", reply.raw);
        reply.value["data"].clone()
    }

    /// A request that must be refused with that code; returns `data` of the error.
    pub(crate) fn fail(&mut self, event: &str, data: Value, code: &str) -> Value {
        let reply = self.request(event, &data);
        reply.assert_error(code);
        reply.value["data"].clone()
    }

    /// Joins a room.
    pub(crate) fn join(&mut self, room: &str) -> Value {
        self.call("room:join", json!({"roomId": room}))
    }

    /// Sends `content` to a room, and returns what the server said of it.
    pub(crate) fn say(&mut self, room: &str, content: impl Into<Value>) -> Value {
        self.call("message:send", json!({"roomId": room, "content": content.into()}))
    }

    /// As [`Client::say`], or `None` when the server closes before it has answered.
    pub(crate) fn try_say(&mut self, room: &str, content: impl Into<Value>) -> Option<Value> {
        let data = json!({"roomId": room, "content": content.into()});
        self.requests += 1;
        let id = format!("\"r{}\"", self.requests);
        let text = format!(r#"{{"event":"message:send","data":{data},"requestId":{id}}}"#);
        if !self.send_message(Message::text(text)) {
            return None;
        }
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame = self.parse(text.as_str());
                    if frame.request_id.as_deref() == Some(&id) {
                        return Some(frame.value["data"].clone());
                    }
                    self.backlog.push_back(frame);
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return None,
            }
        }
    }

    /// The next frame of that name, skipping (but keeping) others.
    pub(crate) fn expect_event(&mut self, name: &str) -> Frame {
        self.expect(name, |frame| frame.name == name)
    }

    /// The next message of that room, in either dialect.
    pub(crate) fn expect_message(&mut self, room: &str) -> Frame {
        self.expect(room, |frame| frame.is_message_of(room))
    }

    /// The next frame that `wanted` takes, skipping (but keeping) others.
    pub(crate) fn expect(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(at) = self.backlog.iter().position(&wanted) {
            return self.backlog.remove(at).expect("the position is inside");
        }
        let end = Instant::now() + DEADLINE;
        loop {
            let frame = match self.read() {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(error) => panic!("{what} did not come: {error}; {}", self.describe_backlog()),
            };
            if wanted(&frame) {
                return frame;
            }
            self.backlog.push_back(frame);
            assert!(Instant::now() < end, "{what} did not come; {}", self.describe_backlog());
        }
    }

    /// Waits for the reply to a ping: everything that this connection's shard had for it before has arrived.
    pub(crate) fn ping(&mut self) {
        let pong = self.request("ping", &json!({}));
        assert_eq!(pong.name, "pong");
        assert!(!pong.value["data"]["timestamp"].is_null(), "{}", pong.raw);
    }

    /// Waits until the server has pinged more often than `earlier` (see [`Client::pings`]) and has taken the answer.
    pub(crate) fn expect_ping(&mut self, earlier: u32) {
        while self.pings <= earlier {
            match self.read() {
                Ok(frame) => self.backlog.extend(frame),
                Err(error) => panic!("no ping came: {error}; {}", self.describe_backlog()),
            }
        }
        self.ping();
    }

    /// Takes all frames of that name which have arrived so far.
    pub(crate) fn arrived(&mut self, name: &str) -> Vec<Frame> {
        let (taken, kept) = self.backlog.drain(..).partition(|frame| frame.name == name);
        self.backlog = kept;
        Vec::from(taken)
    }

    /// Listens for [`QUIET`] and fails if a frame of that name is there.
    pub(crate) fn assert_no(&mut self, name: &str, why: &str) {
        self.stays_open_for(QUIET);
        let frames = self.arrived(name);
        assert!(frames.is_empty(), "{why}: {frames:?}");
    }

    /// Expects the server to close; returns code and reason. Frames before it are kept.
    pub(crate) fn expect_close(&mut self) -> (u16, String) {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    let _ = self.socket.flush();
                    return (frame.code.into(), frame.reason.to_string());
                }
                Ok(Message::Text(text)) => self.backlog.push_back(self.parse(text.as_str())),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no close frame but {other:?}; {}", self.describe_backlog()),
            }
        }
    }

    /// Expects to be closed, or to be sent an error of that code; returns the close code if it was that.
    pub(crate) fn expect_close_or_error(&mut self, code: &str) -> Option<u16> {
        match self.socket.read() {
            Ok(Message::Close(Some(frame))) => Some(frame.code.into()),
            Ok(Message::Text(text)) => {
                self.parse(text.as_str()).assert_error(code);
                None
            }
            other => panic!("neither a close frame nor {code} but {other:?}"),
        }
    }

    /// Reads for that long and fails when the server closes meanwhile.
    pub(crate) fn stays_open_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.socket.get_ref().set_read_timeout(Some(left)).expect("settable");
            match self.read() {
                Ok(Some(frame)) => self.backlog.push_back(frame),
                Ok(None) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("closed after less than {time:?}: {error}"),
            }
        }
        self.socket.get_ref().set_read_timeout(Some(DEADLINE)).expect("settable");
        assert!(self.send_message(Message::Ping("still there".into())), "closed after less than {time:?}");
        loop {
            match self.socket.read() {
                Ok(Message::Pong(payload)) if payload == "still there" => return,
                Ok(Message::Text(text)) => self.backlog.push_back(self.parse(text.as_str())),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no pong but {other:?}"),
            }
        }
    }

    /// Cuts the socket, as a network would, and waits until the gateway has put the session aside.
    pub(crate) fn cut(self, observer: &mut Self) {
        let parked = |observer: &mut Self| observer.call("connection:stats", json!({}))["parked"].as_u64();
        let before = parked(observer);
        drop(self);
        eventually("the session is parked", || (parked(observer) > before).then_some(()));
    }

    /// Closes and waits until the server has closed too.
    pub(crate) fn close(mut self) {
        self.socket.close(None).expect("a close frame can be queued");
        while self.socket.read().is_ok() {}
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        match self.socket.read()? {
            Message::Text(text) => Ok(Some(self.parse(text.as_str()))),
            Message::Binary(_) => panic!("no binary frame is ever sent on /ws"),
            Message::Close(frame) => panic!("closed with {frame:?}; {}", self.describe_backlog()),
            Message::Ping(_) => {
                self.pings += 1;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn parse(&self, text: &str) -> Frame {
        self.transcribe('<', text);
        Frame::parse(text)
    }

    #[expect(clippy::print_stdout, reason = "a test's output is kept from the reader unless it asks for it")]
    fn transcribe(&self, direction: char, text: &str) {
        if let Some(name) = self.transcript {
            println!("{direction} {name}: {text}");
        }
    }

    fn describe_backlog(&self) -> String {
        let lines: Vec<&str> = self.backlog.iter().map(|frame| frame.raw.as_str()).take(20).collect();
        format!("{} other frames arrived: {}", self.backlog.len(), lines.join("\n  "))
    }
}
