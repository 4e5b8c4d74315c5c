//! The two requests that the floor understands, found by substring, and what it answers. Pure.

use std::io::Write as _;

use memchr::memchr2;
use memchr::memmem::Finder;

/// A client's request, cut out of the frame's payload.
///
/// Texts are the raw bytes between the quotes, escapes included, so they can be written as they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Join { room: &'a [u8], request_id: Option<&'a [u8]> },
    Send { room: &'a [u8], content: &'a [u8] },
}

/// Finds requests; made once, as preparing the searches costs more than searching.
#[derive(Debug)]
pub(crate) struct Reader {
    send: Finder<'static>,
    join: Finder<'static>,
    room: Finder<'static>,
    content: Finder<'static>,
    request_id: Finder<'static>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            send: Finder::new("\"message:send\""),
            join: Finder::new("\"room:join\""),
            room: Finder::new("\"roomId\":\""),
            content: Finder::new("\"content\":\""),
            request_id: Finder::new("\"requestId\":\""),
        }
    }

    /// The request in `payload`; `None` if it is neither of the two or lacks what it needs.
    ///
    /// A text cannot pretend to be a member of the object: the quotes within it are escaped.
    pub(crate) fn read<'a>(&self, payload: &'a [u8]) -> Option<Request<'a>> {
        if self.send.find(payload).is_some() {
            let room = text_after(&self.room, payload)?;
            Some(Request::Send { room, content: text_after(&self.content, payload)? })
        } else if self.join.find(payload).is_some() {
            let room = text_after(&self.room, payload)?;
            Some(Request::Join { room, request_id: text_after(&self.request_id, payload) })
        } else {
            None
        }
    }
}

/// The text that begins where `finder` ends, without its quotes.
fn text_after<'a>(finder: &Finder<'_>, payload: &'a [u8]) -> Option<&'a [u8]> {
    let text = &payload[finder.find(payload)? + finder.needle().len()..];
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', text.get(end..)?)?;
        if text[end] == b'"' {
            return Some(&text[..end]);
        }
        end += 2;
    }
}

/// Writes the answer to a join.
pub(crate) fn write_joined(
    json: &mut Vec<u8>,
    room: &[u8],
    offset: u64,
    members: usize,
    request_id: Option<&[u8]>,
) {
    json.extend_from_slice(b"{\"event\":\"room:joined\",\"data\":{\"roomId\":\"");
    json.extend_from_slice(room);
    write_number(json, "\",\"epoch\":\"e\",\"offset\":", offset);
    write_number(json, ",\"members\":", members as u64);
    json.push(b'}');
    if let Some(request_id) = request_id {
        json.extend_from_slice(b",\"requestId\":\"");
        json.extend_from_slice(request_id);
        json.push(b'"');
    }
    json.extend_from_slice(b",\"version\":\"1\"}");
}

/// Writes the push of a message, of the members and size that a gateway's has.
pub(crate) fn write_message(json: &mut Vec<u8>, room: &[u8], offset: u64, content: &[u8]) {
    write!(
        json,
        "{{\"event\":\"message:received\",\"data\":{{\"id\":\"01900000-0000-7000-8000-{offset:012x}\""
    )
    .expect("a Vec takes everything");
    json.extend_from_slice(b",\"roomId\":\"");
    json.extend_from_slice(room);
    write_number(json, "\",\"epoch\":\"e\",\"offset\":", offset);
    json.extend_from_slice(b",\"senderId\":\"u\",\"type\":\"chat\",\"content\":\"");
    json.extend_from_slice(content);
    json.extend_from_slice(
        b"\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"deliveryStatus\":\"streaming\"},\"version\":\"1\"}",
    );
}

fn write_number(json: &mut Vec<u8>, before: &str, number: u64) {
    write!(json, "{before}{number}").expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(payload: &str, expected: Option<Request<'_>>) {
        assert_eq!(Reader::new().read(payload.as_bytes()), expected, "{payload}");
    }

    #[test]
    fn requests_are_found_by_substring() {
        check(
            r#"{"event":"room:join","data":{"roomId":"a"},"requestId":"7"}"#,
            Some(Request::Join { room: b"a", request_id: Some(b"7") }),
        );
        check(
            r#"{"event":"room:join","data":{"roomId":"a"},"requestId":7}"#,
            Some(Request::Join { room: b"a", request_id: None }),
        );
        check(
            r#"{"event":"message:send","data":{"roomId":"a","content":"x \"roomId\":\"b\" \\"}}"#,
            Some(Request::Send { room: b"a", content: br#"x \"roomId\":\"b\" \\"# }),
        );
    }

    #[test]
    fn anything_else_is_not_understood() {
        check("", None);
        check(r#"{"event":"ping"}"#, None);
        check(r#"{"event":"room:join","data":{}}"#, None);
        check(r#"{"event":"message:send","data":{"roomId":"a","content":{}}}"#, None);
        check(r#"{"event":"message:send","data":{"roomId":"a","content":"open"#, None);
        check(r#"{"event":"message:send","data":{"roomId":"a","content":"open\"#, None);
    }

    #[test]
    fn answers_are_json() {
        let mut json = Vec::new();
        write_joined(&mut json, b"a", 3, 2, Some(b"7"));
        let joined: Value = serde_json::from_slice(&json).expect("valid");
        assert_eq!(
            joined,
            json!({"event": "room:joined", "data": {"roomId": "a", "epoch": "e", "offset": 3, "members": 2},
                "requestId": "7", "version": "1"})
        );
        json.clear();
        write_message(&mut json, b"a", 4, br#"say \"hi\""#);
        let message: Value = serde_json::from_slice(&json).expect("valid");
        assert_eq!(message["data"]["content"], "say \"hi\"");
        assert_eq!(message["data"]["offset"], 4);
        assert_eq!(message["data"]["id"].as_str().map(str::len), Some(36));
    }
}
