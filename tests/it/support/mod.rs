//! What the black-box tests are written with: a server process, a client, raw HTTP, raw frames and tokens.
//!
//! Nothing here knows more of the gateway than its command line and its wire. Every wait is bounded by
//! [`DEADLINE`]; a test never sleeps for a fixed time in the hope that something has happened.

pub(crate) mod backend;
mod client;
mod connect;
mod directory;
pub(crate) mod engine;
mod file;
pub(crate) mod foreign;
mod frame;
pub(crate) mod http;
pub(crate) mod line;
mod proxy;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod reply;
pub(crate) mod server;
pub(crate) mod socketio;
pub(crate) mod story;
pub(crate) mod tls;
mod token;

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use client::Client;
pub(crate) use connect::{Connect, Dialled};
pub(crate) use directory::TemporaryDirectory;
pub(crate) use file::TemporaryFile;
pub(crate) use frame::Frame;
pub(crate) use proxy::Proxy;
pub(crate) use raw::RawSocket;
pub(crate) use redis::Redis;
pub(crate) use server::{ProcessEnd, Server};
pub(crate) use socketio::SocketIo;
pub(crate) use token::{SECRET, Token};

/// How long anything expected may take before the test fails; generous, because test machines are busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How long a test listens before it says that something did not come.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

/// Calls `attempt` until it gives a value, at most for [`DEADLINE`].
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lets this process, and the servers that it starts from then on, open as many descriptors as they may.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may rise to the hard one");
}
