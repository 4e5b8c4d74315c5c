//! The echo application of the Socket.IO protocol's conformance suite (`--socketio-echo`).
//!
//! Two namespaces; on entering one the client gets what it said as `auth`; `message` comes back as `message-back`, and
//! `message-with-ack` as its own answer. Arguments and attachments come back byte for byte.

use bytes::Bytes;

use super::Shard;
use crate::clock::Now;
use crate::connection::outbound_queue::FrameClass;
use crate::protocol::frame;
use crate::protocol::json::Value;
use crate::protocol::socketio::event;
use crate::protocol::socketio::packet::{Kind, Packet};

/// The namespaces; each has a bit.
const NAMESPACES: [&str; 2] = ["/", "/custom"];

/// What is to come back of an event: the head of the answer, and the arguments behind its name.
struct Echo {
    head: String,
    arguments: Vec<u8>,
}

impl Shard {
    /// A packet of a client of the echo, with its attachments.
    pub(super) fn echo_packet(&mut self, slot: usize, packet: &Packet<'_>, attachments: &[Bytes], now: Now) {
        let bit = NAMESPACES.iter().position(|name| *name == packet.namespace).map(|at| 1u8 << at);
        let Some(session) = self.connections[slot].engine_mut() else { return };
        let connected = bit.is_some_and(|bit| session.echo & bit != 0);
        match (packet.kind, bit) {
            (Kind::Connect, None) => {
                let refusal = crate::protocol::socketio::write::invalid_namespace(packet.namespace);
                self.send(slot, refusal, FrameClass::Reply);
            }
            (Kind::Connect, Some(bit)) if !connected => {
                session.echo |= bit;
                session.connect_due_ms = u64::MAX;
                self.echo_connect(slot, packet, now);
            }
            (Kind::Disconnect, Some(bit)) if connected => session.echo &= !bit,
            (Kind::Ack, _) if connected && self.is_array(packet.payload) => {}
            (Kind::Event, _) if connected => self.echo_event(slot, packet, attachments, now),
            _ => self.malformed(slot, now),
        }
    }

    fn echo_connect(&mut self, slot: usize, packet: &Packet<'_>, now: Now) {
        let payload = if packet.payload.is_empty() { "{}" } else { packet.payload };
        let is_object = self.parser.parse(payload.as_bytes(), |value| value.is_object());
        if is_object != Ok(true) {
            return self.malformed(slot, now);
        }
        let prefix = prefix(packet.namespace);
        let sid = self.connections[slot].session;
        let connected = format!("40{prefix}{{\"sid\":\"{sid}\"}}");
        self.send(slot, frame::text(connected.as_bytes()), FrameClass::Reply);
        let auth = format!("42{prefix}[\"auth\",{payload}]");
        self.send(slot, frame::text(auth.as_bytes()), FrameClass::Reply);
    }

    fn echo_event(&mut self, slot: usize, packet: &Packet<'_>, attachments: &[Bytes], now: Now) {
        let read = self.parser.parse(packet.payload.as_bytes(), |value| {
            let name = event::name(value)?;
            Some(echo(name, packet, rest_of(value), attachments.len()))
        });
        let Ok(Some(echo)) = read else { return self.malformed(slot, now) };
        let Some(Echo { head, arguments }) = echo else { return };
        self.send(slot, frame::text_of(&[head.as_bytes(), &arguments]), FrameClass::Reply);
        for attachment in attachments {
            self.send(slot, frame::binary(attachment), FrameClass::Reply);
        }
    }
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// The arguments behind an event's name, as sent, with a comma between.
fn rest_of(arguments: Value<'_>) -> Vec<u8> {
    let rest: Vec<&[u8]> = arguments.elements().into_iter().flatten().skip(1).map(|it| it.raw()).collect();
    rest.join(&b","[..])
}

fn echo(name: &str, packet: &Packet<'_>, rest: Vec<u8>, attachments: usize) -> Option<Echo> {
    let prefix = prefix(packet.namespace);
    let count = if attachments > 0 { format!("{attachments}-") } else { String::new() };
    match (name, packet.id) {
        ("message", _) => {
            let kind = if attachments > 0 { "45" } else { "42" };
            let comma = if rest.is_empty() { "" } else { "," };
            let arguments = [format!("[\"message-back\"{comma}").as_bytes(), &rest, b"]"].concat();
            Some(Echo { head: format!("{kind}{count}{prefix}"), arguments })
        }
        ("message-with-ack", Some(id)) => {
            let kind = if attachments > 0 { "46" } else { "43" };
            let arguments = [&b"["[..], &rest, b"]"].concat();
            Some(Echo { head: format!("{kind}{count}{prefix}{id}"), arguments })
        }
        _ => None,
    }
}
