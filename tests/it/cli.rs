//! Settings by flag, environment and file: what wins, and what is refused before anything is bound.

use std::net::TcpListener;

use crate::support::server::roomcast;
use crate::support::{ProcessEnd, SECRET, Server, TemporaryFile, Token};

/// Arguments of a server that would start.
fn serve(more: &[&str]) -> Vec<String> {
    let good = ["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET];
    good.iter().chain(more).map(|&argument| argument.to_owned()).collect()
}

fn assert_refused(arguments: &[String], named: &str) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let end = ProcessEnd::of(&arguments);
    assert_eq!(end.code, Some(64), "{arguments:?}: {end:?}");
    assert!(end.stderr.contains(named), "{named} is not named: {end:?}");
    assert!(!end.stderr.contains(SECRET), "the secret is shown: {end:?}");
}

#[test]
fn a_setting_that_cannot_be_read_ends_with_64_and_names_its_flag() {
    let bad = [
        ("--shards", "none"),
        ("--shards", "0"),
        ("--listen", "nonsense"),
        ("--admin-listen", "1:2:3"),
        ("--cpus", "x"),
        ("--auth", "maybe"),
        ("--limits", "some"),
        ("--auth-timeout", "10"),
        ("--ping-interval", "-1s"),
        ("--limit-messages", "many"),
        ("--limit-events", "0/1s"),
        ("--max-message-size", "big"),
        ("--max-depth", "x"),
        ("--profile", "nobody"),
        ("--log-format", "xml"),
        ("--log-level", "loud"),
        ("--drain-timeout", "soon"),
        ("--jwt-algorithm", "none"),
        ("--jwt-secret-file", "/no/such/file"),
        ("--config", "/no/such/file"),
    ];
    for (flag, value) in bad {
        let only = ["serve".to_owned(), flag.to_owned(), value.to_owned()];
        let all = serve(&[flag, value]);
        // These would be given twice, which is a mistake of its own.
        assert_refused(if flag.starts_with("--jwt-secret-") { &only } else { &all }, flag);
    }
    assert_refused(&serve(&["--no-such-flag"]), "--no-such-flag");
    assert_refused(&["no-such-command".to_owned()], "no-such-command");
}

#[test]
fn a_secret_file_without_end_is_refused() {
    assert_refused(
        &["serve", "--listen", "127.0.0.1:0", "--jwt-secret-file", "/dev/zero"].map(str::to_owned),
        "--jwt-secret-file",
    );
}

#[test]
fn contradictory_settings_end_with_64() {
    assert_refused(&["serve".to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()], "--jwt-secret");
    let secret = TemporaryFile::with("secret", SECRET);
    assert_refused(&serve(&["--jwt-secret-file", secret.path()]), "--jwt-secret");
    assert_refused(&serve(&["--auth", "off"]), "--auth");
    assert_refused(&serve(&["--jwt-algorithm", "RS256"]), "--jwt-algorithm");
    assert_refused(&serve(&["--ping-interval", "60s", "--ping-timeout", "30s"]), "--ping-");
}

#[test]
fn the_environment_is_read_and_flags_win_over_it() {
    let mut command = roomcast();
    command.args(serve(&[])).env("ROOMCAST_SHARDS", "none");
    let end = ProcessEnd::of_command(command);
    assert_eq!(end.code, Some(64));
    assert!(end.stderr.contains("--shards") || end.stderr.contains("ROOMCAST_SHARDS"), "{end:?}");

    let mut command = roomcast();
    command.args(["serve", "--listen", "127.0.0.1:0", "--shards", "1"]);
    command
        .env("ROOMCAST_SHARDS", "2")
        .env("ROOMCAST_JWT_SECRET", SECRET)
        .env("ROOMCAST_LIMIT_EVENTS", "1/1h");
    let server = Server::spawn(command);
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.ping();
    ana.fail("ping", serde_json::json!({}), "RATE_LIMITED");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let secret = TemporaryFile::with("secret-file", &format!("{SECRET}\n"));
    let mut command = roomcast();
    command.args(["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--jwt-secret-file", secret.path()]);
    let server = Server::spawn(command);
    server.connect().token(&Token::employee("ana")).open().ping();
}

#[test]
fn an_address_in_use_ends_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let end = ProcessEnd::of(&["serve", "--listen", &address, "--jwt-secret", SECRET, "--shards", "1"]);
    assert_eq!(end.code, Some(69), "{end:?}");
    assert!(end.stderr.contains(&address), "{end:?}");
}

#[test]
fn the_printed_configuration_is_accepted() {
    let printed = ProcessEnd::of(&["config"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let file = TemporaryFile::with("config.toml", &printed.stdout);
    let server = Server::builder().shards(1).with(&["--config", file.path()]).start();
    server.connect().token(&Token::employee("ana")).open().ping();
}

#[test]
fn a_configuration_is_obeyed_flags_win_and_unknown_keys_are_refused() {
    let file =
        TemporaryFile::with("good.toml", "limit-events = \"1/1h\"\nmax-depth = 4\nprofile = \"topic\"\n");
    let server = Server::builder().shards(1).with(&["--config", file.path(), "--profile", "native"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    ana.ping();
    ana.fail("ping", serde_json::json!({}), "RATE_LIMITED");
    let unknown = TemporaryFile::with("unknown.toml", "shrads = 2\n");
    assert_refused(&serve(&["--config", unknown.path()]), "shrads");
    let wrong = TemporaryFile::with("wrong.toml", "max-depth = \"deep\"\n");
    assert_refused(&serve(&["--config", wrong.path()]), "max-depth");
    let broken = TemporaryFile::with("broken.toml", "max-depth = = 3\n");
    assert_refused(&serve(&["--config", broken.path()]), "--config");
}
