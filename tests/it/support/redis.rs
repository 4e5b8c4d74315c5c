//! A real Redis for tests: a process of its own on a free port, with nothing on disk, ended with the test.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// A running redis-server.
pub(crate) struct Redis {
    child: Child,
    /// The option that its port is given by.
    listen: &'static str,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_at("--port", arguments)
    }

    /// Starts one that speaks TLS only, with a certificate and its key, and asks nobody for one.
    pub(crate) fn start_tls(certificate: &str, key: &str, arguments: &[&str]) -> Self {
        let tls = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
        Self::start_at("--tls-port", &[&["--port", "0"], &tls[..], arguments].concat())
    }

    fn start_at(listen: &'static str, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        // A port that is free now may be taken a moment later; then the next is tried.
        for _ in 0..20 {
            let port = free_port();
            let mut child = spawn(listen, port, &arguments);
            if is_up(&mut child, port) {
                return Self { child, listen, port, arguments };
            }
        }
        panic!("no redis-server would start: is it installed? ./scripts/setup does it");
    }

    /// What a gateway is told.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Ends it at once, and with it everything that it knew.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, empty, at the same place.
    pub(crate) fn restart(&mut self) {
        self.kill();
        eventually("the redis-server is back", || {
            self.child = spawn(self.listen, self.port, &self.arguments);
            is_up(&mut self.child, self.port).then_some(())
        });
    }

    /// Makes it answer nothing while its connections stay.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Runs one command by the program that comes with it; what it printed.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(words).output();
        let output = output.expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is ours");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

fn spawn(listen: &str, port: u16, arguments: &[String]) -> Child {
    let port = port.to_string();
    Command::new("redis-server")
        .args([listen, &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed by ./scripts/setup")
}

fn is_up(child: &mut Child, port: u16) -> bool {
    eventually("the redis-server listens, or has ended", || {
        if child.try_wait().expect("the process is ours").is_some() {
            return Some(false);
        }
        TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true)
    })
}
