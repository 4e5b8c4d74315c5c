//! Stores that are not opened: another process's, another version's, damaged ones.

use std::fs;

use super::{End, Home};
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
fn a_segment_is_not_emptied_or_removed_unnoticed_before_the_last() {
    let home = Home::new(&[]);
    let mut server = home.start(1);
    for round in 0..4 {
        let mut ana = server.member("ana", "lobby");
        for n in 0..20 {
            ana.say("lobby", round * 20 + n);
        }
        server = home.restart(server, End::Killed, 1);
    }
    server.kill();
    for segment in ["0000000001.log", "0000000002.log"] {
        let path = home.directory.path().join(segment);
        let whole = fs::read(&path).expect("a segment");
        fs::write(&path, "").expect("writable");
        let stderr = refused(&home);
        assert!(stderr.contains(&format!("{segment}: all of it is missing")), "{stderr}");
        fs::remove_file(&path).expect("writable");
        let stderr = refused(&home);
        assert!(stderr.contains(&format!("{segment}: the file is missing")), "{stderr}");
        fs::write(&path, whole).expect("writable");
    }
    assert_eq!(home.start(1).member("ana", "lobby").say("lobby", "next")["offset"], 81);
}

#[test]
fn a_store_that_was_closed_has_no_torn_end() {
    let home = Home::new(&[]);
    let mut server = home.start(1);
    let mut ana = server.member("ana", "lobby");
    for n in 0..20 {
        ana.say("lobby", n);
    }
    server.terminate();
    assert!(server.wait_for_exit().success());
    let path = home.directory.path().join("0000000001.log");
    let whole = fs::read(&path).expect("the only segment");
    let length = whole.len();
    for left in [0, length - 10] {
        fs::write(&path, &whole[..left]).expect("writable");
        let stderr = refused(&home);
        let expected = format!("0000000001.log: the end from byte {left} to {length} is missing");
        assert!(stderr.contains(&expected), "{stderr}");
        assert_eq!(fs::read(&path).expect("it is there"), whole[..left], "it is not touched");
    }
    fs::remove_file(&path).expect("writable");
    let stderr = refused(&home);
    assert!(stderr.contains("0000000001.log: the file is missing"), "{stderr}");
    let mut spoilt = whole.clone();
    spoilt[length - 1] ^= 1;
    fs::write(&path, spoilt).expect("writable");
    let stderr = refused(&home);
    assert!(stderr.contains("0000000001.log is damaged at byte"), "{stderr}");
    fs::write(&path, whole).expect("writable");
    assert_eq!(home.start(1).member("ana", "lobby").say("lobby", "next")["offset"], 21);
}

#[test]
fn a_last_segment_that_a_kill_has_torn_is_no_damage() {
    for left in [0, 10] {
        let home = Home::new(&[]);
        let server = home.start(1);
        server.member("ana", "lobby").say("lobby", 1);
        let mut server = home.restart(server, End::Killed, 1);
        server.member("ana", "lobby").say("lobby", 2);
        server.kill();
        let path = home.directory.path().join("0000000002.log");
        let whole = fs::read(&path).expect("the last segment");
        fs::write(&path, &whole[..left]).expect("writable");
        let mut server = home.start(1);
        for end in [End::Stopped, End::Killed, End::Stopped] {
            server = home.restart(server, end, 1);
        }
        assert_eq!(server.member("ana", "lobby").say("lobby", 2)["offset"], 2);
        let server = home.restart(server, End::Killed, 1);
        assert_eq!(server.member("ana", "lobby").say("lobby", 3)["offset"], 3);
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let end = ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--auth", "off", "--store", "/proc/x/y"]);
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("/proc/x/y"), "{}", end.stderr);
}
