//! An upgrade in the making: credentials, query, headers; then a client, or what was said instead.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::http::{self, Response};
use super::{Client, Token};

/// An upgrade in the making.
pub(crate) struct Connect {
    address: SocketAddr,
    query: Vec<String>,
    lines: Vec<String>,
}

/// An upgrade that was asked for.
pub(crate) struct Dialled(TcpStream);

impl Connect {
    /// An upgrade of `/ws` without credentials.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, query: Vec::new(), lines: Vec::new() }
    }

    /// With a token in the `Authorization` header.
    pub(crate) fn token(self, token: &Token) -> Self {
        self.bearer(&token.mint())
    }

    /// With that text as bearer.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With a header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.lines.push(format!("{name}: {value}"));
        self
    }

    /// With a query parameter, as it is.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push(format!("{name}={value}"));
        self
    }

    /// With a list of subprotocols.
    pub(crate) fn subprotocols(self, list: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", list)
    }

    /// In the topic dialect.
    pub(crate) fn topic(self) -> Self {
        self.subprotocols("roomcast.topic.v1")
    }

    /// The head that this would send.
    pub(crate) fn head(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query.join("&")) };
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        http::upgrade_head(&format!("/ws{query}"), &lines)
    }

    /// Connects where anything but an upgrade is expected; the socket is closed.
    pub(crate) fn refused(&self) -> Response {
        let response = http::exchange(self.address, self.head());
        assert_ne!(response.status, 101, "it should have been refused");
        response
    }

    /// Connects.
    pub(crate) fn open(&self) -> Client {
        self.try_open().unwrap_or_else(|refusal| panic!("no upgrade: {refusal}"))
    }

    /// Connects, or says how it was refused.
    pub(crate) fn try_open(&self) -> Result<Client, String> {
        self.dial()?.answer()
    }

    /// Connects and asks for the upgrade without waiting for the answer.
    pub(crate) fn dial(&self) -> Result<Dialled, String> {
        let mut stream = http::connect(self.address);
        stream.write_all(self.head().as_bytes()).map_err(|error| error.to_string())?;
        Ok(Dialled(stream))
    }
}

impl Dialled {
    /// Waits for the answer: a client, or how it was refused.
    pub(crate) fn answer(self) -> Result<Client, String> {
        let Self(mut stream) = self;
        let response = http::try_read_response(&mut stream)?;
        if response.status != 101 {
            return Err(format!("{response:?}"));
        }
        let accept = tungstenite::handshake::derive_accept_key(http::KEY.as_bytes());
        assert_eq!(response.header("sec-websocket-accept"), Some(accept.as_str()));
        assert_eq!(response.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
        assert_eq!(response.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        let subprotocol = response.header("sec-websocket-protocol").map(str::to_owned);
        let socket = WebSocket::from_partially_read(stream, response.tail, Role::Client, None);
        Ok(Client::new(socket, subprotocol))
    }
}
