//! The catalogue for people.

use std::fmt::Write;

use roomcast_shards::protocol::catalog::{Alias, EVENTS, EventSpec, PUSHES, RIGHTS};
use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::ErrorCode;
use roomcast_shards::protocol::profile::{Dialect, ErrorShape, PROFILES, Profile, Watching};

use super::{codes, renames, roles};

const HEAD: &str = "\
# Events

<!-- Printed by `roomcast events --markdown`; a change here is lost. -->

What travels on `/ws` in the event dialect, printed from the tables that the gateway obeys. For programs the same is in
[asyncapi.json](asyncapi.json).

```text
client → {\"event\":\"message:send\",\"data\":{…},\"requestId\":\"7\",\"version\":\"1\"}
reply  → {\"event\":\"message:sent\",\"data\":{…},\"requestId\":\"7\",\"version\":\"1\"}
push   → {\"event\":\"message:received\",\"data\":{…},\"version\":\"1\"}
```

`requestId` is a string or a number and comes back as it was; with one there is exactly one reply, success or error.
`?` marks what may be absent, `[]` a list of texts, `[message]` a list of messages as in `message:received`. Clients may
say `chatId` for `roomId`, or `conversationId`, `channelId` or `threadId`, which stand for the rooms `conversation:…`,
`channel:…` and `thread:…`.
";

const TOPIC: &str = "
## Topic dialect

Clients of `roomcast.topic.v1`, or of a profile that speaks it, send `auth`, `subscribe`, `unsubscribe`, `message` and
`ping` as the `type` of their frames; these are `auth`, `room:join`, `room:leave`, `message:send` and `ping` above, with
the same permissions. They are pushed `message` and nothing else.
";

/// Writes the page.
pub(super) fn render() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n## From clients\n");
    EVENTS.iter().for_each(|spec| event(&mut out, spec));
    pushes(&mut out);
    errors(&mut out);
    closes(&mut out);
    profiles(&mut out);
    rights(&mut out);
    out.push_str(TOPIC);
    out
}

/// Appends a line. Writing to a String cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}

fn event(out: &mut String, spec: &EventSpec) {
    line!(out, "\n### `{}`\n\n{}\n", spec.name, spec.summary);
    line!(out, "- data: {}", or_nothing(spec.data));
    let when = if spec.answered { "" } else { ", only with a `requestId`" };
    line!(out, "- reply `{}`{when}: {}", spec.reply, or_nothing(spec.answer));
    if !spec.pushes.is_empty() {
        line!(out, "- pushes: {}", spec.pushes);
    }
    let right = spec.right.map(|right| format!("; others with the permission `{right}`"));
    line!(out, "- roles: {}{}", roles(spec).join(", "), right.unwrap_or_default());
    if !spec.aliases.is_empty() {
        line!(out, "- other names: {}", spec.aliases.iter().map(other_name).collect::<Vec<_>>().join(", "));
    }
    for (profile, name) in renames(spec.reply) {
        line!(out, "- profile {profile} replies `{name}`");
    }
}

fn other_name(alias: &Alias) -> String {
    let constants: Vec<String> =
        alias.constants.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let constants = if constants.is_empty() { String::new() } else { format!(" ({})", constants.join(", ")) };
    format!("`{}`{constants}", alias.name)
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn pushes(out: &mut String) {
    out.push_str("\n## Pushes\n\nWhat comes unasked, and to whom.\n\n");
    table(out, &["event", "data", "to", "in profiles"]);
    for spec in PUSHES {
        let names: Vec<String> =
            renames(spec.name).map(|(profile, name)| format!("{profile}: `{name}`")).collect();
        row(out, &[&format!("`{}`", spec.name), spec.data, spec.when, &names.join(", ")]);
    }
}

fn errors(out: &mut String) {
    out.push_str(
        "\n## Errors\n\nAn error is the reply to what failed: `error` with `status`, `code`, `message`, `details` and \
         `recoverable`\nunless the profile has another shape. *Recoverable* is what may succeed later on the same \
         connection.\n\n",
    );
    table(out, &["code", "number", "recoverable", "when"]);
    for code in ErrorCode::ALL {
        let recoverable = if code.recoverable() { "yes" } else { "no" };
        row(
            out,
            &[&format!("`{}`", code.name()), &code.number().to_string(), recoverable, codes::error(code)],
        );
    }
}

fn closes(out: &mut String) {
    out.push_str("\n## Close codes\n\nWhy the server closes, and what a client best does then.\n\n");
    table(out, &["code", "name in metrics", "when", "then"]);
    for code in CloseCode::ALL {
        let (when, then) = codes::close(code);
        row(out, &[&code.number().to_string(), &format!("`{}`", code.name()), when, then]);
    }
}

fn profiles(out: &mut String) {
    out.push_str(
        "\n## Profiles\n\nKinds of clients, chosen with `?profile=` or `--profile`; `[profiles.NAME]` of the \
         configuration file defines more.\nNames of events go out as the lists say; what a list does not name goes \
         out under its own name.\n\n",
    );
    table(out, &["profile", "dialect", "errors", "first messages until 4401", "limits", "watches unasked"]);
    for profile in &PROFILES {
        let cells = [
            &format!("`{}`", profile.name),
            dialect(profile.dialect),
            error_shape(profile.error_shape),
            &profile.auth_tries.to_string(),
            &limits(profile),
            watching(profile),
        ];
        row(out, &cells);
    }
    for profile in
        PROFILES.iter().filter(|profile| !profile.inbound.is_empty() || !profile.outbound.is_empty())
    {
        line!(out, "\n### `{}`\n", profile.name);
        for (name, event, _) in profile.inbound {
            line!(out, "- in `{name}`: `{}`", event.spec().name);
        }
        for (canonical, name) in profile.outbound {
            line!(out, "- out `{canonical}`: `{name}`");
        }
    }
}

fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Event => "event",
        Dialect::Topic => "topic",
        Dialect::SocketIo => "socketio",
    }
}

fn error_shape(shape: ErrorShape) -> &'static str {
    match shape {
        ErrorShape::Native => "`error`: status, code, message, details, recoverable",
        ErrorShape::Chat => "`chat:error`: code, message, details, recoverable",
        ErrorShape::Channel => "`error`: status, code, message, data",
    }
}

fn limits(profile: &Profile) -> String {
    let rates = [("messages", profile.messages), ("typing", profile.typing), ("presence", profile.presence)];
    let rates = rates.into_iter().filter_map(|(name, rate)| Some(format!("{name} {}", rate?)));
    rates.collect::<Vec<_>>().join(", ")
}

fn watching(profile: &Profile) -> &'static str {
    match (profile.watching, profile.presence_edges) {
        (Watching::Nobody, _) => "nobody",
        (Watching::Account, false) => "its account",
        (Watching::Account, true) => "its account, with `user:online` and `user:offline`",
        (Watching::Everybody, false) => "everybody visible",
        (Watching::Everybody, true) => "everybody visible, with `user:online` and `user:offline`",
    }
}

fn rights(out: &mut String) {
    out.push_str(
        "\n## Permissions\n\nA permission of a token is the canonical name of an event, or one of these rights, alone \
         or with a room pattern behind a\ncolon (`message:send:news.*`); `*` is all of them.\n\n",
    );
    for right in RIGHTS {
        line!(out, "- `{right}`");
    }
}

fn table(out: &mut String, heads: &[&str]) {
    row(out, heads);
    row(out, &vec!["---"; heads.len()]);
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    line!(out, "| {} |", cells.join(" | "));
}
