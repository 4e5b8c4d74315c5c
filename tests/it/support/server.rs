//! The built binary as a child process: started on a free port, read through its log, killed on drop.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::token::SECRET;
use super::{Client, Connect, DEADLINE, Token, http};

/// How to start a server.
pub(crate) struct ServerBuilder {
    listen: String,
    arguments: Vec<String>,
    limits: bool,
    auth: bool,
    secret: bool,
    descriptors_max: Option<u32>,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
}

/// How a command ended that was not meant to stay.
#[derive(Debug)]
pub(crate) struct ProcessEnd {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Lines of standard error so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl ServerBuilder {
    /// Adds arguments to `roomcast serve`.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Listens on that port instead of a free one.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.listen = format!("127.0.0.1:{port}");
        self
    }

    /// Runs that many shards.
    pub(crate) fn shards(self, count: usize) -> Self {
        self.with(&["--shards", &count.to_string()])
    }

    /// Keeps the default rates and admission, which the other tests switch off.
    pub(crate) fn default_limits(mut self) -> Self {
        self.limits = true;
        self
    }

    /// Lets everybody in as an anonymous employee.
    pub(crate) fn auth_off(mut self) -> Self {
        self.auth = false;
        self
    }

    /// Leaves the keys to the arguments.
    pub(crate) fn without_secret(mut self) -> Self {
        self.secret = false;
        self
    }

    /// Gives the process a descriptor limit.
    pub(crate) fn descriptors_max(mut self, count: u32) -> Self {
        self.descriptors_max = Some(count);
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let mut arguments = vec!["serve".to_owned(), "--listen".to_owned(), self.listen];
        if !self.limits {
            arguments.extend(["--limits".to_owned(), "off".to_owned()]);
        }
        if self.auth && self.secret {
            arguments.extend(["--jwt-secret".to_owned(), SECRET.to_owned()]);
        } else if !self.auth {
            arguments.extend(["--auth".to_owned(), "off".to_owned()]);
        }
        arguments.extend(engine_of_the_run(&self.arguments));
        arguments.extend(self.arguments);
        let mut command = match self.descriptors_max {
            None => roomcast(),
            Some(count) => {
                let mut shell = without_settings(Command::new("sh"));
                shell.args(["-c", &format!("ulimit -n {count}; exec \"$0\" \"$@\"")]);
                shell.arg(env!("CARGO_BIN_EXE_roomcast"));
                shell
            }
        };
        command.args(&arguments);
        Server::spawn(command)
    }
}

/// `ROOMCAST_TEST_ENGINE=redis://…` runs every test on that engine, as far as it says nothing of engines itself: each
/// server is an installation of its own there.
fn engine_of_the_run(arguments: &[String]) -> Vec<String> {
    static SERVERS: AtomicUsize = AtomicUsize::new(0);
    let Ok(url) = std::env::var("ROOMCAST_TEST_ENGINE") else { return Vec::new() };
    if arguments.iter().any(|argument| argument == "--engine") {
        return Vec::new();
    }
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    ["--engine", &url, "--engine-prefix", &prefix].map(str::to_owned).into()
}

impl Server {
    /// A server with a secret, the default number of shards and without rates.
    pub(crate) fn builder() -> ServerBuilder {
        ServerBuilder {
            listen: "127.0.0.1:0".to_owned(),
            arguments: Vec::new(),
            limits: false,
            auth: true,
            secret: true,
            descriptors_max: None,
        }
    }

    /// A server on one shard with a secret and without rates.
    pub(crate) fn start() -> Self {
        Self::builder().shards(1).start()
    }

    /// Spawns a command that logs where it listens.
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_with(command, Stdio::null(), |_| {})
    }

    /// As [`Server::spawn`], and hands on what it writes to standard output.
    pub(crate) fn spawn_with(
        mut command: Command,
        stdout: Stdio,
        take: impl FnOnce(Option<ChildStdout>),
    ) -> Self {
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        take(child.stdout.take());
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("piped");
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8(line).expect("the log is UTF-8");
                writer.lines.lock().expect("no reader panics with the lock").push(line);
                writer.grown.notify_all();
            }
        });
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), log };
        server.address = server.wait_for_log(listening_address);
        server
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of the process so far, which the kernel counts in ticks.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the server lives");
        let behind_name = stat.rsplit(')').next().expect("rsplit gives at least one");
        let fields = behind_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    /// The sum of a metric over all shards and labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let exposition = http::get(self.address, "/metrics").body;
        let values = exposition.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().expect("a number"))
        });
        values.sum()
    }

    /// Resident memory of the process in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the server lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    /// Starts to connect to `/ws` of this server.
    pub(crate) fn connect(&self) -> Connect {
        Connect::to(self.address)
    }

    /// Connects somebody to `/ws`.
    pub(crate) fn open(&self, token: &Token) -> Client {
        self.connect().token(token).open()
    }

    /// Connects an employee of that name.
    pub(crate) fn employee(&self, name: &str) -> Client {
        self.open(&Token::employee(name))
    }

    /// Connects an employee of that name, who joins that room.
    pub(crate) fn member(&self, name: &str, room: &str) -> Client {
        let mut client = self.employee(name);
        client.join(room);
        client
    }

    /// Waits until `find` gives something for a line of the log, from the first line on.
    pub(crate) fn wait_for_log<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.log.lines.lock().expect("the reader does not panic with the lock");
        let mut seen = 0;
        loop {
            if let Some(found) = lines[seen..].iter().find_map(|line| find(line)) {
                return found;
            }
            seen = lines.len();
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not in the log within {DEADLINE:?}: {lines:#?}");
            lines = self.log.grown.wait_timeout(lines, left).expect("not poisoned").0;
        }
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the process to drain.
    pub(crate) fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, Signal::TERM).expect("the process is ours and not yet reaped");
    }

    /// Has it read its files again.
    pub(crate) fn hang_up(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, Signal::HUP).expect("the process is ours and not yet reaped");
    }

    /// Ends the process as nothing else does: at once, whatever it is doing.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("our child can be waited for");
    }

    /// Waits for its end.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child, DEADLINE)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(20);
            eprintln!("the server's last log lines:\n{}", log[from..].join("\n"));
        }
    }
}

/// The address in the line of the log that says so, in either format of it.
fn listening_address(line: &str) -> Option<SocketAddr> {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => {
            (line["event"] == "listening").then(|| line["metadata"]["address"].as_str()?.parse().ok())?
        }
        Err(_) if line.contains("listening") => line
            .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))
            .find_map(|word| word.parse().ok()),
        Err(_) => None,
    }
}

/// The binary under test, without any setting of the environment that the tests run in.
pub(crate) fn roomcast() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_roomcast")))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOMCAST_")) {
        command.env_remove(name);
    }
    command
}

impl ProcessEnd {
    /// Runs `roomcast` with these arguments to its end.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        let mut command = roomcast();
        command.args(arguments);
        Self::of_command(command)
    }

    /// Runs a command to its end, or kills it and fails.
    pub(crate) fn of_command(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let stdout = read_in_background(child.stdout.take().expect("piped"));
        let stderr = read_in_background(child.stderr.take().expect("piped"));
        let status = wait_for_exit(&mut child, DEADLINE * 3);
        let text =
            |reader: std::thread::JoinHandle<String>| reader.join().expect("the reader does not panic");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

fn read_in_background(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait_for_exit(child: &mut Child, limit: Duration) -> ExitStatus {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("our child can be waited for") {
            return status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            panic!("still running after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
