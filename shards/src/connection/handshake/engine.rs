//! Requests of Engine.IO: a session's beginning, its packets by polling, its move to a WebSocket.
//!
//! What is refused here is refused in the protocol's own words: a number and a message (Engine.IO protocol 4).

use super::super::engine::{App, Terms};
use super::super::http::{Refusal, reason};
use super::{Head, Upgrade};
use crate::config::Config;
use crate::protocol::profile::Profile;

/// What a request wants.
#[derive(Debug)]
pub enum Wish {
    /// A new session over a WebSocket.
    Open(Box<Upgrade>),
    /// A new session that polls.
    OpenPolling,
    /// To move a session to a WebSocket.
    Probe(Box<Upgrade>),
    /// The packets that wait for a session.
    Poll,
    /// To bring packets of a session.
    Post,
    /// To know what a browser may do.
    Preflight,
}

/// A complete request of Engine.IO; its body may be yet to come.
#[derive(Debug)]
pub struct EngineRequest {
    /// What it wants.
    pub wish: Wish,
    /// What answers the session's messages.
    pub app: App,
    /// The session that it names.
    pub sid: Option<String>,
    /// Chosen by the query, else the default.
    pub profile: &'static Profile,
    /// The token that came with it.
    pub token: Option<String>,
    /// What the client calls itself, shortened.
    pub agent: Option<String>,
    /// Bytes of the head.
    pub head_len: usize,
    /// Bytes of the body behind it.
    pub body_len: usize,
    /// Whether the client waits to be told that the body is welcome.
    pub expects_continue: bool,
    /// What the answer must observe.
    pub terms: Terms,
    /// The headers that a browser wants to send.
    pub wanted_headers: Option<String>,
}

/// Why a request is refused, as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineError {
    /// No transport of that name.
    UnknownTransport,
    /// No session of that id.
    UnknownSid,
    /// A session does not begin with this method.
    BadHandshakeMethod,
    /// It makes no sense in some other way.
    BadRequest,
    /// Its origin is not allowed.
    Forbidden,
    /// Another version of the protocol.
    UnsupportedVersion,
    /// A body over the limit.
    TooLarge,
}

impl EngineError {
    fn parts(self) -> (u16, u8, &'static str) {
        match self {
            Self::UnknownTransport => (400, 0, "Transport unknown"),
            Self::UnknownSid => (400, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (400, 2, "Bad handshake method"),
            Self::BadRequest => (400, 3, "Bad request"),
            Self::Forbidden => (403, 4, "Forbidden"),
            Self::UnsupportedVersion => (400, 5, "Unsupported protocol version"),
            Self::TooLarge => (413, 3, "Payload too large"),
        }
    }

    /// The status and the body of the answer.
    #[must_use]
    pub fn answer(self) -> (u16, String) {
        let (status, code, message) = self.parts();
        (status, format!("{{\"code\":{code},\"message\":\"{message}\"}}"))
    }
}

/// What a head of Engine.IO comes to.
#[derive(Debug)]
pub enum Outcome {
    /// A request that makes sense.
    Request(EngineRequest),
    /// One that is answered with an error, and by which terms; the connection ends when there may be a body behind it.
    Error(EngineError, Terms, usize),
}

/// The paths of Engine.IO.
pub(super) fn app(path: &str, config: &Config) -> Option<App> {
    match path {
        "/socket.io/" if config.socketio.echo => Some(App::SocketIoEcho),
        "/socket.io/" => Some(App::Gateway),
        "/engine.io/" if config.socketio.echo => Some(App::EngineEcho),
        _ => None,
    }
}

impl Head<'_> {
    /// Reads a request of Engine.IO.
    ///
    /// # Errors
    /// What is no proper HTTP.
    pub(super) fn engine(&self, app: App, config: &Config, head_len: usize) -> Result<Outcome, Refusal> {
        let body_len = self.body_len()?;
        let mut terms = self.terms(config.allowed_origins.as_deref())?;
        let origin = self.single("Origin", "several Origin headers")?.map(str::trim);
        let read = self.read_wish(config, head_len, body_len);
        let error = match read {
            // A browser may read why, but not from an origin that is not allowed.
            _ if origin.is_some() && terms.allow_origin.is_none() => EngineError::Forbidden,
            Err(Broken::Engine(error)) => error,
            Err(Broken::Http(refusal)) => return Err(refusal),
            Ok(wish) => {
                return Ok(Outcome::Request(EngineRequest {
                    wish,
                    app,
                    sid: self.parameter("sid").filter(|sid| !sid.is_empty()),
                    profile: self.profile(config)?,
                    token: self.engine_token(),
                    agent: self.agent(),
                    head_len,
                    body_len,
                    expects_continue: self.has_token("Expect", "100-continue"),
                    terms,
                    wanted_headers: self.values("Access-Control-Request-Headers").next().map(str::to_owned),
                }));
            }
        };
        terms.keep_alive &= body_len == 0;
        Ok(Outcome::Error(error, terms, head_len))
    }

    fn read_wish(&self, config: &Config, head_len: usize, body_len: usize) -> Result<Wish, Broken> {
        let method = self.request.method.unwrap_or_default();
        if method == "OPTIONS" {
            return if body_len == 0 { Ok(Wish::Preflight) } else { Err(EngineError::BadRequest.into()) };
        }
        let transport = self.parameter("transport");
        let websocket = match transport.as_deref() {
            Some("polling") => false,
            Some("websocket") => true,
            _ => return Err(EngineError::UnknownTransport.into()),
        };
        if method != "POST" && body_len > 0 {
            return Err(EngineError::BadRequest.into());
        }
        let sid = self.parameter("sid").filter(|sid| !sid.is_empty());
        let upgrades = self.has_token("Upgrade", "websocket");
        if websocket != upgrades
            || self.parameter("EIO").is_some_and(|version| version != "4" && sid.is_some())
        {
            return Err(EngineError::BadRequest.into());
        }
        if sid.is_none() && method != "GET" {
            return Err(EngineError::BadHandshakeMethod.into());
        }
        if sid.is_none() && self.parameter("EIO").as_deref() != Some("4") {
            return Err(EngineError::UnsupportedVersion.into());
        }
        if websocket {
            self.check_upgrade()?;
            let upgrade = Box::new(self.upgrade(super::Endpoint::Engine, config, head_len)?);
            return Ok(if sid.is_some() { Wish::Probe(upgrade) } else { Wish::Open(upgrade) });
        }
        match method {
            "GET" if sid.is_none() => Ok(Wish::OpenPolling),
            "GET" => Ok(Wish::Poll),
            "POST" if self.has_token("Content-Type", "application/octet-stream") => {
                Err(EngineError::BadRequest.into())
            }
            "POST" if body_len > config.socketio.payload_bytes_max => Err(EngineError::TooLarge.into()),
            "POST" => Ok(Wish::Post),
            _ => Err(EngineError::BadRequest.into()),
        }
    }

    /// Bytes of the body, whose length must be told in front.
    fn body_len(&self) -> Result<usize, Refusal> {
        if self.values("Transfer-Encoding").next().is_some() {
            return Err(Refusal::new(411, "the length of the body must be given in Content-Length"));
        }
        match self.single("Content-Length", "several Content-Length headers")?.map(str::trim) {
            None => Ok(0),
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(text.parse().unwrap_or(usize::MAX))
            }
            Some(_) => Err(Refusal::new(400, "malformed Content-Length")),
        }
    }

    /// What the answer must observe: where its reader comes from, and whether the connection stays.
    fn terms(&self, allowed: Option<&[String]>) -> Result<Terms, Refusal> {
        let origin = self.single("Origin", "several Origin headers")?.map(str::trim);
        let (allow_origin, credentials) = match (origin, allowed) {
            (None, _) | (Some("null"), None) => (None, false),
            (Some(_), None) => (Some("*".into()), false),
            (Some(origin), Some(allowed)) => {
                let listed = allowed.iter().any(|entry| entry == origin);
                (listed.then(|| origin.into()), listed)
            }
        };
        // Whoever asks with HEAD expects no body, and would take ours for the next answer.
        let ends = self.has_token("Connection", "close") || self.request.method == Some("HEAD");
        let keep_alive = self.request.version == Some(1) && !ends;
        Ok(Terms { allow_origin, credentials, keep_alive })
    }

    /// The token of the header or the query; whether it is good is said when a namespace is entered.
    fn engine_token(&self) -> Option<String> {
        self.token().ok().flatten().map(|(_, token)| token)
    }
}

/// Why no wish can be read.
enum Broken {
    Engine(EngineError),
    Http(Refusal),
}

impl From<EngineError> for Broken {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Http(refusal)
    }
}

/// An answer to a request of Engine.IO.
#[must_use]
pub fn response(
    status: u16,
    (content_type, body): (&str, &[u8]),
    terms: &Terms,
    further: &[String],
) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n",
        reason(status),
        body.len()
    );
    for line in further {
        head.push_str(line);
        head.push_str("\r\n");
    }
    if let Some(origin) = &terms.allow_origin {
        head.push_str(&format!("Access-Control-Allow-Origin: {origin}\r\n"));
        if terms.credentials {
            head.push_str("Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
        }
    }
    if !terms.keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    let mut out = head.into_bytes();
    out.extend_from_slice(body);
    out
}
