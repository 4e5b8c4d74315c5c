//! `roomcast dev` and its chat page, in a browser that we did not write.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use crate::support::server::roomcast;
use crate::support::{Connect, DEADLINE, ProcessEnd, Server, foreign, http};

/// Starts `roomcast dev`, and returns it with the addresses that it told its user, one for each of two users.
fn start() -> (Server, Vec<String>) {
    let mut command = roomcast();
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    let (sender, receiver) = mpsc::channel();
    let server = Server::spawn_with(command, Stdio::piped(), |stdout| {
        let stdout = stdout.expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    });
    let mut pages: Vec<String> = Vec::new();
    let mut said = String::new();
    while pages.len() < 2 {
        let line = receiver.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("{error} after {said}"));
        let words = line.split_whitespace();
        pages.extend(
            words.filter(|word| word.starts_with("http://") && word.contains("eyJ")).map(str::to_owned),
        );
        said.push_str(&line);
        said.push('\n');
    }
    (server, pages)
}

/// The token in an address.
fn token_of(page: &str) -> &str {
    let from = page.find("eyJ").expect("the address has a token");
    let length = page[from..].find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    &page[from..length.map_or(page.len(), |length| from + length)]
}

#[test]
fn a_development_server_tells_two_users_how_to_connect() {
    let (server, pages) = start();
    let mut clients: Vec<_> =
        pages.iter().map(|page| Connect::to(server.address).bearer(token_of(page)).open()).collect();
    clients[0].join("lobby");
    clients[1].join("lobby");
    clients[0].say("lobby", "hello");
    clients[1].expect_message("lobby");
    let page = http::get(server.address, "/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|value| value.starts_with("text/html")), "{page:?}");
}

#[test]
fn two_users_talk_on_the_chat_page_in_a_browser() {
    let (_server, pages) = start();
    let mut command = foreign::node("browser.mjs");
    command.env("BROWSER", foreign::browser()).env("PAGE_ANA", &pages[0]).env("PAGE_BEN", &pages[1]);
    let end = ProcessEnd::of_command(command);
    assert_eq!(end.stdout, "both pages show both messages\n", "{}", end.stderr);
}
