//! Programs that we did not write: scripts of `tests/clients` on foreign client libraries, and a browser.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use super::DEADLINE;

/// A script that runs beside the test, which reads what it prints line by line.
pub(crate) struct Script {
    child: Child,
    lines: Receiver<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn assert_installed(path: &Path) {
    assert!(path.exists(), "{} is missing: run ./scripts/setup first", path.display());
}

/// Node with a script of that folder.
pub(crate) fn node(script: &str) -> Command {
    for package in ["ws", "socket.io-client", "@socket.io/redis-emitter"] {
        assert_installed(&folder().join("node_modules").join(package));
    }
    let mut command = Command::new("node");
    command.arg(folder().join(script)).current_dir(folder());
    command
}

/// Python, with the packages that `scripts/setup` installs, with a script of that folder.
pub(crate) fn python(script: &str) -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert_installed(&python);
    let mut command = Command::new(python);
    command.arg(folder().join(script)).current_dir(folder());
    command
}

/// The browser that `scripts/setup` installs, or one that was there.
pub(crate) fn browser() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    found.expect("no browser: run ./scripts/setup first")
}

impl Script {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Fails unless this is what it prints next.
    pub(crate) fn expect(&mut self, line: &str) {
        match self.lines.recv_timeout(DEADLINE * 2) {
            Ok(told) => assert_eq!(told, line),
            Err(error) => panic!("{error} instead of {line:?}; its errors:\n{}", self.errors()),
        }
    }

    /// Fails unless it ends well, without another line.
    pub(crate) fn expect_end(mut self) {
        if let Ok(told) = self.lines.recv_timeout(DEADLINE) {
            panic!("more than was expected: {told}");
        }
        let status = self.child.wait().expect("our child can be waited for");
        assert!(status.success(), "{status}; its errors:\n{}", self.errors());
    }

    /// Ends it, and returns what it said of errors.
    fn errors(&mut self) -> String {
        let _ = self.child.kill();
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut errors);
        }
        errors
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
