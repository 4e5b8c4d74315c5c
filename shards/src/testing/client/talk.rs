//! The wire of a Socket.IO client: envelopes go out as packets, and packets that come are envelopes again.
//!
//! So everything that a client of the event dialect does and checks holds for it unchanged. `socketio` is what it has
//! beside that: namespaces entered, and sessions taken up again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::host::Around;
use super::super::wire;
use super::answers::position;
use super::{Client, Position, Stage};
use crate::user::progress::Place;

/// What stands in front of an attachment's base64, and behind it.
const ATTACHED: (&str, &str) = (r#"{"_base64":""#, r#""}"#);
/// How many of them an event may have.
const ATTACHMENTS_MAX: usize = 10;
/// Texts that are no requests; each is answered with an error at most.
const NONSENSE: [&str; 8] = [
    r#"42["no:such",{}]"#,
    r#"42["room:join",{"roomId":"not a room"}]"#,
    r#"42["room:join",7]"#,
    r#"42["room:join"]"#,
    r#"42["room:join",{"roomId":"room.a"},1]"#,
    "42[7]",
    "43999999[]",
    "40/nowhere,",
];
/// Texts that end the connection.
const BROKEN: [&str; 10] =
    ["", "9", "4", "4x", "42", "42{}", r#"42/nowhere,["a"]"#, r#"42["connect"]"#, "40", r#"451-["a"]"#];

/// What a connection says and hears as a Socket.IO client.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// The token that it shows when it enters the namespace.
    pub(super) token: Option<String>,
    /// Whether it has asked to enter.
    pub(super) asked: bool,
    /// Times that it was refused.
    pub(super) refused: u32,
    /// Namespaces that it asked for and that there are not.
    pub(super) strays: u32,
    /// Events that came before it was let in, and are not handled yet.
    pub(super) early: Vec<String>,
    /// How many of those there were in all.
    pub(super) replayed: u64,
    /// Whether it named the last place that it saw, so that nothing may come again.
    pub(super) exact: bool,
    /// Whether the session that it named was none of its own.
    pub(super) bogus: bool,
    /// Whether it does not handle what still comes.
    pub(super) deaf: bool,
    /// Whether it was in the namespace before over the same transport: what comes until it is let in is of then.
    pub(super) returns: bool,
    /// Whether it has asked for patterns or watches.
    pub(super) forgoes: bool,
    /// An event whose attachments are yet to come, and how many.
    partial: Option<(String, usize, Vec<Vec<u8>>)>,
}

impl Talk {
    /// Whether attachments are awaited.
    pub(super) fn is_amid_event(&self) -> bool {
        self.partial.is_some()
    }
}

impl Client {
    /// Sends an event.
    pub(super) fn emit(&mut self, event: &str, data: &str, id: Option<&str>, around: &mut Around<'_>) {
        let id = id.unwrap_or_default();
        let (data, attachments) =
            if around.dice.percent(80) { detach(data) } else { (data.to_owned(), Vec::new()) };
        if attachments.is_empty() {
            return self.send_text(&format!(r#"42{id}["{event}",{data}]"#), around);
        }
        around.ledger.totals.attachments_sent += attachments.len() as u64;
        self.send_text(&format!(r#"45{}-{id}["{event}",{data}]"#, attachments.len()), around);
        for attachment in attachments {
            self.send_frame(wire::BINARY, &attachment, around);
        }
    }

    pub(super) fn emit_nonsense(&mut self, around: &mut Around<'_>) {
        let text = *around.dice.pick(&NONSENSE);
        if let Some(link) = &mut self.link {
            link.talk.strays += u32::from(text.starts_with("40"));
        }
        self.send_text(text, around);
    }

    /// Sends what ends the connection.
    pub(super) fn break_protocol(&mut self, around: &mut Around<'_>) {
        let text = *around.dice.pick(&BROKEN);
        self.send_text(text, around);
        if text.starts_with("45") {
            self.send_text("42[\"between\"]", around);
        }
    }

    /// A packet of text.
    pub(super) fn on_packet(&mut self, text: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.talk.deaf {
            return;
        }
        if link.talk.partial.is_some() {
            return around.ledger.violate("attachments follow their event", text);
        }
        let enters = link.stage == Stage::Authenticating;
        match (text.get(..2).unwrap_or(text), enters) {
            ("2", _) => self.on_engine_ping(around),
            ("0{", true) => self.on_engine_open(&text[1..], around),
            ("40", true) => self.on_connected(&text[2..], around),
            ("44", _) => self.on_connect_refused(&text[2..], around),
            // Over a transport that it entered twice nothing else follows: it goes by itself.
            ("41", _) if text.len() == 2 && link.talk.returns => self.vanish(around),
            ("41", _) if text.len() == 2 => link.stage = Stage::Ending,
            ("45", _) => match text[2..].split_once('-').and_then(|(count, _)| count.parse().ok()) {
                Some(count) if count > 0 => link.talk.partial = Some((text.to_owned(), count, Vec::new())),
                _ => around.ledger.violate("a Socket.IO client hears packets", text),
            },
            ("42" | "43", true) if link.talk.returns => {}
            ("42", true) => self.on_early(text.to_owned(), around),
            ("42", false) => self.on_event_packet(text, around),
            ("43", false) => self.on_ack_packet(text, around),
            _ => around.ledger.violate("a Socket.IO client hears packets", text),
        }
    }

    /// A binary message: an attachment.
    pub(super) fn on_attachment(&mut self, data: &[u8], around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.talk.deaf {
            return;
        }
        let Some((text, count, mut attachments)) = link.talk.partial.take() else {
            return around.ledger.violate("attachments follow their event", format!("{data:?}"));
        };
        attachments.push(data.to_vec());
        if attachments.len() < count {
            link.talk.partial = Some((text, count, attachments));
            return;
        }
        around.ledger.totals.attachments_heard += count as u64;
        let whole = attach(&text, &attachments);
        self.on_packet(&whole, around);
    }

    /// Asks whether the client is there; it has handled all that came before.
    fn on_engine_ping(&mut self, around: &mut Around<'_>) {
        self.handle_early(false, around);
        let Some(link) = &mut self.link else { return };
        link.views.values_mut().for_each(super::View::note_progress);
        self.send_text("3", around);
    }

    /// An event: told, or with a number to be answered.
    pub(super) fn on_event_packet(&mut self, text: &str, around: &mut Around<'_>) {
        let Some((id, arguments)) = split(&text[2..]) else {
            return around.ledger.violate("a Socket.IO client hears packets", text);
        };
        match (id, place(&arguments)) {
            ("", Some(place)) => self.see(place),
            ("", None) => around.ledger.violate("every event tells its place", text),
            (id, _) => self.answer(id, &arguments[1], around),
        }
        let frame = json!({"event": arguments[0], "data": arguments[1]});
        self.on_event(text, &frame, around);
    }

    /// The client is at a place.
    pub(super) fn see(&mut self, place: String) {
        self.seen = Some(place);
        self.named.1 = self.seen == self.named.0;
        self.unplaced.clear();
    }

    /// A message whose sender wants to know that it has arrived.
    fn answer(&mut self, id: &str, data: &Value, around: &mut Around<'_>) {
        around.ledger.totals.answers_wanted += 1;
        let Position { epoch, offset } = position(data);
        if data["ackRequested"] != true && data.get("editorId").is_none() {
            around.ledger.violate("only who asks for it gets an answer", format!("{data}"));
        }
        self.unplaced.insert((epoch, offset));
        let user = self.link.as_ref().and_then(|link| link.user.clone());
        if let (Some(user), Some(room), true) = (user, data["roomId"].as_str(), around.dice.percent(60)) {
            around.ledger.ask_receipt(&(room.to_owned(), user, false), offset);
            self.send_text(&format!("43{id}[]"), around);
        }
    }

    fn on_ack_packet(&mut self, text: &str, around: &mut Around<'_>) {
        let Some((id, arguments)) = split(&text[2..]).filter(|(id, _)| !id.is_empty()) else {
            return around.ledger.violate("a Socket.IO client hears packets", text);
        };
        let data = &arguments[0];
        let is_error =
            data["code"].is_string() && (data["status"] == "error" || data["recoverable"].is_boolean());
        let id: u64 = id.parse().unwrap_or(u64::MAX);
        let event = if is_error { "error" } else { "ack" };
        let frame = json!({"event": event, "data": data, "requestId": id});
        self.on_event(text, &frame, around);
    }
}

/// The number of a packet, perhaps none, and its arguments.
pub(super) fn split(text: &str) -> Option<(&str, Value)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let arguments: Value = serde_json::from_str(&text[end..]).ok()?;
    arguments.is_array().then_some((&text[..end], arguments))
}

/// The place with which an event ends.
pub(super) fn place(arguments: &Value) -> Option<String> {
    let place = arguments[2].as_str()?;
    Place::parse(place).map(|_| place.to_owned())
}

/// Takes attachments out of a text.
fn detach(text: &str) -> (String, Vec<Vec<u8>>) {
    let (mut out, mut attachments, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, behind)) =
        rest.split_once(ATTACHED.0).filter(|_| attachments.len() < ATTACHMENTS_MAX)
    {
        let (base64, behind) = behind.split_once(ATTACHED.1).expect("the simulation writes whole ones");
        out.push_str(before);
        out.push_str(&holder(attachments.len()));
        attachments.push(STANDARD.decode(base64).expect("the simulation writes base64"));
        rest = behind;
    }
    (out + rest, attachments)
}

/// Puts them back; an event without attachments.
fn attach(text: &str, attachments: &[Vec<u8>]) -> String {
    let (_, rest) = text.split_once('-').unwrap_or(("", text));
    let mut out = format!("42{rest}");
    for (number, attachment) in attachments.iter().enumerate() {
        let inline = format!("{}{}{}", ATTACHED.0, STANDARD.encode(attachment), ATTACHED.1);
        out = out.replacen(&holder(number), &inline, 1);
    }
    out
}

fn holder(number: usize) -> String {
    format!(r#"{{"_placeholder":true,"num":{number}}}"#)
}
