//! What the file may say of listeners, and what is said of what it gets wrong.

use super::*;

fn read_all(text: &str) -> Result<FileListeners, String> {
    let mut file: Table = text.parse().expect("TOML");
    let mut listeners = FileListeners::default();
    if let Some(events) = file.remove("events") {
        listeners.read_events(events)?;
    }
    listeners.read_listeners(file.remove("listeners").unwrap_or(Value::Array(Vec::new())))?;
    Ok(listeners)
}

#[test]
fn listeners_of_every_sink_are_read() {
    let text = r##"
        [events.redis]
        url = "redis://localhost"
        stream = "events"
        consumer = "a"

        [[listeners]]
        name = "Cable"
        on = ["message.*", "gateway.user.*"]
        when = { "data.private" = false, "data.type" = ["incoming", 1] }
        sink = "rooms"
        rooms = ["conversation:{data.conversationId}"]
        event = "message.created"
        payload = { id = "{data.id}", text = "#{data.id}", kind = "x", in = { n = 1 } }
        as = "message"

        [[listeners]]
        name = "Hook"
        on = "**"
        sink = "webhook"
        url = "http://localhost:1/hook"
        key = "{data.conversationId}"
        max-attempts = 3

        [[listeners]]
        name = "Stream"
        on = "a.b"
        sink = "redis-stream"
        url = "redis://localhost"
        stream = "reports:{name}"
        max-length = 100

        [[listeners]]
        name = "Log"
        on = "a.b"
        sink = "log"
    "##;
    let listeners = read_all(text).expect("good");
    let sinks: Vec<_> = listeners.settings.listeners.iter().map(|listener| &listener.sink).collect();
    assert!(matches!(
        sinks[..],
        [SinkSettings::Rooms(_), SinkSettings::Webhook(..), SinkSettings::Stream(..), SinkSettings::Log]
    ));
    assert!(
        listeners.settings.kinds() == roomcast_shards::gateway_event::EventKind::ALL.into_iter().collect()
    );
    let mut out = String::new();
    listeners.render(&mut out);
    assert!(read_all(&out).is_ok(), "what is written is read again: {out}");
}

#[test]
fn what_is_wrong_is_named() {
    let check = |listener: &str, expected: &str| {
        let error = read_all(&format!("[[listeners]]\n{listener}")).expect_err(listener);
        assert!(error.starts_with(expected), "{error}");
    };
    check("sink = 'log'", "listeners[0].name: is required");
    check("name = 'A'", "listeners.A.sink: is required");
    check("name = 'A'\nsink = 'logs'", "listeners.A.sink: ");
    check("name = 'A'\nsink = 'log'", "listeners.A.on: expected at least one pattern");
    check("name = 'A'\nsink = 'log'\non = 'a*'", "listeners.A.on: pattern \"a*\"");
    check(
        "name = 'A'\nsink = 'log'\non = 'a'\nurl = 'x'",
        "listeners.A.url: is only for these sinks: webhook",
    );
    check(
        "name = 'A'\nsink = 'rooms'\non = 'a'\nroom = 'x'",
        "listeners.A: unknown key \"room\" (did you mean \"rooms\"?)",
    );
    check("name = 'A'\nsink = 'rooms'\non = 'a'\nrooms = 'r:{x}'", "listeners.A.rooms: field \"x\"");
    check(
        "name = 'A'\nsink = 'rooms'\non = 'a'\nrooms = 'r'\nevent = 'message:received'",
        "listeners.A.event: ",
    );
    check("name = 'A'\nsink = 'log'\non = 'a'\nwhen = { x = 1 }", "listeners.A.when.\"x\": field \"x\"");
    check("name = 'A'\nsink = 'webhook'\non = 'a'\nurl = 'x'", "listeners.A.url: ");
    let twice = "name = 'A'\nsink = 'log'\non = 'a'\n[[listeners]]\nname = 'A'\nsink = 'log'\non = 'a'";
    check(twice, "listeners.A.name: there is a listener \"A\" already");
    let error = read_all("[events.reddis]\nurl = ''").expect_err("no such source");
    assert_eq!(error, "events: unknown key \"reddis\" (did you mean \"redis\"?)");
}
