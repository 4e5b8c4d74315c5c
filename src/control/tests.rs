//! The control plane over real sockets, with shards that only count.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast_shards::effect::{Inquiry, Question};
use roomcast_shards::id::{ConnectionId, ShardId};
use roomcast_shards::mesh::item::{Ask, Caller, ReplyTo};
use roomcast_shards::metrics::Metrics;
use roomcast_shards::protocol::command::Monitoring;
use roomcast_shards::rim::{ControlSink, HttpConnection};

use super::places::CONNECTIONS_MAX;
use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// A control plane and a port whose connections play those that a shard hands over.
struct Fixture {
    control: Control,
    sink: Arc<dyn ControlSink>,
    /// What clients of shards are answered.
    answered: std::sync::mpsc::Receiver<(ShardId, Option<Vec<u8>>)>,
    listener: TcpListener,
}

impl Fixture {
    fn start() -> Self {
        Self::with(ControlSettings::default(), |answers| {
            answers.try_send((ShardId(0), Metrics::default())).unwrap();
        })
    }

    fn with(settings: ControlSettings, ask: impl Fn(snapshots::Answers) + Send + Sync + 'static) -> Self {
        let (sink, pending) = channel();
        let extra = Extra { logs_dropped: || 7, refused: Arc::default(), engine: None, store: None };
        let (answers, answered) = std::sync::mpsc::channel();
        let answer = move |shard, _, members| {
            answers.send((shard, members)).unwrap();
            true
        };
        let snapshots = Snapshots::new(1, Box::new(ask));
        let data_plane = Arc::new(DataPlane::new(Arc::new(NoShards)));
        let backends = Backends::none();
        let control = start_with(
            pending,
            snapshots,
            Box::new(answer),
            data_plane,
            (backends, HttpClient::default()),
            settings,
            extra,
        )
        .unwrap();
        Self { control, sink, answered, listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// A client whose connection was handed over after the shard had read `received`.
    fn client(&self, received: &str) -> Client {
        let client = Client::connect(self.listener.local_addr().unwrap());
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        self.sink.hand_over(HttpConnection { stream, received: received.into() }).unwrap();
        client
    }

    fn get(&self, path: &str) -> Answer {
        self.client(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
    }
}

/// Shards that take no questions.
struct NoShards;

impl Owners for NoShards {
    fn request(&self, _: Option<ShardId>, ask: Box<Ask>) -> Result<ShardId, Box<Ask>> {
        Err(ask)
    }

    fn ring(&self, _: ShardId) {}

    fn count(&self) -> usize {
        1
    }
}

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream, unread: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `is_enough` names a length, and takes that much.
    fn take(&mut self, is_enough: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        loop {
            if let Some(length) = is_enough(&self.unread) {
                let rest = self.unread.split_off(length);
                return std::mem::replace(&mut self.unread, rest);
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&self.unread));
            self.unread.extend_from_slice(&buffer[..count]);
        }
    }

    fn head(&mut self) -> Answer {
        let end = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let head = String::from_utf8(self.take(end)).unwrap().to_ascii_lowercase();
        Answer { status: head[9..12].parse().unwrap(), head, body: String::new() }
    }

    fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        answer.body =
            String::from_utf8(self.take(|bytes| (bytes.len() >= length).then_some(length))).unwrap();
        answer
    }

    fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }
}

#[test]
fn a_connection_goes_on_with_what_the_shard_had_read() {
    let fixture = Fixture::start();
    let mut client = fixture
        .client("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /rea");
    assert_eq!(client.answer().body, r#"{"status":"ok"}"#);
    let missing = client.answer();
    assert_eq!(missing.status, 404);
    assert_eq!(missing.body, r#"{"code":404,"message":"there is nothing here","status":"error"}"#);
    client.send("dyz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().body, r#"{"status":"ready"}"#);
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let metrics = client.answer();
    assert!(metrics.body.contains("roomcast_logs_dropped_total 7\n"), "{}", metrics.body);
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
}

#[test]
fn head_is_get_without_the_body_and_other_methods_are_told_which() {
    let fixture = Fixture::start();
    let mut client = fixture.client("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("15")));
    for path in ["/healthz", "/readyz", "/metrics"] {
        client.send(&format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}"));
        let refusal = client.answer();
        assert_eq!((refusal.status, refusal.header("allow")), (405, Some("get,head")), "{path}");
        assert!(refusal.body.contains(r#""code":405"#));
    }
}

#[test]
fn draining_shows_in_readiness_and_not_in_health() {
    let fixture = Fixture::start();
    assert_eq!(fixture.get("/readyz").status, 200);
    fixture.control.drain();
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"draining"}"#));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(fixture.get("/healthz").status, 200);
}

#[test]
fn a_shard_that_does_not_answer_makes_the_gateway_unready() {
    let fixture = Fixture::with(ControlSettings::default(), |_| {});
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"overloaded"}"#));
    assert_eq!(fixture.get("/healthz").status, 200);
    assert!(fixture.get("/metrics").body.contains("roomcast_shards_unresponsive 1\n"));
}

#[test]
fn a_websocket_cannot_begin_behind_plain_http() {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let fixture = Fixture::start();
    assert_eq!(fixture.client(upgrade).answer().status, 404, "the shard does not serve it either");
    let mut client = fixture.client("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer();
    client.send(upgrade);
    let refusal = client.answer();
    assert_eq!((refusal.status, refusal.header("connection")), (421, Some("close")));
    assert!(refusal.body.contains("a WebSocket needs a connection of its own"));
    assert!(client.is_closed());
}

#[test]
fn a_large_body_is_refused_before_it_comes() {
    let fixture = Fixture::start();
    let mut client = fixture.client("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
}

#[test]
fn with_an_address_of_its_own_nothing_is_served_elsewhere() {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap();
    let settings = ControlSettings {
        admin_listener: Some(admin),
        dev_page: Some("<!doctype html>".into()),
        ..ControlSettings::default()
    };
    let fixture = Fixture::with(settings, |answers| {
        answers.try_send((ShardId(0), Metrics::default())).unwrap();
    });
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(fixture.get(path).status, 404, "{path}");
        let mut client = Client::connect(address);
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{path}");
    }
    let mut client = Client::connect(address);
    for path in ["/healthz", "/ws"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"));
        assert_eq!(client.answer().status, if path == "/ws" { 404 } else { 200 });
    }
}

#[test]
fn the_chat_page_is_there_only_when_given() {
    assert_eq!(Fixture::start().get("/").status, 404);
    let settings = ControlSettings { dev_page: Some("<p>chat".into()), ..ControlSettings::default() };
    let page = Fixture::with(settings, |_| {}).get("/");
    assert_eq!((page.status, page.body.as_str()), (200, "<p>chat"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
}

#[test]
fn clients_inquiries_are_answered_with_the_same_numbers() {
    let fixture = Fixture::start();
    let ask = |topic| {
        let caller = Caller { connection: ConnectionId::from_u64(1), reply: ReplyTo::Nobody };
        fixture.sink.inquire(ShardId(0), Inquiry { caller, question: Question::Monitoring(topic) }).unwrap();
        let (shard, members) = fixture.answered.recv_timeout(DEADLINE).unwrap();
        assert_eq!(shard, ShardId(0));
        let text = String::from_utf8(members.unwrap()).unwrap();
        serde_json::from_str::<serde_json::Value>(&format!("{{{text}}}")).unwrap()
    };
    assert_eq!(ask(Monitoring::Metrics)["metrics"]["roomcast_logs_dropped_total"], 7);
    assert_eq!(ask(Monitoring::Stats)["logsDropped"], 7);
    assert_eq!(ask(Monitoring::Health)["status"], "ok");
}

#[test]
fn connections_beyond_the_bound_are_told_so_and_places_come_back() {
    let fixture = Fixture::start();
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut served: Vec<Client> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut client = fixture.client(request);
            assert_eq!(client.answer().status, 200);
            client
        })
        .collect();
    let mut refused = fixture.client(request);
    let answer = refused.answer();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(answer.header("retry-after").is_some());
    assert!(refused.is_closed());
    served[0].send(request);
    assert_eq!(served[0].answer().status, 200, "those who were served are served on");
    drop(served);
    let end = Instant::now() + DEADLINE;
    while fixture.get("/healthz").status != 200 {
        assert!(Instant::now() < end, "no place came back");
    }
    let metrics = fixture.get("/metrics").body;
    assert!(!metrics.contains("roomcast_control_connections_refused_total 0\n"), "{metrics}");
}

#[test]
fn stopping_lets_a_request_finish_and_closes_the_rest() {
    let (asked, was_asked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let fixture = Fixture::with(ControlSettings::default(), move |answers| {
        let released = released.lock().unwrap().take().expect("asked once");
        std::thread::spawn(move || {
            released.recv().unwrap();
            answers.try_send((ShardId(0), Metrics::default())).unwrap();
        });
        asked.send(()).unwrap();
    });
    let mut idle = fixture.client("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.answer();
    let mut busy = fixture.client("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    was_asked.recv_timeout(DEADLINE).unwrap();
    let (control, sink, listener) = (fixture.control, fixture.sink, fixture.listener);
    let stopping = std::thread::spawn(move || control.stop());
    assert!(idle.is_closed());
    release.send(()).unwrap();
    assert_eq!(busy.answer().status, 200);
    stopping.join().unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(sink.hand_over(HttpConnection { stream, received: Vec::new() }).is_err());
}
