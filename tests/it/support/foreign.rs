//! Programs that we did not write: scripts of `tests/clients` on foreign client libraries, and a browser.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn assert_installed(path: &Path) {
    assert!(path.exists(), "{} is missing: run ./scripts/setup first", path.display());
}

/// Node with a script of that folder.
pub(crate) fn node(script: &str) -> Command {
    for package in ["ws", "socket.io-client"] {
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
