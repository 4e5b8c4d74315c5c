//! A backend that does what a test wants of it, the worst included: raw HTTP on threads of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use serde_json::Value;

use super::DEADLINE;

/// What a backend does with a request that it has read.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with a status and a body, and keeps the connection.
    Answers(u16, String),
    /// The same with further header lines.
    AnswersWith(u16, &'static str, String),
    /// Answers so after a while.
    AnswersAfter(Duration, String),
    /// Answers so, and closes the connection without a word of it.
    AnswersAndCloses(String),
    /// Reads, and says nothing ever.
    Hangs,
    /// Answers a byte at a time, with pauses.
    Trickles,
    /// Resets the connection.
    Resets,
    /// Says what is no HTTP.
    Babbles,
    /// Begins a body that never ends.
    Floods,
}

impl Does {
    /// Answers 200 with that body.
    pub(crate) fn say(body: Value) -> Self {
        Self::Answers(200, body.to_string())
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    /// The body as sent.
    pub(crate) text: String,
    /// The body, read; null when it holds what only some readers of JSON take.
    pub(crate) body: Value,
}

impl Request {
    /// Checks its signature as a receiver does.
    #[track_caller]
    pub(crate) fn verify(&self, secret: &str) {
        let signed = format!("{}.{}", self.header("x-roomcast-timestamp"), self.text);
        let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(self.header("x-roomcast-signature"), format!("v1={hex}"));
    }

    /// A header's value, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no header {name} in {}", self.head))
    }
}

type Behaviour = Box<dyn Fn(&Request) -> Does + Send + Sync>;

struct State {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    came: Condvar,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

/// A running backend. Its threads end with the connections.
pub(crate) struct Backend {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Backend {
    /// One that always does the same.
    pub(crate) fn that(does: Does) -> Self {
        Self::with(move |_| does.clone())
    }

    /// One that looks at each request.
    pub(crate) fn with(behaviour: impl Fn(&Request) -> Does + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), behaviour)
    }

    /// The same at an address.
    pub(crate) fn at(
        address: SocketAddr,
        behaviour: impl Fn(&Request) -> Does + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            behaviour: Mutex::new(Box::new(behaviour)),
            requests: Mutex::default(),
            came: Condvar::new(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// Does something else from now on.
    pub(crate) fn becomes(&self, does: Does) {
        *lock(&self.state.behaviour) = Box::new(move |_| does.clone());
    }

    /// A URL of it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Requests so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// Most requests that it had at once.
    pub(crate) fn most_running(&self) -> usize {
        self.state.most_running.load(Ordering::SeqCst)
    }

    /// The request of that number, from 0; waits for it.
    pub(crate) fn request(&self, number: usize) -> Request {
        let end = Instant::now() + DEADLINE;
        let mut requests = lock(&self.state.requests);
        while requests.len() <= number {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "only {} requests came", requests.len());
            let waited = self.state.came.wait_timeout(requests, left);
            requests = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        requests[number].clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &State) {
    while let Some(request) = read(&mut stream) {
        let running = state.running.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_running.fetch_max(running, Ordering::SeqCst);
        lock(&state.requests).push(request.clone());
        state.came.notify_all();
        let does = lock(&state.behaviour)(&request);
        let kept = act(&mut stream, does);
        state.running.fetch_sub(1, Ordering::SeqCst);
        if !kept {
            return;
        }
    }
}

/// Whether the connection goes on.
fn act(stream: &mut TcpStream, does: Does) -> bool {
    match does {
        Does::Answers(status, body) => write(stream, &answer(status, "", &body)),
        Does::AnswersWith(status, lines, body) => write(stream, &answer(status, lines, &body)),
        Does::AnswersAfter(time, body) => {
            thread::sleep(time);
            write(stream, &answer(200, "", &body))
        }
        Does::AnswersAndCloses(body) => {
            write(stream, &answer(200, "", &body));
            false
        }
        Does::Hangs => {
            // Until the other side gives up.
            let _ = stream.read(&mut [0]);
            false
        }
        Does::Trickles => {
            let bytes = answer(200, "", &format!("{{\"a\":\"{}\"}}", "x".repeat(10_000)));
            bytes.iter().all(|byte| {
                thread::sleep(Duration::from_millis(50));
                write(stream, &[*byte])
            })
        }
        Does::Resets => {
            rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).expect("settable");
            false
        }
        Does::Babbles => {
            write(stream, b"I am no HTTP server\r\n\r\n");
            false
        }
        Does::Floods => {
            write(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
            while write(stream, chunk.as_bytes()) {}
            false
        }
    }
}

fn answer(status: u16, lines: &str, body: &str) -> Vec<u8> {
    if status == 204 {
        return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    }
    let length = body.len();
    format!("HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\n{lines}\r\n{body}").into_bytes()
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read_some(stream, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a body has its length").parse().expect("a number");
    while bytes.len() < end + length {
        read_some(stream, &mut bytes)?;
    }
    let text = String::from_utf8(bytes[end..].to_vec()).expect("UTF-8");
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Request { head, text, body })
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 << 10];
    match stream.read(&mut buffer) {
        Ok(count @ 1..) => {
            bytes.extend_from_slice(&buffer[..count]);
            Some(())
        }
        _ => None,
    }
}
