//! Backends: events of clients that a service behind the gateway answers, and what happens when it does not
//! (`docs/backends.md`).

mod breaker;
mod example;
mod failures;
mod hooks;
mod replies;
mod rights;
mod signature;
mod undisturbed;

use serde_json::{Value, json};

use crate::support::backend::{Backend, Does};
use crate::support::{Server, TemporaryFile, http};

/// A server with one route, called `shop`, for these events.
fn server(backend: &Backend, events: &str, lines: &str) -> Server {
    let route = format!("[[routes]]\nname = 'shop'\nevents = {events}\nurl = '{}'\n{lines}\n", backend.url());
    configured(&route)
}

/// A server with two shards and this file.
fn configured(text: &str) -> Server {
    let name = format!("backends-{:?}.toml", std::thread::current().id());
    let file = TemporaryFile::with(&name, text);
    Server::builder().shards(2).with(&["--config", file.path()]).start()
}

/// A backend that says what it was asked.
fn echo() -> Backend {
    Backend::with(|request| Does::say(json!({"reply": {"said": request.body["data"].clone()}})))
}

/// How often requests to that route ended so.
fn ended(server: &Server, outcome: &str) -> f64 {
    series(server, &format!("backend_requests_total{{route=\"shop\",outcome=\"{outcome}\"}}"))
}

/// One series of the metrics.
fn series(server: &Server, name: &str) -> f64 {
    let exposition = http::get(server.address, "/metrics").body;
    let line = exposition.lines().find_map(|line| line.strip_prefix(&format!("roomcast_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {exposition}")).parse().expect("a number")
}

/// The reason that an error's details give, after a look at the rest of them.
fn reason(error: &Value) -> &str {
    reason_of(error, "shop")
}

/// The same of an error that is about another backend.
fn reason_of<'a>(error: &'a Value, backend: &str) -> &'a str {
    assert_eq!(error["details"]["component"], backend, "{error}");
    assert_eq!(error["recoverable"], true, "{error}");
    error["details"]["reason"].as_str().unwrap_or_else(|| panic!("no reason in {error}"))
}
