//! What profiles of a file mean, and that bad ones are refused by profile and key.

use roomcast_shards::backend::Routes;
use roomcast_shards::protocol::catalog::{EVENTS, Event};
use roomcast_shards::protocol::error_code::ErrorCode;
use roomcast_shards::protocol::event::decode;
use roomcast_shards::protocol::json::Parser;
use roomcast_shards::protocol::profile::PROFILES_MAX;

use super::names::flags;
use super::*;

fn read(toml: &str) -> Result<FileProfiles, String> {
    let mut file: Table = toml.parse().expect("TOML");
    FileProfiles::read(file.remove("profiles").expect("profiles"))
}

fn profile(toml: &str, name: &str) -> &'static Profile {
    let read = read(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    read.all.find(name).unwrap_or_else(|| panic!("{name} is defined in {toml}"))
}

/// Checks that the table of a profile `p` is refused with this text.
fn refused(table: &str, expected: &str) {
    assert_eq!(read(&format!("[profiles.p]\n{table}")).expect_err(table), expected);
}

#[test]
fn every_key_is_obeyed() {
    let mine = profile(
        r#"
        [profiles.mine]
        base = "chat"
        dialect = "topic"
        error-shape = "channel"
        auth-tries = 2
        limit-messages = "60/1m"
        limit-typing = "1/1s,5"
        limit-presence = "2/1s"
        ping-interval = "25s"
        ping-timeout = "50s"
        presence-edges = true
        watches = "account"
        [profiles.mine.inbound]
        "say" = "message:send"
        "typing:stop" = { event = "message:typing", isTyping = false }
        [profiles.mine.outbound]
        "message:received" = "said"
        "user:online" = "came on line"
        "#,
        "mine",
    );
    let rate = |count, interval_ms, burst| Some(Rate { count, interval_ms, burst });
    assert_eq!((mine.dialect, mine.error_shape, mine.auth_tries), (Dialect::Topic, ErrorShape::Channel, 2));
    assert_eq!(mine.messages, rate(60, 60_000, 60));
    assert_eq!((mine.typing, mine.presence), (rate(1, 1000, 5), rate(2, 1000, 2)));
    assert_eq!((mine.ping_ms, mine.presence_edges), (Some((25_000, 50_000)), true));
    assert_eq!(mine.watching, Watching::Account);
    assert_eq!(mine.find_inbound("say"), Some((Event::MessageSend, [].as_slice())));
    assert_eq!(
        mine.find_inbound("typing:stop"),
        Some((Event::MessageTyping, [("isTyping", false)].as_slice()))
    );
    assert_eq!((mine.outbound("message:received"), mine.outbound("user:online")), ("said", "came on line"));
    assert_eq!(mine.outbound("user:typing"), "chat:user:typing", "the base's");
}

#[test]
fn a_profile_says_only_what_differs() {
    let plain = profile("[profiles.plain]", "plain");
    let native = Profiles::default().find("native").expect("built in").clone();
    let expected = Profile { name: "plain", index: plain.index, ..native };
    assert_eq!(format!("{plain:?}"), format!("{expected:?}"));
}

#[test]
fn the_order_of_profiles_does_not_matter() {
    let toml = r#"
        [profiles.a]
        base = "b"
        outbound = { "room:joined" = "room:joined" }
        [profiles.b]
        base = "t3"
        ping-interval = "1s"
        ping-timeout = "3s"
        outbound = { "room:joined" = "in", "room:left" = "out" }
        [profiles.c]
        base = "a"
        ping-interval = "2s"
    "#;
    let read = read(toml).expect("good");
    let c = read.all.find("c").expect("defined");
    assert_eq!((c.watching, c.ping_ms), (Watching::Everybody, Some((2000, 3000))));
    assert_eq!((c.outbound("room:joined"), c.outbound("room:left")), ("room:joined", "out"));
    assert_eq!((read.origin("c"), read.origin("chat")), ("t3", "chat"));
    refused("base = 'p'", "profiles.p.base: \"p\" starts from this one in turn");
    refused("base = 'q'\n[profiles.q]\nbase = 'p'", "profiles.q.base: \"p\" starts from this one in turn");
}

#[test]
fn what_a_table_gets_wrong_is_named() {
    refused("dialekt = 'event'", "profiles.p: unknown key \"dialekt\" (did you mean \"dialect\"?)");
    refused("auth_tries = 1", "profiles.p: unknown key \"auth_tries\" (did you mean \"auth-tries\"?)");
    refused("dialect = 'morse'", "profiles.p.dialect: expected event or topic, got \"morse\"");
    refused("auth-tries = 0", "profiles.p.auth-tries: expected a number from 1 to 255, got \"0\"");
    refused("presence-edges = 2", "profiles.p.presence-edges: expected true or false or 1 or 0, got \"2\"");
    refused("watches = []", "profiles.p.watches: expected a string, an integer or true or false");
    refused(
        "limit-typing = 'off'",
        "profiles.p.limit-typing: a profile cannot switch a limit off; --limits off does, for everybody",
    );
    refused("ping-interval = '5s'", "profiles.p.ping-interval: needs ping-timeout beside it");
    refused(
        "ping-interval = '5s'\nping-timeout = '5s'",
        "profiles.p.ping-timeout: must be longer than ping-interval, or no ping is ever sent",
    );
    refused(
        "base = 'chta'",
        "profiles.p.base: unknown profile \"chta\"; known are native, chat, channel, t3, support, topic",
    );
    assert_eq!(
        read("[profiles.chat]").err().as_deref(),
        Some("profiles.chat: is built in; use another name, and it as base")
    );
    assert_eq!(read("[profiles]\np = 1").err().as_deref(), Some("profiles.p: expected a table"));
    assert_eq!(
        read("profiles = 1").err().as_deref(),
        Some("profiles: expected tables such as [profiles.mychat]")
    );
    let many: String = (0..PROFILES_MAX).map(|n| format!("[profiles.p{n}]\n")).collect();
    assert!(read(&many).is_err_and(|error| error.ends_with("at most 32 profiles are possible")));
}

#[test]
fn names_of_events_are_checked() {
    refused(
        "inbound = { say = 'message:sned' }",
        "profiles.p.inbound.say: expected the canonical name of an event, got \"message:sned\" \
         (did you mean \"message:send\"?)",
    );
    refused(
        "inbound = { say = 'chat:message:send' }",
        "profiles.p.inbound.say: expected the canonical name of an event, got \"chat:message:send\" \
         (did you mean \"message:send\"?)",
    );
    refused(
        "inbound = { 'join:chat' = 'room:leave' }",
        "profiles.p.inbound.\"join:chat\": every profile knows this name of \"room:join\"",
    );
    refused(
        "inbound = { stop = { event = 'message:typing', isTypin = false } }",
        "profiles.p.inbound.stop.isTypin: message:typing has no such member that is true or false \
         (did you mean \"isTyping\"?)",
    );
    refused(
        "inbound = { stop = { isTyping = false } }",
        "profiles.p.inbound.stop: expected event = \"EVENT\" in it",
    );
    refused(
        "outbound = { 'message:recieved' = 'said' }",
        "profiles.p.outbound.\"message:recieved\": no event goes out under this name \
         (did you mean \"message:received\"?)",
    );
    refused("outbound = { 'user:typing' = 1 }", "profiles.p.outbound.\"user:typing\": expected a name");
    let long = "x".repeat(65);
    for name in ["", "a\"b", "a'b", "a\\b", "é", "a\nb", &long] {
        let expected = format!(
            ": expected a name of 1 to 64 characters of printable ASCII without quotes and \\, got {name:?}"
        );
        let refused =
            |toml: &str| assert!(read(toml).is_err_and(|error| error.ends_with(&expected)), "{toml}");
        refused(&format!("[profiles.p.inbound]\n{name:?} = 'ping'"));
        refused(&format!("[profiles.p.outbound]\n'room:left' = {name:?}"));
        refused(&format!("[profiles.{name:?}]"));
    }
}

/// The decoder reads a constant only where it reads a truth; a flag that it does not know would be ignored.
#[test]
fn flags_are_members_that_the_decoder_reads() {
    for spec in EVENTS {
        let named = flags(spec.event).iter().all(|flag| spec.data.contains(flag));
        assert!(named, "{}: {}", spec.name, spec.data);
    }
    let mine =
        profile("[profiles.m]\ninbound = { quiet = { event = 'message:send', excludeSender = true } }", "m");
    let frame = r#"{"event":"quiet","data":{"roomId":"a","content":1,"excludeSender":"no truth"}}"#;
    let decoded =
        Parser::new(9).parse(frame.as_bytes(), |value| decode(value, mine, Routes::NONE)).expect("JSON");
    assert!(decoded.is_ok(), "the name decides: {decoded:?}");
    let frame = frame.replace("quiet", "message:send");
    let decoded =
        Parser::new(9).parse(frame.as_bytes(), |value| decode(value, mine, Routes::NONE)).expect("JSON");
    assert_eq!(decoded.expect_err("no truth").error.code, ErrorCode::InvalidPayload);
}
