//! The request head: a WebSocket upgrade, a request for the control plane, or a refusal.
//!
//! Parsed once it is complete; what the client sent behind it is kept, so a first frame may be pipelined.

pub mod engine;

use httparse::{EMPTY_HEADER, Header, Status};
use tungstenite::handshake::derive_accept_key;

use super::http::Refusal;
use crate::config::Config;
use crate::protocol::profile::{Dialect, Profile};

/// Bytes of the longest head that is read.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 100;
/// Characters of a client's name for itself that are kept.
const AGENT_CHARS_MAX: usize = 96;

const EVENT_PROTOCOL: &str = "roomcast.event.v1";
const TOPIC_PROTOCOL: &str = "roomcast.topic.v1";
const BEARER_PREFIX: &str = "roomcast.bearer.";

/// What a complete head asks for.
#[derive(Debug)]
pub enum Request {
    /// A WebSocket, with everything that its URL and headers said.
    Upgrade(Box<Upgrade>),
    /// A request of Engine.IO.
    Engine(Box<engine::Outcome>),
    /// Anything else: the control plane answers, from the first byte on.
    Http,
}

/// Where a WebSocket leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The gateway.
    Chat,
    /// The plain echo for conformance suites.
    Echo,
    /// A session of Engine.IO.
    Engine,
}

/// Where a token came from; a bad one in a header can be answered with 401, the others only after the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOrigin {
    /// `Authorization: Bearer`.
    Header,
    /// A subprotocol entry or the query.
    Url,
}

/// An acceptable upgrade request.
#[derive(Debug)]
pub struct Upgrade {
    /// Where it leads.
    pub endpoint: Endpoint,
    /// Chosen by subprotocol; then no later frame changes it.
    pub dialect: Option<Dialect>,
    /// Chosen by the query, else the default.
    pub profile: &'static Profile,
    /// The token that came with the request, first in order of precedence.
    pub token: Option<(TokenOrigin, String)>,
    /// The token of a session to resume.
    pub session: Option<String>,
    /// What the client calls itself, shortened.
    pub agent: Option<String>,
    /// Bytes of the head; what follows belongs to the WebSocket.
    pub head_len: usize,
    accept: String,
    protocol: Option<&'static str>,
}

impl Upgrade {
    /// The 101 response.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let protocol =
            self.protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
            self.accept
        )
        .into_bytes()
    }
}

/// Reads the head at the front of `bytes`; `Ok(None)` when it is not complete.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub fn parse(bytes: &[u8], config: &Config) -> Result<Option<Request>, Refusal> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_len = match request.parse(bytes) {
        Ok(Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "the request head is too large"));
        }
        Err(httparse::Error::Version) => return Err(Refusal::new(505, "only HTTP/1.1 is spoken here")),
        Err(_) => return Err(Refusal::new(400, "malformed request head")),
    };
    let target = request.path.unwrap_or_default();
    let target = origin_form(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = Head { request: &request, query };
    if let Some(app) = engine::app(path, config) {
        return head.engine(app, config, head_len).map(|it| Some(Request::Engine(Box::new(it))));
    }
    let Some(endpoint) = endpoint(path, config) else { return Ok(Some(Request::Http)) };
    head.check_upgrade()?;
    head.check_origin(config.allowed_origins.as_deref())?;
    let upgrade = head.upgrade(endpoint, config, head_len)?;
    Ok(Some(Request::Upgrade(Box::new(upgrade))))
}

/// A target without the scheme and authority that it may have (RFC 9112 §3.2.2).
fn origin_form(target: &str) -> &str {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    rest.map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]))
}

fn endpoint(path: &str, config: &Config) -> Option<Endpoint> {
    if config.websocket && path == "/ws" {
        Some(Endpoint::Chat)
    } else if config.echo_path.as_deref() == Some(path) {
        Some(Endpoint::Echo)
    } else {
        None
    }
}

struct Head<'a> {
    request: &'a httparse::Request<'a, 'a>,
    query: &'a str,
}

impl<'a> Head<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |header: &&Header<'a>| header.name.eq_ignore_ascii_case(name);
        self.request
            .headers
            .iter()
            .filter(named)
            .map(|header| std::str::from_utf8(header.value).unwrap_or(""))
    }

    /// The only value of a header, or `None`; several are refused.
    fn single(&self, name: &str, message: &'static str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() { Err(Refusal::new(400, message)) } else { Ok(first) }
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    fn check_upgrade(&self) -> Result<(), Refusal> {
        if self.request.version != Some(1) {
            return Err(Refusal::new(400, "a WebSocket needs HTTP/1.1"));
        }
        if self.single("Host", "several Host headers")?.is_none() {
            return Err(Refusal::new(400, "the Host header is missing"));
        }
        if self.request.method != Some("GET") {
            return Err(Refusal::new(405, "a WebSocket begins with GET").header("Allow: GET"));
        }
        let length = self.single("Content-Length", "several Content-Length headers")?;
        if self.values("Transfer-Encoding").next().is_some()
            || length.is_some_and(|value| value.trim() != "0")
        {
            return Err(Refusal::new(400, "a WebSocket request has no body"));
        }
        if !self.has_token("Upgrade", "websocket") {
            return Err(Refusal::new(426, "this is a WebSocket endpoint").header("Upgrade: websocket"));
        }
        if !self.has_token("Connection", "upgrade") {
            return Err(Refusal::new(400, "the Connection header does not name upgrade"));
        }
        let version = self.single("Sec-WebSocket-Version", "several Sec-WebSocket-Version headers")?;
        if version.map(str::trim) != Some("13") {
            return Err(Refusal::new(426, "WebSocket version 13 is spoken here")
                .header("Upgrade: websocket")
                .header("Sec-WebSocket-Version: 13"));
        }
        Ok(())
    }

    fn check_origin(&self, allowed: Option<&[String]>) -> Result<(), Refusal> {
        let origin = self.single("Origin", "several Origin headers")?;
        let Some(origin) = origin.map(str::trim) else { return Ok(()) };
        let listed = match allowed {
            Some(allowed) => allowed.iter().any(|entry| entry == origin),
            None => origin != "null",
        };
        if listed { Ok(()) } else { Err(Refusal::new(403, "this origin is not allowed")) }
    }

    fn upgrade(&self, endpoint: Endpoint, config: &Config, head_len: usize) -> Result<Upgrade, Refusal> {
        let key = self.single("Sec-WebSocket-Key", "several Sec-WebSocket-Key headers")?.map(str::trim);
        let key = key.filter(|key| is_key(key)).ok_or_else(|| Refusal::new(400, "bad Sec-WebSocket-Key"))?;
        let protocol = self
            .protocols()
            .find_map(|name| [EVENT_PROTOCOL, TOPIC_PROTOCOL].into_iter().find(|known| *known == name));
        let profile = self.profile(config)?;
        // A session of Engine.IO judges its token when a namespace is entered.
        let token = if endpoint == Endpoint::Engine { None } else { self.token()? };
        Ok(Upgrade {
            endpoint,
            dialect: protocol
                .map(|name| if name == EVENT_PROTOCOL { Dialect::Event } else { Dialect::Topic }),
            profile,
            token,
            session: self.parameter("session").filter(|token| !token.is_empty()),
            agent: self.agent(),
            head_len,
            accept: derive_accept_key(key.as_bytes()),
            protocol,
        })
    }

    fn profile(&self, config: &Config) -> Result<&'static Profile, Refusal> {
        let name = self.parameter("profile").unwrap_or_else(|| config.profile.clone());
        config.profiles.find(&name).ok_or_else(|| Refusal::new(400, "unknown profile"))
    }

    fn agent(&self) -> Option<String> {
        self.values("User-Agent").next().map(|agent| agent.chars().take(AGENT_CHARS_MAX).collect())
    }

    fn protocols(&self) -> impl Iterator<Item = &'a str> {
        self.values("Sec-WebSocket-Protocol").flat_map(|value| value.split(',')).map(str::trim)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The token in order of precedence: header, subprotocol, query.
    fn token(&self) -> Result<Option<(TokenOrigin, String)>, Refusal> {
        if let Some(value) = self.single("Authorization", "several Authorization headers")? {
            let bearer =
                value.trim().split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            let (_, token) = bearer.ok_or_else(unauthorized)?;
            return Ok(Some((TokenOrigin::Header, token.trim().to_owned())));
        }
        let from_protocol =
            self.protocols().find_map(|name| name.strip_prefix(BEARER_PREFIX)).map(str::to_owned);
        let token = from_protocol.or_else(|| self.parameter("token"));
        Ok(token.map(|token| (TokenOrigin::Url, token)))
    }
}

/// The answer to a bad `Authorization` header.
#[must_use]
pub fn unauthorized() -> Refusal {
    Refusal::new(401, "the Authorization header holds no valid bearer token")
        .header("WWW-Authenticate: Bearer")
}

/// Whether a key is 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(alphabet)
}

#[cfg(test)]
mod tests;
