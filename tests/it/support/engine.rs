//! Engine.IO by hand: sessions over long-polling, whose every request the test chooses, and over WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::http::{self, Response};
use super::line::Line;
use super::raw::{BINARY, CLOSE, FIN, PING, PONG, RawSocket, TEXT, masked};

/// Where a server speaks Engine.IO.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    path: &'static str,
    /// Further parameters of every request, each with `&` before it.
    extra: String,
}

/// A session over long-polling; GETs go over one connection and POSTs over another.
pub(crate) struct Polling {
    pub(crate) endpoint: Endpoint,
    /// The open packet's object.
    pub(crate) open: Value,
    gets: Line,
    posts: Line,
}

/// A WebSocket, of a session of its own or on its way to take one over.
pub(crate) struct EngineSocket {
    raw: RawSocket,
    /// Why the server closed, in its words.
    pub(crate) reason: Option<String>,
}

/// What a session carries: a packet of text with its type, or a binary message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Text(String),
    Binary(Vec<u8>),
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, path: &'static str) -> Self {
        Self { address, path, extra: String::new() }
    }

    /// With a further parameter in every request.
    pub(crate) fn with(mut self, parameter: &str) -> Self {
        self.extra = format!("{}&{parameter}", self.extra);
        self
    }

    /// The target of a handshake over that transport.
    pub(crate) fn target(&self, transport: &str) -> String {
        format!("{}?EIO=4&transport={transport}{}", self.path, self.extra)
    }

    /// The target with any query.
    pub(crate) fn target_of(&self, query: &str) -> String {
        format!("{}?{query}", self.path)
    }

    /// Opens a session over long-polling.
    pub(crate) fn polling(&self) -> Polling {
        self.polling_over(Line::to(self.address))
    }

    /// As [`Endpoint::polling`], with a connection that GETs go over.
    pub(crate) fn polling_over(&self, mut gets: Line) -> Polling {
        let response = gets.exchange(http::request("GET", &self.target("polling"), &[], b""));
        let open = open_packet(&response);
        Polling { endpoint: self.clone(), open, gets, posts: Line::to(self.address) }
    }

    /// Opens a session over WebSocket; also its open packet's object.
    pub(crate) fn websocket(&self) -> (EngineSocket, Value) {
        let mut socket = EngineSocket::new(RawSocket::upgrade(self.address, &self.target("websocket")));
        let Some(Packet::Text(open)) = socket.read() else { panic!("no open packet") };
        let open = open.strip_prefix('0').unwrap_or_else(|| panic!("no open packet but {open}"));
        (socket, serde_json::from_str(open).expect("JSON"))
    }
}

/// The object of the open packet in a response.
pub(crate) fn open_packet(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    let open = response.body.strip_prefix('0').unwrap_or_else(|| panic!("no open packet: {response:?}"));
    serde_json::from_str(open).unwrap_or_else(|error| panic!("{error} in {open}"))
}

/// Fails unless this is the refusal of that code, byte for byte.
#[track_caller]
pub(crate) fn assert_refused(response: &Response, code: usize) {
    const MESSAGES: [&str; 6] = [
        "Transport unknown",
        "Session ID unknown",
        "Bad handshake method",
        "Bad request",
        "Forbidden",
        "Unsupported protocol version",
    ];
    assert_eq!(response.status, if code == 4 { 403 } else { 400 }, "{response:?}");
    let expected = format!(r#"{{"code":{code},"message":"{}"}}"#, MESSAGES[code]);
    assert_eq!(response.body, expected, "{response:?}");
    let kind = response.header("content-type").expect("a type");
    assert_eq!(kind.split(';').next(), Some("application/json"), "{response:?}");
}

impl Polling {
    pub(crate) fn sid(&self) -> &str {
        self.open["sid"].as_str().expect("the open packet has a sid")
    }

    /// The target of this session's requests, or of its WebSocket.
    pub(crate) fn target(&self, transport: &str) -> String {
        format!("{}&sid={}", self.endpoint.target(transport), self.sid())
    }

    /// The bytes of a GET of this session.
    pub(crate) fn get_request(&self) -> Vec<u8> {
        http::request("GET", &self.target("polling"), &[], b"")
    }

    /// The bytes of a POST of this session.
    pub(crate) fn post_request(&self, body: impl AsRef<[u8]>) -> Vec<u8> {
        let kind = ["Content-Type: text/plain;charset=UTF-8"];
        http::request("POST", &self.target("polling"), &kind, body.as_ref())
    }

    /// Sends a GET and does not wait.
    pub(crate) fn begin_get(&mut self) {
        let request = self.get_request();
        self.gets.send(request);
    }

    /// The answer to what [`Polling::begin_get`] asked.
    pub(crate) fn finish_get(&mut self) -> Response {
        self.gets.read()
    }

    /// Whether a GET that was begun is answered within that time.
    pub(crate) fn get_ends_within(&self, time: Duration) -> bool {
        self.gets.stirs_within(time)
    }

    pub(crate) fn get(&mut self) -> Response {
        self.begin_get();
        self.finish_get()
    }

    /// A GET that brings packets.
    pub(crate) fn poll(&mut self) -> String {
        self.begin_get();
        self.finish_poll()
    }

    /// What a GET that was begun brings.
    pub(crate) fn finish_poll(&mut self) -> String {
        let response = self.finish_get();
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    pub(crate) fn post(&mut self, body: impl AsRef<[u8]>) -> Response {
        let request = self.post_request(body);
        self.posts.exchange(request)
    }

    /// A POST that is taken.
    pub(crate) fn send(&mut self, body: impl AsRef<[u8]>) {
        let response = self.post(body);
        assert_eq!((response.status, response.body.as_str()), (200, "ok"), "{response:?}");
    }

    /// Expects the GET that was begun to be released because the session is over: by a close packet, or as unknown.
    #[track_caller]
    pub(crate) fn finish_last_get(&mut self) {
        let response = self.finish_get();
        if response.status == 200 {
            assert_eq!(response.body, "1", "{response:?}");
        } else {
            assert_refused(&response, 1);
        }
        self.assert_over();
    }

    /// Polls until the server has ended the session, and fails if that does not come.
    pub(crate) fn expect_end(&mut self) {
        let over = super::eventually("the session is over", || {
            let response = self.get();
            assert!(matches!(response.status, 200 | 400), "{response:?}");
            (response.status == 400).then_some(response)
        });
        assert_refused(&over, 1);
    }

    /// Fails unless the session is over already.
    #[track_caller]
    pub(crate) fn assert_over(&self) {
        assert_refused(&http::exchange(self.endpoint.address, self.get_request()), 1);
    }

    /// A WebSocket that names this session.
    pub(crate) fn socket(&self) -> EngineSocket {
        self.try_socket().unwrap_or_else(|response| panic!("no upgrade: {response:?}"))
    }

    /// As [`Polling::socket`], or what was answered instead.
    pub(crate) fn try_socket(&self) -> Result<EngineSocket, Box<Response>> {
        let head = http::upgrade_head(&self.target("websocket"), &[]);
        RawSocket::try_upgrade_with(http::connect(self.endpoint.address), head.as_bytes())
            .map(EngineSocket::new)
    }

    /// Upgrades as a client does, with no GET pending.
    pub(crate) fn upgrade(&mut self) -> EngineSocket {
        let mut socket = self.socket();
        socket.send("2probe");
        socket.expect("3probe");
        socket.send("5");
        socket
    }

    /// Ends the connection that GETs go over, whatever is pending on it.
    pub(crate) fn cut_get(&mut self) {
        self.gets = Line::to(self.endpoint.address);
    }
}

impl EngineSocket {
    fn new(raw: RawSocket) -> Self {
        Self { raw, reason: None }
    }

    /// Sends the rest of a head, with whatever follows it, over a connection, and expects 101.
    pub(crate) fn over(line: Line, request: &[u8]) -> Self {
        Self::new(RawSocket::upgrade_with(line.into_stream(), request))
    }

    pub(crate) fn send(&mut self, packet: &str) {
        self.raw.send(FIN | TEXT, packet.as_bytes());
    }

    pub(crate) fn send_binary(&mut self, payload: &[u8]) {
        self.raw.send(FIN | BINARY, payload);
    }

    /// Bytes as they are; whether the server took them.
    pub(crate) fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        std::io::Write::write_all(&mut self.raw.stream, bytes).is_ok()
    }

    /// As [`EngineSocket::send`] to a server that may have gone.
    pub(crate) fn try_send(&mut self, packet: &str) -> bool {
        self.try_send_bytes(&text_frame(packet))
    }

    /// As [`EngineSocket::send_binary`] to a server that may have gone.
    pub(crate) fn try_send_binary(&mut self, payload: &[u8]) -> bool {
        self.try_send_bytes(&masked(FIN | BINARY, payload))
    }

    /// The next packet; `None` when the server has closed.
    pub(crate) fn read(&mut self) -> Option<Packet> {
        loop {
            let (first, payload) = self.raw.read()?;
            match first & 0x0F {
                TEXT => return Some(Packet::Text(String::from_utf8(payload).expect("UTF-8"))),
                BINARY => return Some(Packet::Binary(payload)),
                PING => _ = self.try_send_bytes(&masked(FIN | PONG, &payload)),
                CLOSE => {
                    self.reason = payload.get(2..).map(|text| String::from_utf8_lossy(text).into_owned());
                    // Its part of the close handshake, unless the server is gone already.
                    self.try_send_bytes(&masked(FIN | CLOSE, &payload));
                    return None;
                }
                _ => {}
            }
        }
    }

    /// The next packet, heartbeats answered and left out.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        loop {
            let packet = self.read()?;
            if packet != Packet::Text("2".to_owned()) {
                return Some(packet);
            }
            self.try_send("3");
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, packet: &str) {
        assert_eq!(self.next(), Some(Packet::Text(packet.to_owned())));
    }

    #[track_caller]
    pub(crate) fn expect_binary(&mut self, payload: &[u8]) {
        assert_eq!(self.next(), Some(Packet::Binary(payload.to_owned())));
    }

    /// The next packet, which is text.
    #[track_caller]
    pub(crate) fn expect_text(&mut self) -> String {
        match self.next() {
            Some(Packet::Text(text)) => text,
            other => panic!("no text but {other:?}"),
        }
    }

    /// Expects a close frame, then the end; returns its code. Packets before it are skipped.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) -> u16 {
        self.raw.expect_close()
    }

    /// As [`EngineSocket::expect_close`], with each packet of text before it given to `see`.
    pub(crate) fn expect_close_after(&mut self, mut see: impl FnMut(&str)) -> u16 {
        loop {
            let (first, payload) = self.raw.read().expect("a close frame before the end");
            match first & 0x0F {
                TEXT => see(std::str::from_utf8(&payload).expect("UTF-8")),
                CLOSE => return u16::from_be_bytes([payload[0], payload[1]]),
                _ => {}
            }
        }
    }

    /// Whether anything, the end included, arrives within that time.
    pub(crate) fn stirs_within(&self, time: Duration) -> bool {
        self.raw.stirs_within(time)
    }

    /// Lets a send fail when the server has not taken it for that long.
    pub(crate) fn give_up_writing_after(&mut self, time: Duration) {
        self.raw.stream.set_write_timeout(Some(time)).expect("settable");
    }
}

/// A client's frame of text.
pub(crate) fn text_frame(packet: &str) -> Vec<u8> {
    masked(FIN | TEXT, packet.as_bytes())
}
