//! What lints cannot see: who may import whom, what only the rim may touch, and that ARCHITECTURE.md names what
//! is there.
//!
//! Comments and unit tests are not looked at: the former may name anything, the latter may use threads.

use std::path::{Path, PathBuf};

/// Lines of a source file, its unit tests in other files not counted.
const LINES_MAX: usize = 450;
/// What only the rim may use.
const RIM_ONLY: [&str; 5] = ["glommio", "std::net::Tcp", "std::os::fd", "rustix", "std::thread"];
/// What only `clock.rs` and the rim may use.
const CLOCK_ONLY: [&str; 2] = ["Instant::now", "SystemTime::now"];

struct Source {
    /// Relative to `shards/src`, with `/`.
    path: String,
    /// Without comments and unit tests.
    code: String,
    lines: usize,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("{folder}/"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file that is no unit test.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).expect("readable").map(|entry| entry.expect("readable").path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") && !entry.ends_with("tests.rs") {
                sources.push(read(&entry));
            }
        }
    }
    assert!(sources.len() > 40, "only {} files were found", sources.len());
    sources
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).expect("readable");
    let relative = path.strip_prefix(root()).expect("found there").to_string_lossy().replace('\\', "/");
    let code = text.split("#[cfg(test)]\nmod ").next().expect("a first part");
    let without_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let code: Vec<_> = code.lines().map(without_comment).collect();
    Source { path: relative, code: code.join("\n"), lines: text.lines().count() }
}

/// The files in which one of the words stands.
fn offenders<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    let found = |source: &Source| {
        let word = words.iter().find(|word| source.code.contains(**word))?;
        Some(format!("{} has {word}", source.path))
    };
    sources.filter_map(found).collect()
}

#[test]
fn only_the_rim_touches_the_machine() {
    let sources = sources();
    let core = || sources.iter().filter(|source| !source.is_in("rim"));
    assert_eq!(offenders(core(), &RIM_ONLY), [""; 0]);
    assert_eq!(offenders(core().filter(|source| source.path != "clock.rs"), &CLOCK_ONLY), [""; 0]);
}

#[test]
fn only_one_file_is_unsafe() {
    let is_word =
        |code: &str| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let found: Vec<_> =
        sources().into_iter().filter(|source| is_word(&source.code)).map(|source| source.path).collect();
    assert_eq!(found, ["rim/sys.rs"]);
}

#[test]
fn rooms_know_no_socket_and_no_dialect() {
    let sources = sources();
    let words = ["crate::connection", "protocol::event", "protocol::topic", "crate::effect", "crate::mesh"];
    assert_eq!(offenders(sources.iter().filter(|source| source.is_in("room")), &words), [""; 0]);
}

#[test]
fn nothing_below_imports_the_shard() {
    let sources = sources();
    let below = ["protocol", "room", "connection", "access", "mesh"];
    let below = sources.iter().filter(|source| below.iter().any(|folder| source.is_in(folder)));
    assert_eq!(offenders(below, &["crate::shard", "crate::rim", "crate::testing"]), [""; 0]);
}

#[test]
fn no_file_is_longer_than_one_can_read() {
    let long = sources().into_iter().filter(|source| source.lines > LINES_MAX);
    let long: Vec<_> = long.map(|source| format!("{} has {} lines", source.path, source.lines)).collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mute = sources()
        .into_iter()
        .map(|source| root().join(source.path))
        .filter(|path| !std::fs::read_to_string(path).expect("readable").starts_with("//!"));
    assert_eq!(mute.collect::<Vec<_>>(), [""; 0].map(PathBuf::from));
}

/// The section of ARCHITECTURE.md under the heading that speaks of the code map.
fn code_map() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let is_heading = |line: &str| line.starts_with('#');
    let mut lines =
        text.lines().skip_while(|line| !(is_heading(line) && line.to_ascii_lowercase().contains("code map")));
    assert!(lines.next().is_some(), "ARCHITECTURE.md has no heading with \"code map\" in it");
    lines.take_while(|line| !is_heading(line)).collect::<Vec<_>>().join("\n")
}

/// In the code map, whatever stands between backticks and ends in `/` is a folder: of `shards/src`, or of the whole.
#[test]
fn the_code_map_names_every_folder_and_no_other() {
    let map = code_map();
    let quoted = map.split('`').skip(1).step_by(2).filter(|name| name.ends_with('/'));
    let named: Vec<&str> = quoted.map(|name| name.trim_end_matches('/')).collect();
    let exists = |name: &str| {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        root().join(name).is_dir() || whole.is_dir()
    };
    let gone: Vec<_> = named.iter().filter(|name| !exists(name)).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names folders that are not there: {gone:?}");
    let folders = std::fs::read_dir(root()).expect("readable").map(|entry| entry.expect("readable").path());
    let unnamed: Vec<_> = folders
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        // A folder beside a file of the same name is the rest of that module.
        .filter(|name| !root().join(format!("{name}.rs")).exists())
        .filter(|name| !named.iter().any(|known| known.trim_start_matches("shards/src/") == name))
        .collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md does not name {unnamed:?}");
}
