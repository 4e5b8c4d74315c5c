//! What a client of Engine.IO reads from one socket, each part of it checked: answers to requests, WebSocket frames, and
//! the packets that both carry.

use roomcast_shards::protocol::socketio::payload::{self, Part};
use roomcast_shards::testing::{Reader, Received};

/// Bytes from a socket.
pub(crate) struct Heard {
    bytes: Vec<u8>,
    /// Once it is a WebSocket.
    frames: Option<Reader>,
    /// Whether what comes are packets for sure.
    speaks: bool,
    /// Attachments that must come next.
    attachments: usize,
    /// Bodies of answers so far.
    pub(crate) bodies: Vec<String>,
    /// A session that was told of.
    pub(crate) pid: Option<String>,
}

impl Heard {
    pub(crate) fn new(speaks: bool) -> Self {
        Self { bytes: Vec::new(), frames: None, speaks, attachments: 0, bodies: Vec::new(), pid: None }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            Some(reader) => reader.feed(bytes),
            None => self.bytes.extend_from_slice(bytes),
        }
    }

    /// Checks all that is whole.
    pub(crate) fn check(&mut self) {
        while self.frames.is_none() && !self.bytes.is_empty() {
            if self.bytes.starts_with(b"HTTP/1.1 101") {
                let mut reader = Reader::default();
                reader.feed(&std::mem::take(&mut self.bytes));
                self.frames = Some(reader);
            } else if !self.check_answer() {
                return;
            }
        }
        while let Some(received) = self.frames.as_mut().and_then(|it| it.next_frame().expect("whole frames"))
        {
            match received {
                Received::Text(text) if self.speaks => self.check_packet(&text),
                Received::Binary(_) => {
                    self.attachments = self.attachments.checked_sub(1).expect("an attachment")
                }
                _ => {}
            }
        }
    }

    /// One answer to a request; whether there was a whole one.
    fn check_answer(&mut self) -> bool {
        if self.bytes.starts_with(b"HTTP/1.1 100") {
            self.bytes.drain(..b"HTTP/1.1 100 Continue\r\n\r\n".len());
            return true;
        }
        let Some((status, body, len)) = split_answer(&self.bytes) else { return false };
        self.bytes.drain(..len);
        if status != 200 {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            assert!(json || body.is_ascii(), "{body:?}");
            return true;
        }
        self.bodies.push(String::from_utf8_lossy(&body).into_owned());
        if body == b"ok" {
            return true;
        }
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (part, taken) = payload::split_first(rest).expect("a body of packets");
            rest = &rest[taken..];
            match part {
                Part::Text(text) => self.check_packet(text),
                Part::Binary(_) => self.attachments = self.attachments.checked_sub(1).expect("an attachment"),
            }
        }
        true
    }

    fn check_packet(&mut self, text: &str) {
        assert_eq!(self.attachments, 0, "attachments come before {text}");
        let (kind, rest) = text.split_at_checked(1).expect("a packet has a type");
        match (kind, rest) {
            ("0", open) => assert!(is_json(open), "{text}"),
            ("1" | "2" | "6", "") | ("3", "probe") => {}
            ("4", message) => self.check_message(message),
            _ => panic!("{text} is no packet"),
        }
    }

    fn check_message(&mut self, text: &str) {
        let (kind, mut rest) = text.split_at_checked(1).expect("a message has a type");
        if kind == "5" {
            let (count, behind) = rest.split_once('-').expect("a number of attachments");
            self.attachments = count.parse().expect("a number");
            rest = behind;
        }
        let namespace = rest.starts_with('/').then(|| rest.split_once(',').expect("a namespace ends"));
        let data =
            namespace.map_or(rest, |(_, behind)| behind).trim_start_matches(|it: char| it.is_ascii_digit());
        match kind {
            "0" | "4" => assert!(data.starts_with('{') && is_json(data), "{text}"),
            "1" => assert_eq!(data, "", "{text}"),
            "2" | "3" | "5" => assert!(data.starts_with('[') && is_json(data), "{text}"),
            _ => panic!("{text} is no message"),
        }
        if kind == "0" {
            let connected: serde_json::Value = serde_json::from_str(data).expect("checked above");
            self.pid = connected["pid"].as_str().map(str::to_owned);
            assert!(self.pid.is_some() && connected["sid"].is_string(), "{text}");
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Status, body and length in all of the answer at the front.
fn split_answer(bytes: &[u8]) -> Option<(u16, Vec<u8>, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.expect("a status");
    let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let len: usize = len.map_or(0, |len| len.trim().parse().expect("a length"));
    let body = bytes.get(end..end + len)?;
    Some((status, body.to_vec(), end + len))
}
