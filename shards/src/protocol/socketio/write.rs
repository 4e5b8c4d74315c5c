//! Packets as the server sends them, each a text frame of the WebSocket.
//!
//! An event without ack id ends with the place behind it, which the client gives back when it returns. Of a message the
//! place is the same for everybody, so its frame is shared; what has no place of its own is closed for each recipient.

use bytes::Bytes;

use super::Namespace;
use super::binary;
use crate::protocol::emission::Emitted;
use crate::protocol::error_code::CommandError;
use crate::protocol::frame;
use crate::protocol::profile::Profile;
use crate::protocol::write::{self, display, key, name, string};
use crate::user::progress::Place;

/// Attachments that the reference's clients take in one event.
const ATTACHMENTS_MAX: usize = 10;

/// An event whose end is yet to be written.
#[derive(Debug, Clone)]
pub struct OpenEvent {
    text: Bytes,
    /// The frames of its attachments.
    attachments: Bytes,
    /// Whether the client is asked to answer; then no place follows.
    wants_ack: bool,
}

impl OpenEvent {
    /// An event with `data` in it; `binary` when there may be attachments inside, `ack` the number for an answer.
    #[must_use]
    pub fn new(
        namespace: &Namespace,
        event: &str,
        (binary, ack): (bool, Option<u64>),
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let mut body = Vec::with_capacity(512);
        arguments(&mut body, event, data);
        Self::with_body(namespace, body, binary, ack)
    }

    /// An event that a backend emitted, with any number of arguments.
    #[must_use]
    pub fn emitted(namespace: &Namespace, event: &Emitted) -> Self {
        let mut body = Vec::with_capacity(64 + event.arguments.len());
        body.push(b'[');
        string(&mut body, &event.name);
        if !event.arguments.is_empty() {
            body.push(b',');
            body.extend_from_slice(&event.arguments);
        }
        Self::with_body(namespace, body, event.binary, None)
    }

    fn with_body(namespace: &Namespace, mut body: Vec<u8>, binary: bool, ack: Option<u64>) -> Self {
        let attachments = if binary {
            let (text, attachments) = binary::extract(&body, ATTACHMENTS_MAX);
            body = text;
            attachments
        } else {
            Vec::new()
        };
        let mut text = Vec::with_capacity(body.len() + 32);
        head(&mut text, namespace, (b'2', b'5'), attachments.len());
        if let Some(ack) = ack {
            display(&mut text, ack);
        }
        text.extend_from_slice(&body);
        let attachments: Vec<u8> = attachments.iter().flat_map(|data| frame::binary(data)).collect();
        Self { text: text.into(), attachments: attachments.into(), wants_ack: ack.is_some() }
    }

    /// The frames of the event with the place behind it.
    #[must_use]
    pub fn close(&self, place: Option<Place>) -> Bytes {
        let mut end = Vec::with_capacity(48);
        close(&mut end, place.filter(|_| !self.wants_ack));
        let text = frame::text_of(&[&self.text, &end]);
        if self.attachments.is_empty() {
            return text;
        }
        [&text[..], &self.attachments].concat().into()
    }
}

/// Writes the head of a packet that is of the one kind, or of the other when it has attachments.
fn head(out: &mut Vec<u8>, namespace: &Namespace, (plain, binary): (u8, u8), attachments: usize) {
    out.push(b'4');
    if attachments == 0 {
        out.push(plain);
    } else {
        out.push(binary);
        display(out, attachments);
        out.push(b'-');
    }
    out.extend_from_slice(namespace.prefix.as_bytes());
}

fn arguments(out: &mut Vec<u8>, event: &str, data: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    string(out, event);
    out.push(b',');
    data(out);
}

/// Writes an event without attachments, up to its end.
pub fn open_event(out: &mut Vec<u8>, namespace: &Namespace, event: &str, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"42");
    out.extend_from_slice(namespace.prefix.as_bytes());
    arguments(out, event, data);
}

/// Writes the end of an event.
pub fn close(out: &mut Vec<u8>, place: Option<Place>) {
    if let Some(place) = place {
        out.extend_from_slice(b",\"");
        display(out, place);
        out.push(b'"');
    }
    out.push(b']');
}

/// Writes the answer to an event.
pub fn ack(out: &mut Vec<u8>, namespace: &Namespace, id: &str, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"43");
    out.extend_from_slice(namespace.prefix.as_bytes());
    out.extend_from_slice(id.as_bytes());
    out.push(b'[');
    data(out);
    out.push(b']');
}

/// The frames of an answer that may have attachments inside.
#[must_use]
pub fn ack_with_attachments(namespace: &Namespace, id: &str, data: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut body = vec![b'['];
    data(&mut body);
    body.push(b']');
    let (body, attachments) = binary::extract(&body, ATTACHMENTS_MAX);
    let mut text = Vec::with_capacity(body.len() + 32);
    head(&mut text, namespace, (b'3', b'6'), attachments.len());
    text.extend_from_slice(id.as_bytes());
    text.extend_from_slice(&body);
    let mut frames = frame::text(&text).to_vec();
    attachments.iter().for_each(|data| frames.extend_from_slice(&frame::binary(data)));
    frames.into()
}

/// The packet that lets a client into a namespace; `pid` names the session that it may resume.
#[must_use]
pub fn connected(namespace: &Namespace, sid: impl std::fmt::Display, pid: Option<&str>) -> Bytes {
    let mut out = format!("40{}{{\"sid\":\"{sid}\"", namespace.prefix).into_bytes();
    if let Some(pid) = pid {
        key(&mut out, "pid");
        name(&mut out, pid);
    }
    out.push(b'}');
    frame::text(&out)
}

/// The packet that does not let a client into a namespace.
#[must_use]
pub fn refused(namespace: &str, profile: &Profile, error: &CommandError) -> Bytes {
    let mut out = refusal(namespace, &error.message);
    key(&mut out, "data");
    write::error_data(&mut out, profile, error);
    out.push(b'}');
    frame::text(&out)
}

/// The packet that tells a client that there is no such namespace.
#[must_use]
pub fn invalid_namespace(namespace: &str) -> Bytes {
    let mut out = refusal(namespace, "Invalid namespace");
    out.push(b'}');
    frame::text(&out)
}

fn refusal(namespace: &str, message: &str) -> Vec<u8> {
    let mut out = b"44".to_vec();
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    out.push(b'{');
    key(&mut out, "message");
    string(&mut out, message);
    out
}

/// The packet that takes a client out of a namespace; it does not come back by itself.
#[must_use]
pub fn disconnected(namespace: &Namespace) -> Bytes {
    frame::text(format!("41{}", namespace.prefix).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;
    use crate::protocol::error_code::ErrorCode;
    use crate::protocol::profile::PROFILES;
    use crate::protocol::socketio::{Namespaces, ROOT};

    fn payload(frame: &Bytes) -> String {
        String::from_utf8(frame[2..].to_vec()).expect("UTF-8")
    }

    #[test]
    fn packets_are_those_of_the_protocol() {
        let mut namespaces = Namespaces::default();
        namespaces.define("/chat").expect("a good name");
        let chat = namespaces.find("/chat").expect("defined");
        let event = |ack| OpenEvent::new(chat, "a", (false, ack), |out| out.extend_from_slice(b"{}"));
        let place = Some(Place::Behind(Epoch(0xab), 7));
        assert_eq!(payload(&event(None).close(place)), r#"42/chat,["a",{},"00000000000000ab-7"]"#);
        assert_eq!(payload(&event(None).close(None)), r#"42/chat,["a",{}]"#);
        assert_eq!(payload(&event(Some(12)).close(place)), r#"42/chat,12["a",{}]"#);
        let mut out = Vec::new();
        ack(&mut out, &ROOT, "12", |out| out.extend_from_slice(b"{}"));
        assert_eq!(out, b"4312[{}]");
        assert_eq!(payload(&connected(&ROOT, "x", None)), r#"40{"sid":"x"}"#);
        assert_eq!(payload(&connected(chat, "x", Some("p"))), r#"40/chat,{"sid":"x","pid":"p"}"#);
        assert_eq!(payload(&disconnected(&ROOT)), "41");
        assert_eq!(payload(&invalid_namespace("/random")), r#"44/random,{"message":"Invalid namespace"}"#);
        let error = CommandError::new(ErrorCode::AuthFailed, "no token");
        let refused = refused("/", &PROFILES[0], &error);
        let text = payload(&refused);
        assert!(
            text.starts_with(r#"44{"message":"no token","data":{"status":"error","code":"AUTH_FAILED","#),
            "{text}"
        );
    }

    #[test]
    fn attachments_follow_their_event() {
        let data = |out: &mut Vec<u8>| binary::write(out, &[1, 2]);
        let text = br#"461-12[{"_placeholder":true,"num":0}]"#;
        let frames = ack_with_attachments(&ROOT, "12", data);
        assert_eq!(frames, [&frame::text(text)[..], &frame::binary(&[1, 2])].concat());
        let frames = OpenEvent::new(&ROOT, "a", (true, None), data).close(Some(Place::Start));
        let text = br#"451-["a",{"_placeholder":true,"num":0},"0"]"#;
        assert_eq!(frames, [&frame::text(text)[..], &frame::binary(&[1, 2])].concat());
    }
}
