//! Stores that are not opened: another process's, another version's, damaged ones.

use std::fs;

use super::Home;
use crate::support::ProcessEnd;

fn refused(home: &Home) -> String {
    let end = ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--auth", "off", "--store", home.path()]);
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    end.stderr
}

/// Every file of the store with what is in it.
fn files(home: &Home) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(home.path()).expect("it is there").map(|entry| entry.expect("readable"));
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("readable"))
    };
    let mut files: Vec<_> = entries.map(read).collect();
    files.sort();
    files
}

#[test]
fn two_processes_do_not_share_a_store() {
    let home = Home::new(&[]);
    let server = home.start(1);
    let stderr = refused(&home);
    let expected = format!("another process uses this store (process {})", server.pid());
    assert!(stderr.contains(&expected), "{stderr}");
    server.member("ana", "lobby").say("lobby", "it serves on");
}

#[test]
fn another_version_s_store_is_not_touched() {
    let home = Home::new(&[]);
    fs::write(home.directory.path().join("state"), "roomcast-store format=2 whatever\n").expect("writable");
    let before = files(&home);
    let stderr = refused(&home);
    assert!(stderr.contains("its format is 2, and this version of roomcast reads format 1"), "{stderr}");
    assert_eq!(files(&home), before);
}

#[test]
fn a_damaged_log_is_reported_and_not_half_believed() {
    let home = Home::new(&[]);
    let mut server = home.start(1);
    let mut ana = server.member("ana", "lobby");
    for n in 0..10 {
        ana.say("lobby", n);
    }
    server.kill();
    let log = home.directory.path().join("0000000001.log");
    let mut bytes = fs::read(&log).expect("the first segment");
    bytes[40] ^= 1;
    fs::write(&log, bytes).expect("writable");
    let stderr = refused(&home);
    assert!(stderr.contains("0000000001.log is damaged at byte 0"), "{stderr}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let end = ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--auth", "off", "--store", "/proc/x/y"]);
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("/proc/x/y"), "{}", end.stderr);
}
