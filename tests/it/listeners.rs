//! Listeners: what happens in the application and in the gateway is told to rooms, webhooks, streams and the log.

mod crash;
mod gateway;
mod redis_streams;
mod rooms;
mod support_desk;

mod webhooks;

use serde_json::Value;

use crate::support::server::ServerBuilder;
use crate::support::{Redis, Server, TemporaryFile, http};

/// A gateway that reads its events from a stream, and that Redis.
struct Desk {
    server: Server,
    redis: Redis,
}

/// Writes a configuration with these listeners, and a source of events.
fn config(name: &str, redis: &Redis, listeners: &str) -> TemporaryFile {
    let source =
        format!("[events.redis]\nurl = \"{}\"\nstream = \"events\"\nconsumer = \"one\"\n", redis.url());
    TemporaryFile::with(&format!("listeners-{name}.toml"), &format!("{source}\n{listeners}"))
}

impl Desk {
    fn start(name: &str, listeners: &str) -> Self {
        Self::start_with(name, |_| listeners.to_owned(), Server::builder().shards(2))
    }

    fn start_with(name: &str, listeners: impl Fn(&Redis) -> String, builder: ServerBuilder) -> Self {
        let redis = Redis::start();
        let file = config(name, &redis, &listeners(&redis));
        let server = builder.with(&["--config", file.path()]).start();
        Self { server, redis }
    }

    /// Something happens in the application; the id of the stream's entry, which is the event's.
    fn emit(&self, name: &str, data: &Value) -> String {
        emit(&self.redis, name, data)
    }
}

fn emit(redis: &Redis, name: &str, data: &Value) -> String {
    redis.command(&["XADD", "events", "*", "name", name, "data", &data.to_string()])
}

/// The value of one series of the metrics, less its prefix; nothing counts as 0.
fn series(server: &Server, series: &str) -> f64 {
    let exposition = http::get(server.address, "/metrics").body;
    let value = exposition.lines().find_map(|line| {
        let (known, value) = line.strip_prefix("roomcast_")?.rsplit_once(' ')?;
        (known == series).then(|| value.parse().expect("a number"))
    });
    value.unwrap_or_default()
}

/// A service with a key of the server API.
struct Api(TemporaryFile);

const KEY: &str = "a-key-of-sixteen-bytes-or-more";

impl Api {
    fn new(name: &str) -> Self {
        Self(TemporaryFile::with(&format!("{name}.keys"), &format!("tests:{KEY}\n")))
    }

    /// What the gateway is told of it.
    fn arguments(&self) -> [&str; 2] {
        ["--api-key-file", self.0.path()]
    }

    fn post(&self, server: &Server, path: &str, body: &Value) -> http::Response {
        self.ask(server, "POST", path, &body.to_string())
    }

    fn ask(&self, server: &Server, method: &str, path: &str, body: &str) -> http::Response {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: roomcast\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        http::exchange(server.address, request)
    }
}
