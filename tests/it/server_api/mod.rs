//! The server API under `/v1/` (protocol §9): what a backend asks, and what clients see of it.

mod connections;
mod credentials;
mod description;
mod draining;
mod foreign;
pub(crate) mod grants;
mod publishing;
mod revocation;
mod rooms;
mod tenants;
mod wire;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::http::{Response, connect, read_response, request};
use crate::support::server::ServerBuilder;
use crate::support::{Server, TemporaryFile};

/// The key that every test's backend has.
const KEY: &str = "a-key-for-tests-0123456789";

/// A server that takes [`KEY`], and the file that it is in.
struct Gateway {
    server: Server,
    keys: TemporaryFile,
}

impl Gateway {
    fn start() -> Self {
        Self::on(Server::builder().shards(2))
    }

    fn on(builder: ServerBuilder) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("api-keys-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let keys = TemporaryFile::with(&name, &format!("# of the tests\ntests:{KEY}\n"));
        let server = builder.with(&["--api-key-file", keys.path()]).start();
        Self { server, keys }
    }

    fn backend(&self) -> Backend {
        Backend::new(&self.server, &format!("X-API-Key: {KEY}"))
    }
}

/// A backend with one connection that is kept alive.
pub(crate) struct Backend {
    stream: TcpStream,
    credentials: String,
}

impl Backend {
    pub(crate) fn new(server: &Server, credentials: &str) -> Self {
        Self { stream: connect(server.address), credentials: credentials.to_owned() }
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.ask_with(method, path, &[], body)
    }

    fn ask_with(&mut self, method: &str, path: &str, lines: &[&str], body: &str) -> Response {
        let mut all = vec![self.credentials.as_str()];
        all.extend(lines);
        self.stream.write_all(&request(method, path, &all, body.as_bytes())).expect("the server reads");
        read_response(&mut self.stream)
    }

    /// A request that must succeed.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let response = self.ask(method, path, &body.to_string());
        assert!((200..300).contains(&response.status), "{method} {path} {body}: {response:?}");
        json(&response)
    }

    pub(crate) fn get(&mut self, path: &str) -> Value {
        let response = self.ask("GET", path, "");
        assert_eq!(response.status, 200, "{path}: {response:?}");
        json(&response)
    }

    /// A request that must fail with this status and code of the registry.
    pub(crate) fn fail(&mut self, method: &str, path: &str, body: &str, status: u16, code: &str) -> Value {
        let response = self.ask(method, path, body);
        assert_error(&response, status, code);
        json(&response)
    }
}

fn json(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let error = json(response);
    assert_eq!((&error["status"], &error["code"]), (&"error".into(), &code.into()), "{error}");
    assert!(
        error["message"].is_string() && error["details"].is_object() && error["recoverable"].is_boolean()
    );
}
