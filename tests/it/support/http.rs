//! Just enough HTTP/1.1 to say exactly what goes over the wire, and to read what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::DEADLINE;

/// A key as RFC 6455 wants it: sixteen bytes in base64.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server answered: status, headers in lower case, body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Bytes behind the response: the first frames after a 101.
    pub(crate) tail: Vec<u8>,
}

impl Response {
    /// The first header of that (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the server closes the connection behind this response.
    pub(crate) fn ends_connection(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Seconds after which to come back; fails without a usable `Retry-After`.
    pub(crate) fn retry_after(&self) -> u64 {
        let value = self.header("retry-after").unwrap_or_else(|| panic!("no Retry-After in {self:?}"));
        value.parse().unwrap_or_else(|_| panic!("Retry-After is {value:?}"))
    }
}

/// Connects with read and write time-outs.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time-out is settable");
    stream.set_write_timeout(Some(DEADLINE)).expect("a time-out is settable");
    stream.set_nodelay(true).expect("TCP_NODELAY is settable");
    stream
}

/// Sends `request` on a connection of its own and reads the answer.
pub(crate) fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let mut stream = connect(address);
    // A server may refuse, and close, before it has taken all of it.
    let _ = stream.write_all(request.as_ref());
    read_response(&mut stream)
}

/// `GET path` on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: roomcast\r\nConnection: close\r\n\r\n"))
}

/// The head of an upgrade to `path` with further header lines, each without its line end.
pub(crate) fn upgrade_head(path: &str, lines: &[&str]) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: roomcast\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// Reads one response; its body by `Content-Length`, which all but a 101 must have.
pub(crate) fn read_response(stream: &mut TcpStream) -> Response {
    try_read_response(stream).unwrap_or_else(|error| panic!("no response: {error}"))
}

/// As [`read_response`], but says why there is none.
pub(crate) fn try_read_response(stream: &mut TcpStream) -> Result<Response, String> {
    read_from(stream, Vec::new(), true)
}

/// Reads the next of several responses; `waiting` is what has arrived behind the one before.
pub(crate) fn read_next(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> Response {
    let read = read_from(stream, std::mem::take(waiting), true);
    let mut response = read.unwrap_or_else(|error| panic!("no response: {error}"));
    *waiting = std::mem::take(&mut response.tail);
    response
}

/// Reads one response of which `bytes` have arrived already; one to HEAD has no body, whatever its length says.
pub(super) fn read_from(
    stream: &mut TcpStream,
    mut bytes: Vec<u8>,
    has_body: bool,
) -> Result<Response, String> {
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_some(stream, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).expect("a response head is ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let status_line = lines.next().expect("split gives at least one");
    assert!(status_line.starts_with("HTTP/1.1 "), "status line {status_line:?}");
    let status = status_line[9..12].parse().expect("three digits");
    let headers = lines
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("header line {line:?}")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: String::new(), tail: bytes.split_off(head_end) };
    if has_body && !matches!(status, 100..=199 | 204) {
        let length =
            response.header("content-length").unwrap_or_else(|| panic!("no Content-Length in {head}"));
        let length: usize = length.parse().expect("a number");
        while response.tail.len() < length {
            read_some(stream, &mut response.tail)?;
        }
        let rest = response.tail.split_off(length);
        response.body = String::from_utf8(std::mem::replace(&mut response.tail, rest)).expect("UTF-8 body");
    }
    Ok(response)
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(format!("closed after {} bytes", bytes.len())),
        Ok(count) => {
            bytes.extend_from_slice(&buffer[..count]);
            Ok(())
        }
        Err(error) => Err(format!("{error} after {} bytes", bytes.len())),
    }
}

/// A request with header lines, each without its line end; a body has its length told.
pub(crate) fn request(method: &str, target: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: roomcast\r\n").into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if method == "POST" || !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Whether anything, the end included, arrives on a stream within that time.
pub(crate) fn stirs_within(stream: &TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).expect("settable");
    let quiet = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(DEADLINE)).expect("settable");
    !quiet
}

/// Whether a stream ends, with no further byte, before the deadline.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Whether the server has ended a stream already.
pub(crate) fn has_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("settable");
    let ended = match stream.peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).expect("settable");
    ended
}
