//! The floor as a process, with a client that we did not write.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// A running floor, ended with the test.
struct Floor {
    process: Child,
    address: SocketAddr,
}

impl Floor {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_floor"))
            .args(["--listen", "127.0.0.1:0", "--cpu", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the floor starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the floor says where it listens");
        let address = line.trim().strip_prefix("listening ").expect(&line).parse().expect(&line);
        Self { process, address }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the floor accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a positive time-out");
        let mut request = format!("ws://{}/ws", self.address).into_client_request().expect("a valid address");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("roomcast.event.v1"));
        let (socket, response) = tungstenite::client(request, stream).expect("the floor upgrades");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "roomcast.event.v1");
        Client(socket)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.process.kill().expect("the floor still runs");
        self.process.wait().expect("it was killed");
    }
}

struct Client(WebSocket<TcpStream>);

impl Client {
    fn send(&mut self, value: &Value) {
        self.0.send(Message::text(value.to_string())).expect("the floor reads");
    }

    fn join(&mut self, room: &str) -> Value {
        self.send(&json!({"event": "room:join", "data": {"roomId": room}, "requestId": "7", "version": "1"}));
        self.receive()
    }

    fn say(&mut self, room: &str, content: &str) {
        self.send(&json!({"event": "message:send", "data": {"roomId": room, "content": content}}));
    }

    fn receive(&mut self) -> Value {
        let message = self.0.read().expect("a message in time");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    fn close_code(&mut self) -> Option<CloseCode> {
        let Message::Close(frame) = self.0.read().expect("a close in time") else { panic!("no close") };
        frame.map(|frame| frame.code)
    }
}

#[test]
fn members_hear_one_order_and_others_nothing() {
    let floor = Floor::start();
    let [mut alice, mut bob, mut carol] = [floor.connect(), floor.connect(), floor.connect()];
    assert_eq!(
        alice.join("a"),
        json!({"event": "room:joined", "data": {"roomId": "a", "epoch": "e", "offset": 0, "members": 1},
            "requestId": "7", "version": "1"})
    );
    assert_eq!(bob.join("a")["data"]["members"], 2);
    assert_eq!(bob.join("a")["data"]["members"], 2, "again");
    carol.join("b");
    for number in 1..=100 {
        let speaker = if number % 2 == 0 { &mut alice } else { &mut bob };
        speaker.say("a", &format!("number \"{number}\" \u{1F600}"));
        let [first, second] = [alice.receive(), bob.receive()];
        assert_eq!(first, second);
        assert_eq!(first["event"], "message:received");
        assert_eq!(first["data"]["offset"], number);
        assert_eq!(first["data"]["content"], format!("number \"{number}\" \u{1F600}"));
    }
    carol.say("b", "alone");
    assert_eq!(carol.receive()["data"]["content"], "alone", "and nothing before it");
    drop(bob);
    alice.say("a", "still here");
    assert_eq!(alice.receive()["data"]["offset"], 101);
}

#[test]
fn a_reader_who_pauses_gets_everything_in_order() {
    let floor = Floor::start();
    let mut client = floor.connect();
    set_socket_recv_buffer_size(client.0.get_ref(), 16 << 10).expect("a valid size");
    client.join("a");
    // 6 MB: more than sockets take with so small a window, and with what they take less than the queue may hold.
    let content = "x".repeat(100 << 10);
    for _ in 0..60 {
        client.say("a", &content);
    }
    for offset in 1..=60 {
        let message = client.receive();
        assert_eq!(message["data"]["offset"], offset);
        assert_eq!(message["data"]["content"].as_str().map(str::len), Some(content.len()));
    }
}

#[test]
fn pings_closes_and_strangers_are_answered() {
    let floor = Floor::start();
    let mut client = floor.connect();
    client.0.send(Message::Ping("beat".into())).expect("the floor reads");
    assert_eq!(client.0.read().expect("a pong in time"), Message::Pong("beat".into()));
    client.0.close(None).expect("the floor reads");
    assert_eq!(client.close_code(), None);

    let mut client = floor.connect();
    client.send(&json!({"event": "presence:stats"}));
    assert_eq!(client.close_code(), Some(CloseCode::Unsupported));

    let mut stranger = TcpStream::connect(floor.address).expect("the floor accepts");
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the floor reads");
    let mut status = String::new();
    BufReader::new(stranger).read_line(&mut status).expect("an answer");
    assert_eq!(status.trim_end(), "HTTP/1.1 400 Bad Request");
}

#[test]
fn a_frame_behind_the_request_is_not_lost() {
    let floor = Floor::start();
    let mut stream = TcpStream::connect(floor.address).expect("the floor accepts");
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A ping without payload, masked with zeros.
    let bytes = [request.as_bytes(), &[0x89, 0x80, 0, 0, 0, 0]].concat();
    for part in bytes.chunks(50) {
        stream.write_all(part).expect("the floor reads");
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("an answer");
    }
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).expect("a pong");
    assert_eq!(pong, [0x8A, 0]);
}
