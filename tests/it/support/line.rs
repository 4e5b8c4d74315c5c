//! A connection that carries one HTTP request after another, pipelined or not, as browsers and proxies use it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::{self, Response};

/// A connection, replaced by a new one where the server ends it behind a response.
pub(crate) struct Line {
    address: SocketAddr,
    stream: TcpStream,
    inbound: Vec<u8>,
}

impl Line {
    /// Connects.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, stream: http::connect(address), inbound: Vec::new() }
    }

    /// Sends bytes as they are; over a new connection if the server has closed this one since it answered.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if self.inbound.is_empty() && http::has_ended(&self.stream) {
            *self = Self::to(self.address);
        }
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes of which the server may have had enough before it has all; whether it took them.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends each byte in a segment of its own.
    pub(crate) fn trickle(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// The next response.
    pub(crate) fn read(&mut self) -> Response {
        self.try_read().unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// The next response, or why there is none.
    pub(crate) fn try_read(&mut self) -> Result<Response, String> {
        self.read_next(true)
    }

    /// The next response, which is one to HEAD.
    pub(crate) fn read_head(&mut self) -> Response {
        self.read_next(false).unwrap_or_else(|error| panic!("no response: {error}"))
    }

    fn read_next(&mut self, has_body: bool) -> Result<Response, String> {
        let mut response = http::read_from(&mut self.stream, std::mem::take(&mut self.inbound), has_body)?;
        self.inbound = std::mem::take(&mut response.tail);
        if response.ends_connection() {
            *self = Self::to(self.address);
        }
        Ok(response)
    }

    /// Sends a request and reads the response.
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.read()
    }

    /// Whether anything, the end included, arrives within that time.
    pub(crate) fn stirs_within(&self, time: Duration) -> bool {
        !self.inbound.is_empty() || http::stirs_within(&self.stream, time)
    }

    /// The connection itself, on which nothing that came is unread.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.inbound.is_empty(), "there is more to read");
        self.stream
    }
}
