//! The command that rolls the server: it runs beside the load, and what it says last is told when it fails.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// How much of what was said is looked at.
const TAIL_BYTES: usize = 4096;

/// A shell command that has begun.
pub(super) struct ShellCommand {
    child: Child,
    /// Its standard error. No pipe, which would have to be read, and would break under a server that the command leaves
    /// behind when we are gone.
    said: File,
}

impl ShellCommand {
    /// Begins `command`.
    ///
    /// # Errors
    /// When there is no shell, or no temporary file.
    pub(super) fn start(command: &str) -> Result<Self> {
        let said = nameless_file().context("--drain-command: a temporary file for what it says")?;
        let stderr = said.try_clone().context("--drain-command: its standard error")?;
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = shell.spawn().context("--drain-command: starting sh")?;
        Ok(Self { child, said })
    }

    /// How it failed, once it has.
    pub(super) fn failure(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten().filter(|status| !status.success())?;
        let line = self.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("{status}{line}"))
    }

    fn last_line(&self) -> Option<String> {
        let length = self.said.metadata().ok()?.len();
        let mut tail = vec![0; TAIL_BYTES];
        let read = self.said.read_at(&mut tail, length.saturating_sub(TAIL_BYTES as u64)).ok()?;
        let text = String::from_utf8_lossy(&tail[..read]);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).collect())
    }
}

/// A file that is gone once nobody has it open.
fn nameless_file() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("roomcast-loadtest-{}-drain", std::process::id()));
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_last_line() {
        let end = |command: &str| {
            let mut command = ShellCommand::start(command).expect("there is a shell");
            command.child.wait().expect("it is our child");
            command.failure()
        };
        assert_eq!(end("echo fine >&2"), None);
        assert_eq!(end("exit 3").as_deref(), Some("exit status: 3"));
        let long = "head -c 100000 /dev/zero | tr '\\0' x >&2; printf '\\none\\nthe last\\n\\n' >&2; exit 4";
        assert_eq!(end(long).as_deref(), Some("exit status: 4: the last"));
    }
}
