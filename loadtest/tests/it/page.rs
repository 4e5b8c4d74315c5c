//! The report's page in a browser that we did not write: nothing is fetched, nothing fails, nothing sticks out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stand_in::{Fault, StandIn};
use crate::{command, report_file};

/// The browser that `scripts/setup` installs, or one that was there.
fn browser() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    found.expect("no browser: run ./scripts/setup first")
}

/// Writes the page of a run with these flags in addition.
fn page(server: &StandIn, flags: &[&str]) -> PathBuf {
    let file = report_file().with_extension("html");
    let pid = std::process::id().to_string();
    let output = command(server).args(["--server-pid", &pid]).args(flags).arg("--html").arg(&file).output();
    let output = output.expect("the binary starts");
    assert!(file.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

#[test]
fn pages_work_in_a_browser_wide_and_narrow() {
    let server = StandIn::start(Fault::None);
    let closing = StandIn::start(Fault::Close(4409));
    let hostile = ["--user-prefix", "<img/src=x:/onerror=throw(1)>", "--max-p99", "60000"];
    let pages = [
        // Charts with something in them: all but those of closes for traffic; of people, server and generator else.
        (page(&server, &[&hostile[..], &["--duration", "2500ms"]].concat()), "Passed", 10),
        (page(&closing, &["--max-loss", "100"]), "Failed", 10),
        (page(&server, &["--idle", "--duration", "1500ms"]), "Passed", 6),
        (page(&server, &["--churn", "50"]), "Passed", 5),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients");
    for (file, verdict, charts) in pages {
        let mut node = Command::new("node");
        node.arg(folder.join("report.mjs")).current_dir(&folder);
        node.env("BROWSER", browser()).env("PAGE", &file);
        node.env("VERDICT", verdict).env("CHARTS", charts.to_string());
        let output = node.output().expect("node starts: run ./scripts/setup first");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(stdout, "the page is as it should be\n", "{}: {stderr}", file.display());
        let _ = std::fs::remove_file(file);
    }
}

#[test]
fn old_reports_become_the_same_page() {
    let server = StandIn::start(Fault::None);
    let json = report_file();
    let [now, later] = ["now.html", "later.html"].map(|end| json.with_extension(end));
    let mut run = command(&server);
    let status = run.arg("--json").arg(&json).arg("--html").arg(&now).status().expect("the binary starts");
    assert!(status.success());
    let mut show = Command::new(env!("CARGO_BIN_EXE_roomcast-loadtest"));
    let output = show.arg("report").arg(&json).arg("--html").arg(&later).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let [a, b] = [&now, &later].map(|file| std::fs::read_to_string(file).expect("a page"));
    // Reading a number back may change its last digit, which moves a line by a hair; all else is the same.
    let text = |page: &str| {
        page.split("<path")
            .map(|part| part.split_once("/>").map_or(part, |(_, rest)| rest))
            .collect::<String>()
    };
    assert!(text(&a) == text(&b), "{} and {} differ", now.display(), later.display());
    [json, now, later].iter().for_each(|file| drop(std::fs::remove_file(file)));
}
